# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a pool on this host holds, looked up or listed."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from . import names
from .errors import BlobError, os_reason


def is_held(pool: bytes, name: bytes) -> bool:
    """Look for one name."""
    try:
        return stat.S_ISREG(os.lstat(pool + b"/" + names.pool_path(name)).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


@contextlib.contextmanager
def _reading(pool: bytes) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BlobError(f"Reading of pool '{names.shown(pool)}'", os_reason(error), "Mount its volume") from error


def folders(pool: bytes) -> t.List[bytes]:
    """Where a pool has its blobs, sorted. A file that lies beside these is none: a short name has a folder too.

    Nor is what ext4 keeps for itself, and root: a pool may be the root of a volume.
    """
    with _reading(pool), os.scandir(pool) as entries:
        found = [entry.name for entry in entries if not entry.name.startswith(b".") and entry.is_dir()]
    return sorted(name for name in found if name != b"lost+found")


def all_names(pool: bytes, folder: bytes) -> t.Iterator[bytes]:
    """Every blob below one folder of a pool, sorted."""
    with _reading(pool):
        for name in sorted(os.listdir(pool + b"/" + folder)):
            if name.startswith(b"."):
                continue
            below = pool + b"/" + folder + b"/" + name
            if os.path.isdir(below) and not os.path.islink(below):
                yield from sorted(each for each in os.listdir(below) if not each.startswith(b"."))
            else:
                yield name


def local_look(pool: bytes) -> t.Callable[[t.Sequence[bytes], bool], t.Set[bytes]]:
    """What a pool on this host lacks, as ``pool.Shelf.lacking``."""

    def look(wanted: t.Sequence[bytes], full: bool) -> t.Set[bytes]:
        if full:
            return lacking_by_listing(pool, wanted)
        return {name for name in wanted if not is_held(pool, name)}

    return look


def lacking_by_listing(pool: bytes, wanted: t.Sequence[bytes]) -> t.Set[bytes]:
    """Which of some names, sorted, a pool does not have: one listing for each folder, no stat."""
    lacking: t.Set[bytes] = set()
    above, folder, held = b"", b"", set()
    below: t.Collection[bytes] = ()
    for name in wanted:
        here = names.folder_of(name, 2)
        if here != folder:
            folder = here
            top, _slash, leaf = here.partition(b"/")
            if top != above:
                above, below = top, _listed(pool + b"/" + top)
            held = _files(pool + b"/" + here) if not leaf or leaf in below else set()
        if name not in held:
            lacking.add(name)
    return lacking


def _listed(folder: bytes) -> t.Collection[bytes]:
    """What is in a folder; nothing when there is none."""
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return ()


def _files(folder: bytes) -> t.Set[bytes]:
    """The files in a folder; none when there is none."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    except FileNotFoundError:
        return set()
