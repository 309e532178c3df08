# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: deadlines of our own, since an HTTP timeout says nothing about the work behind it."""

from __future__ import annotations

import time
import typing as t


class Deadline:
    """So many seconds from now.

    :param sleep: replaced in unit tests, together with clock
    """

    def __init__(
        self,
        seconds: float,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._began = clock()

    @property
    def elapsed(self) -> float:
        return self._clock() - self._began

    @property
    def left(self) -> float:
        return max(0.0, self.seconds - self.elapsed)

    @property
    def expired(self) -> bool:
        return self.left <= 0

    def pause(self) -> None:
        """Wait until it is worth looking again: a little of what has passed, so that looking costs little."""
        self._sleep(min(max(0.05, self.elapsed * 0.015), 5.0, self.left + 0.01))
