# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: names opened relative to the descriptor of their folder, so that no link is followed."""

from __future__ import annotations

import contextlib
import errno
import functools
import grp
import os
import pwd
import typing as t

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def opened(name: str, flags: int, folder: int | None = None) -> t.Iterator[int]:
    """Open for the time of a ``with``; the error of close counts when nothing else went wrong."""
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        yield descriptor
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
    os.close(descriptor)  # a network file system tells here that its disk is full


def make_folder(name: str, folder: int | None = None) -> None:
    """Make an owner-only folder, whatever the umask, if it is absent."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
        os.chmod(name, 0o700, dir_fd=folder)


def exists(name: str, folder: int | None = None) -> bool:
    """Whether there is anything of that name, a link that leads nowhere too. What cannot be looked at is an error."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def has_vanished(error: OSError, name: str, folder: int) -> bool:
    """Whether something could not be read because it is not there any more. When nobody can say it is an error.

    NFS says of what another client has removed that it is stale, until it is looked for again; of all that is in a
    folder that it has lost it says so again and again.
    """
    try:
        return error.errno in (errno.ENOENT, errno.ESTALE) and not exists(name, folder)
    except OSError:
        return False


def is_inside(path: str, folder: str) -> bool:
    """Whether ``path`` is, by its real place, the folder or in it."""
    real = os.path.realpath(path)
    return real == folder or real.startswith(folder.rstrip("/") + "/")


def below(path: str, folder: str) -> set[str]:
    """How one comes to a path from a folder that it is named in, or really in; both may be written by way of links."""
    name = os.path.abspath(path)
    beside = os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))
    starts = {os.path.abspath(folder), os.path.realpath(folder)}
    found = {os.path.relpath(each, start) for each in (name, beside, os.path.realpath(name)) for start in starts}
    return {each for each in found if each.split("/")[0] not in ("..", ".")}


def leads_out(source: str, path: str) -> bool:
    """Whether a link of a tree, whose real place is given, leads to something that exists outside of it."""
    end = os.path.realpath(os.path.join(source, path))
    return os.path.exists(end) and not is_inside(end, source)


def portable(source: str, path: str, where: str) -> str:
    """What a link of a tree, whose real place is given, is in a copy of it: it leads there to the copy of its end.

    One that is absolute, or goes out and comes back, would lead from any other place to the tree itself.
    """
    folder = os.path.dirname(os.path.join(source, path))
    if not os.path.isabs(where) and is_lexically_inside(os.path.dirname(path), where):
        return where
    end = os.path.realpath(os.path.join(folder, where))
    return os.path.relpath(end, folder) if is_inside(end, source) else where


def is_lexically_inside(folder: str, where: str) -> bool:
    """Whether a relative path, taken from a folder of a tree, passes through names of the tree only."""
    depth = len(folder.split("/")) if folder else 0
    for part in where.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return False
    return True


def why(error: OSError, dest: str) -> tuple[str, str]:
    """The reason and what to do about an error of the system, as a PlatformError takes them."""
    where = f" (at '{os.fsdecode(error.filename)}')" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        todo = f"Free space in the file system of '{dest}', then run again"
        return f"{error.strerror}{where}", todo
    return f"{error.strerror or error}{where}", ""


@functools.lru_cache(maxsize=1024)
def user_name(number: int) -> str:
    """The name of a user id, or the number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@functools.lru_cache(maxsize=1024)
def group_name(number: int) -> str:
    """The name of a group id, or the number where it has none."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


@functools.lru_cache(maxsize=1024)
def user_id(name: str) -> int:
    """The reverse of :func:`user_name`; raises LookupError."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        if name.isdigit():
            return int(name)
        raise LookupError(f"there is no user '{name}' on this host") from None


@functools.lru_cache(maxsize=1024)
def group_id(name: str) -> int:
    """The reverse of :func:`group_name`; raises LookupError."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if name.isdigit():
            return int(name)
        raise LookupError(f"there is no group '{name}' on this host") from None
