# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: one writer to a pool or store. The kernel frees the lock when its process dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import json
import os
import time
import typing as t

from .errors import BlobError, os_reason

PATIENCE = 30.0
"""Seconds that a run waits for the workers of a killed one to notice and end."""


def _holder(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            said = json.loads(stream.read(4096))
        return f"{said['user']} on {said['host']}, process {said['pid']}, since {said['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def _said() -> bytes:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"user": user, "host": os.uname().nodename, "pid": os.getpid(), "since": since}).encode()


class Lock:
    """Hold a lock file in a folder while the context lasts, and as long as a forked worker lives."""

    def __init__(self, folder: str, patience: float = PATIENCE, remove: bool = False, name: str = ".lock") -> None:
        self.folder = folder
        self.path = os.path.join(folder, name)
        self.patience = patience
        self.remove = remove
        self.descriptor = -1

    def __enter__(self) -> Lock:
        self.take()
        return self

    def take(self) -> None:
        """Wait for the lock; raise an error that names its holder when it does not come free."""
        until = time.monotonic() + self.patience
        try:
            while not self._try():
                if time.monotonic() > until:
                    raise BlobError(
                        f"Lock of '{self.folder}'",
                        f"it is held by {_holder(self.path)}",
                        "Wait until that run has ended, or end it",
                    )
                time.sleep(0.1)
        except OSError as error:
            todo = "Make the folder writable for this user, and its volume not full"
            raise BlobError(f"Lock of '{self.folder}'", os_reason(error), todo) from error

    def _try(self) -> bool:
        """Take it if it is free, and is still the file of that name."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _said(), 0)
                self.descriptor = descriptor
                return True
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                os.close(descriptor)
                raise
        os.close(descriptor)
        return False

    def __exit__(self, *_: t.Any) -> None:
        self.give()

    def give(self) -> None:
        """Give it back."""
        if self.remove:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        os.close(self.descriptor)
