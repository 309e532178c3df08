# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy by offsets and by time holds exactly the records up to the cut, and each group is where it was."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from servers.kafka.tools import DAY, Failed, Row

pytestmark = pytest.mark.xdist_group("streams-1")

NOW = int(time.time() * 1000)


def test_every_kind_of_record_comes_over_as_it_is(copying):
    topic = copying.name("bulk-command")
    copying.site.create(topic, 3)
    kinds = [
        (0, NOW - 9 * DAY + n, key, value, headers)
        for n, (key, value, headers) in enumerate(
            (key, value, headers)
            for key in (None, b"", b"k", "schlüssel".encode())
            for value in (None, b"", b"v" * 3000)
            for headers in (None, [("h", b"1"), ("h", b"2"), ("n", None), ("e", b""), ("ü", b"\x00\xff")])
        )
    ]
    copying.site.send(topic, kinds)
    copying.site.send(topic, [(2, -1, b"k", b"no time")])
    copying.backup()
    result = copying.restore()
    assert result["changed"] and result["phase"] == "finished" and result["records"] == len(kinds) + 1
    for number in range(3):
        assert copying.site.rows(copying.copied("bulk-command"), number) == copying.site.rows(topic, number)
    assert len(copying.site.rows(copying.copied("bulk-command"), 0)) == len(kinds)


def test_nothing_after_the_recorded_ends_is_copied(copying):
    topic = copying.name("work-default")
    copying.site.create(topic, 12)
    before = [(n % 12, NOW, b"%d" % n, b"before") for n in range(600)]
    copying.site.send(topic, before)
    copying.backup()
    copying.site.send(topic, [(n % 11, NOW - DAY, b"%d" % n, b"after") for n in range(600)])
    result = copying.restore()
    assert result["records"] == 600
    for number in range(12):
        rows = copying.site.rows(copying.copied("work-default"), number)
        assert [row.key for row in rows] == [b"%d" % n for n in range(600) if n % 12 == number]
        assert {row.value for row in rows} == {b"before"}


def test_a_cut_by_time_decides_record_by_record(copying):
    topic = copying.name("audit-audit")
    copying.site.create(topic, 12)
    cut = NOW - 3 * DAY
    chance = random.Random(6)
    sent = []
    for number in range(12):
        times = [cut - 1, cut, cut + 1] + [cut + chance.randint(-DAY, DAY) for dummy in range(80)]
        chance.shuffle(times)
        sent += [(number, moment, b"%d" % number, b"%d" % moment) for moment in times]
    copying.site.send(topic, sent)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(cut // 1000)) + f".{cut % 1000:03d}999Z"
    with pytest.raises(Failed, match="positions"):
        copying.restore(streams=None, until=moment)
    copying.restore(streams=None, until=moment, positions="end")
    for number in range(12):
        rows = copying.site.rows(copying.copied("audit-audit"), number)
        wanted = [(moment, b"%d" % moment) for part, moment, _key, _value in sent if part == number and moment <= cut]
        assert [(row.time, row.value) for row in rows] == wanted
        assert {cut - 1, cut} <= {row.time for row in rows} and cut + 1 not in {row.time for row in rows}


def test_groups_past_a_cut_by_time_have_what_is_left_to_do(copying):
    """Of a backup, cut earlier than its ends. A record behind a position may still be from before the cut."""
    topic = copying.name("work-a")
    copying.site.create(topic)
    cut = NOW - DAY
    copying.site.send(topic, [(0, cut if n == 90 else cut - 49 + n, b"%d" % n, b"v") for n in range(100)])
    for name, offset in {"before": 20, "past": 80, "done": 100}.items():
        copying.site.commit(copying.name(f"work-{name}"), {(topic, 0): offset})
    copying.backup()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(cut // 1000)) + f".{cut % 1000:03d}Z"
    assert copying.restore(until=moment)["records"] == 51
    new = copying.copied("work-a")
    assert [row.key for row in copying.site.rows(new)] == [b"%d" % n for n in (*range(50), 90)]
    for name, place in {"before": 20, "past": 50, "done": 51}.items():
        assert copying.site.positions(copying.copied(f"work-{name}")) == {(new, 0): place}


def test_thirty_groups_are_where_they_were(copying):
    topics = {copying.name(rest): 4 for rest in ("work-a", "work-b", "audit-audit")}
    for topic, partitions in topics.items():
        copying.site.create(topic, partitions)
        copying.site.send(topic, [(n % 4, NOW, b"k", b"%d" % n) for n in range(400)])
        for number in (0, 2):
            copying.site.delete_records(topic, number, 37)
    chance = random.Random(30)
    groups = {}
    for number in range(30):
        group = copying.name(f"work-group{number}")
        groups[group] = {}
        for topic, partitions in topics.items():
            for part in range(partitions):
                if number % 5 and chance.random() < 0.8:
                    groups[group][(topic, part)] = chance.choice((37, 38, 99, 100, chance.randint(37, 100)))
        if groups[group]:
            copying.site.commit(group, groups[group])
    copying.backup()
    for topic in topics:
        copying.site.send(topic, [(n % 4, NOW, b"k", b"later") for n in range(40)])
    for group, positions in groups.items():
        if positions:
            copying.site.commit(group, dict.fromkeys(positions, 110))  # what they have done since is lost
    result = copying.restore()
    expected_missing = 0
    for group, positions in groups.items():
        found = copying.site.positions(copying.target + group[len(copying.source) :])
        lost = {0: 37, 2: 37}
        wanted = {
            (copying.target + topic[len(copying.source) :], part): max(0, offset - lost.get(part, 0))
            for (topic, part), offset in positions.items()
        }
        assert found == wanted, group
        seen = {topic for topic, _part in positions}
        expected_missing += sum(1 for topic in seen for part in range(4) if (topic, part) not in positions)
    assert result["missing_position_count"] == expected_missing > 0
    assert result["groups"] == sum(1 for positions in groups.values() if positions)


def test_a_second_run_changes_nothing_and_check_mode_tells_the_truth(copying):
    topic = copying.name("bulk-status")
    copying.site.create(topic, 2)
    copying.site.create(copying.name("pubsub-pubsub"), 1, retention_ms=3_600_000)
    copying.site.send(topic, [(n % 2, NOW, b"k", b"x" * 100) for n in range(101)])
    copying.site.send(copying.name("pubsub-pubsub"), [(0, NOW, b"k", b"invalidate")])
    copying.site.commit(copying.name("bulk-status"), {(topic, 0): 5, (topic, 1): 50})
    copying.backup()
    told = copying.restore(check=True)
    assert told["changed"] and told["records"] == 101 and told["topic_count"] == 2
    assert copying.copied("bulk-status") not in copying.site.admin.list_topics(timeout=10).topics
    assert not Path(copying.state).exists()
    done = copying.restore()
    assert {key: done[key] for key in ("records", "bytes", "topics")} == {
        key: told[key] for key in ("records", "bytes", "topics")
    }
    assert copying.site.rows(copying.copied("pubsub-pubsub")) == []
    assert copying.site.configs(copying.copied("pubsub-pubsub")) == {"retention.ms": "3600000"}  # and is not held
    copying.site.send(copying.copied("bulk-status"), [(0, NOW, b"k", b"Nuxeo goes on")])
    copying.site.commit(copying.copied("bulk-status"), {(copying.copied("bulk-status"), 0): 51})
    state = Path(copying.state).read_bytes()
    again = copying.restore()
    assert not again["changed"] and again["records"] == 101
    assert Path(copying.state).read_bytes() == state
    assert copying.site.positions(copying.copied("bulk-status"))[(copying.copied("bulk-status"), 0)] == 51
    assert sorted(done) == sorted(told) == sorted(again)


def test_a_topic_that_asks_for_more_replicas_than_it_gets_is_filled(copying):
    """The source's cluster had three brokers. With the broker's own number of replicas nothing could be written."""
    topic = copying.name("bulk-command")
    copying.site.create(topic, 1)
    copying.site.send(topic, [(0, NOW, b"k", b"v")])
    copying.site.alter(topic, min_insync_replicas=2, retention_ms=7 * DAY)
    copying.backup()
    assert copying.restore()["phase"] == "finished"
    assert copying.site.rows(copying.copied("bulk-command")) == copying.site.rows(topic)
    assert "min.insync.replicas" not in copying.site.configs(copying.copied("bulk-command"))


def test_the_report_compares_two_topics(copying):
    topic = copying.name("source-blob")
    copying.site.create(topic, 2)
    copying.site.send(topic, [(n % 2, NOW - n, b"k%d" % n, b"x" * n, [("a", b"b")]) for n in range(200)])
    copying.backup()
    copying.restore()
    first = {line["partition"]: line for line in json.loads(Path(copying.report).read_text())["partitions"]}
    assert first[1]["records"] == 100 and (first[1]["first_offset"], first[1]["last_offset"]) == (0, 99)
    assert first[0]["first_time"].endswith("Z") and len(first[0]["sha256"]) == 64
    back = copying.folder / "back.json"
    other = copying.options(
        source_prefix=copying.target,
        target_prefix=f"u{copying.target}",
        streams=None,
        report=str(back),
        state=str(copying.folder / "b"),
        until="2999-01-01T00:00:00Z",
        positions="end",
    )
    from servers.kafka.tools import module

    module("kafka_topic_replicate", other)
    second = {line["partition"]: line for line in json.loads(back.read_text())["partitions"]}
    assert {n: line["sha256"] for n, line in second.items()} == {n: line["sha256"] for n, line in first.items()}


def test_large_records_and_every_codec(copying):
    zstd = ("zstd",) if copying.version >= (2, 1) else ()
    codecs = ("none", "gzip", "snappy", "lz4", *zstd)
    for codec in codecs:
        topic = copying.name(f"work-{codec}")
        copying.site.create(topic, 1)
        copying.site.send(topic, [(0, NOW, b"k", b"%d" % n * 500) for n in range(50)], compression_type=codec)
    big = copying.name("work-big")
    copying.site.create(big, 1, max_message_bytes=11_000_000)
    noise = random.Random(1).randbytes(10_000_000)
    copying.site.send(big, [(0, NOW, b"k%d" % n, noise) for n in range(4)])
    shrunk = copying.name("work-shrunk")
    copying.site.create(shrunk, 1)
    # small only as a batch
    copying.site.send(shrunk, [(0, NOW, b"k", b"\0" * 20_000_000)], compression_type=codecs[-1])
    copying.backup()
    result = copying.restore()
    assert result["records"] == 50 * len(codecs) + 5
    for codec in codecs:
        wanted = [Row(NOW, b"k", b"%d" % n * 500, ()) for n in range(50)]
        assert copying.site.rows(copying.copied(f"work-{codec}")) == wanted
    assert [row.value for row in copying.site.rows(copying.copied("work-big"))] == [noise] * 4
    assert copying.site.rows(copying.copied("work-shrunk"))[0].value == b"\0" * 20_000_000
    assert copying.site.configs(copying.copied("work-big"))["max.message.bytes"] == "11000000"
    assert "max.message.bytes" not in copying.site.configs(copying.copied("work-shrunk"))
