# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a server that a backup has stopped is started again though the run was killed.

The watch runs on the node, out of reach of whatever ends the run. It does nothing while the run shows that it lives,
and ends as soon as somebody else has the care of the server: the run, another run, a restore, or the operator.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from .._errors import PlatformError
from .begin import abandon, begin
from .lease import Lease, read
from .place import Place

POLL = 2.0


class Watch:
    """Waits for the end of a run.

    :param note: the file that says that the node is to be started again; who has the care of that removes it
    :param run_id: the run that has stopped the node
    :param timeout: seconds without a sign of life after which the run is taken to be gone
    :param servers: gives the server's processes
    :param restored: whether a restore onto the node is on, or has begun and not ended
    """

    def __init__(
        self,
        place: Place,
        note: str,
        run_id: str,
        timeout: float,
        servers: t.Callable[[], t.Sequence[object]],
        restored: t.Callable[[], bool],
    ) -> None:
        self.place = place
        self.note = note
        self.run_id = run_id
        self.timeout = timeout
        self.servers = servers
        self.restored = restored
        self._stopped = False
        self._beside = False
        """Whether the watch of another node has begun, for the same run; it starts that node and no other."""
        self._sign: float | None = None
        self._since = time.monotonic()

    def wait(self, who: dict[str, t.Any]) -> str | None:
        """The run id under which the place was taken, for :meth:`end`; None when there is nothing left to do.

        It is empty when the backup root is away, full or read-only. Then no other run can take the place either.
        """
        while self._is_noted():
            with contextlib.suppress(OSError, PlatformError):  # another run that was faster
                lease = self._lease()
                if lease and lease.value.get("watch"):
                    self._beside = True
                elif lease and lease.run_id not in (self.run_id, ""):  # one that cannot be read goes by its age
                    return None  # that run has seen the note, and starts the node at its end
                if self._was_started() or self.restored():
                    self._forget()
                    return None
                if self._is_gone(lease):
                    return self._take(who)
            time.sleep(POLL)
        return None

    def _is_noted(self) -> bool:
        """Whether the note is there. When its folder is away too, so is the volume, and nobody has removed the note."""
        return os.path.exists(self.note) or not os.path.isdir(os.path.dirname(self.note))

    def _lease(self) -> Lease | None:
        try:
            return read(self.place)
        except OSError:  # of a volume that is away; its run gives no sign of life either
            return None

    def _take(self, who: dict[str, t.Any]) -> str:
        if not os.path.isdir(self.place.sets):
            return ""  # nothing is made in what lies below a mount that is away
        try:
            return str(begin(self.place, {**who, "watch": True}, timeout=self.timeout)["run_id"])
        except OSError:
            return ""

    def _was_started(self) -> bool:
        """Whether it runs after it was stopped. If it is stopped once more, that is not for us to undo."""
        runs = bool(self.servers())
        self._stopped = self._stopped or not runs
        return self._stopped and runs

    def _is_gone(self, lease: Lease | None) -> bool:
        """Whether the run is dead, or has ended and was killed before it could start the node.

        No clock tells it: the node's may not be that of the file system, it may be set, and the machine may sleep.
        """
        if self._beside and lease is None:
            return True  # that watch has found it so
        sign = lease.sign if lease else None
        if sign != self._sign:
            self._sign, self._since = sign, time.monotonic()
        return time.monotonic() - self._since > self.timeout

    def _forget(self) -> None:
        with contextlib.suppress(OSError):  # of a read-only root: the next run finds it, and the server running
            os.unlink(self.note)

    def end(self, taken: str, started: bool) -> None:
        """Give the place back, with a word about what has happened."""
        if started:
            self._forget()
        word = "the run ended without a word and left the server stopped; "
        word += "it was started again" if started else "it could not be started"
        if taken:
            with contextlib.suppress(OSError):  # then the place is free again when it has grown old
                abandon(self.place, taken, "watch", word, check=False)
