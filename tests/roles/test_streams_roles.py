# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance with its streams in Kafka: it appends and works off while it is backed up; what comes back is consistent.

Read back with kafka-python, which neither the collection nor the stand-in uses.
"""

from __future__ import annotations

import collections
import contextlib
import json
import sys
import time
import typing as t
import uuid
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public there, and not said to mypy
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from servers.deployment import Site
from servers.kafka.kafka_server import DEFAULT_VERSION, USERS, Kafka
from servers.kafka.tools import Site as Topics
from servers.nuxeo import proof
from servers.tiers import engines_only

pytestmark = pytest.mark.xdist_group("streams")

PARTS = {"audit-audit": 4, "work-default": 2, "audit": 4, "default": 2}
GROUPS = {
    "modern": {"audit-writer": "audit-audit", "work-default": "work-default"},
    "legacy": {"AuditLogWriter": "audit", "default": "default"},
}
LOGIN = {
    "kafka.sasl.enabled": "true",
    "kafka.security.protocol": "SASL_PLAINTEXT",
    "kafka.sasl.mechanism": "SCRAM-SHA-512",
    "kafka.sasl.jaas.config": 'org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" '
    f'password="{USERS["admin"]}";',
}


class Streams:
    """An instance on Kafka, its site, and what its topics hold."""

    def __init__(self, site: Site, kafka: Kafka, make: t.Callable[..., t.Any], database: t.Any, kind: str) -> None:
        self.site, self.kafka, self.kind, self.database = site, kafka, kind, database
        self.prefix = f"n{uuid.uuid4().hex[:8]}-"
        self.topics = Topics(kafka.bootstrap)
        self.properties = {
            "kafka.enabled": "true",
            "kafka.bootstrap.servers": ",".join(kafka.addresses("SASL_PLAINTEXT")),
            "kafka.topicPrefix": self.prefix,
            "standin.streams": kind,
            **LOGIN,
        }
        version = "2023.31" if kind == "modern" else "10.10"
        self.instance = make(database, version, properties=self.properties)
        self.ledger = self.instance.ledger.with_name("streams.jsonl")
        site.add("acme", self.instance, nuxeo_client_python=sys.executable)

    def lines(self, what: str, topic: str = "") -> list[dict[str, t.Any]]:
        """The ledger's lines of a kind, of records in a topic."""
        with contextlib.suppress(FileNotFoundError):
            found = [json.loads(line) for line in self.ledger.read_text().splitlines()]
            return [line for line in found if line["what"] == what and line.get("topic", "") in ("", topic)]
        return []

    def docs(self, prefix: str, name: str) -> list[str]:
        """The documents of a topic's records, partition by partition."""
        rows = [row for number in range(PARTS[name]) for row in self.topics.rows(prefix + name, number)]
        return [json.loads(row.value or b"")["doc"] for row in rows]

    def streams(self, name: str = "acme") -> dict[str, t.Any]:
        """streams.json of the newest set."""
        return dict(json.loads((self.site.sets(name)[-1] / "streams.json").read_text()))

    def settled(self, prefix: str, name: str, count: int) -> list[dict[str, t.Any]]:
        """The records that the restored server has worked off, as soon as there are so many."""
        deadline = time.monotonic() + 60
        while len(self.lines("worked", prefix + name)) < count and time.monotonic() < deadline:
            time.sleep(0.2)
        return self.lines("worked", prefix + name)


@pytest.fixture
def make_streams(
    site: Site,
    kafka: Kafka,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
) -> t.Callable[..., Streams]:
    def make(kind: str = "modern") -> Streams:
        return Streams(site, kafka, make_nuxeo, make_database(postgresql15), kind)

    return make


def prove(streams: Streams, server: t.Any, prefix: str) -> None:
    """I2 and I3 of the consistency model, against the ledgers of the server that wrote meanwhile."""
    recorded, manifest = streams.streams(), streams.site.manifest("acme")
    there = proof.documents(server, streams.database.name)
    ledger = [json.loads(line) for line in streams.instance.ledger.read_text().splitlines()]
    removed = {line["id"] for line in ledger if line["what"] == "deleted"}
    ended = proof.seconds(manifest["cuts"]["streams"])
    late = {line["id"] for line in ledger if line["what"] == "created" and line["ended"] > ended}
    appended = {line["id"]: line["ended"] for line in streams.lines("appended")}
    cut = proof.seconds(manifest["backup_date"])
    for group, name in GROUPS[streams.kind].items():
        copied = streams.docs(prefix, name)
        assert collections.Counter(copied).most_common(1)[0][1] == 1, "a record came twice"
        assert not set(copied) & late, "records from after the cut"
        window = {line["id"] for line in ledger if line["what"] == "created" and line["ended"] >= cut}
        assert set(copied) - there - removed <= window, "records of documents that the restored database lacks"
        assert {doc for doc in there if appended[doc] < cut} <= set(copied), "records are missing"
        source = [line["id"] for line in streams.lines("worked", streams.prefix + name)]
        before = {
            line["id"]
            for line in streams.lines("worked", streams.prefix + name)
            if line["ended"] < proof.seconds(recorded["positions_taken"])
        }
        entry = next(one for one in recorded["groups"] if one["name"] == streams.prefix + group)
        done = sum(position["offset"] for position in entry["positions"])
        worked = [line["id"] for line in streams.settled(prefix, name, len(copied) - done)]
        assert collections.Counter(worked).most_common(1)[0][1] == 1 if worked else True
        assert not set(worked) & before, "work from before T0 was repeated"
        assert set(copied) - set(worked) <= set(source), "work was skipped"
        assert len(worked) == len(copied) - done
        assert len(before) > 5


@pytest.mark.parametrize(
    "kind", ["modern", pytest.param("legacy", marks=engines_only("a cold backup has these names too"))]
)
def test_streams_come_back_up_to_the_cut_with_every_group_where_it_was(
    make_streams: t.Callable[..., Streams], postgresql15: t.Any, kind: str
) -> None:
    """The whole trip while the server writes, then once more, then again after work; and retention released. Topics
    that look like another instance's are with it, since the operator says so."""
    streams = make_streams(kind)
    for name in ("acme-audit-audit", "acme-bulk-command"):
        streams.topics.create(streams.prefix + name)
        streams.topics.send(streams.prefix + name, [(0, 1_700_000_000_000, b"k", name.encode())])
    site, instance = streams.site, streams.instance.start()
    audit = GROUPS[kind]["audit-writer" if kind == "modern" else "AuditLogWriter"]
    streams.topics.alter(streams.prefix + audit, retention_ms=604_800_000)
    instance.create_documents(20)
    instance.write(40)
    done = site.backup(backup_streams_include=["acme-*"])
    instance.write(0)
    manifest = site.manifest("acme")
    assert manifest["uncovered"] == []
    assert manifest["streams"]["topics"] == len(streams.streams()["topics"])
    assert manifest["cut_seconds"] >= 0
    assert USERS["admin"] not in done.stdout + json.dumps([task.result for task in done.tasks])
    instance.create_documents(5)
    site.restore(postgresql15, restore_overwrite=True)
    prefix = f"{streams.prefix}{manifest['id']}-"
    assert f"kafka.topicPrefix={prefix}" in instance.conf.read_text()
    prove(streams, postgresql15, prefix)
    for name in ("acme-audit-audit", "acme-bulk-command"):
        assert [row.value for row in streams.topics.rows(prefix + name)] == [name.encode()]
    assert len(streams.docs(streams.prefix, audit)) > len(streams.docs(prefix, audit))  # the source is untouched
    assert site.restore(postgresql15).changed == []
    if kind == "legacy":
        return
    told = site.run("streams_release", "--check").check()
    assert f"{prefix}acme-audit-audit (1 records)" in " ".join(told.stderr.split())  # wrapped
    assert streams.topics.configs(prefix + audit)["retention.ms"] == "-1"
    released = site.run("streams_release").check()
    assert streams.topics.configs(prefix + audit)["retention.ms"] == "604800000"
    assert USERS["admin"] not in released.stdout
    assert site.run("streams_release").check().changed == []
    restored = streams.docs(prefix, audit)
    instance.create_documents(3)
    site.restore(postgresql15, restore_overwrite=True)
    assert f"kafka.topicPrefix={prefix}2-" in instance.conf.read_text()
    assert streams.docs(f"{prefix}2-", audit) == restored


def test_a_lost_kafka_does_not_end_the_restore(
    make_streams: t.Callable[..., Streams], postgresql15: t.Any, tmp_path: Path
) -> None:
    """Without the topics it is refused before anything is changed; from the archive it goes into another Kafka. What
    Kafka had lost before needs the operator's word again, and is told before anything is changed."""
    streams = make_streams()
    site, instance = streams.site, streams.instance.start()
    instance.create_documents(20)
    instance.write(40)
    idle = streams.prefix + "work-idle"
    streams.topics.create(idle)
    streams.topics.send(idle, [(0, -1, b"k", b"%d" % n) for n in range(10)])
    streams.topics.commit(idle, {(idle, 0): 2})
    streams.topics.delete_records(idle, 0, 5)
    site.backup("-e", "backup_streams_archive=true", backup_streams_accept_gaps=True)
    instance.write(0)
    site.assert_all_verify("acme")
    instance.stop()
    copied = streams.docs(streams.prefix, "work-default")
    recorded = streams.streams()
    for topic in recorded["topics"]:
        streams.topics.delete(topic["name"])
    database = postgresql15.psql("select max(xmin::text::bigint) from hierarchy", streams.database.name)
    refused = site.run("restore", **site.admin(postgresql15), restore_overwrite=True)
    assert refused.rc != 0
    assert "the topic was deleted" in " ".join(refused.failures)
    assert all(task.task.endswith("compare, rename") for task in refused.tasks if task.status == "changed")  # foretold
    assert postgresql15.psql("select max(xmin::text::bigint) from hierarchy", streams.database.name) == database
    with Kafka(streams.kafka.version, str(tmp_path / "other"), secure=True) as other:
        more = {"kafka.bootstrap.servers": other.addresses("SASL_PLAINTEXT")[0]}
        given = {"restore_overwrite": True, "restore_streams_from": "archive", "restore_properties": json.dumps(more)}
        refused = site.run("restore", "--check", **site.admin(postgresql15), **given)
        assert refused.rc != 0
        assert f"topic '{idle}', partition 0, offsets 2 to 4 (expired" in " ".join(refused.failures)
        site.restore(postgresql15, "-e", "restore_streams=true", restore_streams_accept_gaps=True, **given)
        prefix = f"{streams.prefix}{site.manifest('acme')['id']}-"
        ends = {
            (topic["name"], part["partition"]): part["stable"]
            for topic in recorded["topics"]
            for part in topic["partitions"]
        }
        group = next(one for one in recorded["groups"] if one["name"] == streams.prefix + "work-default")
        left = {(one["topic"], one["partition"]): one["offset"] for one in group["positions"]}
        streams.topics = Topics(other.bootstrap)
        for number in range(PARTS["work-default"]):
            key = (streams.prefix + "work-default", number)
            rows = streams.topics.rows(prefix + "work-default", number)
            assert len(rows) == ends[key] - left[key]
            assert {json.loads(row.value or b"")["doc"] for row in rows} <= set(copied)
        instance.stop()


def test_another_kafka_gets_the_topics_of_the_old_one(
    make_streams: t.Callable[..., Streams], postgresql15: t.Any, tmp_path: Path
) -> None:
    """Both Kafkas live, each with a login of its own; and a right that is lacking is named before anything is done."""
    streams = make_streams()
    site, instance = streams.site, streams.instance.start()
    instance.create_documents(30)
    site.backup()
    instance.create_documents(5)
    prefix = f"{streams.prefix}{site.manifest('acme')['id']}-"
    source = {
        "bootstrap_servers": streams.kafka.addresses("SASL_PLAINTEXT"),
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": "copier",
    }
    with Kafka(streams.kafka.version, str(tmp_path / "other"), secure=True) as other:
        given = {
            "restore_overwrite": True,
            "restore_properties": {"kafka.bootstrap.servers": other.addresses("SASL_PLAINTEXT")[0]},
            "restore_streams_source": source,
            "restore_streams_source_password": USERS["copier"],
        }
        refused = site.run("restore", **site.admin(postgresql15), **given)
        assert refused.rc != 0
        assert f"DESCRIBE on topic '{streams.prefix}audit-audit'" in " ".join(refused.failures)
        assert instance.running
        right = AclBinding(
            ResourceType.TOPIC,
            streams.prefix,
            ResourcePatternType.PREFIXED,
            "User:copier",
            "*",
            AclOperation.READ,
            AclPermissionType.ALLOW,
        )
        streams.topics.admin.create_acls([right])[right].result(20)
        done = site.restore(postgresql15, "-vvv", **given)
        assert USERS["copier"] not in done.stdout + json.dumps([task.result for task in done.tasks])
        new, count = Topics(other.bootstrap), 0
        for number in range(PARTS["audit-audit"]):
            rows = new.rows(f"{prefix}audit-audit", number)
            assert rows == streams.topics.rows(f"{streams.prefix}audit-audit", number)[: len(rows)]
            count += len(rows)
        assert count == 30
        assert prefix + "audit-audit" not in streams.topics.admin.list_topics(timeout=10).topics
        instance.stop()


def test_problems_of_streams_are_told_before_anything_is_done(make_streams: t.Callable[..., Streams]) -> None:
    """Another instance's topics that may be this one's, and a login that Kafka refuses, without the secret."""
    streams = make_streams()
    site, instance = streams.site, streams.instance.start()
    instance.create_documents(3)
    streams.topics.create(streams.prefix + "test-bulk-command", 1)
    refused = site.run("backup")
    assert refused.rc != 0
    assert "'test-bulk-command'" in " ".join(refused.failures).replace(streams.prefix, "")
    assert "backup_streams_include" in " ".join(refused.failures)
    assert site.sets("acme") == [] == site.partial("acme")
    told = site.backup("--check", backup_streams_exclude=["test-*"])
    assert "WOULD BACK UP" in told.stdout
    conf = instance.conf.read_text()
    instance.conf.write_text(conf.replace(USERS["admin"], "not-it-at-all"))
    refused = site.run("backup", backup_streams_exclude=["test-*"])
    assert refused.rc != 0
    assert "uthentication" in " ".join(refused.failures)
    assert "not-it-at-all" not in refused.stdout + json.dumps([task.result for task in refused.tasks])
    instance.conf.write_text(conf)


def test_two_instances_of_a_play_never_get_the_same_topics(
    make_streams: t.Callable[..., Streams],
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
) -> None:
    """Each would see nothing of the other before both have made them. A clone has its name in its prefix."""
    streams = make_streams()
    site, instance = streams.site, streams.instance.start()
    instance.create_documents(3)
    site.backup()
    clone = make_nuxeo(make_database(postgresql15), "2023.31", properties=streams.properties)
    site.add("staging", clone, nuxeo_client_python=sys.executable, restore_from_instance="acme", restore_overwrite=True)
    given = {"nuxeo_hosts": "acme:staging", **site.admin(postgresql15), "restore_overwrite": True}
    refused = site.run("restore", "--check", restore_streams_prefix="same-", **given)
    told = " ".join(refused.failures)
    assert "staging of this play would get the same one" in told and "acme of this play would get the same one" in told
    found = site.run("restore", "--check", **given).check()
    prefix = f"{streams.prefix}{site.manifest('acme')['id']}-"
    assert f"to '{prefix}'" in found.stdout and f"to '{prefix}staging-'" in found.stdout


def test_a_set_that_is_there_comes_back_under_another_prefix_with_all_the_rest(
    local_inventory: t.Callable[..., Path], run_playbook: t.Callable[..., t.Any], tmp_path: Path
) -> None:
    """The way out where it was restored with other options than are wanted."""
    marker = {"set": "20261123T020004Z", "run": "a1b2", "status": "finished", "streams": {"prefix": "first-"}}
    facts = {"data_dir": str(tmp_path), "streams": {"kind": "kafka", "bootstrap_servers": ["127.0.0.1:1"]}}
    manifest = {"id": marker["set"], "instance": "acme", "streams": {"prefix": "nuxeo-", "topics": 3}}
    known = {
        "__restore_node": {"facts": facts},
        "__restore_found": {"id": marker["set"], "manifest": manifest, "manifest_sha256": marker["run"]},
        "__restore_target": {"marker": marker, "unchanged": True},
        "__restore_database_check": {"changed": False},
        "nuxeo_client_python": str(tmp_path / "none"),  # what comes after the prefix is no matter here
        "nuxeo_backup_root": str(tmp_path),
    }
    include = {"ansible.builtin.include_role": {"name": "nuxeo.platform.restore", "tasks_from": "streams_plan"}}
    play = tmp_path / "plan.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [include]}]))
    cases = {
        "again": (False, "", "first-"),
        "other": (False, "other-", None),
        "anew": (True, "", "first-"),
        "anew_same": (True, "first-", "first-"),
        "anew_other": (True, "other-", "other-"),
        "of_another": (False, "other-", "other-"),  # instance, with the same id
    }
    hosts: dict[str, dict[str, t.Any]] = {
        name: {"__restore_leader": name, "__restore_members": [name], **known} for name in cases
    }
    for name, (overwrite, wanted, _prefix) in cases.items():
        hosts[name].update(restore_instance="acme", restore_overwrite=overwrite, restore_streams_prefix=wanted)
    hosts["of_another"]["__restore_target"] = {"marker": {**marker, "run": "c3d4"}, "unchanged": True}
    told = {task.host: task.result for task in run_playbook(play, local_inventory(**hosts)).of("Under which prefix")}
    assert {name: told[name].get("prefix") for name in cases} == {name: case[2] for name, case in cases.items()}
    assert "restore_overwrite" in told["other"]["msg"]


def test_a_restore_that_was_killed_while_it_copied_is_finished_by_the_next(
    make_streams: t.Callable[..., Streams], postgresql15: t.Any
) -> None:
    streams = make_streams()
    site, instance = streams.site, streams.instance.start()
    instance.create_documents(40)
    site.backup()
    prefix = f"{streams.prefix}{site.manifest('acme')['id']}-"
    run = site.start("restore", **site.admin(postgresql15), restore_overwrite=True)
    state = instance.data_dir / f".nuxeo-platform-streams-{prefix}.json"
    while not state.exists() and run.process.poll() is None:
        time.sleep(0.05)
    run.kill()
    assert instance.nuxeoctl("start").returncode != 0, "it was started half restored"
    site.restore(postgresql15, restore_overwrite=True)
    assert f"kafka.topicPrefix={prefix}" in instance.conf.read_text()
    assert streams.docs(prefix, "audit-audit") == streams.docs(streams.prefix, "audit-audit")


@engines_only("three brokers")
def test_a_restore_goes_on_when_the_leader_is_killed(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    tmp_path: Path,
) -> None:
    settings = {"default.replication.factor": 3}
    with Kafka(DEFAULT_VERSION, str(tmp_path / "three"), brokers=3, secure=True, settings=settings) as three:
        streams = Streams(site, three, make_nuxeo, make_database(postgresql15), "modern")
        instance, many, now = streams.instance.start(), streams.prefix + "work-many", int(time.time() * 1000)
        streams.topics.create(many, 6, 3)
        streams.topics.send(many, [(n % 6, now, b"%d" % n, b"%d" % n * 200) for n in range(60_000)])
        instance.create_documents(20)
        instance.write(20)
        site.backup()
        instance.write(0)
        prefix = f"{streams.prefix}{site.manifest('acme')['id']}-"
        run = site.start("restore", **site.admin(postgresql15), restore_overwrite=True)
        state = instance.data_dir / f".nuxeo-platform-streams-{prefix}.json"
        while run.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                if all("id" in entry for entry in json.loads(state.read_text())["topics"].values()):
                    break
            time.sleep(0.02)
        assert run.process.poll() is None
        three.kill(2)
        run.wait(600).check()
        for number in range(6):
            rows = streams.topics.rows(prefix + "work-many", number)
            assert len(rows) == 10_000 and rows == streams.topics.rows(many, number)
        prove(streams, postgresql15, prefix)
        instance.stop()


def test_a_cold_backup_reads_the_ends_when_the_server_is_stopped(
    site: Site, kafka: Kafka, make_nuxeo: t.Callable[..., t.Any]
) -> None:
    streams = Streams(site, kafka, make_nuxeo, None, "legacy")
    streams.instance.start()
    streams.instance.create_documents(20)
    streams.instance.write(20)
    site.backup()
    streams.instance.write(0)
    manifest = site.manifest("acme")
    assert manifest["kind"] == "cold"
    site.restore(None, restore_overwrite=True)
    copied = streams.docs(f"{streams.prefix}{manifest['id']}-", "audit")
    created = [json.loads(line) for line in streams.instance.ledger.read_text().splitlines()]
    cut = proof.seconds(manifest["backup_date"])
    assert sorted(copied) == sorted(one["id"] for one in created if one["what"] == "created" and one["ended"] < cut)
