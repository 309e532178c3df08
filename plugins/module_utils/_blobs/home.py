# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a pool on this host as a whole.

The helper on another host runs this at once, and is waited for: what only some runs need is used by its module's name.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from . import aside, disk, generation, holding, waiting
from .lock import Lock

TEMPORARY = b".tmp"
"""Where workers that are on have a folder each."""


def place(path: bytes) -> t.List[int]:
    """Device and inode; empty when there is no such thing."""
    try:
        info = os.stat(path)
    except OSError:
        return []
    return [info.st_dev, info.st_ino]


def above(path: bytes) -> t.List[t.List[int]]:
    """Device and inode of all folders above a path that exist."""
    found = []
    path = os.path.realpath(path)
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        found.append(place(path))
    return [each for each in found if each]


def boot_id() -> str:
    """Of this host, since it was started; empty where the kernel does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


class LocalHome:
    """A pool on this host."""

    remote = False
    connecting = False

    def __init__(self, pool: bytes) -> None:
        self.pool = pool
        self.lock: t.Optional[Lock] = None
        self.volume: t.Optional[disk.Volume] = None

    def look(self) -> t.Dict[str, t.Any]:
        return {
            "place": place(self.pool),
            "above": above(self.pool),
            "boot": boot_id(),
            "generation": generation.read(self.pool),
        }

    def begin(self) -> t.Dict[str, t.Any]:
        for folder in (os.path.dirname(self.pool), self.pool):  # each made as the last one, which alone gets the mode
            os.makedirs(folder, mode=0o700, exist_ok=True)
        lock = Lock(os.fsdecode(self.pool))
        lock.take()
        self.lock = lock
        self.volume = disk.Volume(self.pool)
        if os.path.lexists(self.temporary):  # of a run that did not come to its end
            waiting.clear(self.pool, TEMPORARY)
        os.mkdir(self.temporary, 0o700)
        generation.begin(self.pool)
        return self.look()

    @property
    def temporary(self) -> bytes:
        return self.pool + b"/" + TEMPORARY

    def sync(self) -> None:
        if self.volume is not None:
            self.volume.sync_names(())  # where that cannot be done for all at once, each commit has done it
            generation.renew(self.pool)  # a pool that is set back to a time before this has another mark

    def lacking(self, wanted: t.Sequence[bytes]) -> t.Set[bytes]:
        return {name for name in wanted if not holding.is_held(self.pool, name)}

    def ping(self) -> None:
        pass

    def all_names(self) -> t.Iterator[bytes]:
        for folder in holding.folders(self.pool):
            yield from holding.all_names(self.pool, folder)

    def set_aside(self, rotten: t.Sequence[bytes]) -> None:
        aside.set_aside(self.pool, rotten)

    def _tidy(self) -> None:
        """Leave nothing. The mark of an unfinished run stays: a worker on another host may not know yet."""
        if os.listdir(self.temporary):
            waiting.sweep(self.pool, TEMPORARY)
        else:
            os.rmdir(self.temporary)

    def end(self) -> None:
        if self.lock is not None:
            with contextlib.suppress(OSError):  # the next run does it
                self._tidy()
            self.lock.give()
            self.lock = None
        if self.volume is not None:
            self.volume.close()
            self.volume = None
