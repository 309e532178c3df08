# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a copy from being taken for done when it is not: answers that hold errors, records that are missing or too
many, processes that end. Without a broker."""

from __future__ import annotations

import hashlib
import os
import types

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._streams import (
    cluster,
    copier,
    feed,
    groups,
    records,
    replicate,
    topics,
    workers,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.copier import Lane, Mismatch, Task
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.errors import StreamsError

kafka = pytest.importorskip("confluent_kafka", reason="the client of Kafka is not here; make test brings it")
DENIED = kafka.KafkaError(kafka.KafkaError.GROUP_AUTHORIZATION_FAILED)
PLACE = ("p-work-a", 0)


class Future:
    """An answer that is there, or an error."""

    def __init__(self, answer):
        self.answer = answer

    def result(self, timeout):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Admin:
    """Gives one answer to whatever is asked."""

    def __init__(self, answer):
        self.answer = answer

    def poll(self, timeout):
        return 0

    def list_consumer_groups(self, **_):
        return Future(self.answer)

    def list_consumer_group_offsets(self, request, **_):
        return {request[0].group_id: Future(self.answer)}

    def alter_consumer_group_offsets(self, request, **_):
        return {request[0].group_id: Future(self.answer)}

    def describe_consumer_groups(self, names, **_):
        return {name: Future(self.answer) for name in names}

    def describe_topics(self, collection, **_):
        return {"p-work-a": Future(self.answer)}

    def describe_configs(self, resources, **_):
        return {resource: Future(self.answer[resource.name]) for resource in resources}


def asked(answer):
    """A cluster that answers so."""
    made = cluster.Cluster.__new__(cluster.Cluster)
    made.admin_module = cluster.admin_library()
    made.kafka, made._admin, made.timeout, made.where, made.last_error = kafka, Admin(answer), 0.1, "here", ""
    return made


def partition(offset, error=None):
    found = types.SimpleNamespace(topic=PLACE[0], partition=PLACE[1], offset=offset, metadata="", error=error)
    return types.SimpleNamespace(topic_partitions=[found])


@pytest.mark.parametrize("name", ["ssl.ca.location", "ssl.keystore.location"])
def test_a_client_that_cannot_be_made_is_told_without_a_secret(tmp_path, name):
    """Of a file that holds something else, for one."""
    (tmp_path / "junk").write_text("junk\n")
    settings = {"bootstrap.servers": "127.0.0.1:1", "security.protocol": "SSL", name: str(tmp_path / "junk")}
    settings["ssl.keystore.password"] = "s3cret-word"
    for make in (
        lambda: cluster.Cluster(settings, 1.0),
        lambda: copier.KafkaSink(settings, "none", 1.0, 1.0, 0),
        lambda: feed.KafkaFeed(settings, "g", 1.0, 1.0),
    ):
        with pytest.raises(StreamsError, match=r"^Making of a client for Kafka 127\.0\.0\.1:1: .*ssl") as error:
            make()
        assert "s3cret-word" not in str(error.value)


def test_a_broker_that_does_not_list_its_groups_is_an_error():
    """Else its groups would be in no backup."""
    listed = types.SimpleNamespace(valid=[types.SimpleNamespace(group_id="p-a")], errors=[])
    assert asked(listed).group_names() == ["p-a"]
    for error in (DENIED, kafka.KafkaException(DENIED)):
        listed.errors = [error]
        with pytest.raises(StreamsError, match="Listing of consumer groups"):
            asked(listed).group_names()


def test_a_position_that_cannot_be_read_or_set_is_an_error_and_not_none():
    assert asked(partition(0)).positions(["p-a"]) == {"p-a": {PLACE: (0, "")}}
    assert asked(partition(-1001)).positions(["p-a"]) == {"p-a": {}}
    with pytest.raises(StreamsError, match="Positions of groups 'p-a'"):
        asked(partition(-1001, DENIED)).positions(["p-a"])
    asked(partition(5)).commit("p-a", {PLACE: (5, "")})
    with pytest.raises(StreamsError, match="Setting the positions of group 'p-a'"):
        asked(partition(5, DENIED)).commit("p-a", {PLACE: (5, "")})


def test_what_may_not_be_seen_is_not_what_is_not_there():
    none = {"groups": "GROUP_ID_NOT_FOUND", "topics": "UNKNOWN_TOPIC_OR_PART"}
    denied = kafka.KafkaException(DENIED)
    for question, name in none.items():
        missing = kafka.KafkaException(kafka.KafkaError(getattr(kafka.KafkaError, name)))
        dead = {"p-work-a": cluster.Group("p-work-a", "DEAD", 0, frozenset())}
        assert getattr(asked(missing), question)(["p-work-a"]) == (dead if question == "groups" else {})
        with pytest.raises(StreamsError, match="Description of"):
            getattr(asked(denied), question)(["p-work-a"])


def test_settings_that_may_not_be_read_are_told_as_a_right_that_is_missing():
    """Nuxeo itself never asks for them, so its login may well lack it; the brokers are fine."""
    entry = types.SimpleNamespace(value="1", source=1)
    answers = {f"p-work-{letter}": {"retention.ms": entry} for letter in "abcde"}
    assert asked(answers).configs(["p-work-a"]) == {"p-work-a": {"retention.ms": {"value": "1", "source": "topic"}}}
    denied = kafka.KafkaException(kafka.KafkaError(kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED))
    answers.update(dict.fromkeys(["p-work-b", "p-work-d"], denied))
    with pytest.raises(StreamsError) as error:
        asked(answers).configs(sorted(answers))
    assert error.value.what == "Settings of 'p-work-b', 'p-work-d' on Kafka here"
    assert "DESCRIBE_CONFIGS" in error.value.why and "PREFIXED" in error.value.todo
    assert error.value.result == {
        "missing_rights": ["DESCRIBE_CONFIGS on topic 'p-work-b'", "DESCRIBE_CONFIGS on topic 'p-work-d'"]
    }
    answers["p-work-e"] = kafka.KafkaException(kafka.KafkaError(kafka.KafkaError.INVALID_REQUEST))
    with pytest.raises(StreamsError, match="Check the brokers"):
        asked(answers).configs(sorted(answers))


def test_a_topic_without_a_leader_is_asked_for_again():
    parts = [types.SimpleNamespace(leader=types.SimpleNamespace(id=number), replicas=[1]) for number in (1, -1)]
    topic = types.SimpleNamespace(topic_id="x", partitions=parts, authorized_operations=None)
    with pytest.raises(StreamsError, match="Description of 'p-work-a'"):
        asked(topic).topics(["p-work-a"])
    topic.partitions = parts[:1]
    assert asked(topic).topics(["p-work-a"])["p-work-a"].partitions == 1


def test_positions_are_read_back():
    class Forgets:
        def commit(self, name, positions):
            """Say yes."""

        def positions(self, names):
            return {name: {PLACE: (4, "")} for name in names}

    assert groups.commit(Forgets(), {"n-a": {PLACE: (4, "")}, "n-b": {}}) == 1
    with pytest.raises(StreamsError, match="it was set to 5 and reads back as 4"):
        groups.commit(Forgets(), {"n-a": {PLACE: (5, "")}})


def test_a_topic_that_comes_to_be_meanwhile_gets_the_settings_of_the_copy():
    """A broker makes one for whoever asks for it, with its own retention: what is copied is old, and would be gone."""
    kept, entry = {}, {}

    class Quick:
        timeout = 0.0

        def create(self, name, partitions, replication, configs, validate=False):
            return "TOPIC_ALREADY_EXISTS: there is one"

        def topics(self, names):
            return dict.fromkeys(names, types.SimpleNamespace(partitions=1))

        def configs(self, names):
            return {name: {"retention.ms": {}, "cleanup.policy": {}} for name in names}

        def alter(self, name, configs):
            kept[name] = configs

    noted = types.SimpleNamespace(topic=lambda name: entry, save=lambda: None)
    source = {"name": "p-work-a", "partition_count": 2, "configs": {}}
    assert topics._create(Quick(), noted, source, "n-work-a", 1).startswith("TOPIC_ALREADY_EXISTS")
    source["partition_count"] = 1
    assert topics._create(Quick(), noted, source, "n-work-a", 1) == ""
    assert (
        kept == {"n-work-a": {"retention.ms": "-1", "cleanup.policy": "delete"}}
        and "retention.bytes" in entry["dropped"]
    )


class Message:
    """A record of a consumer."""

    def __init__(self, offset):
        self._offset = offset

    def offset(self):
        return self._offset

    def timestamp(self):
        return 1, 1000

    def key(self):
        return b"k"

    def value(self):
        return b"%d" % self._offset

    def headers(self):
        return None


def test_a_fetch_that_reaches_beyond_the_end_is_cut_at_it():
    made = feed.KafkaFeed.__new__(feed.KafkaFeed)
    made.ends, made.next, made.beyond = {PLACE: 5}, {}, 0
    for offsets, kept, ended, beyond in (
        ([2, 3], [2, 3], False, 0),
        ([3, 4], [3, 4], True, 0),
        ([4, 5], [4], True, 1),
        ([4, 7, 8], [4], True, 3),
        ([6], [], True, 4),
    ):
        piece = made._piece(PLACE, [Message(offset) for offset in offsets])
        assert ([record.offset() for record in piece.records], piece.ended) == (kept, ended)
        assert made.beyond == beyond


class Back:
    """The target's records as they are read back, all at once."""

    def __init__(self, *offsets):
        self.offsets = offsets

    def open(self, partition, start, end):
        self.partition = partition

    def read(self):
        return [feed.Piece(self.partition, [Message(offset) for offset in self.offsets], True)]


@pytest.mark.parametrize("offsets", [(0, 1), (0, 1, 3), (1, 2, 3), ()])
def test_a_target_that_lacks_a_record_is_not_gone_on_with(offsets):
    lane = Lane(Task("t", 0, "n", 0, 9, index=1, there=3))
    assert list(workers.read_back(Back(0, 1, 2), [lane])) == [lane] and lane.content.records == 3
    known = [b"".join(records.encode(1000, b"k", b"%d" % number, None)) for number in (1, 2)]
    assert lane.known == [hashlib.sha256(raw).digest()[:16] for raw in known]
    with pytest.raises(Mismatch, match="lost records|lacks a record"):
        list(workers.read_back(Back(*offsets), [Lane(Task("t", 0, "n", 0, 9, there=3))]))


def job():
    return workers.Job("count", [], {}, {}, "g", 1.0, 1.0)


def run(monkeypatch, work, tick=lambda: None):
    """One process whose work is this; what is known of it when the work is over."""
    monkeypatch.setattr(workers, "work", work)
    told = []
    with workers.Workers(1) as pool:
        pool.run([job()], told.append, lambda: tick(pool) if work is asleep else None)
    return told


def asleep(job, emit):
    workers.time.sleep(600)


def test_a_copying_process_that_fails_or_is_killed_ends_the_copy(monkeypatch):
    assert run(monkeypatch, lambda job, emit: emit(("mark", 1))) == [("mark", 1)]

    def fail(job, emit):
        raise StreamsError("Reading", "no")

    def crash(job, emit):
        raise MemoryError

    def differ(job, emit):
        raise Mismatch("t", 0, "other")

    for work, error, words in (
        (fail, StreamsError, "Reading: no"),
        (crash, StreamsError, "MemoryError"),
        (differ, Mismatch, "topic 't', partition 0: other"),
    ):
        with pytest.raises(error, match=words):
            run(monkeypatch, work)
    with pytest.raises(StreamsError, match="it was ended from outside"):
        run(monkeypatch, asleep, lambda pool: os.kill(pool._processes[0].pid, 9))


class Producer:
    """Acknowledges one record at each look."""

    def __init__(self, waiting):
        self.waiting = waiting

    def __len__(self):
        return self.waiting

    def poll(self, timeout):
        self.waiting = max(0, self.waiting - 1)


def test_a_copy_ends_when_all_is_acknowledged():
    sink = copier.KafkaSink.__new__(copier.KafkaSink)
    sink.producer, sink.failed, sink.trouble, sink.stall = Producer(9), None, "", 60.0
    sink.finish()
    assert len(sink.producer) == 0
    sink.failed = (DENIED, "n-work-a", 0)
    with pytest.raises(StreamsError, match="Writing to topic 'n-work-a', partition 0"):
        sink.finish()


# -- the steps of a copy


def copying(monkeypatch, **counts):
    """A copy of one partition of five records; the target holds what ``there`` says, one look after the other."""
    monkeypatch.setattr(replicate, "SETTLE", 0.0)
    made = replicate.Copy.__new__(replicate.Copy)
    part = {"partition": 0, "start": 0, "end": 5}
    entry = {"done": {"records": 5, "sha256": "right"}, "verified": [5, "right"]}
    topic = {"name": PLACE[0], "partitions": [part], "empty": False, "configs": {}}
    made.journal = types.SimpleNamespace(
        plan={"topics": [topic], "prefix": "p-", "groups": []}, partition=lambda key: entry, phase="copying"
    )
    made.request = types.SimpleNamespace(target_prefix="n-", verify=True, archive="a", replication_factor=-1)
    looks = list(counts.get("there", [5]))
    made._there = lambda: {PLACE: looks.pop(0) if len(looks) > 1 else looks[0]}
    made._run = lambda kind, tasks: None
    return made, entry, part


@pytest.mark.parametrize(("there", "right"), [([5], True), ([4], False), ([6], False), ([4, 4, 5], True)])
def test_a_target_holds_as_many_records_as_are_wanted(monkeypatch, there, right):
    made, _entry, _part = copying(monkeypatch, there=there)
    if right:
        made._check_counts()
    else:
        with pytest.raises(Mismatch, match="records of 5"):
            made._check_counts()


def test_what_a_killed_run_has_sent_is_waited_for(monkeypatch):
    for there, settled in (([1, 3, 4, 4], 4), ([2, 2], 2), ([0, 7], 0)):
        assert copying(monkeypatch, there=there)[0]._settled() == {PLACE: settled}


def test_what_is_read_back_is_what_was_written(monkeypatch):
    made, entry, _part = copying(monkeypatch)
    made._verify()
    del entry["verified"]
    seen = []
    made._run = lambda kind, tasks: seen.extend(tasks) or entry.update(verified=[5, "wrong"])
    with pytest.raises(Mismatch, match="another digest"):
        made._verify()
    assert [(task.start, task.end, task.there) for task in seen] == [(0, 5, 5)]


def test_a_difference_is_a_difference_in_the_next_run_too(monkeypatch):
    """What was read back is written down whatever it is, and the topic is perhaps still the same."""
    made, entry, _part = copying(monkeypatch)
    seen = []
    made._run = lambda kind, tasks: seen.extend(tasks)
    entry["verified"] = [5, "wrong"]
    with pytest.raises(Mismatch, match="another digest"):
        made._verify()
    made._run = lambda kind, tasks: seen.extend(tasks) or entry.update(verified=[5, "right"])
    made._verify()
    made._verify()
    assert len(seen) == 2


def test_a_topic_that_differs_and_may_not_be_deleted_is_told_with_what_differs(monkeypatch):
    made, _entry, _part = copying(monkeypatch)

    def refuse(name):
        raise StreamsError(f"Deletion of topic '{name}'", "Broker: Topic authorization failed", "Check the brokers")

    made.target, made.journal.forget = types.SimpleNamespace(delete=refuse), pytest.fail
    with pytest.raises(StreamsError) as error:
        made._again(Mismatch(*PLACE, "other"))
    assert error.value.what == "Copy of topic 'p-work-a', partition 0: other"
    assert "'n-work-a' has to be made anew" in error.value.why and "authorization failed" in error.value.why
    assert "DELETE" in error.value.todo


def test_what_comes_out_of_an_archive_is_what_was_put_into_it(monkeypatch):
    made, _entry, part = copying(monkeypatch)
    made._tasks = lambda there: []
    for expected in (None, "right"):
        part["expected"] = expected
        made._copy()
    part["expected"] = "other"
    with pytest.raises(StreamsError, match="not those that were archived"):
        made._copy()


def test_each_step_of_a_copy_is_taken_and_a_difference_makes_the_topic_anew(monkeypatch):
    steps = []
    made, _entry, _part = copying(monkeypatch)
    for name in ("_create", "_copy", "_check_counts"):
        setattr(made, name, lambda name=name: steps.append(name))
    made._again = lambda error: steps.append(error.topic)
    made._verify = lambda: steps.append("_verify")
    made._copy_all()
    assert steps == ["_create", "_copy", "_check_counts", "_verify"]

    def differs():
        raise Mismatch(*PLACE, "other")

    made._verify = differs
    with pytest.raises(StreamsError, match="it differs after several attempts"):
        made._copy_all()
    assert steps.count(PLACE[0]) == 2


def test_positions_are_noted_as_ours_before_they_are_set_and_as_done_afterwards(monkeypatch):
    """A run that is killed between these goes on; one that finds positions of somebody else sets none."""
    steps = []
    made, _entry, _part = copying(monkeypatch)
    made.target, made.journal.enter = None, steps.append
    monkeypatch.setattr(replicate.topics, "set_final", lambda *_: steps.append("settings"))
    monkeypatch.setattr(replicate.groups, "commit", lambda *_: steps.append("commit"))
    monkeypatch.setattr(replicate.groups, "check_free", lambda *_: steps.append("free") or [])
    monkeypatch.setattr(replicate, "Preflight", types.SimpleNamespace(of=lambda copy: copy))
    made.refuse = steps.append
    made._finish()
    assert steps == ["settings", "copied", "free", [], "commit", "finished"]
