# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: copies the records of partitions, in order, each once, and translates positions as it
goes.

A copied partition is a prefix of the wanted records at any moment, also after SIGKILL: the producer is idempotent,
keeps the order, and stops at the first record that it cannot deliver. So the number of records in the target says
how far a killed run came.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
import typing as t

from .cluster import Partition, client
from .errors import ACCEPT_GAPS, StreamsError, code, library, reason
from .feed import Feed, Piece
from .records import Content, Headers, Record, encode

Event = t.Tuple[t.Any, ...]
Emit = t.Callable[[Event], None]
NEVER = 1 << 63
Fields = t.Tuple[t.Optional[bytes], t.Optional[bytes], Headers]
"""Key, value and headers."""


class Mismatch(Exception):
    """What is in the target is not the beginning of what is wanted: this copy's topic has to be made anew."""

    def __init__(self, topic: str, partition: int, why: str) -> None:
        self.topic, self.partition, self.why = topic, partition, why
        super().__init__(f"topic '{topic}', partition {partition}: {why}")


@dataclasses.dataclass
class Task:
    """One partition to copy. Offsets are the source's, indexes count the wanted records from the first."""

    topic: str
    partition: int
    target: str
    start: int
    end: int
    until: t.Optional[int] = None
    positions: t.List[int] = dataclasses.field(default_factory=list)
    index: int = 0
    """How many wanted records come before ``start``: where an earlier run's mark is."""
    there: int = 0
    """How many records the target holds."""
    translated: t.List[int] = dataclasses.field(default_factory=list)
    """The indexes of the first positions, as far as an earlier run has found them below ``index``."""
    accept_gaps: bool = False
    need: t.Optional[int] = None
    """The first offset that a group may still need, where that is not ``start``: what expires below it is no gap."""
    gap: t.Optional[t.List[int]] = None
    """From and to which offset records were lost below ``start``, as an earlier run has noted."""
    altered: int = 0
    """How many times below ``start`` that run could not write as they are."""
    first: t.Tuple[t.Optional[int], t.Optional[int]] = (None, None)
    """Source offset and time of the first record, as an earlier run has seen them."""


class Lane:
    """The work on one partition while it goes on."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.content = Content()
        self.translated = list(task.translated)
        self.known: list[bytes] = []
        self.index = task.index
        self.marked = 0.0
        self.gap = task.gap
        self.altered = task.altered
        self.content.first_offset, self.content.first_time = task.first

    @property
    def awaited(self) -> int:
        """The next position to translate."""
        positions = self.task.positions
        return positions[len(self.translated)] if len(self.translated) < len(positions) else NEVER

    def translate(self, offset: int, index: int) -> int:
        """The record at ``offset`` is the index-th: so are all positions up to it. Returns the next one awaited."""
        while offset >= self.awaited:
            self.translated.append(index)
        return self.awaited

    def mark(self, offset: int) -> Event:
        """How far this lane is, from which a later run can go on."""
        first = [self.content.first_offset, self.content.first_time]
        values = [self.index, offset, list(self.translated), first, self.gap, self.altered]
        return ("mark", self.task.topic, self.task.partition, *values)

    def done(self) -> Event:
        """The lane's outcome; what no record has reached is the end of the copy."""
        self.translated += [self.index] * (len(self.task.positions) - len(self.translated))
        report = {**self.content.report(), "gap": self.gap, "timestamps_altered": self.altered}
        return ("done", self.task.topic, self.task.partition, report, self.translated)


class Sink(t.Protocol):
    """Where the wanted records go."""

    def put(self, task: Task, record: Record, timestamp: int, content: Fields) -> None: ...
    def serve(self) -> None: ...
    def ended(self, task: Task) -> None: ...
    def finish(self) -> None: ...


class Nowhere:
    """Counts only: check mode and verification."""

    def put(self, task: Task, record: Record, timestamp: int, content: Fields) -> None:
        """Forget it."""

    def serve(self) -> None:
        """Nothing waits."""

    def ended(self, task: Task) -> None:
        """Nothing is open."""

    def finish(self) -> None:
        """Nothing waits."""


class KafkaSink:
    """Writes records to the same partition of the target topic, acknowledged by all replicas in sync."""

    def __init__(self, settings: t.Mapping[str, t.Any], codec: str, timeout: float, stall: float, largest: int) -> None:
        self.failed: t.Any = None
        self.stall = stall
        room = max(32 << 10, 3 * (largest >> 10))
        self.producer = client(
            library().Producer,
            settings,
            {
                "enable.idempotence": True,
                "enable.gapless.guarantee": True,
                "acks": "all",
                "compression.type": codec,
                "linger.ms": 20,
                "batch.size": 1_000_000,
                "batch.num.messages": 100_000,
                "message.max.bytes": 1_000_000_000,
                "queue.buffering.max.messages": 200_000,
                "queue.buffering.max.kbytes": room,
                "message.timeout.ms": int(stall * 1000),
                "socket.timeout.ms": int(max(1.0, timeout) * 1000),
                "delivery.report.only.error": True,
                "on_delivery": self._failure,
                "error_cb": self._trouble,
            },
        )
        self.trouble = ""
        self.produce = self.producer.produce

    def _failure(self, error: t.Any, message: t.Any) -> None:
        if self.failed is None and error is not None:
            self.failed = (error, message.topic(), message.partition())

    def _trouble(self, error: t.Any) -> None:
        self.trouble = reason(error)

    def put(self, task: Task, record: Record, timestamp: int, content: Fields) -> None:
        """Give one record to the producer; waits while its queue is full."""
        key, value, headers = content
        while True:
            try:
                # by place, since names cost a tenth of the whole copy; the two None are callbacks
                self.produce(task.target, value, key, task.partition, None, None, timestamp, headers)
                return
            except BufferError:
                self.wait(lambda left: left < 100)

    def wait(self, enough: t.Callable[[int], bool]) -> None:
        """Serve the producer until its queue is short enough; raises when it does not get shorter for too long."""
        shortest, since = len(self.producer), time.monotonic()
        first = shortest
        while True:
            self.producer.poll(0.02)
            self.serve()
            left = len(self.producer)
            if enough(left) or left <= first // 2:
                return
            if left < shortest:
                shortest, since = left, time.monotonic()
            elif time.monotonic() - since > self.stall:
                raise StreamsError(
                    "Writing to the target topics",
                    f"no record was acknowledged for {self.stall:g} s ({self.trouble or 'no answer'})",
                    "Check the target brokers, then run again: the copy goes on where it stopped",
                )

    def serve(self) -> None:
        """Take in what the producer has to tell."""
        self.producer.poll(0)
        if self.failed is not None:
            error, topic, number = self.failed
            raise StreamsError(
                f"Writing to topic '{topic}', partition {number}",
                f"{reason(error)} ({code(error)})" + (f", {self.trouble}" if self.trouble else ""),
                "Mend the cause, then run again: the copy goes on where it stopped",
            )

    def ended(self, task: Task) -> None:
        """Nothing is open for one partition alone."""

    def finish(self) -> None:
        """Wait until all is acknowledged."""
        while len(self.producer):
            self.wait(lambda left: left == 0)
        self.serve()


class Copier:
    """Copies tasks from a feed to a sink; tells marks and outcomes through ``emit``."""

    def __init__(self, feed: Feed, sink: Sink, emit: Emit, interval: float = 1.0) -> None:
        self.feed, self.sink, self.emit, self.interval = feed, sink, emit, interval
        self.lanes: dict[Partition, Lane] = {}

    def run(self, lanes: t.Sequence[Lane], at_once: int = 16) -> None:
        """All lanes, some at a time. Outcomes are told when everything is acknowledged."""
        waiting = list(reversed(lanes))
        finished: list[Lane] = []
        while waiting or self.lanes:
            while waiting and len(self.lanes) < at_once:
                lane = waiting.pop()
                key = (lane.task.topic, lane.task.partition)
                if lane.task.start >= lane.task.end:
                    finished.append(lane)
                    continue
                self.lanes[key] = lane
                self.feed.open(key, lane.task.start, lane.task.end)
            for piece in self.feed.read() if self.lanes else ():
                if self._take(piece):
                    lane = self.lanes.pop(piece.partition)
                    self.sink.ended(lane.task)
                    finished.append(lane)
            self.sink.serve()
        self.sink.finish()
        for lane in finished:
            self._check_known(lane)
            self.emit(lane.done())

    def _take(self, piece: Piece) -> bool:
        lane = self.lanes.get(piece.partition)
        if lane is None:
            return False
        if piece.expired_to is not None:
            return self._expired(lane, piece.expired_to)
        if piece.records:
            self._copy(lane, piece.records)
            if time.monotonic() - lane.marked >= self.interval:
                lane.marked = time.monotonic()
                self.emit(lane.mark(piece.records[-1].offset() + 1))
        return piece.ended

    def _expired(self, lane: Lane, low: int) -> bool:
        task = lane.task
        last = lane.content.last_offset
        since = max(task.start if last is None else last + 1, task.need or 0)
        lost = min(low, task.end) > since
        if lost and not task.accept_gaps:
            raise StreamsError(
                f"Reading of topic '{task.topic}', partition {task.partition}",
                f"its records were deleted ahead of the reader: offsets {since} to {min(low, task.end) - 1}, at most "
                f"{min(low, task.end) - since} records",
                f"Set {ACCEPT_GAPS} to go on without them, or restore from an archive",
                {"gaps": [{"topic": task.topic, "partition": task.partition, "from": since, "to": min(low, task.end)}]},
            )
        if lost:
            lane.gap = [lane.gap[0] if lane.gap else since, min(low, task.end)]
        if low >= task.end:
            return True
        self.feed.open((task.topic, task.partition), low, task.end)
        return False

    def _timestamp(self, lane: Lane, record: Record, timestamp: int) -> int:
        """What is to be written for a time that the client cannot write, or that cannot be compared."""
        task = lane.task
        where = f"Copy of topic '{task.topic}', partition {task.partition}, offset {record.offset()}"
        if timestamp < 0 and task.until is not None:
            raise StreamsError(where, "the record has no timestamp, so no cut by time decides on it", "Cut by offsets")
        if timestamp == 0:
            if not task.accept_gaps:
                raise StreamsError(
                    where,
                    "its timestamp is 1970-01-01T00:00:00.000Z, which the library only writes as one millisecond more",
                    f"Set {ACCEPT_GAPS} to have it so",
                )
            lane.altered += 1
            return 1
        return timestamp

    def _copy(self, lane: Lane, records: t.Sequence[Record]) -> None:
        task, put, content = lane.task, self.sink.put, lane.content
        until = NEVER if task.until is None else task.until
        awaited, index, there, first = lane.awaited, lane.index, task.there, lane.index
        pieces: list[bytes] = []
        for record in records:
            kind, timestamp = record.timestamp()
            if timestamp <= 0 or kind == 0:
                timestamp = self._timestamp(lane, record, timestamp if kind else -1)
            if timestamp > until:
                continue
            offset = record.offset()
            if offset >= awaited:
                awaited = lane.translate(offset, index)
            fields = (record.key(), record.value(), record.headers())
            if index < there:
                self._compare(lane, index, b"".join(encode(timestamp, *fields)))
                content.seen(offset, timestamp)
                first += 1
            else:
                pieces += encode(timestamp, *fields)
                put(task, record, timestamp, fields)
                if index == first:
                    content.seen(offset, timestamp)
            index += 1
        if index > first:
            raw = b"".join(pieces)
            content.add(raw, index - first, len(raw) - 20 * (index - first))
            self._last_seen(lane, records, until)
        lane.index = index

    def _last_seen(self, lane: Lane, records: t.Sequence[Record], until: int) -> None:
        for record in reversed(records):
            timestamp = record.timestamp()[1]
            if timestamp <= until:
                lane.content.seen(record.offset(), timestamp)
                return

    def _compare(self, lane: Lane, index: int, raw: bytes) -> None:
        """A record that the target already holds has to be the one that is wanted there."""
        if hashlib.sha256(raw).digest()[:16] != lane.known[index - lane.task.index]:
            raise Mismatch(lane.task.topic, lane.task.partition, f"record {index} of the target is another one")

    def _check_known(self, lane: Lane) -> None:
        if lane.index < lane.task.there:
            raise Mismatch(
                lane.task.topic,
                lane.task.partition,
                f"the target holds {lane.task.there} records, {lane.index} are wanted",
            )
