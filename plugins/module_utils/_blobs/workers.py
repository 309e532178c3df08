# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: processes that share the work: with small blobs the interpreter is the limit.

Workers are forked, see what their parent has mapped, and end when it does. They fetch one task at a time. What a worker
has done but not made durable it holds back until its group is full, or the parent has no more work.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import gc
import marshal
import os
import selectors
import signal
import struct
import traceback
import typing as t

from .._errors import PlatformError
from .errors import BlobError

WAKE = 15.0
"""Seconds after which a parent that waits for its workers looks up."""

_SIZE = struct.Struct("<I")
_FLUSH = None
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1

Task = t.Any
Result = t.Any


class Handler(t.Protocol):
    """What a worker does."""

    def handle(self, task: Task) -> None:
        """Do one task; the result is kept until :meth:`take`."""

    def take(self, flush: bool) -> t.List[Result]:
        """The results that are final. With ``flush`` all become so."""

    def holds(self) -> bool:
        """Whether there are results that are not final."""


def _send(descriptor: int, value: t.Any) -> None:
    body = marshal.dumps(value)
    data = memoryview(_SIZE.pack(len(body)) + body)
    while data:
        data = data[os.write(descriptor, data) :]


def _receive(descriptor: int) -> t.Any:
    def exactly(size: int) -> bytes:
        parts = []
        while size:
            part = os.read(descriptor, min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    return marshal.loads(exactly(_SIZE.unpack(exactly(_SIZE.size))[0]))  # noqa: S302 - from our own fork


def _work(tasks: int, results: int, make: t.Callable[[int], Handler], number: int) -> None:
    """The life of a worker."""
    try:
        handler = make(number)
        while True:
            task = _receive(tasks)
            if task is not _FLUSH:
                handler.handle(task)
            _send(results, ("done", handler.take(task is _FLUSH), handler.holds()))
    except EOFError:
        pass
    except PlatformError as error:
        _send(results, ("error", [error.what, error.why, error.todo], False))
    except Exception:  # told to the parent, which raises
        _send(results, ("crash", traceback.format_exc(), False))


class Workers:
    """Some processes and the queue of their tasks. Make it before any thread is started."""

    def __init__(self, jobs: int, make: t.Callable[[int], Handler]) -> None:
        self.queue: t.Deque[Task] = collections.deque()
        self.source: t.Iterator[Task] = iter(())
        self.meanwhile: t.Callable[[], None] = lambda: None
        self._pids: t.List[int] = []
        self._tasks: t.Dict[int, int] = {}
        self._holding: t.Dict[int, bool] = {}
        self._idle: t.List[int] = []
        self._selector = selectors.DefaultSelector()
        gc.freeze()  # else each worker's collector writes to, and so copies, all memory that it shares with the parent
        gc.set_threshold(100_000)  # what is kept for a million blobs holds no cycles: no search for them
        for number in range(jobs):
            self._fork(number, make)

    def _fork(self, number: int, make: t.Callable[[int], Handler]) -> None:
        task_end, task_feed = os.pipe()
        result_end, result_feed = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:
                    return
                for descriptor in (task_feed, result_end, *self._tasks, *self._tasks.values()):
                    os.close(descriptor)
                _work(task_end, result_feed, make, number)
            finally:
                os._exit(0)
        os.close(task_end)
        os.close(result_feed)
        self._pids.append(pid)
        self._tasks[result_end] = task_feed
        self._holding[result_end] = False
        self._idle.append(result_end)
        self._selector.register(result_end, selectors.EVENT_READ)

    def _feed(self) -> None:
        """Give work to all that have none; when there is none, let them finish what they hold."""
        for worker in list(self._idle):
            task = self._next()
            if task is not _FLUSH:
                pass
            elif self._holding[worker]:
                task = _FLUSH
            else:
                continue
            self._idle.remove(worker)
            self._give(worker, task)

    def _next(self) -> Task:
        return self.queue.popleft() if self.queue else next(self.source, _FLUSH)

    def _give(self, worker: int, task: Task) -> None:
        with contextlib.suppress(BrokenPipeError):  # what it said before it ended is read next
            _send(self._tasks[worker], task)

    def results(self) -> t.Iterator[Result]:
        """All results, until there is no task and none is held. Tasks may be added meanwhile."""
        while True:
            self._feed()
            if len(self._idle) == len(self._tasks):
                return
            self.meanwhile()
            for key, _events in self._selector.select(WAKE):
                yield from self._hear(key.fd)

    def _hear(self, worker: int) -> t.List[Result]:
        try:
            kind, said, holds = _receive(worker)
        except EOFError:
            why = "it was ended from outside, e.g. for lack of memory"
            raise BlobError("A worker process", why, "Run again: what is copied stays") from None
        if kind == "error":
            raise BlobError(*said)
        if kind == "crash":
            raise RuntimeError(f"in a worker process: {said}")
        self._holding[worker] = holds
        self._idle.append(worker)
        return t.cast("t.List[Result]", said)

    def close(self) -> None:
        """Let the workers end: they do when nobody can give them work any more."""
        if not self._pids:
            return
        self._selector.close()
        for result_end, task_feed in self._tasks.items():
            os.close(task_feed)
            os.close(result_end)
        for pid in self._pids:
            os.waitpid(pid, 0)
        self._pids.clear()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: t.Any, *_: t.Any) -> None:
        if kind is not None:  # one has failed; another may wait for a host that is gone
            for pid in self._pids:
                os.kill(pid, signal.SIGKILL)
        self.close()
