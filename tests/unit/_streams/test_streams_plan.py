# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a client from nuxeo.conf and from options; settings of topics; plans and journals."""

from __future__ import annotations

import json
import types

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._streams import (
    archiving,
    connection,
    journal,
    options,
    plan,
    topics,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.errors import StreamsError
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.stores import (
    certificates,
    found_in,
    private_key_store,
)


class Conf(dict):
    """A resolved nuxeo.conf."""

    home = "/opt/nuxeo/server"


def settings(conf=None, folder="/nowhere", run=None, **options):
    return connection.settings(options, None if conf is None else Conf(conf), str(folder), run)


SERVERS = {"kafka.bootstrap.servers": "a:9092,b:9092"}


@pytest.mark.parametrize(
    ("properties", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"kafka.security.protocol": "SASL_SSL"}, "PLAINTEXT"),
        ({"kafka.ssl": "true", "kafka.security.protocol": "SASL_SSL"}, "SSL"),
        ({"kafka.sasl.enabled": "true"}, "SASL_PLAINTEXT"),
        ({"kafka.sasl.enabled": "true", "kafka.ssl": "true", "kafka.security.protocol": "SASL_SSL"}, "SASL_SSL"),
        ({"kafka.sasl.enabled": "true", "kafka.security.protocol": "sasl_ssl"}, "SASL_SSL"),
    ],
)
def test_the_protocol_is_the_one_that_nuxeo_uses(properties, protocol):
    login = {"kafka.sasl.jaas.config": "x required username=u password=p;"}
    found = settings({**SERVERS, **login, **properties})
    assert (found["security.protocol"], "sasl.password" in found) == (protocol, protocol.startswith("SASL"))


def test_the_protocol_may_be_in_the_case_of_the_library():
    """Its own documentation has it in lower case, and what speaks to a broker beside it compares."""
    assert settings(SERVERS, extra_config={"security.protocol": "sasl_ssl"})["security.protocol"] == "SASL_SSL"


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ('org.x.ScramLoginModule required username="u" password="p";', {"username": "u", "password": "p"}),
        (
            'x required\n username="a \\"b\\" \\\\" password=\'it is; = here\' ;',
            {"username": 'a "b" \\', "password": "it is; = here"},
        ),
        ("x required username=u password=p;", {"username": "u", "password": "p"}),
    ],
)
def test_a_login_module_line(line, options):
    assert connection.parse_jaas(line)[1] == options


def test_options_win_over_nuxeo_conf():
    conf = {**SERVERS, "kafka.sasl.enabled": "true", "kafka.sasl.jaas.config": "x required username=u password=p;"}
    assert settings(conf) == {
        "security.protocol": "SASL_PLAINTEXT",
        "bootstrap.servers": "a:9092,b:9092",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "u",
        "sasl.password": "p",
    }
    found = settings(
        conf,
        bootstrap_servers=["c:1"],
        sasl_username="me",
        sasl_password="mine",
        sasl_mechanism="PLAIN",
        ssl_check_hostname=False,
    )
    assert (
        found["bootstrap.servers"] == "c:1" and found["sasl.password"] == "mine" and found["sasl.mechanism"] == "PLAIN"
    )
    assert found["ssl.endpoint.identification.algorithm"] == "none"


SASL = {**SERVERS, "kafka.sasl.enabled": "true", "kafka.sasl.mechanism": "SCRAM-SHA-512"}


def test_a_login_that_is_given_is_done_as_nuxeo_conf_says():
    found = settings(SASL, sasl_username="me", sasl_password="mine")
    assert (found["sasl.mechanism"], found["sasl.username"]) == ("SCRAM-SHA-512", "me")
    assert "sasl.mechanism" not in settings(SERVERS, sasl_username="me", sasl_password="mine"), "there is no login"
    given = settings({**SASL, "kafka.sasl.mechanism": "GSSAPI"}, sasl_mechanism="PLAIN", sasl_username="me")
    assert given["sasl.mechanism"] == "PLAIN"
    for login in ({"sasl_username": "me", "sasl_password": "mine"}, {}):
        with pytest.raises(StreamsError, match=r"kafka\.sasl\.mechanism 'GSSAPI' is not one of"):
            settings({**SASL, "kafka.sasl.mechanism": "GSSAPI"}, **login)
    line = {"kafka.sasl.jaas.config": "x required username=u password=p;"}
    assert settings({**SASL, **line}, sasl_mechanism="PLAIN")["sasl.mechanism"] == "PLAIN"


def test_a_login_of_another_kind_is_made_by_the_librarys_own_settings():
    """As the refusal of what nuxeo.conf has says."""
    kerberos = {"sasl.mechanism": "GSSAPI", "sasl.kerberos.keytab": "/etc/k"}
    found = settings({**SASL, "kafka.sasl.mechanism": "GSSAPI"}, extra_config=kerberos)
    assert found["sasl.mechanism"] == "GSSAPI" and "sasl.username" not in found


def test_a_restore_reaches_kafka_as_it_will_be_reached(tmp_path):
    (tmp_path / "templates/default").mkdir(parents=True)
    for name in ("templates/nuxeo.defaults", "templates/default/nuxeo.defaults"):
        (tmp_path / name).touch()
    (tmp_path / "nuxeo.conf").write_text("kafka.bootstrap.servers=a:9092\nkafka.topicPrefix=nuxeo-\n")
    wanted = {"kafka.bootstrap.servers": "b:9093", "kafka.ssl": True, "kafka.topicPrefix": "copy-"}
    named = {"nuxeo_conf": str(tmp_path / "nuxeo.conf"), "nuxeo_home": str(tmp_path), "nuxeo_version": "2023"}
    params = dict.fromkeys(options.CONNECTION) | {"prefix": None, "nuxeo_environment": {}, "timeout": 1, **named}
    params["nuxeo_properties"] = wanted
    assert options.prefix_of(params, "prefix") == "copy-"
    (tmp_path / "tmp").mkdir()
    with options.client_settings(params, None, str(tmp_path / "tmp")) as make:
        found = make(None)
        assert len(list((tmp_path / "tmp").iterdir())) == 1, "Ansible removes it when the module is killed"
    assert not list((tmp_path / "tmp").iterdir())
    assert (found["bootstrap.servers"], found["security.protocol"]) == ("b:9093", "SSL")


def test_a_relative_store_is_below_the_home(tmp_path, monkeypatch):
    """There the server has its working directory; ours is anywhere."""
    monkeypatch.setattr(Conf, "home", str(tmp_path))
    (tmp_path / "conf").mkdir()
    for name in ("conf/ca.pem", "own.pem"):
        (tmp_path / name).touch()
    stores = {"kafka.truststore.path": "conf/ca.pem", "kafka.keystore.path": str(tmp_path / "own.pem")}
    types = {"kafka.ssl": "true", "kafka.truststore.type": "PEM", "kafka.keystore.type": "PEM"}
    found = settings({**SERVERS, **types, **stores})
    assert found["ssl.ca.location"] == str(tmp_path / "conf/ca.pem")
    assert found["ssl.certificate.location"] == str(tmp_path / "own.pem")


@pytest.mark.parametrize(
    "conf",
    [
        {**SERVERS, "kafka.sasl.enabled": "true", "kafka.sasl.jaas.config": ""},
        {**SERVERS, "kafka.sasl.enabled": "true", "kafka.sasl.jaas.config": "x required username=u;"},
        {
            **SERVERS,
            "kafka.sasl.enabled": "true",
            "kafka.sasl.mechanism": "GSSAPI",
            "kafka.sasl.jaas.config": "x required;",
        },
        {},
    ],
)
def test_what_cannot_work_is_an_error(conf):
    with pytest.raises(StreamsError):
        settings(conf)


@pytest.mark.parametrize(
    ("option", "told", "prefix"),
    [(None, {}, "nuxeo-"), (None, {"kafka.topicPrefix": "a"}, "a"), ("b", {"kafka.topicPrefix": "a"}, "b")]
    + [(None, {"kafka.topicPrefix": ""}, ""), ("", {"kafka.topicPrefix": "a"}, "")],
)
def test_an_empty_prefix_is_not_taken_for_the_default(monkeypatch, option, told, prefix):
    monkeypatch.setattr(options, "configuration", lambda params: Conf(told))
    assert options.prefix_of({"prefix": option}, "prefix") == prefix


def test_a_secret_in_extra_config_is_refused():
    with pytest.raises(StreamsError, match="option made for it"):
        settings(SERVERS, extra_config={"ssl.key.password": "x"})
    assert settings(SERVERS, extra_config={"socket.nagle.disable": "true"})["socket.nagle.disable"] == "true"


def test_a_file_that_cannot_be_read_is_told_at_once(tmp_path):
    with pytest.raises(StreamsError, match=r"nowhere\.pem"):
        settings(SERVERS, ssl_cafile=str(tmp_path / "nowhere.pem"))


def test_passwords_of_stores_are_never_arguments(tmp_path):
    seen = []

    def run(command):
        seen.append(command)
        return 0, "junk\n-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\njunk\n", ""

    pem = certificates("t.jks", "JKS", "s3cret", str(tmp_path), run)["ssl.ca.location"]
    with open(pem) as stream:
        assert stream.read() == "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
    (tmp_path / "made").touch()
    with pytest.raises(OSError):
        private_key_store("k.jks", "JKS", "s3cret", str(tmp_path), run)  # this keytool makes no file
    assert "s3cret" not in json.dumps(seen)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.name != "made"} == {0o600}
    assert private_key_store("k.p12", "PKCS12", "s", "", run)["ssl.keystore.location"] == "k.p12"
    with pytest.raises(StreamsError, match="keytool"):
        certificates("t.jks", "JKS", "s3cret", str(tmp_path), lambda command: (1, "", "keytool error: no"))


def test_keytool_is_that_of_the_java_of_nuxeo(tmp_path):
    program = tmp_path / "jdk" / "bin" / "keytool"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    homes = [None, str(tmp_path / "gone"), str(tmp_path / "jdk")]
    assert found_in(homes, list)(["keytool", "-list"]) == [str(program), "-list"]
    assert found_in(homes[:2], list)(["keytool", "-list"]) == ["keytool", "-list"]


def config(**values):
    return {name.replace("_", "."): {"value": value, "source": source} for name, (value, source) in values.items()}


def test_settings_of_a_topic():
    source = config(
        retention_ms=("5", "topic"),
        cleanup_policy=("compact", "broker"),
        segment_ms=("7", "broker"),
        max_message_bytes=("100", "default"),
        min_insync_replicas=("2", "topic"),
        leader_replication_throttled_replicas=("x", "topic"),
    )
    assert topics.carried(source, 3) == {"retention.ms": "5", "cleanup.policy": "compact", "min.insync.replicas": "2"}
    assert "min.insync.replicas" not in topics.carried(source, 1)
    held = topics.held({"configs": source}, -1)
    assert held["cleanup.policy"] == "delete" and held["retention.ms"] == held["retention.bytes"] == "-1"
    assert topics.held({"configs": source, "empty": True}, -1)["retention.ms"] == "5"
    assert held["message.timestamp.type"] == "CreateTime" and int(held["max.message.bytes"]) == topics.LARGEST
    assert topics.final({"configs": source}, -1, topics.RETENTION) == {
        "cleanup.policy": "compact",
        "retention.ms": "5",
        "retention.bytes": None,
    }


def test_settings_that_a_copy_holds_are_recorded_as_it_will_set_them(tmp_path):
    path = str(tmp_path / "state.json")
    source = {"name": "p-work-a", "configs": config(retention_ms=("5", "default"), cleanup_policy=("compact", "topic"))}
    copy = journal.Journal(path, {"a": 1})
    copy.begin({"topics": [source]}, None)
    copy.topic("p-work-a").update(target="n-work-a", id="x")
    copy.enter("finished")

    def made(topic_id):
        held = config(retention_ms=("-1", "topic"), cleanup_policy=("delete", "topic"), segment_ms=("7", "topic"))
        return {"name": "n-work-a", "id": topic_id, "configs": held}

    ours, other, set_since = made("x"), made("y"), made("x")
    set_since["configs"].update(config(retention_ms=("9", "topic")))
    assert topics.lasting([ours, other, set_since], path) == ""
    assert ours["configs"] == {**source["configs"], **config(segment_ms=("7", "topic"))}
    assert other == made("y") and set_since["configs"]["retention.ms"]["value"] == "9"
    copy.enter("released")
    left = made("x")
    assert topics.lasting([left], path) == topics.lasting([left], str(tmp_path / "none")) == "" and left == made("x")


class Broker:
    """A broker that knows some settings."""

    def __init__(self, *known):
        self.known = known

    def create(self, name, partitions, replication, configs, validate=False):
        unknown = sorted(key for key in configs if key not in self.known)
        return f"INVALID_CONFIG: Unknown topic config name: {unknown[0]}" if unknown else ""


def test_settings_that_the_target_does_not_know_are_dropped_and_told():
    wanted = {"retention.ms": "1", "message.timestamp.difference.max.ms": "2"}
    assert topics.known(Broker("retention.ms"), "t", 1, 1, wanted) == (
        {"retention.ms": "1"},
        ["message.timestamp.difference.max.ms"],
        "",
    )
    assert topics.known(Broker(), "t", 1, 1, {"retention.ms": "1"})[2].startswith("INVALID_CONFIG")


def recorded(start=0, stable=100, end=100, positions=((0, 40),), name="p-work-a", topic_id="x"):
    parts = [{"partition": n, "start": start, "stable": stable, "end": end} for n in range(2)]
    topic = {
        "name": name,
        "id": topic_id,
        "partition_count": 2,
        "replication_factor": 1,
        "configs": {},
        "partitions": parts,
    }
    group = {
        "name": "p-work-a",
        "positions": [{"topic": name, "partition": n, "offset": o, "metadata": ""} for n, o in positions],
    }
    ended = "2026-11-23T02:00:04.512Z"
    return {"cluster_id": "c", "prefix": "p-", "topics": [topic], "groups": [group], "ends_taken": ended}


class Cluster:
    """A cluster with one topic."""

    where = "here"

    def __init__(self, start=0, end=100, stable=None, topic_id="x", newer=-1):
        self.values = {"start": start, "end": end, "stable": end if stable is None else stable}
        self.topic_id = topic_id
        self.newer = newer

    def cluster_id(self):
        return "c"

    def topics(self, names):
        return {name: types.SimpleNamespace(id=self.topic_id) for name in names if self.topic_id is not None}

    def offsets(self, keys, which):
        return dict.fromkeys(keys, self.values[which])

    def offsets_at(self, keys, moment):
        """The records from ``newer`` on are of a minute after the ends were read, or of later."""
        ended = plan.parse_until(recorded()["ends_taken"])
        return dict.fromkeys(keys, self.newer if moment <= ended + 60_000 else -1)


def planned(snapshot, cluster, until=None, empty=()):
    return plan.from_cluster(cluster, snapshot, until, empty, choice=None, have_positions=True)


@pytest.mark.parametrize(("newer", "why"), [(-1, []), (100, []), (0, ["made anew"]), (99, ["made anew"])])
def test_without_ids_a_topic_with_newer_records_before_the_end_was_made_anew(newer, why):
    gaps = planned(recorded(topic_id=""), Cluster(topic_id="", newer=newer))["gaps"]
    assert [word for word in why if all(word in gap["why"] for gap in gaps)] == why
    assert bool(gaps) == bool(why)


def test_only_what_is_needed_and_lost_is_a_gap():
    assert planned(recorded(positions=((0, 40), (1, 40))), Cluster(start=40))["gaps"] == []
    gaps = planned(recorded(positions=((0, 40), (1, 60))), Cluster(start=55))["gaps"]
    assert [(g["partition"], g["from"], g["to"], g["records"]) for g in gaps] == [(0, 40, 55, 15)]
    gaps = planned(recorded(start=10), Cluster(start=55))["gaps"]  # partition 1 has no position: all of it is needed
    assert [(g["partition"], g["from"], g["to"]) for g in gaps] == [(0, 40, 55), (1, 10, 55)]
    gaps = planned(recorded(start=50, positions=((0, 40), (1, 50))), Cluster(start=55))["gaps"]  # lost before the ends
    assert [(g["partition"], g["from"], g["to"]) for g in gaps] == [(0, 40, 55), (1, 50, 55)]
    other = {"name": "p-other", "positions": recorded(positions=((1, 50),))["groups"][0]["positions"]}
    both = recorded(start=50)
    both["groups"].append(other)  # each has no position where the other has one
    assert [(g["partition"], g["from"], g["to"]) for g in planned(both, Cluster(start=50))["gaps"]] == [(0, 40, 50)]
    apart = recorded(start=10)
    apart["groups"].append({"name": "p-other", "positions": recorded(positions=((1, 60),))["groups"][0]["positions"]})
    gaps = planned(apart, Cluster(start=55))["gaps"]  # each begins at the start where only the other is farther
    assert [(g["partition"], g["from"], g["to"]) for g in gaps] == [(0, 10, 55), (1, 10, 55)]
    gaps = planned(recorded(start=50, positions=((0, 40), (1, 50))), Cluster(topic_id=None))["gaps"]
    assert [(g["partition"], g["from"], g["to"]) for g in gaps] == [(0, 40, 100), (1, 50, 100)]
    assert planned(recorded(positions=()), Cluster(start=55))["gaps"] == []
    assert planned(recorded(), Cluster(start=55), empty=["work-*"])["gaps"] == []
    assert planned(recorded(), Cluster(topic_id=None))["gaps"][0]["why"] == "the topic was deleted"
    assert planned(recorded(), Cluster(topic_id="y"))["gaps"][0]["why"] == "the topic was made anew"
    (gap,) = planned(recorded(positions=((0, 95), (1, 100))), Cluster(end=90))["gaps"]
    assert (gap["why"], gap["from"], gap["to"]) == ("the source has lost its tail", 95, 100)
    (gap,) = planned(recorded(positions=((0, 40), (1, 41))), Cluster(start=41))["gaps"]
    assert (gap["partition"], gap["from"], gap["to"]) == (0, 40, 41), "one record is one too many"
    found = planned(recorded(), Cluster(start=500, end=500))
    assert found["gaps"][0]["to"] == 100
    assert [(part["start"], part["end"]) for part in found["topics"][0]["partitions"]] == [(100, 100)] * 2


def test_work_repeated_from_the_start_is_from_that_of_today():
    found = plan.from_cluster(Cluster(start=50), recorded(start=50), 5, (), choice="start", have_positions=False)
    assert found["gaps"] == [] and found["groups"][0]["positions"][0]["offset"] == 0


def test_the_end_is_the_recorded_one_or_for_a_cut_by_time_todays():
    ends = [part["end"] for part in planned(recorded(), Cluster(end=300))["topics"][0]["partitions"]]
    assert ends == [100, 100]
    ends = [
        part["end"] for part in planned(recorded(), Cluster(end=300, stable=250), until=5)["topics"][0]["partitions"]
    ]
    assert ends == [250, 250]


def test_positions_that_never_were_need_a_choice():
    assert planned(recorded(positions=((0, 100),)), Cluster())["out_of_range"] == []
    found = planned(recorded(positions=((0, 101),)), Cluster())
    assert planned(recorded(positions=((0, 101),)), Cluster(end=300), until=5)["out_of_range"] == found["out_of_range"]
    with pytest.raises(StreamsError, match="past the end"):
        plan.settle_out_of_range(found, None)
    assert plan.settle_out_of_range(found, "start")["groups"][0]["positions"][0]["offset"] == 0
    assert plan.settle_out_of_range(found, "end")["groups"][0]["positions"][0]["offset"] == plan.PAST_END
    with pytest.raises(StreamsError, match="start"):
        plan.groups_of(recorded(), None, False)


def test_positions_that_never_were_are_of_no_matter_in_a_topic_that_is_made_empty():
    """Every group begins there with nothing."""
    snapshot = recorded(positions=((0, 101),), name="p-pubsub")
    held = [{"partition": n, "start": 0, "end": 100, "sha256": "x"} for n in range(2)]
    index = {"gaps": [], "topics": [{"name": "p-pubsub", "partitions": held}]}
    for empty, told in (((), 1), (["pubsub"], 0)):
        assert len(planned(snapshot, Cluster(), empty=empty)["out_of_range"]) == told
        assert len(plan.from_archive(index, snapshot, empty)["out_of_range"]) == told


@pytest.mark.parametrize("choice", ["start", "end"])
def test_an_archive_holds_what_a_restore_may_be_told_to_repeat(choice):
    """For a position that never was the operator may choose the start: it is that of Kafka's then."""
    snapshot = recorded(start=10, positions=((0, 500), (1, 60)))
    archived = plan.lowest_only(planned(snapshot, Cluster(start=10)))["topics"][0]["partitions"]
    assert [(part["start"], part["end"]) for part in archived] == [(10, 100), (60, 100)]
    index = {"gaps": [], "topics": [{"name": "p-work-a", "partitions": [{**part, "sha256": "x"} for part in archived]}]}
    there = planned(snapshot, Cluster(start=10)), plan.from_archive(index, snapshot, ())
    first, second = (plan.settle_out_of_range(found, choice)["groups"] for found in there)
    assert first == second


def test_an_archive_begins_at_the_lowest_position():
    found = plan.lowest_only(planned(recorded(positions=((0, 40), (1, 60))), Cluster()))
    assert [part["start"] for part in found["topics"][0]["partitions"]] == [40, 60]
    found = plan.lowest_only(planned(recorded(positions=()), Cluster()))
    assert [part["start"] for part in found["topics"][0]["partitions"]] == [0, 0]
    found = plan.lowest_only(planned(recorded(end=200, positions=((0, 40), (1, 120))), Cluster(start=50, end=200)))
    assert [part["start"] for part in found["topics"][0]["partitions"]] == [50, 100], "no earlier and no later"


def test_records_of_a_clock_that_is_a_little_fast_are_not_those_of_another_topic():
    """Brokers before 2.8 give topics no id, and the time of a record is that of who has sent it."""
    moments = []
    cluster = Cluster(topic_id="")
    cluster.offsets_at = lambda keys, moment: moments.append(moment) or dict.fromkeys(keys, -1)
    assert planned(recorded(topic_id=""), cluster)["gaps"] == []
    assert moments == [plan.parse_until(recorded()["ends_taken"]) + 60_000]


def test_records_deleted_ahead_of_the_archives_reader_are_gaps_of_the_archive(tmp_path):
    (tmp_path / "streams.json").touch()
    found = plan.lowest_only(planned(recorded(positions=((0, 40), (1, 60))), Cluster(start=50)))
    done = {
        ("p-work-a", 0): {"records": 0, "bytes": 0, "sha256": "x", "gap": None},
        ("p-work-a", 1): {"records": 0, "bytes": 0, "sha256": "x", "gap": [60, 75]},
    }
    index = archiving._index(found, str(tmp_path / "streams.json"), done)
    gaps = [(g["partition"], g["from"], g["to"], g["records"], g["why"]) for g in index["gaps"]]
    assert gaps == [(0, 40, 50, 10, "expired"), (1, 60, 75, 15, "deleted ahead of the reader")]


def test_a_journal_goes_on_from_its_last_usable_mark(tmp_path):
    path = str(tmp_path / "state.json")
    first = journal.Journal(path, {"a": 1})
    assert not first.load()
    first.begin(planned(recorded(), Cluster()), None)
    for index in range(0, 60, 3):
        first.take(("mark", "p-work-a", 0, index, index + 10, [0, 5, index], [0, 9], None, 0))
    first.take(("done", "p-work-a", 1, {"records": 3}, [1]))
    first.tick()
    second = journal.Journal(path, {"a": 1})
    assert second.load() and second.phase == "copying"
    names = {"p-work-a": "n-work-a"}
    (task,) = second.tasks(names, {("p-work-a", 0): 50}, False)
    assert (task.index, task.start, task.there, task.translated) == (48, 58, 50, [0, 5])
    (task,) = second.tasks(names, {("p-work-a", 0): 2}, False)  # no mark is that early
    assert (task.index, task.start, task.translated) == (0, 0, [])
    second.forget("p-work-a")
    assert len(second.tasks(names, {}, False)) == 2
    with pytest.raises(StreamsError, match=r"other options \(a\)\. Run it with those that it was made with, or give"):
        journal.Journal(path, {"a": 2}).load()
    (tmp_path / "state.json").write_text(json.dumps({"schema": 1, "kind": "nuxeo.platform/streams"}))
    with pytest.raises(StreamsError, match="it is not a copy's state"):
        journal.Journal(path, {"a": 1}).load()
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(StreamsError, match="state file"):
        journal.Journal(path, {"a": 1}).load()
