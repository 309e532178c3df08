# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: records of several partitions, read from a cluster up to an offset each and hardly
farther.

Memory is bounded by bytes, whatever the records' size; the next fetch of a partition is only sent when the former one
was taken, so at most one fetch goes beyond the cut.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from .cluster import Partition, client
from .errors import StreamsError, code, library, reason
from .records import Record

FETCH_BYTES = 2 << 20
QUEUE_KILOBYTES = 16 << 10
AHEAD_KILOBYTES = 4 << 10
BATCH_BYTES = 1 << 20
"""Less than a fetch, so that the next one is under way while the rest of this one is worked off."""

IGNORED = frozenset(
    [
        "GROUP_AUTHORIZATION_FAILED",
        "_TRANSPORT",
        "_ALL_BROKERS_DOWN",
        "_RESOLVE",
        "NOT_COORDINATOR",
        "COORDINATOR_NOT_AVAILABLE",
        "_TIMED_OUT",
        "_NODE_UPDATE",
        "NOT_LEADER_FOR_PARTITION",
        "LEADER_NOT_AVAILABLE",
        "REQUEST_TIMED_OUT",
        "UNKNOWN_LEADER_EPOCH",
        "FENCED_LEADER_EPOCH",
    ]
)
"""Told by the client while it goes on trying by itself; no group is used, so none is needed. Bounded by the stall
time."""


@dataclasses.dataclass
class Piece:
    """What one read brought of one partition."""

    partition: Partition
    records: t.Sequence[Record]
    ended: bool
    expired_to: t.Optional[int] = None
    """Set when the reader's next offset has been deleted: the first offset that is left."""


class Feed(t.Protocol):
    """Where records come from: a cluster here, an archive elsewhere."""

    beyond: int

    def open(self, partition: Partition, start: int, end: int) -> None: ...
    def read(self) -> list[Piece]: ...
    def close(self) -> None: ...


class KafkaFeed:
    """Reads committed records of partitions of a cluster, each up to its end (exclusive).

    :param ahead: fetch the next before the former was taken: where nothing is behind the end
    """

    def __init__(
        self, settings: t.Mapping[str, t.Any], group: str, timeout: float, stall: float, ahead: bool = False
    ) -> None:
        self.kafka = library()
        self.stall = stall
        self.timeout = timeout
        self.ends: dict[Partition, int] = {}
        self.next: dict[Partition, int] = {}
        self.beyond = 0
        self.last = time.monotonic()
        self.wanted = 500
        self.trouble = ""
        self.consumer = client(
            self.kafka.Consumer,
            settings,
            {
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "check.crcs": True,
                "queued.min.messages": 100_000 if ahead else 1,
                "queued.max.messages.kbytes": AHEAD_KILOBYTES if ahead else QUEUE_KILOBYTES,
                "fetch.queue.backoff.ms": 5,
                "fetch.message.max.bytes": FETCH_BYTES,
                "fetch.max.bytes": 4 * FETCH_BYTES,
                "receive.message.max.bytes": 1 << 30,
                "fetch.wait.max.ms": 100,
                "socket.timeout.ms": int(max(1.0, timeout) * 1000),
                "error_cb": self._note,
            },
        )

    def _note(self, error: t.Any) -> None:
        self.trouble = reason(error)

    def open(self, partition: Partition, start: int, end: int) -> None:
        """Begin with one more partition, or with one again at another offset."""
        entry = self.kafka.TopicPartition(partition[0], partition[1], start)
        if partition in self.ends:
            self.consumer.incremental_unassign([entry])
        self.ends[partition] = end
        self.next[partition] = start
        self.last = time.monotonic()
        self.consumer.incremental_assign([entry])

    def _done(self, partition: Partition) -> None:
        del self.ends[partition]
        del self.next[partition]
        self.consumer.incremental_unassign([self.kafka.TopicPartition(*partition)])

    def read(self) -> list[Piece]:
        """What is there now, by partition. Raises when nothing has come for too long."""
        groups: dict[Partition, list[t.Any]] = {}
        found = []
        for message in self.consumer.consume(self.wanted, 0.2):
            if message.error() is None:
                partition = (message.topic(), message.partition())
                if partition in groups:
                    groups[partition].append(message)
                else:
                    groups[partition] = [message]
            else:
                found += self._event(message)
        pieces = [self._piece(partition, messages) for partition, messages in groups.items() if partition in self.ends]
        ended = {piece.partition for piece in pieces if piece.ended}
        pieces += [piece for piece in found if piece.partition in self.ends and piece.partition not in ended]
        for piece in pieces:
            if piece.ended and piece.partition in self.ends:
                self._done(piece.partition)
        self._watch(pieces)
        return pieces

    def _piece(self, partition: Partition, messages: list[t.Any]) -> Piece:
        end = self.ends[partition]
        ended = messages[-1].offset() + 1 >= end
        if messages[-1].offset() >= end:
            kept = [message for message in messages if message.offset() < end]
            self.beyond += len(messages) - len(kept)
            messages = kept
        if messages:
            self.next[partition] = messages[-1].offset() + 1
            size = sum(len(m.value() or b"") for m in messages[:50]) // min(50, len(messages)) + 100
            self.wanted = max(1, min(4000, BATCH_BYTES // size))
        return Piece(partition, messages, ended)

    def _event(self, message: t.Any) -> list[Piece]:
        error, name = message.error(), code(message.error())
        partition = (message.topic(), message.partition())
        if name == "_PARTITION_EOF":
            return [Piece(partition, (), message.offset() >= self.ends.get(partition, 0))]
        if name in ("_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE") and partition in self.ends:
            low, _high = self.consumer.get_watermark_offsets(
                self.kafka.TopicPartition(*partition), timeout=self.timeout
            )
            if low > self.next[partition]:
                return [Piece(partition, (), False, low)]
        if name in IGNORED:
            self.trouble = reason(error)
            return []
        where = f"topic '{partition[0]}', partition {partition[1]}" if partition[0] else "the cluster"
        raise StreamsError(f"Reading of {where}", reason(error), "Nothing was lost; mend the cause and run again")

    def _watch(self, pieces: list[Piece]) -> None:
        now = time.monotonic()
        if not self.ends or any(piece.records or piece.ended or piece.expired_to for piece in pieces):
            self.last = now
        elif now - self.last > self.stall:
            (topic, number), end = next(iter(self.ends.items()))
            raise StreamsError(
                f"Reading of topic '{topic}', partition {number}",
                f"nothing came for {self.stall:g} s at offset {self.next[(topic, number)]}, before its end {end}"
                + (f" ({self.trouble})" if self.trouble else ""),
                "Check the brokers and for transactions left open there, then run again",
            )

    def close(self) -> None:
        """Leave the cluster."""
        self.consumer.close()
