# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a long step tells while it runs, and how it learns that its run was taken over.

The progress file lies in the run's own partial set. Its modification time is the run's heartbeat: another run that
finds the lease taken looks at it. When another run takes over, it removes the partial set first, so a step that cannot
write its progress any more knows that it was taken over and stops.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import types
import typing as t

from ansible.module_utils.common.text.formatters import bytes_to_human

from ._errors import PlatformError
from ._io import now, write_json

INTERVAL = 5.0
"""Seconds between two writes. The lease is taken over only after many times that (see _backup_set)."""


def progress_line(text: str) -> str:
    """What a progress file says, in words; nothing where it says nothing."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        told = json.loads(text)
        if not told["done"] and not told["total"]:
            return str(told["phase"])  # it cannot be counted, or not yet
        in_bytes = told["unit"] == "bytes"
        size = bytes_to_human if in_bytes else "{:,}".format
        whole = f" of {size(told['total'])}" if told["total"] else ""
        share = f" ({told['done'] / told['total']:.0%})" if told["total"] else ""
        line = f"{told['phase']}: {size(told['done'])}{whole}{'' if in_bytes else ' ' + told['unit']}{share}"
        return ", ".join([line, *_beside(told)])
    return ""


def _beside(told: dict[str, t.Any]) -> t.Iterator[str]:
    """What is counted beside the unit."""
    if told.get("blobs") and told["unit"] != "blobs":
        yield f"{told['blobs']:,} blobs"
    for done in ("copied", "read"):
        if told.get(f"bytes_{done}"):
            yield f"{bytes_to_human(told[f'bytes_{done}'])} {done}"


class Progress:
    """Writes ``{"phase", "done", "total", "unit", "updated"}`` to a file every few seconds, from a thread of its own.

    Use as a context manager around the step; call :meth:`update` as often as you like (it is cheap: no file is
    touched), and :meth:`check` between units of work. Without a path it only counts.

    Who counts elsewhere sets ``counted``: it is asked before each write, and what it gives is written as well.
    """

    def __init__(self, path: str | None, phase: str, unit: str = "bytes", interval: float = INTERVAL) -> None:
        self.path = path
        self.interval = interval
        self.state: dict[str, t.Any] = {"phase": phase, "done": 0, "total": None, "unit": unit}
        self.counted: t.Callable[[], dict[str, t.Any]] = dict
        self.error: OSError | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def update(self, done: int, total: int | None = None, phase: str | None = None) -> None:
        """Tell how far the step is; written at the next beat."""
        self.state["done"] = done
        if total is not None:
            self.state["total"] = total
        if phase is not None:
            self.state["phase"] = phase

    def check(self, look: bool = False) -> None:
        """Raise a PlatformError when the progress could not be written: this run no longer owns its partial set.

        :param look: ask the file system, for what must not be done after that, however soon
        """
        if look and self.path and not os.path.exists(self.path):
            self.error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if self.error is not None:
            raise PlatformError(
                f"Progress of {self.state['phase']} in '{self.path}'",
                f"{self.error.strerror or self.error}",
                "If the folder is gone, another run has taken this one's place and this one stops",
            )

    def _beat(self) -> None:
        try:
            told = {**self.state, **self.counted(), "updated": now(), "pid": os.getpid()}
            write_json(t.cast(str, self.path), told)
        except OSError as error:
            self.error = error

    def _run(self) -> None:
        while not self._stop.wait(self.interval):
            self._beat()

    def __enter__(self) -> Progress:
        if self.path:
            self._beat()
            self.check()
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: types.TracebackType | None) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()
        if self.path and kind is None:
            self._beat()
            self.check()
