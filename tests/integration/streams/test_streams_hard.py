# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a real cluster hard: transactions, compaction, retention, lost records, other instances, active
members."""

from __future__ import annotations

import json
import time

import pytest
from servers.kafka.tools import DAY, Failed, Row, end_module, start_module

pytestmark = pytest.mark.xdist_group("streams-1")

NOW = int(time.time() * 1000)


def rows(numbers, value=b"v"):
    return [Row(NOW, b"%d" % n, value, ()) for n in numbers]


def send_numbers(copying, rest, numbers, partition=0, moment=NOW, **settings):
    records = [(partition, moment, b"%d" % n, b"v") for n in numbers]
    copying.site.send(copying.name(rest), records, **settings)


def transaction(copying, topic, numbers, end):
    producer = copying.site.producer(transactional_id=f"x{numbers}", transaction_timeout_ms=60000)
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in numbers:
        producer.produce(topic, b"v", b"%d" % number, 0, timestamp=NOW)
    producer.flush(30)
    if end == "commit":
        producer.commit_transaction(30)
    elif end == "abort":
        producer.abort_transaction(30)
    return producer


def test_transactions_and_positions_among_their_marks(copying):
    topic = copying.name("work-a")
    copying.site.create(topic)
    transaction(copying, topic, range(5), "commit")  # offsets 0 to 4, mark at 5
    transaction(copying, topic, range(5, 10), "abort")  # 6 to 10, mark at 11
    transaction(copying, topic, range(10, 15), "commit")  # 12 to 16, mark at 17
    wanted = {0: 0, 4: 4, 5: 5, 6: 5, 11: 5, 12: 5, 13: 6, 16: 9, 17: 10, 18: 10}
    for offset in wanted:
        copying.site.commit(copying.name(f"work-g{offset}"), {(topic, 0): offset})
    held = transaction(copying, topic, range(90, 95), "open")
    send_numbers(copying, "work-a", [99])
    told = copying.backup()
    assert told["open_transactions"] == [{"topic": topic, "partition": 0, "stable": 18, "end": 24}]
    assert "open transaction" in str(told["warnings"])
    held.commit_transaction(30)
    assert copying.restore()["records"] == 10
    assert copying.site.rows(copying.copied("work-a")) == rows([*range(5), *range(10, 15)])
    for offset, place in wanted.items():
        assert copying.site.positions(copying.copied(f"work-g{offset}")) == {(copying.copied("work-a"), 0): place}


def test_holes_of_compaction_at_the_tail_and_tombstones(copying):
    topic = copying.name("work-c")
    copying.site.create(
        topic, cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.01, delete_retention_ms=3_600_000
    )
    for turn in range(3):
        copying.site.send(topic, [(0, NOW + turn, b"k%d" % n, b"%d" % turn) for n in range(20)])
        time.sleep(0.2)
    copying.site.send(topic, [(0, NOW, b"k1", None)])
    time.sleep(0.2)
    transaction(copying, topic, range(100, 105), "abort")  # the log ends with what no reader sees
    copying.backup()  # the end is behind that
    copying.site.commit(copying.name("work-g"), {(topic, 0): 45})
    copying.backup()
    end = time.monotonic() + 40
    while len(copying.site.rows(topic)) > 21:
        assert time.monotonic() < end, "the log was not compacted"
        copying.site.send(topic, [(0, NOW, b"roll", b"r")])
        time.sleep(0.5)
    before = copying.site.rows(topic)
    kept = [row for row in before if row.key != b"roll"]
    result = copying.restore()
    assert result["records"] == len(kept) < 61
    copied = copying.site.rows(copying.copied("work-c"))
    assert copied == kept and Row(NOW, b"k1", None, ()) in copied
    place = copying.site.positions(copying.copied("work-g"))[(copying.copied("work-c"), 0)]
    assert copied[place].value == b"2" and 0 < place < len(copied)
    assert copying.site.configs(copying.copied("work-c"))["cleanup.policy"] == "delete"  # held


def test_records_lost_below_a_position_are_an_error_or_a_gap(copying):
    topic = copying.name("work-a")
    copying.site.create(topic, 2)
    send_numbers(copying, "work-a", range(100))
    send_numbers(copying, "work-a", range(100), partition=1)
    copying.site.commit(copying.name("work-a"), {(topic, 0): 10, (topic, 1): 60})
    copying.backup()
    copying.site.delete_records(topic, 0, 30)
    copying.site.delete_records(topic, 1, 50)  # nobody needs these
    with pytest.raises(Failed) as error:
        copying.restore()
    gap = {"topic": topic, "partition": 0, "from": 10, "to": 30, "records": 20, "why": "expired"}
    assert error.value.result["gaps"] == [gap]
    assert f"topic '{topic}', partition 0, offsets 10 to 29" in error.value.result["msg"]
    assert not [name for name in copying.site.admin.list_topics(timeout=10).topics if name.startswith(copying.target)]
    result = copying.restore(accept_gaps=True)
    assert result["gaps"] == [gap] and result["records"] == 120
    assert copying.site.positions(copying.copied("work-a")) == {
        (copying.copied("work-a"), 0): 0,
        (copying.copied("work-a"), 1): 10,
    }


def test_records_that_expire_between_positions_and_ends_are_an_error_or_a_gap(copying):
    topic = copying.name("work-a")
    copying.site.create(topic)
    send_numbers(copying, "work-a", range(100))
    copying.site.commit(copying.name("work-a"), {(topic, 0): 10})
    copying.backup()
    copying.site.delete_records(topic, 0, 60)
    told = copying.backup(positions=copying.streams)
    where = {"group": copying.name("work-a"), "topic": topic, "partition": 0, "offset": 10, "start": 60, "end": 100}
    assert told["unusable_positions"] == [where] and "a restore asks" in str(told["warnings"])
    with pytest.raises(Failed, match=f"topic '{topic}', partition 0, offsets 10 to 59 .expired") as error:
        copying.restore(check=True)
    gap = {"topic": topic, "partition": 0, "from": 10, "to": 60, "records": 50, "why": "expired"}
    assert error.value.result["gaps"] == [gap]
    told = copying.restore(check=True, accept_gaps=True)
    assert told["gaps"] == [gap] and "offsets 10 to 59" in str(told["warnings"])
    result = copying.restore(accept_gaps=True)
    assert result["gaps"] == [gap] and result["records"] == 40
    assert copying.site.positions(copying.copied("work-a")) == {(copying.copied("work-a"), 0): 0}


@pytest.mark.parametrize("anew", [True, False])
def test_a_topic_that_was_deleted_or_made_anew(copying, anew):
    """Brokers before 2.8 give topics no id: that the records are newer than the backup is said by their time."""
    moment = NOW + DAY * (copying.version < (2, 8))
    topic = copying.name("work-a")
    copying.site.create(topic)
    copying.site.create(copying.name("work-b"))
    send_numbers(copying, "work-a", range(50))
    send_numbers(copying, "work-b", range(7))
    copying.site.commit(copying.name("work-a"), {(topic, 0): 10})
    copying.backup()
    copying.site.delete(topic)
    if anew:
        copying.site.create(topic)
        send_numbers(copying, "work-a", range(900, 990), moment=moment)
    with pytest.raises(Failed, match="made anew" if anew else "deleted"):
        copying.restore()
    result = copying.restore(accept_gaps=True)
    assert result["records"] == 7 and result["gap_count"] == 1 and result["gaps"][0]["records"] == 50
    assert copying.site.rows(copying.copied("work-a")) == []
    assert copying.site.positions(copying.copied("work-a")) == {(copying.copied("work-a"), 0): 0}


def test_old_records_outlive_sweeps_until_retention_is_released(copying):
    topic = copying.name("work-a")
    copying.site.create(topic, retention_ms=30 * DAY, segment_bytes=1_048_576)
    send_numbers(copying, "work-a", range(50), moment=NOW - 10 * DAY)
    copying.site.commit(copying.name("work-a"), {(topic, 0): 10})
    copying.site.alter(topic, retention_ms=11 * DAY)
    copying.backup()
    from pathlib import Path

    told = Path(copying.streams).read_text().replace(str(11 * DAY), str(7 * DAY))  # as where retention just has not run
    Path(copying.streams).write_text(told)
    result = copying.restore()
    new = copying.copied("work-a")
    assert copying.site.configs(new)["retention.ms"] == "-1"
    time.sleep(4)  # several sweeps
    assert len(copying.site.rows(new)) == 50
    assert result["lag"] == [{"group": copying.copied("work-a"), "records": 40}]
    with pytest.raises(Failed, match="not caught up"):
        copying.restore(retention="released")
    assert copying.site.configs(new)["retention.ms"] == "-1"
    copying.site.commit(copying.copied("work-a"), {(new, 0): 50})
    told = copying.restore(retention="released", check=True)
    assert told["changed"] and copying.site.configs(new)["retention.ms"] == "-1"
    released = copying.restore(retention="released")
    assert released["changed"] and released["phase"] == "released"
    assert copying.site.configs(new) == {"retention.ms": str(7 * DAY), "segment.bytes": "1048576"}
    assert not copying.restore(retention="released")["changed"]
    assert not copying.restore()["changed"]
    end = time.monotonic() + 30
    while copying.site.rows(new):  # the test's own proof that the sweeps do work
        assert time.monotonic() < end
        time.sleep(1)


def test_a_copy_of_what_holds_its_retention_is_released_to_that_of_the_first_source(copying):
    topic = copying.name("work-a")
    copying.site.create(topic, retention_ms=7 * DAY)
    send_numbers(copying, "work-a", range(5))
    copying.backup()
    copying.restore()
    assert copying.site.configs(copying.copied("work-a"))["retention.ms"] == "-1"
    copying.backup(prefix=copying.target, state=copying.state)
    again = {"source_prefix": copying.target, "target_prefix": f"u{copying.target}", "state": f"{copying.state}.2"}
    copying.restore(**again)
    new = f"u{copying.copied('work-a')}"
    assert copying.site.configs(new)["retention.ms"] == "-1"
    copying.restore(**again, retention="released")
    assert copying.site.configs(new)["retention.ms"] == str(7 * DAY)


def test_times_of_the_broker_and_times_that_a_broker_refuses(copying):
    stamped = copying.name("work-stamped")
    copying.site.create(stamped, message_timestamp_type="LogAppendTime")
    send_numbers(copying, "work-stamped", range(10), moment=5)
    future = copying.name("work-future")
    limit = f"message.timestamp.{'after' if copying.version >= (3, 6) else 'difference'}.max.ms"
    copying.site.create(future, **{limit: 2**62})
    known = copying.version >= (2, 8)  # without ids, records from the future are those of another topic
    send_numbers(copying, "work-future", range(10), moment=NOW + 30 * DAY * known)
    copying.site.alter(future, **{limit: 1000})
    time.sleep(0.3)
    copying.backup()
    copying.restore()
    assert copying.site.rows(copying.copied("work-stamped")) == copying.site.rows(stamped)
    assert copying.site.rows(stamped)[0].time > NOW - 60_000
    assert copying.site.configs(copying.copied("work-stamped"))["message.timestamp.type"] == "LogAppendTime"
    assert copying.site.rows(copying.copied("work-future")) == copying.site.rows(future)
    assert copying.site.configs(copying.copied("work-future"))[limit] == "1000"


def test_a_record_of_the_first_millisecond_is_not_dated_now(copying):
    from kafka import KafkaProducer  # confluent-kafka cannot write it

    topic = copying.name("work-a")
    copying.site.create(topic)
    producer = KafkaProducer(bootstrap_servers=copying.site.bootstrap.split(","))
    producer.send(topic, b"v", b"k", partition=0, timestamp_ms=0)
    producer.flush(10)
    producer.close()
    copying.backup()
    with pytest.raises(Failed, match="1970-01-01"):
        copying.restore()
    result = copying.restore(accept_gaps=True)
    assert result["timestamps_altered"] == 1
    assert copying.site.rows(copying.copied("work-a")) == [Row(1, b"k", b"v", ())]


def test_target_that_holds_anything_or_is_consumed_is_refused(copying):
    topic = copying.name("work-a")
    copying.site.create(topic)
    send_numbers(copying, "work-a", range(10))
    for group in ("work-a", "work-b"):
        copying.site.commit(copying.name(group), {(topic, 0): 3})
    copying.backup()
    copying.site.create(copying.copied("work-a"))
    send = [(0, NOW, b"k", b"somebody's")]
    copying.site.send(copying.copied("work-a"), send)
    copying.site.create(copying.copied("audit-audit"))
    copying.site.send(copying.copied("audit-audit"), send)
    with pytest.raises(Failed) as error:
        copying.restore()
    assert "holds 1 records that are not this copy's" in error.value.result["msg"]
    assert f"'{copying.copied('audit-audit')}' of the target prefix holds 1" in error.value.result["msg"]
    copying.site.delete(copying.copied("audit-audit"))
    copying.site.delete(copying.copied("work-a"))
    copying.site.create(copying.copied("work-a"))  # empty is taken
    member = copying.site.member(copying.copied("work-a"), copying.copied("work-a"))
    try:
        copying.site.commit(copying.copied("work-b"), {(copying.copied("work-a"), 0): 0})
        with pytest.raises(Failed, match=f"'{copying.copied('work-a')}' has 1 active members") as error:
            copying.restore()
        assert f"'{copying.copied('work-b')}' has 1 positions that" in error.value.result["msg"]
        assert copying.site.rows(copying.copied("work-a")) == []
    finally:
        member.close()
    copying.site.admin.delete_consumer_groups([copying.copied("work-b")])[copying.copied("work-b")].result(20)
    assert copying.restore()["records"] == 10
    assert copying.site.configs(copying.copied("work-a"))["retention.ms"] == "-1"


def test_positions_past_the_end_need_the_operators_word(copying):
    topic = copying.name("work-a")
    copying.site.create(topic)
    send_numbers(copying, "work-a", range(10))
    copying.site.commit(copying.name("work-a"), {(topic, 0): 10_000})
    copying.backup()
    with pytest.raises(Failed, match="past the end"):
        copying.restore()
    copying.restore(positions="start")
    assert copying.site.positions(copying.copied("work-a")) == {(copying.copied("work-a"), 0): 0}


def test_two_instances_on_one_broker(copying):
    other = copying.source + "test-"
    for rest in ("audit-audit", "bulk-command", "work-x"):
        for prefix in (copying.source, other):
            copying.site.create(prefix + rest)
            copying.site.send(prefix + rest, [(0, NOW, b"k", prefix.encode())])
            copying.site.commit(prefix + rest, {(prefix + rest, 0): 1})
    told = copying.backup()
    assert [topic["name"][len(copying.source) :] for topic in told["topics"]] == [
        "audit-audit",
        "bulk-command",
        "work-x",
    ]
    assert [group["name"][len(copying.source) :] for group in told["groups"]] == [
        "audit-audit",
        "bulk-command",
        "work-x",
    ]
    assert {one["name"] for one in told["left_out"]} == {other + r for r in ("audit-audit", "bulk-command", "work-x")}
    assert copying.restore()["topic_count"] == 3
    copying.site.create(copying.source + "more-audit-audit")
    with pytest.raises(Failed, match="more-audit-audit") as error:
        copying.backup()
    assert error.value.result["ambiguous"] == [copying.source + "more-audit-audit"]
    assert copying.backup(exclude=["more-*"])["topic_count"] == 3
    assert copying.backup(include=["more-*"])["topic_count"] == 4


def test_topics_that_the_backup_was_told_to_include_come_back(copying):
    """Their names alone are those of another instance; streams.json says whose they are."""
    for rest in ("bulk-command", "work-a", "acme-audit-audit", "acme-bulk-import", "acme-bulk-status"):
        copying.site.create(copying.name(rest))
        send_numbers(copying, rest, range(10))
        copying.site.commit(copying.name(rest), {(copying.name(rest), 0): 4})
    assert copying.backup(include=["acme-*"])["topic_count"] == 5
    result = copying.restore(exclude=["work-*"])
    assert (result["topic_count"], result["records"], result["positions"]) == (4, 40, 4)
    for rest in ("bulk-command", "acme-audit-audit", "acme-bulk-import", "acme-bulk-status"):
        new = copying.copied(rest)
        assert copying.site.rows(new) == rows(range(10)) and copying.site.positions(new) == {(new, 0): 4}


def test_positions_first_then_ends(copying):
    topic = copying.name("work-a")
    copying.site.create(topic)
    send_numbers(copying, "work-a", range(10))
    copying.site.commit(copying.name("work-a"), {(topic, 0): 3})
    first = copying.backup()
    send_numbers(copying, "work-a", range(10, 20))
    copying.site.create(copying.name("work-new"))
    send_numbers(copying, "work-new", range(4))
    copying.site.commit(copying.name("work-a"), {(topic, 0): 15})
    second = copying.backup(positions=copying.streams)
    assert second["positions_taken"] == first["positions_taken"] < second["ends_taken"]
    assert copying.restore()["records"] == 24
    assert copying.site.positions(copying.copied("work-a")) == {(copying.copied("work-a"), 0): 3}


def test_a_work_that_is_appended_a_moment_after_its_transaction_is_within_the_ends(copying, tmp_path):
    """Nuxeo appends works when the transaction is committed, so perhaps after the snapshot that has it."""
    topic, cut = copying.name("work-a"), tmp_path / "cut.json"
    copying.site.create(topic)
    send_numbers(copying, "work-a", range(5))
    copying.backup()
    given = {"bootstrap_servers": [copying.site.bootstrap], "prefix": copying.source, "positions": copying.streams}
    waiting = start_module("kafka_topic_info", {**given, "dest": copying.streams, "cut": str(cut)})
    (tmp_path / "new").write_text(json.dumps({"taken": "2026-11-23T02:00:04.512345Z"}))
    time.sleep(3)  # it is ready
    (tmp_path / "new").rename(cut)
    time.sleep(0.1)
    send_numbers(copying, "work-a", range(5, 6))
    end_module(waiting)
    assert copying.restore()["records"] == 6


def test_records_deleted_ahead_of_the_reader(copying):
    """The plan is made, then the source loses records: not a silent hole."""
    topic = copying.name("work-a")
    copying.site.create(topic)
    send_numbers(copying, "work-a", range(1000))
    copying.site.commit(copying.name("work-a"), {(topic, 0): 500})
    copying.backup()
    from servers.kafka.kill import Stop

    stopped = Stop(copying, after="topics")  # killed when the topics are there
    stopped.run()
    copying.site.delete_records(topic, 0, 700)
    with pytest.raises(Failed, match="deleted ahead of the reader: offsets 500 to 699"):
        copying.restore()
    result = copying.restore(accept_gaps=True)
    assert result["records"] == 300 and result["gaps"][0]["records"] == 200
    assert copying.site.rows(copying.copied("work-a")) == rows(range(700, 1000))


def test_what_no_group_needs_may_be_deleted_ahead_of_the_reader(copying):
    """Retention goes on at the source while a long copy runs."""
    topic = copying.name("work-a")
    copying.site.create(topic)
    send_numbers(copying, "work-a", range(1000))
    copying.site.commit(copying.name("work-a"), {(topic, 0): 800})
    copying.backup()
    from servers.kafka.kill import Stop

    Stop(copying, after="topics").run()
    copying.site.delete_records(topic, 0, 700)
    result = copying.restore()
    assert result["records"] == 300 and result["gaps"] == []
    assert copying.site.positions(copying.copied("work-a")) == {(copying.copied("work-a"), 0): 100}


def test_the_clusters_own_offsets_are_not_used_for_another_cluster(copying):
    from pathlib import Path

    copying.site.create(copying.name("work-a"))
    copying.backup()
    content = json.loads(Path(copying.streams).read_text())
    Path(copying.streams).write_text(json.dumps({**content, "cluster_id": "another"}))
    with pytest.raises(Failed, match="recorded on cluster another"):
        copying.restore()


def test_a_partition_of_the_lag_is_seen_by_the_tool_of_debian(copying):
    """Read back by a third client: kcat."""
    import subprocess

    copying.site.create(copying.name("work-a"))
    send_numbers(copying, "work-a", range(100))
    copying.backup()
    copying.restore()
    command = [
        "kcat",
        "-C",
        "-q",
        "-e",
        "-b",
        copying.site.bootstrap,
        "-t",
        copying.copied("work-a"),
        "-f",
        "%k %s %T\n",
    ]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert lines == [f"{n} v {NOW}" for n in range(100)]
