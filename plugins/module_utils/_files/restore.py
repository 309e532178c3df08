# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a copied tree goes back to where it is used, with its modes, owners and times.

Nothing is written through a link but those that the caller names, and each file is whole or as it was before: a
temporary name, fsync, rename.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from .._progress import Progress
from .at import FOLDER_FLAGS, MAKE, READ, exists, group_id, group_name, make_folder, opened, user_id, user_name, why
from .blocks import copy_bytes, hash_bytes
from .entry import FILE, FOLDER, LINK, Entry, FilesError, TreeResult, read_tree_list

_TEMPORARY = ".nuxeo-platform-restore.tmp"


def restore_tree(
    list_path: str,
    src: str,
    dest: str,
    owner: str | None = None,
    group: str | None = None,
    *,
    progress: Progress | None = None,
    check: bool = False,
    follow: t.Collection[str] = (),
) -> TreeResult:
    """Write what ``list_path`` names from ``src`` to ``dest``; what else is in ``dest`` stays.

    A file that is there with the same bytes, mode and owner is left alone. Bytes are compared with the list.

    :param owner: the owner of everything, instead of the recorded ones; also ``group``
    :param check: change nothing; the result says what would change
    :param follow: folders of the tree that may be links to folders
    """
    restorer = _Restorer(src, dest, (owner, group), progress, check)
    restorer.follow = follow
    entries = read_tree_list(list_path)
    restorer.result.entries = entries
    what = f"Restore of '{src}' to '{dest}'"
    unknown = unknown_owners(entries, owner, group)
    if unknown:
        raise FilesError(what, "; ".join(unknown), owners_todo())
    for entry in entries:
        if progress and not check:
            progress.check(look=True)  # whoever took this run's place may restore another set to the same folder
        try:
            restorer.one(entry)
        except OSError as error:
            error.filename = os.path.join(dest, entry.path)
            raise FilesError(what, *why(error, dest)) from error
    try:
        restorer.finish()
    except OSError as error:
        raise FilesError(what, *why(error, dest)) from error
    return restorer.result


def unknown_owners(entries: t.Sequence[Entry], owner: str | None, group: str | None) -> list[str]:
    """A sentence for each user and group that would be set, and is not known here or may not be set."""
    root = os.geteuid() == 0
    recorded = entries if root else ()  # others leave what is not named as it is
    wanted: list[tuple[str, t.Callable[[str], int], set[str], t.Collection[int]]] = [
        ("user", user_id, {owner} if owner else {entry.owner for entry in recorded}, {os.geteuid()}),
        ("group", group_id, {group} if group else {entry.group for entry in recorded}, {os.getegid(), *os.getgroups()}),
    ]
    problems = []
    for what, number_of, names, own in wanted:
        for name in sorted(names):
            try:
                if number_of(name) not in own and not root:
                    problems.append(f"only root, and not user {os.geteuid()}, may give files to {what} '{name}'")
            except LookupError as error:
                problems.append(str(error.args[0]))
    return problems


def owners_todo() -> str:
    """What to do about these."""
    act = "Make them" if os.geteuid() == 0 else "Run as root"
    return f"{act}, or name others by restore_owner and restore_group (owner, group)"


class _Restorer:
    def __init__(
        self, src: str, dest: str, owners: tuple[str | None, str | None], progress: Progress | None, check: bool
    ) -> None:
        self.src, self.dest = src, dest
        self.owners = owners
        self.progress = progress
        self.check = check
        self.follow: t.Collection[str] = ()
        self.result = TreeResult()
        self.folders: list[Entry] = []
        self.read = 0

    def step(self, count: int) -> None:
        self.read += count
        if self.progress:
            self.progress.update(self.read)
            self.progress.check()

    def one(self, entry: Entry) -> None:
        if entry.path == ".":
            self.root(entry)
            return
        parent, name = os.path.split(entry.path)
        with contextlib.ExitStack() as stack:
            try:
                folder = self.descend(stack, parent)
            except FileNotFoundError:
                if not self.check:
                    raise
                self.count(entry, True)  # its folder would be made first
                return
            if entry.type == FOLDER:
                self.count(entry, self.folder(entry, name, folder))
            elif entry.type == LINK:
                self.count(entry, self.link(entry, name, folder))
            else:
                self.count(entry, self.file(entry, name, folder))

    def count(self, entry: Entry, changed: bool) -> None:
        self.result.changed += changed
        if entry.type == FILE:
            self.result.files += 1
            self.result.bytes += entry.size

    def descend(self, stack: contextlib.ExitStack, parent: str) -> int:
        folder = stack.enter_context(opened(self.dest, os.O_RDONLY | os.O_DIRECTORY))
        path = ""
        for part in parent.split("/") if parent else ():
            path = os.path.join(path, part)
            folder = stack.enter_context(opened(part, self.flags(path), folder))
        return folder

    def flags(self, path: str) -> int:
        return FOLDER_FLAGS & ~os.O_NOFOLLOW if path in self.follow else FOLDER_FLAGS

    def root(self, entry: Entry) -> None:
        there = os.path.isdir(self.dest)
        if not there and not self.check:
            os.makedirs(os.path.dirname(self.dest) or ".", exist_ok=True)
            make_folder(self.dest)
        self.folders.append(entry)
        self.count(entry, not there)

    def folder(self, entry: Entry, name: str, folder: int) -> bool:
        there = exists(name, folder)
        if there:
            with opened(name, self.flags(entry.path), folder):  # a link or a file in its place is an error
                pass
        elif not self.check:
            make_folder(name, folder)
        self.folders.append(entry)
        return not there

    def link(self, entry: Entry, name: str, folder: int) -> bool:
        with contextlib.suppress(OSError):
            if os.readlink(name, dir_fd=folder) == entry.link:
                return False
        if not self.check:
            self.clear(folder)
            os.symlink(str(entry.link), _TEMPORARY, dir_fd=folder)
            owner = self.wanted(entry, os.stat(_TEMPORARY, dir_fd=folder, follow_symlinks=False))
            if owner:
                os.chown(_TEMPORARY, *owner, dir_fd=folder, follow_symlinks=False)
            os.utime(_TEMPORARY, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=folder, follow_symlinks=False)
            os.rename(_TEMPORARY, name, src_dir_fd=folder, dst_dir_fd=folder)
        return True

    def file(self, entry: Entry, name: str, folder: int) -> bool:
        if self.same_bytes(entry, name, folder):
            with opened(name, READ, folder) as present:
                return self.attributes(entry, present)
        if not self.check:
            self.clear(folder)
            with opened(_TEMPORARY, MAKE, folder) as target:
                self.fill(entry, target)
                self.attributes(entry, target)
                os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
                os.fsync(target)
            os.rename(_TEMPORARY, name, src_dir_fd=folder, dst_dir_fd=folder)
        return True

    def same_bytes(self, entry: Entry, name: str, folder: int) -> bool:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
            return False
        with opened(name, READ, folder) as present:
            return hash_bytes(present, self.step) == (entry.size, entry.sha256)

    def fill(self, entry: Entry, target: int) -> None:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(opened(self.src, os.O_RDONLY | os.O_DIRECTORY))
            parent, name = os.path.split(entry.path)
            for part in parent.split("/") if parent else ():
                folder = stack.enter_context(opened(part, FOLDER_FLAGS, folder))
            source = stack.enter_context(opened(name, READ, folder))
            found = copy_bytes(source, target, os.fstat(source).st_size, self.step)
        if found != (entry.size, entry.sha256):
            raise FilesError(
                f"Restore of '{os.path.join(self.src, entry.path)}' to '{self.dest}'",
                f"it has {found[0]} bytes and SHA-256 {found[1]}, the list says {entry.size} and {entry.sha256}",
                "The set is damaged: verify it, and restore from another one",
            )

    def clear(self, folder: int) -> None:
        """Remove what a killed restore has left; only one restore of a folder runs at a time."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_TEMPORARY, dir_fd=folder)

    def attributes(self, entry: Entry, present: int) -> bool:
        """Set owner and mode of an open file or folder; whether there was anything to set."""
        wanted = self.wanted(entry, os.fstat(present))
        if wanted and not self.check:
            os.fchown(present, *wanted)
        if stat.S_IMODE(os.fstat(present).st_mode) == entry.mode:  # after chown, which clears set-uid
            return bool(wanted)
        if not self.check:
            os.fchmod(present, entry.mode)
        return True

    def wanted(self, entry: Entry, found: os.stat_result) -> tuple[int, int] | None:
        """The owner to set, None when there is nothing to set. Only root gives files to others: what nobody has named
        stays as it is.
        """
        owner, group = self.owners
        if os.geteuid() == 0:
            owner, group = owner or entry.owner, group or entry.group
        left = owner is None and user_name(found.st_uid) != entry.owner
        self.result.unowned += left or (group is None and group_name(found.st_gid) != entry.group)
        wanted = user_id(owner) if owner else found.st_uid, group_id(group) if group else found.st_gid
        return wanted if wanted != (found.st_uid, found.st_gid) else None

    def finish(self) -> None:
        """Folders last: one may be without write permission, and its time changes with what is put in it."""
        for entry in reversed(self.folders):
            with contextlib.ExitStack() as stack:
                try:
                    present = self.descend(stack, "" if entry.path == "." else entry.path)
                except FileNotFoundError:
                    if self.check:
                        continue
                    raise
                self.result.changed += self.attributes(entry, present)
                if not self.check:
                    os.utime(present, ns=(entry.mtime_ns, entry.mtime_ns))
                    os.fsync(present)
