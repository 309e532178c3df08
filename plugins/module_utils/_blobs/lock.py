# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: one writer to a pool or store. The kernel frees the lock when its process dies."""

from __future__ import annotations

import errno
import fcntl
import getpass
import json
import os
import time
import typing as t

from .._io import now
from .errors import BlobError, os_reason

PATIENCE = 30.0
"""Seconds that a run waits for the workers of a killed one to notice and end."""


def _holder(descriptor: int) -> str:
    try:
        said = json.loads(os.pread(descriptor, 4096, 0).decode())
        return f"{said['user']} on {said['host']}, process {said['pid']}, since {said['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def _said() -> bytes:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return json.dumps({"user": user, "host": os.uname().nodename, "pid": os.getpid(), "since": now()}).encode()


class Lock:
    """Hold ``.lock`` in a folder while the context lasts, and as long as a forked worker lives."""

    def __init__(self, folder: str, patience: float = PATIENCE) -> None:
        self.folder = folder
        self.path = os.path.join(folder, ".lock")
        self.patience = patience
        self.descriptor = -1

    def __enter__(self) -> Lock:
        self.take()
        return self

    def take(self) -> None:
        """Wait for the lock; raise an error that names its holder when it does not come free."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self.descriptor = os.open(self.path, flags, 0o600)
        except OSError as error:
            todo = "Make the folder writable for this user and its volume not full"
            raise BlobError(f"Lock of '{self.folder}'", os_reason(error), todo) from error
        try:
            self._wait()
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, _said(), 0)
        except BaseException as error:
            os.close(self.descriptor)
            if isinstance(error, OSError):
                raise BlobError(
                    f"Lock of '{self.folder}'", os_reason(error), "Free space or mend the volume"
                ) from error
            raise

    def _wait(self) -> None:
        until = time.monotonic() + self.patience
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() > until:
                raise BlobError(
                    f"Lock of '{self.folder}'",
                    f"it is held by {_holder(self.descriptor)}",
                    "Wait until that run has ended, or end it",
                )
            time.sleep(0.1)

    def __exit__(self, *_: t.Any) -> None:
        self.give()

    def give(self) -> None:
        """Give it back."""
        os.close(self.descriptor)
