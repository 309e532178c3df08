# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the mark of a pool. Who takes something out of it changes the mark: the next pass then
looks for every name. So does a pass that has put something in, and keeps the new one with what it knows of the pool:
one that was set back, by a snapshot of its volume, has an older mark.
"""

from __future__ import annotations

import contextlib
import os

MARK = b".generation"


def read(pool: bytes) -> str:
    """The mark; empty when there is none. One that cannot be read is another one each time."""
    try:
        with open(pool + b"/" + MARK, encoding="ascii", errors="backslashreplace") as stream:
            return stream.read(100)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:
        return "unread " + os.urandom(8).hex()


def begin(pool: bytes) -> None:
    """Give it a mark where it has none, or one that this user may not read. Only who holds its lock does this: what a
    killed one has left is removed.
    """
    for name in os.listdir(pool):
        if name.startswith(MARK + b"."):
            os.unlink(pool + b"/" + name)
    if not os.access(pool + b"/" + MARK, os.R_OK):
        renew(pool)


def adopt(pool: bytes, path: bytes) -> None:
    """Let what was made in a pool belong to whom the pool does: root may verify what another user backs up."""
    owner = os.stat(pool)
    if owner.st_uid != os.geteuid():
        with contextlib.suppress(OSError):  # not root, or not for this file system: the next backup replaces the mark
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def renew(pool: bytes) -> None:
    """Give it another mark."""
    path = pool + b"/" + MARK
    fresh = path + b"." + os.urandom(4).hex().encode() + b".tmp"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, os.urandom(8).hex().encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    adopt(pool, fresh)
    os.rename(fresh, path)
