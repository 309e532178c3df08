# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a worker process does, and the processes themselves.

The client library runs threads of its own and does not survive a fork, so the workers are forked first, before any
client exists, and are given their work through a pipe. When the pipe ends, because the parent was killed, they end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
import typing as t

from .._errors import PlatformError
from .archive import ArchiveFeed, ArchiveSink
from .cluster import Partition
from .copier import Copier, Emit, Event, KafkaSink, Lane, Mismatch, Nowhere, Sink, Task
from .errors import StreamsError
from .feed import Feed, KafkaFeed
from .records import Record, encode


@dataclasses.dataclass
class Job:
    """One worker's share: ``copy`` to a cluster, ``archive`` to a folder, ``count`` only, or ``verify`` the copy."""

    kind: str
    tasks: t.List[Task]
    source: t.Dict[str, t.Any]
    target: t.Dict[str, t.Any]
    group: str
    timeout: float
    stall: float
    archive: str = ""
    codec: str = "none"
    largest: int = 0
    interval: float = 1.0


def _target_feed(job: Job) -> KafkaFeed:
    return KafkaFeed(job.target, job.group, job.timeout, job.stall, ahead=True)


def _source_feed(job: Job) -> Feed:
    if job.archive and job.kind != "archive":
        return ArchiveFeed(job.archive)
    return KafkaFeed(job.source, job.group, job.timeout, job.stall)


def read_back(feed: Feed, lanes: t.Sequence[Lane]) -> t.Iterator[Lane]:
    """Read what the target holds into each lane: its digest, and each record's own from the lane's mark on.

    Several at a time, so that one is worked off while the next is under way; each lane is given when it is done.
    """
    left = [lane for lane in reversed(lanes) if lane.task.there]
    waiting: dict[Partition, Lane] = {}
    while left or waiting:
        while left and len(waiting) < BACK_AT_ONCE:
            lane = left.pop()
            waiting[(lane.task.target, lane.task.partition)] = lane
            feed.open((lane.task.target, lane.task.partition), 0, lane.task.there)
        for piece in feed.read():
            lane = waiting[piece.partition]
            _take_back(lane, piece.records)
            if piece.ended or piece.expired_to is not None:
                del waiting[piece.partition]
                if lane.content.records != lane.task.there:
                    raise Mismatch(lane.task.topic, lane.task.partition, "the target has lost records")
                yield lane


def _take_back(lane: Lane, records: t.Sequence[Record]) -> None:
    """Take in some records. Offsets only rise, so the first and the last tell whether any is missing between."""
    if not records:
        return
    first, mark = lane.content.records, lane.task.index
    if (records[0].offset(), records[-1].offset()) != (first, first + len(records) - 1):
        raise Mismatch(lane.task.topic, lane.task.partition, f"the target lacks a record from offset {first} on")
    pieces: list[bytes] = []
    for number, record in enumerate(records, first):
        encoded = encode(record.timestamp()[1], record.key(), record.value(), record.headers())
        if number >= mark:
            lane.known.append(hashlib.sha256(b"".join(encoded)).digest()[:16])
        pieces += encoded
    raw = b"".join(pieces)
    lane.content.add(raw, len(records), len(raw) - 20 * len(records))


def work(job: Job, emit: Emit) -> None:
    """Do one job in this process."""
    with contextlib.ExitStack() as stack:
        if job.kind == "verify":
            feed: Feed = stack.enter_context(contextlib.closing(_target_feed(job)))
            for lane in read_back(feed, [Lane(dataclasses.replace(task, index=NEVER_KEPT)) for task in job.tasks]):
                place, content = (lane.task.topic, lane.task.partition), lane.content
                emit(("verified", *place, content.records, content.digest.hexdigest()))
            return
        lanes = [Lane(task) for task in job.tasks]
        if job.kind == "copy" and any(task.there for task in job.tasks):
            back = stack.enter_context(contextlib.closing(_target_feed(job)))
            for _lane in read_back(back, lanes):
                pass
        feed = stack.enter_context(contextlib.closing(_source_feed(job)))
        sink: Sink = Nowhere()
        if job.kind == "copy":
            sink = KafkaSink(job.target, job.codec, job.timeout, job.stall, job.largest)
        elif job.kind == "archive":
            sink = ArchiveSink(job.archive)
        Copier(feed, sink, emit, job.interval).run(lanes)
        emit(("beyond", feed.beyond))


NEVER_KEPT = 1 << 62
BACK_AT_ONCE = 4
"""Partitions that are read back side by side in one process."""


def _child(pipe: multiprocessing.connection.Connection, others: t.Sequence[t.Any]) -> None:
    """The life of a worker: jobs come, events go; the end of the pipe is the end of the parent."""
    for other in others:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # millions of records, and no cycle among them
    sending = threading.Lock()
    jobs: list[t.Optional[Job]] = []
    arrived = threading.Condition()

    def listen() -> None:
        while True:
            try:
                job = pipe.recv()
            except (EOFError, OSError):
                os._exit(1)
            with arrived:
                jobs.append(job)
                arrived.notify()

    def send(event: Event) -> None:
        with sending:
            pipe.send(event)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        with arrived:
            while not jobs:
                arrived.wait()
            job = jobs.pop(0)
        if job is None:
            os._exit(0)
        try:
            work(job, send)
            send(("idle",))
        except Mismatch as error:
            send(("mismatch", error.topic, error.partition, error.why))
        except PlatformError as error:
            send(("failed", error.what, error.why, error.todo, error.result))
        except Exception as error:  # whatever it is, the parent has to hear of it
            send(("failed", "Work of a copying process", f"{type(error).__name__}: {error}", "", {}))


class Workers:
    """A few processes, forked at once. Use as a context manager, opened before any client is made."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("fork")
        self._mismatch: t.Optional[Mismatch] = None
        pipes = [context.Pipe() for dummy in range(count)]
        self._pipes = [mine for mine, _theirs in pipes]
        self._processes = []
        for number, (_mine, theirs) in enumerate(pipes):
            others = [end for index, pair in enumerate(pipes) for end in pair if (index, end) != (number, theirs)]
            process = context.Process(target=_child, args=(theirs, others), daemon=True)
            process.start()
            self._processes.append(process)
        for _mine, theirs in pipes:
            theirs.close()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for pipe in self._pipes:
            pipe.close()

    def run(self, jobs: t.Sequence[Job], take: Emit, tick: t.Callable[[], None]) -> None:
        """Give each worker one job and take in all events; the first failure is raised here.

        :param tick: called about every second, whatever comes
        """
        busy = {}
        self._mismatch = None
        for pipe, job in zip(self._pipes, jobs):
            pipe.send(job)
            busy[pipe] = job
        last = time.monotonic()
        while busy:
            for pipe in t.cast(t.List[t.Any], multiprocessing.connection.wait(list(busy), timeout=1.0)):
                self._event(pipe, busy, take)
            if time.monotonic() - last >= 1:
                tick()
                last = time.monotonic()
        tick()
        if self._mismatch is not None:
            raise self._mismatch

    def _event(self, pipe: t.Any, busy: dict[t.Any, Job], take: Emit) -> None:
        try:
            event = pipe.recv()
        except (EOFError, OSError) as error:
            raise StreamsError(
                "Work of a copying process", "it was ended from outside", "Look for a lack of memory, then run again"
            ) from error
        if event[0] == "idle":
            del busy[pipe]
        elif event[0] == "failed":
            raise StreamsError(*event[1:])
        elif event[0] == "mismatch":
            self._mismatch = Mismatch(*event[1:])  # raised when the others, which go on writing, have ended
            del busy[pipe]
        else:
            take(event)


def share(tasks: t.Sequence[Task], count: int) -> list[list[Task]]:
    """Spread tasks over workers so that each has about as much to read; heaviest first."""
    shares: list[list[Task]] = [[] for dummy in range(count)]
    loads = [0] * count
    for task in sorted(tasks, key=lambda task: (task.start - task.end, task.topic, task.partition)):
        lightest = loads.index(min(loads))
        shares[lightest].append(task)
        loads[lightest] += max(1, task.end - task.start)
    return [part for part in shares if part]
