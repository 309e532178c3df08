# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the module file_tree_copy does, in both directions."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import typing as t

from .._errors import shown
from .._io import fsync_directory
from .._progress import Progress
from .at import below, why
from .entry import FOLDER, FilesError, TreeResult
from .tree import copy_tree, restore_tree, write_tree_list

Options = t.Mapping[str, t.Any]
PARTIAL = ".partial-"


def copied(options: Options, progress: Progress, check: bool) -> dict[str, t.Any]:
    """Copy a folder and write the list beside the copy."""
    src, dest = options["src"], options["dest"]
    what = f"Copy of '{src}' to '{dest}'"
    if not os.path.isdir(src):
        raise FilesError(what, "there is no such folder to copy", "See whether its volume is mounted")
    if check:
        return {"changed": True, "kept_aside": None, **summary(TreeResult())}
    fresh = not (os.path.isdir(dest) and os.listdir(dest))
    try:
        _make_parents(os.path.dirname(os.path.abspath(dest)))
        _make_parents(os.path.dirname(os.path.abspath(tree_list(options))))
        result = copy_tree(src, dest, options["exclude"], progress)
        if result.outsides and options["outside_links"] == "refuse":
            raise FilesError(
                what,
                f"{result.outsides} links lead out of it, to what would be missing: {', '.join(result.outside)}",
                "Exclude them and save that by other means, or set outside_links to keep",
            )
        write_tree_list(tree_list(options), result.entries)
    except BaseException as error:
        if fresh:  # on a full disk there may be no room for whatever comes next, the end of the run neither
            shutil.rmtree(dest, ignore_errors=True)
        if isinstance(error, OSError):
            raise FilesError(what, *why(error, dest)) from error
        raise
    return {"changed": True, "kept_aside": None, **summary(result)}


def restored(options: Options, progress: Progress, check: bool) -> dict[str, t.Any]:
    """Put a copy to where it is used, if what is there may be touched."""
    src, dest, names = options["src"], os.path.realpath(options["dest"]), tree_list(options)
    more = {"owner": options["owner"], "group": options["group"], "progress": progress}
    more["follow"] = _leading(options["dest"], options["keep"])
    what = f"Restore of '{src}' to '{dest}'"
    try:
        there = os.listdir(dest) if os.path.isdir(dest) else []
        result = restore_tree(names, src, dest, check=True, **more)
        kept = None
        if result.changed and there and options["existing"] != "merge":
            if options["existing"] == "refuse":
                raise FilesError(
                    what,
                    f"there is something else already: {', '.join(sorted(there)[:5])}",
                    "Name an empty folder, or set existing to aside or merge",
                )
            kept = dest if check else _keep_aside(dest)
        if result.changed and not check:
            result = restore_tree(names, src, dest, check=False, **more)
    except OSError as error:
        raise FilesError(what, *why(error, dest)) from error
    return {"changed": result.changed > 0, "kept_aside": kept, **summary(result)}


def _leading(dest: str, keep: t.Sequence[str]) -> set[str]:
    """The paths below the target by whose names one comes to folders that stay where they are, and these."""
    found: set[str] = set()
    for parts in (name.split("/") for path in keep for name in below(path, dest)):
        found |= {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
    return found


def tree_list(options: Options) -> str:
    """Where the list is: beside the copy, if not told."""
    copy = options["dest"] if options["state"] == "copied" else options["src"]
    return str(options["tree_list"] or os.path.join(os.path.dirname(os.path.abspath(copy)), "tree.jsonl"))


def summary(result: TreeResult) -> dict[str, t.Any]:
    """The part of a result that is told; bounded."""
    return {
        "files": result.files,
        "folders": sum(entry.type == FOLDER for entry in result.entries),
        "bytes": result.bytes,
        "vanished": result.vanished,
        "torn": result.torn,
        "special": sorted(map(shown, result.special)),
        "special_count": result.specials,
        "outside_links": sorted(map(shown, result.outside)),
        "outside_links_count": result.outsides,
        "unowned": result.unowned,
    }


def _make_parents(folder: str) -> None:
    """Make the folders above a copy; never a partial set, which is gone when another run has taken this one's place."""
    missing = []
    while not os.path.isdir(folder):
        if os.path.basename(folder).startswith(PARTIAL):
            raise FilesError(f"Use of '{folder}'", "it is gone: another run has taken this one's place")
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another node's copy made it
            os.mkdir(path, 0o700)
            os.chmod(path, 0o700)  # whatever the umask


def _keep_aside(dest: str) -> str:
    """Move what is there out of the way: the folder as a whole, or what is in it where that cannot be moved."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = f"{dest.rstrip('/')}_before_{moment}"
    try:
        os.rename(dest, aside)
    except OSError:  # a mount point, or a parent that is not ours
        aside = os.path.join(dest, f".nuxeo-platform-before-{moment}")
        os.mkdir(aside, 0o700)
        for name in os.listdir(dest):
            if not name.startswith(".nuxeo-platform-before-") and name != "lost+found":
                os.rename(os.path.join(dest, name), os.path.join(aside, name))
        fsync_directory(aside)
        fsync_directory(dest)
    else:
        fsync_directory(os.path.dirname(os.path.abspath(aside)))
    return aside
