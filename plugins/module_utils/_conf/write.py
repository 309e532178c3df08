# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: puts a new content in the place of a file, with the owner and the mode of the old one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
import typing as t

from .._io import fsync_directory, replaced
from .errors import ConfError

_WAIT = 60.0


@contextlib.contextmanager
def alone(path: str, wait: float = _WAIT) -> t.Iterator[None]:
    """Hold the turn to change a file, which the nodes of an instance may share. Held for moments, from read to rename.

    The lock is a file beside it, since the file itself is replaced. It ends with the process that has it; what a killed
    one leaves is an empty file that the next one takes and removes.
    """
    path = os.path.realpath(path)
    lock = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.lock")
    until = time.monotonic() + wait
    try:
        descriptor = _locked(lock)
        while descriptor is None:
            if time.monotonic() > until:
                raise ConfError(f"Writing of '{path}'", f"another process has '{lock}' since {wait:.0f} s", "Run again")
            time.sleep(0.05)
            descriptor = _locked(lock)
    except OSError as error:
        raise ConfError(
            f"Writing of '{path}'", f"{error.strerror} at '{lock}'", "It is as it was. Run as its owner or as root"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(lock)
        os.close(descriptor)


def _locked(lock: str) -> int | None:
    """The lock, or None when another process has it or has just removed its file."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.stat(lock), os.fstat(descriptor)):
            return descriptor
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR, errno.ENOENT):
            os.close(descriptor)
            raise
    os.close(descriptor)
    return None


def new_file(path: str, content: bytes, mode: int, owners: tuple[int, int] | None) -> None:
    """Write a file whole, with its owner, group and mode from its first moment.

    :param owners: user and group; None when it stays ours
    """
    with replaced(path) as stream:
        stream.write(content)
        if owners:
            os.fchown(stream.fileno(), *owners)
        os.fchmod(stream.fileno(), mode)  # after chown, which clears some of it


def replace_file(path: str, content: bytes, to: str | None = None) -> None:
    """Write beside the file, fsync, give the copy the owner and the mode of the file, rename. A link is followed.

    :param to: the name that the copy gets instead of the file's own
    :raises ConfError: when the owner cannot be kept: Nuxeo could not read its own configuration any more
    """
    path = os.path.realpath(path)
    to = to or path
    folder = os.path.dirname(to)
    temporary = os.path.join(folder, f".{os.path.basename(to)}.{secrets.token_hex(4)}.tmp")
    try:
        old = os.stat(path)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(stream.fileno(), old.st_uid, old.st_gid)
            os.fchmod(stream.fileno(), stat.S_IMODE(old.st_mode))
            _copy_attributes(path, stream.fileno())
            os.fsync(stream.fileno())
        os.replace(temporary, to)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise ConfError(
            f"Writing of '{to}'", error.strerror or str(error), "It is as it was. Run as its owner or as root"
        ) from error
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    fsync_directory(folder)


def _copy_attributes(path: str, descriptor: int) -> None:
    """Access lists and labels, where the file system has them."""
    with contextlib.suppress(OSError):
        for name in os.listxattr(path):
            with contextlib.suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(path, name))
