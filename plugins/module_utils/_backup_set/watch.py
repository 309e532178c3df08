# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a server that a cold backup has stopped is started again though the run was killed.

The watch runs on the node, out of reach of whatever ends the run. It does nothing while the run shows that it lives,
and ends when the server is started or another run has the care of it.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from .begin import abandon, begin, turn_problems
from .lease import read
from .place import Place, SetError

POLL = 2.0


class Watch:
    """Waits for the end of a run.

    :param note: the file that says that the node is to be started again; the run removes it when that is done
    :param run_id: the run that has stopped the node
    :param timeout: seconds without a sign of life after which the run is taken to be gone
    :param data_dir: the node's data folder, in which a restore may be on
    """

    def __init__(self, place: Place, note: str, run_id: str, timeout: float, data_dir: str) -> None:
        self.place = place
        self.note = note
        self.run_id = run_id
        self.timeout = timeout
        self.data_dir = data_dir

    def wait(self, who: dict[str, t.Any]) -> str | None:
        """The run id under which the place was taken, for :meth:`end`; None when there is nothing left to do."""
        alone_since = time.monotonic()
        while os.path.exists(self.note):
            with contextlib.suppress(OSError, SetError):  # a volume that is away, another run that was faster
                lease = read(self.place)
                if lease and lease.run_id != self.run_id:
                    return None
                if lease:  # without one the run has ended, and starts the node itself now
                    alone_since = time.monotonic() - lease.age
                silent = time.monotonic() - alone_since > self.timeout
                if silent and not turn_problems(self.data_dir, self.timeout):
                    return str(begin(self.place, who, timeout=self.timeout)["run_id"])
            time.sleep(POLL)
        return None

    def end(self, taken: str, started: bool) -> None:
        """Give the place back, with a word about what has happened."""
        if started:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.note)
        word = "the run ended without a word and left the server stopped; "
        word += "it was started again" if started else "it could not be started"
        abandon(self.place, taken, "cold", word, check=False)
