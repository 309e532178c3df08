# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed, reset, silent, leaderless: the copy ends equal to one clean run, or fails in time."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from servers.kafka.kafka_server import Kafka
from servers.kafka.kill import Stop, kill
from servers.kafka.proxy import Relay
from servers.kafka.tools import Failed, Site, end_module, module, start_module
from servers.nuxeo.ports import free_ports
from servers.tiers import ALL, engines_only

from .conftest import VERSION, Copying

pytestmark = pytest.mark.xdist_group("streams-2")

NOW = int(time.time() * 1000)


def fill(copying, rest="work-a", partitions=4, count=120_000, size=400):
    topic = copying.name(rest)
    copying.site.create(topic, partitions, **({"replicas": 3} if isinstance(copying, Cluster3) else {}))
    chance = random.Random(count)
    noise = chance.randbytes(size)
    copying.site.send(
        topic,
        [
            (n % partitions, NOW + chance.randint(-9, 9), b"%d" % n, noise[n % size :], [("h", b"x")])
            for n in range(count)
        ],
        batch_size=100_000,
        linger_ms=20,
    )
    for number in range(6):
        copying.site.commit(
            copying.name(f"work-g{number}"),
            {(topic, p): chance.randint(0, count // partitions) for p in range(partitions)},
        )


def digests(path):
    return {
        (line["source"], line["partition"]): (line["records"], line["sha256"])
        for line in json.loads(Path(path).read_text())["partitions"]
    }


def positions(copying):
    return {n: sorted(copying.site.positions(copying.copied(f"work-g{n}")).values()) for n in range(6)}


class Cluster3(Copying):
    """Topics on three brokers."""


def again(copying, mark):
    """The same source, another target."""
    other = Copying(copying.site, copying.folder)
    other.source, other.target = copying.source, f"{copying.target}{mark}-"
    other.state, other.report = f"{copying.state}.{mark}", f"{copying.report}.{mark}"
    return other


def test_killed_at_random_points_it_ends_equal_to_a_clean_run(copying, broker):
    """At twenty of them; `make test`, and an older Kafka, are content with four."""
    wanted = 20 if ALL and broker.version == VERSION else 4
    fill(copying, count=60_000)
    copying.backup()
    clean = again(copying, "clean")
    clean.restore()
    truth = digests(clean.report)
    where = positions(clean)
    chance = random.Random(20)
    kills, mark, seen = 0, 0, set()
    while kills < wanted:
        mark += 1
        one = again(copying, f"k{mark}")
        while kills < wanted:
            process = start_module("kafka_topic_replicate", one.options(verify=False))
            try:
                process.wait(chance.uniform(0.8, 2.6))
            except subprocess.TimeoutExpired:
                kills += 1
                kill(process)
                if Path(one.state).exists():
                    seen.add(json.loads(Path(one.state).read_text())["phase"])
                continue
            end_module(process)
            break
        result = one.restore(verify=False)
        assert result["phase"] == "finished"
        assert (
            module(
                "kafka_topic_replicate",
                again(one, "x").options(
                    source_prefix=one.target,
                    target_prefix=f"{one.target}x-",
                    streams=None,
                    until="2999-01-01T00:00:00Z",
                    positions="end",
                    verify=False,
                ),
            )["records"]
            == 60_000
        )
        compared = digests(again(one, "x").report)
        assert {number: value for (_t, number), value in compared.items()} == {n: v for (_t, n), v in truth.items()}
        assert positions(one) == where
    assert "copying" in seen


def test_a_target_that_somebody_wrote_to_meanwhile_is_made_anew(copying):
    """As a batch of a killed run would do that reaches the broker too late."""
    fill(copying, count=20_000)
    copying.backup()
    Stop(copying, "topics").run()
    time.sleep(0.5)
    copying.site.send(copying.copied("work-a"), [(1, NOW, b"late", b"x")])
    assert copying.restore()["records"] == 20_000
    assert copying.site.rows(copying.copied("work-a"), 1) == copying.site.rows(copying.name("work-a"), 1)


def test_a_state_file_that_is_lost_or_of_another_copy(copying):
    fill(copying, count=2_000)
    copying.backup()
    copying.restore()
    with pytest.raises(Failed, match="with other options"):
        copying.restore(target_prefix="another-")
    Path(copying.state).unlink()
    with pytest.raises(Failed, match="are not this copy's"):
        copying.restore()


def test_a_silent_broker_never_holds_a_task(tmp_path):
    relay = Relay()
    try:
        for name, options in (
            ("kafka_topic_info", {"prefix": "a-"}),
            (
                "kafka_topic_replicate",
                {
                    "source_prefix": "a-",
                    "target_prefix": "b-",
                    "until": "2026-01-01T00:00:00Z",
                    "positions": "end",
                    "state": str(tmp_path / "s"),
                },
            ),
        ):
            began = time.monotonic()
            with pytest.raises(Failed, match="no answer within 3 s"):
                module(name, {"bootstrap_servers": [f"127.0.0.1:{relay.port}"], "timeout": 3, **options})
            assert time.monotonic() - began < 12
    finally:
        relay.close()


@pytest.fixture(scope="module")
def relayed(tmp_path_factory):
    """A broker that is only reached through a relay."""
    relay = Relay(0)
    port = free_ports(1)[0]
    settings = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{relay.port}"}
    kafka = Kafka(VERSION, str(tmp_path_factory.mktemp("relayed")), settings=settings)
    relay.target = kafka.ports[0]["PLAINTEXT"]
    assert port
    with kafka:
        yield kafka, relay
    relay.close()


def test_connections_that_are_reset_again_and_again(relayed, tmp_path):
    kafka, relay = relayed
    copying = Copying(Site(f"127.0.0.1:{relay.port}"), tmp_path)
    fill(copying, count=60_000)
    copying.backup()
    process = start_module("kafka_topic_replicate", copying.options())
    while process.poll() is None and relay.resets < 8:
        time.sleep(0.4)
        relay.reset()
    assert end_module(process)["records"] == 60_000
    for number in range(4):
        assert copying.site.rows(copying.copied("work-a"), number) == copying.site.rows(copying.name("work-a"), number)


def test_a_broker_that_falls_silent_in_the_middle(relayed, tmp_path):
    kafka, relay = relayed
    copying = Copying(Site(f"127.0.0.1:{relay.port}"), tmp_path)
    fill(copying, count=40_000)
    copying.backup()
    process = start_module("kafka_topic_replicate", copying.options(timeout=4, stall_timeout=6))
    stop = Stop(copying, "topics")
    while not stop.reached():
        time.sleep(0.01)
    relay.silent = True
    began = time.monotonic()
    try:
        with pytest.raises(Failed, match="(?s)no answer|nothing came|acknowledged|[Tt]imed out"):
            end_module(process)
        assert time.monotonic() - began < 40
    finally:
        relay.silent = False
        relay.reset()
    assert copying.restore()["records"] == 40_000


@engines_only("three brokers")
def test_the_leader_is_killed(tmp_path):
    with Kafka(VERSION, str(tmp_path / "kafka"), brokers=3, settings={"default.replication.factor": 3}) as kafka:
        copying = Cluster3(Site(kafka.bootstrap), tmp_path)
        fill(copying, partitions=6, count=30_000)
        copying.backup()
        process = start_module("kafka_topic_replicate", copying.options(stall_timeout=120, timeout=60))
        stop = Stop(copying, "topics")
        while not stop.reached():
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(0.2)
        os.kill(kafka.processes[2].pid, signal.SIGKILL)
        kafka.processes[2].wait()
        result = end_module(process)
        assert result["records"] == 30_000
        assert positions(copying)[0]
        for number in range(6):
            new = copying.site.rows(copying.copied("work-a"), number)
            assert new == copying.site.rows(copying.name("work-a"), number)
