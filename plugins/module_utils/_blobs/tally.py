# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how far workers are, in memory that they share with their parent: nothing is sent."""

from __future__ import annotations

import mmap
import typing as t

FOLDERS, LISTED, FOUND, BLOBS, BYTES = range(5)
"""What is counted: folders that are done; those whose blobs are known, and how many these are; blobs that are done;
bytes copied or read.
"""

_WIDTH = 8
"""Places of one process: a whole line of a processor's cache, so that no two write to the same one."""


class Tally:
    """The counts of all workers, and of their parent. Make it before them."""

    def __init__(self, workers: int) -> None:
        self._all = memoryview(mmap.mmap(-1, (workers + 1) * _WIDTH * 8)).cast("q")
        self.own = self.of(workers)
        """The counts of the parent."""

    def of(self, number: int) -> memoryview:
        """The counts of one worker: nobody else writes to them."""
        return self._all[number * _WIDTH : (number + 1) * _WIDTH]

    def sum(self, what: int) -> int:
        """What all together have counted."""
        return sum(self._all[what::_WIDTH])

    def of_folders(self, total: int) -> t.Dict[str, t.Any]:
        """How far a pass over so many folders is. Once all are listed it is known how many blobs are left."""
        done, listed, found, blobs, size = (self.sum(what) for what in (FOLDERS, LISTED, FOUND, BLOBS, BYTES))
        told: t.Dict[str, t.Any] = {"done": done, "total": total, "blobs": blobs, "bytes_copied": size}
        if listed >= total and blobs < found:
            told.update(done=blobs, total=found, unit="blobs")
        return told
