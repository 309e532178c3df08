# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a tree is copied into a backup set; see restore.py for the way back.

The copy is owner-only (files 0600, folders 0700) and holes stay holes. What it was like is in the list of entries.
Links are kept as links and never followed, in the source neither in the copy: every name is opened relative to the
descriptor of its folder. Those that lead inside do so in the copy too, see :func:`portable`.
Extended attributes and hard links are not kept.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from .._progress import Progress
from .at import (
    FOLDER_FLAGS,
    MAKE,
    READ,
    group_name,
    has_vanished,
    is_inside,
    leads_out,
    make_folder,
    opened,
    portable,
    user_name,
    why,
)
from .blocks import copy_bytes
from .entry import FILE, FOLDER, LINK, LISTED, Entry, FilesError, TreeResult, read_tree_list, write_tree_list
from .globs import Globs
from .restore import restore_tree

__all__ = [
    "Entry",
    "FilesError",
    "TreeResult",
    "copy_file",
    "copy_tree",
    "read_tree_list",
    "restore_tree",
    "write_tree_list",
]


def copy_tree(src: str, dest: str, exclude: t.Sequence[str] = (), progress: Progress | None = None) -> TreeResult:
    """Copy the folder ``src`` to ``dest``, which must be absent or empty.

    :param exclude: see :class:`Globs`
    :raises FilesError: names the file that could not be read or written
    """
    source = os.path.realpath(src)
    if is_inside(dest, source):
        raise FilesError(f"Copy of '{src}' to '{dest}'", "the copy would be inside what it copies")
    copier = _Copier(source, dest, Globs(exclude), progress)
    with _told(src, dest):
        make_folder(dest)
        with opened(source, os.O_RDONLY | os.O_DIRECTORY) as one, opened(dest, FOLDER_FLAGS) as other:
            if os.listdir(other):
                raise FilesError(f"Copy of '{src}' to '{dest}'", "the folder to copy to is not empty")
            copier.entry(".", os.fstat(one), FOLDER)
            copier.folder("", one, other)
    if progress:
        progress.check()
    return copier.result


def copy_file(src: str, dest: str, progress: Progress | None = None) -> Entry:
    """Copy one file (a link is followed) to ``dest``, which must be absent; the entry's path is dest's last name."""
    source = os.path.realpath(src)
    copier = _Copier(os.path.dirname(source), dest, Globs(()), progress)
    with _told(src, dest):
        name = os.path.basename(source)
        flags = os.O_RDONLY | os.O_DIRECTORY
        with opened(os.path.dirname(source), flags) as one, opened(os.path.dirname(dest) or ".", flags) as other:
            copier.file(os.path.basename(dest), name, one, os.path.basename(dest), other)
    if not copier.result.entries:
        raise FilesError(f"Copy of '{src}' to '{dest}'", "it is not a regular file")
    return copier.result.entries[0]


class _Copier:
    def __init__(self, source: str, dest: str, globs: Globs, progress: Progress | None) -> None:
        self.source = source
        self.dest = dest
        self.globs = globs
        self.progress = progress
        self.result = TreeResult()
        self.read = 0

    def step(self, count: int) -> None:
        self.read += count
        if self.progress:
            self.progress.update(self.read)
            self.progress.check()

    def entry(self, path: str, found: os.stat_result, kind: str, **more: t.Any) -> None:
        owner, group = user_name(found.st_uid), group_name(found.st_gid)
        self.result.entries.append(
            Entry(path, kind, stat.S_IMODE(found.st_mode), owner, group, found.st_mtime_ns, **more)
        )

    def folder(self, path: str, source: int, target: int) -> None:
        """Copy all that is in one folder, given both descriptors."""
        for name in sorted(os.listdir(source), key=os.fsencode):
            inside = f"{path}/{name}" if path else name
            try:
                found = os.stat(name, dir_fd=source, follow_symlinks=False)
                if self.globs.match(inside, stat.S_ISDIR(found.st_mode)):
                    continue
                self.one(inside, name, found, source, target)
            except OSError as error:
                if has_vanished(error, name, source):
                    self.result.vanished += 1
                    continue
                if not getattr(error, "told", False):
                    error.filename = os.path.join(self.source, inside)
                    error.told = True  # type: ignore[attr-defined]
                raise

    def one(self, path: str, name: str, found: os.stat_result, source: int, target: int) -> None:
        if stat.S_ISDIR(found.st_mode):
            with opened(name, FOLDER_FLAGS, source) as inner:
                make_folder(name, target)
                self.entry(path, os.fstat(inner), FOLDER)
                with opened(name, FOLDER_FLAGS, target) as copy:
                    self.folder(path, inner, copy)
        elif stat.S_ISLNK(found.st_mode):
            self.link(path, name, found, source, target)
        elif stat.S_ISREG(found.st_mode):
            self.file(path, name, source, name, target)
        else:
            self.special(path)

    def special(self, path: str) -> None:
        self.result.specials += 1
        if len(self.result.special) < LISTED:
            self.result.special.append(path)

    def link(self, path: str, name: str, found: os.stat_result, source: int, target: int) -> None:
        where = portable(self.source, path, os.readlink(name, dir_fd=source))
        os.symlink(where, name, dir_fd=target)
        self.entry(path, found, LINK, link=where)
        if leads_out(self.source, path):
            self.result.outsides += 1
            if len(self.result.outside) < LISTED:
                self.result.outside.append(path)

    def file(self, path: str, name: str, source: int, to: str, target: int) -> None:
        with opened(name, READ, source) as one:
            found = os.fstat(one)
            if not stat.S_ISREG(found.st_mode):
                self.special(path)
                return
            with opened(to, MAKE, target) as other:
                os.fchmod(other, 0o600)  # whatever the umask
                size, digest = copy_bytes(one, other, found.st_size, self.step)
            after = os.fstat(one)
        self.result.torn += (after.st_size, after.st_mtime_ns) != (found.st_size, found.st_mtime_ns)
        self.result.files += 1
        self.result.bytes += size
        self.entry(path, found, FILE, size=size, sha256=digest)


@contextlib.contextmanager
def _told(src: str, dest: str) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FilesError(f"Copy of '{src}' to '{dest}'", *why(error, dest)) from error
