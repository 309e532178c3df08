# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The digest, times, and a partition's way through the copier: cut, translation and going on, on made-up records."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._streams import records
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.archive import ArchiveFeed, ArchiveSink
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.copier import Copier, Lane, Mismatch, Task
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.errors import StreamsError
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.feed import Piece
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.journal import Journal
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.workers import share
from hypothesis import given
from hypothesis import strategies as st


class Made:
    """A record of a test."""

    def __init__(self, offset, time=1000, key=b"k", value=b"v", headers=None):
        self.values = (offset, time, key, value, headers)

    def offset(self):
        return self.values[0]

    def timestamp(self):
        return 1, self.values[1]

    def key(self):
        return self.values[2]

    def value(self):
        return self.values[3]

    def headers(self):
        return self.values[4]


class Feed:
    """Hands out a list in pieces."""

    beyond = 0

    def __init__(self, made, step=3, low=0):
        self.made, self.step, self.low = made, step, low

    def open(self, partition, start, end):
        self.partition, self.end = partition, end
        self.left = [record for record in self.made if start <= record.offset() < end]
        self.expired = self.low > start
        if self.expired:
            self.left = [record for record in self.left if record.offset() >= self.low]

    def read(self):
        if self.expired:
            return [Piece(self.partition, (), False, self.low)]
        piece, self.left = self.left[: self.step], self.left[self.step :]
        return [Piece(self.partition, piece, not self.left)]


class Sink:
    """Keeps what it is given."""

    def __init__(self):
        self.kept = []

    def put(self, task, record, timestamp, content):
        self.kept.append((record.offset(), timestamp))

    def serve(self):
        pass

    def ended(self, task):
        pass

    def finish(self):
        pass


def run(task, feed, known=()):
    sink, events = Sink(), []
    lane = Lane(task)
    lane.known = list(known)
    Copier(feed, sink, events.append, interval=0).run([lane])
    return sink.kept, events


def test_the_digest_is_as_documented():
    raw = b"".join(records.encode(5, None, b"v", [("h", None), ("ü", b"x")]))
    assert raw == (
        struct.pack(">qiii", 5, -1, 1, 2)
        + b"v"
        + struct.pack(">ii", 1, -1)
        + b"h"
        + struct.pack(">ii", 2, 1)
        + "ü".encode()
        + b"x"
    )
    content = records.Content()
    content.add(raw, 1, 9)
    assert content.report()["sha256"] == hashlib.sha256(raw).hexdigest()


@given(
    st.lists(st.tuples(st.none() | st.binary(max_size=3), st.none() | st.binary(max_size=3)), max_size=3, min_size=2)
)
def test_different_records_have_different_encodings(pairs):
    encoded = [b"".join(records.encode(1, key, value, None)) for key, value in pairs]
    assert len(set(encoded)) == len(set(pairs))


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00.001Z", 1),
        ("2026-11-23T02:00:04.512999Z", 1795399204512),
        ("2026-11-23T03:00:04+01:00", 1795399204000),
        ("2026-11-23T02:00:04.5Z", 1795399204500),
    ],
)
def test_a_cut_by_time_is_the_last_whole_millisecond(text, milliseconds):
    assert records.parse_until(text) == milliseconds


def test_a_time_without_a_zone_is_no_moment():
    with pytest.raises(ValueError, match="zone"):
        records.parse_until("2026-11-23T02:00:04")


def test_times_that_no_calendar_holds():
    assert records.iso(None) is None and records.iso(-1) is None and records.iso(2**62) is None
    assert records.iso(1795399204512) == "2026-11-23T02:00:04.512Z"


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), unique_by=lambda pair: pair[0]),
    st.integers(1, 9),
    st.lists(st.integers(0, 70), unique=True),
    st.integers(1, 7),
)
def test_translation_is_the_first_wanted_record_at_or_after(pairs, until, positions, step):
    made = [Made(offset, time) for offset, time in sorted(pairs)]
    wanted = [record.offset() for record in made if record.timestamp()[1] <= until]
    task = Task("t", 0, "n", 0, 61, until=until, positions=sorted(positions))
    kept, events = run(task, Feed(made, step))
    assert [offset for offset, _time in kept] == wanted
    done = events[-1]
    assert done[0] == "done" and done[3]["records"] == len(wanted)
    assert done[4] == [sum(1 for offset in wanted if offset < position) for position in sorted(positions)]


@given(st.integers(0, 40), st.integers(0, 12))
def test_going_on_from_any_mark_gives_the_same(there, number):
    made = [Made(offset * 2, value=b"%d" % offset) for offset in range(40)]
    positions = [0, 7, 20, 33, 78, 90]
    whole, events = run(Task("t", 0, "n", 0, 80, positions=positions), Feed(made))
    marks = [(0, 0, []), *[(event[3], event[4], event[5]) for event in events if event[0] == "mark"]]
    index, start, translated = marks[min(number, len(marks) - 1)]
    if index > there:
        return
    task = Task(
        "t",
        0,
        "n",
        start,
        80,
        positions=positions,
        index=index,
        there=there,
        translated=[place for place in translated if place < index],
    )
    known = [
        hashlib.sha256(b"".join(records.encode(1000, b"k", b"%d" % n, None))).digest()[:16] for n in range(index, there)
    ]
    rest, again = run(task, Feed(made), known)
    assert rest == whole[there:]
    assert again[-1][4] == events[-1][4]


def test_a_target_that_holds_other_records_is_found_out():
    made = [Made(offset) for offset in range(10)]
    with pytest.raises(Mismatch, match="another one"):
        run(Task("t", 0, "n", 0, 10, there=2), Feed(made), [b"x" * 16] * 2)
    right = hashlib.sha256(b"".join(records.encode(1000, b"k", b"v", None))).digest()[:16]
    with pytest.raises(Mismatch, match="holds 12 records, 10"):
        run(Task("t", 0, "n", 0, 10, there=12), Feed(made), [right] * 12)


def test_what_is_deleted_ahead_of_the_reader_is_an_error_or_a_gap():
    made = [Made(offset) for offset in range(10)]
    with pytest.raises(StreamsError, match="offsets 0 to 5, at most 6 records"):
        run(Task("t", 0, "n", 0, 10), Feed(made, low=6))
    kept, events = run(Task("t", 0, "n", 0, 10, accept_gaps=True), Feed(made, low=6))
    assert len(kept) == 4 and events[-1][3]["gap"] == [0, 6]
    for low in (10, 20):
        assert run(Task("t", 0, "n", 0, 10, accept_gaps=True), Feed(made, low=low))[0] == []
    with pytest.raises(StreamsError, match="offsets 0 to 0, at most 1 records"):
        run(Task("t", 0, "n", 0, 10), Feed(made, low=1))


class Sweeps(Feed):
    """Its source deletes records up to each of these offsets, before the piece of the same number."""

    def __init__(self, made, *lows):
        super().__init__(made, 2)
        self.lows = list(lows)

    def read(self):
        low, first = self.lows.pop(0) if self.lows else None, self.left[0].offset()
        return [Piece(self.partition, (), False, low)] if low is not None and low > first else super().read()


def test_a_partition_is_done_when_all_of_it_is_acknowledged():
    told = []
    sink = Sink()
    sink.finish = lambda: told.append("acknowledged")
    Copier(Feed([Made(0)]), sink, lambda event: told.append(event[0])).run([Lane(Task("t", 0, "n", 0, 1))])
    assert told == ["mark", "acknowledged", "done"]


def test_what_was_read_before_it_was_deleted_is_no_gap():
    made = [Made(offset) for offset in range(10)]
    with pytest.raises(StreamsError, match="offsets 2 to 3, at most 2 records"):
        run(Task("t", 0, "n", 0, 10), Sweeps(made, None, 4))
    kept, events = run(Task("t", 0, "n", 0, 10, accept_gaps=True), Sweeps(made, None, 4, None, 7))
    assert [offset for offset, _time in kept] == [0, 1, 4, 5, 7, 8, 9] and events[-1][3]["gap"] == [2, 7]


def test_a_copy_that_goes_on_knows_what_was_lost_before_it_was_killed():
    made = [Made(offset, time) for offset, time in enumerate([1, 1, 0, 9, 9, 9, 0, 1, 0, 1])]
    plan = {"topics": [{"name": "t", "empty": False, "partitions": [{"partition": 0, "start": 0, "end": 10}]}]}
    _kept, whole = run(Task("t", 0, "n", 0, 10, accept_gaps=True), Sweeps(made, None, None, 6))
    assert whole[-1][3]["gap"] == [4, 6] and whole[-1][3]["timestamps_altered"] == 3
    marks = [event for event in whole if event[0] == "mark"]
    assert [mark[4] for mark in marks] == [2, 4, 8, 10]
    for count, offset in enumerate((2, 4, 8), 1):
        kept = Journal(None, {})
        kept.begin({**plan, "groups": [], "until": None}, None)
        for mark in marks[:count]:
            kept.take(json.loads(json.dumps(mark)))
        (task,) = kept.tasks({"t": "n"}, {("t", 0): marks[count - 1][3]}, True)
        assert task.start == offset
        _kept, rest = run(task, Sweeps(made, *([None] * (offset < 4)), *([6] * (offset < 8))))
        report = rest[-1][3]
        assert (report["gap"], report["timestamps_altered"]) == ([4, 6], 3)


@pytest.mark.parametrize("feed", [Feed([Made(0), Made(1)], low=1), Feed([Made(0, 0)])])
def test_a_refusal_names_what_a_backup_and_what_a_restore_would_set(feed):
    """An archive is written by the same steps."""
    with pytest.raises(StreamsError, match=r"backup_streams_accept_gaps or restore_streams_accept_gaps \(acc"):
        run(Task("t", 0, "n", 0, 2), feed)


def test_what_no_group_needs_may_be_deleted_ahead_of_the_reader():
    made = [Made(offset) for offset in range(10)]
    kept, events = run(Task("t", 0, "n", 0, 10, positions=[7], need=7), Feed(made, low=6))
    assert [offset for offset, _time in kept] == [6, 7, 8, 9]
    assert events[-1][3]["gap"] is None and events[-1][4] == [1]
    with pytest.raises(StreamsError, match="offsets 4 to 5, at most 2 records"):
        run(Task("t", 0, "n", 0, 10, need=4), Feed(made, low=6))
    assert run(Task("t", 0, "n", 0, 10, need=6), Feed(made, low=6))[1][-1][3]["gap"] is None


def test_times_that_cannot_be_compared_or_written():
    with pytest.raises(StreamsError, match="no timestamp"):
        run(Task("t", 0, "n", 0, 1, until=5), Feed([Made(0, -1)]))
    assert run(Task("t", 0, "n", 0, 1), Feed([Made(0, -1)]))[0] == [(0, -1)]
    with pytest.raises(StreamsError, match="1970"):
        run(Task("t", 0, "n", 0, 1), Feed([Made(0, 0)]))
    kept, events = run(Task("t", 0, "n", 0, 1, accept_gaps=True), Feed([Made(0, 0)]))
    assert kept == [(0, 1)] and events[-1][3]["timestamps_altered"] == 1


def test_large_records_of_an_archive_are_read_a_few_at_a_time(tmp_path):
    sink, feed, task = ArchiveSink(str(tmp_path)), ArchiveFeed(str(tmp_path)), Task("t", 0, "", 0, 9)
    for offset in range(9):
        sink.put(task, Made(offset), 1000, (b"k", b"v" * 400_000, None))
    sink.ended(task)
    feed.open(("t", 0), 0, 9)
    pieces = [feed.read()[0] for _number in range(4)]
    assert [[record.offset() for record in piece.records] for piece in pieces] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], []]
    assert [piece.ended for piece in pieces] == [False, False, False, True]
    feed.open(("t", 0), 4, 5)
    assert [record.offset() for record in feed.read()[0].records] == [4]


def test_work_is_shared_by_size():
    tasks = [Task("t", n, "n", 0, size) for n, size in enumerate((100, 10, 10, 80, 0))]
    shares = share(tasks, 2)
    assert sorted(task.partition for part in shares for task in part) == [0, 1, 2, 3, 4]
    assert max(sum(task.end for task in part) for part in shares) == 100
    assert len(share(tasks[:1], 4)) == 1
