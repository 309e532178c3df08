# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy of one topic inside one broker: ours, MirrorMaker 2, kcat pairs, Kafka's own performance tools; interleaved.

Writes build/bench/streams.json. ``--records 20000 --rounds 1 --beyond 20000 --cuts 1`` is a smoke run. There are three
parts, and one that is left out by a 0 keeps what an earlier run has written: ``--rounds`` for the copies, ``--beyond``
for what is read beyond the cut, ``--cuts`` for the time between the cuts of a backup.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from servers.deployment import Site as Deployment  # noqa: E402
from servers.kafka.kafka_server import DEFAULT_VERSION, HERE, Kafka, jars  # noqa: E402
from servers.kafka.tools import Site, end_module, module, start_module  # noqa: E402
from servers.nuxeo.instance import make_instance  # noqa: E402
from servers.playbook import local_inventory, start  # noqa: E402
from servers.postgresql import Server  # noqa: E402

PARTITIONS, SIZE = 4, 1024
SOURCE, DAY = "bench-", 86_400_000
NOW = int(time.time() * 1000)


class Memory(threading.Thread):
    """The largest resident size of a process and all its children, shared pages counted once (PSS), in MB."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process, self.most, self.over = process, 0.0, False

    def run(self) -> None:
        while not self.over:
            total = 0
            for folder in Path("/proc").iterdir():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    if (
                        folder.name.isdigit()
                        and int((folder / "stat").read_text().rsplit(")", 1)[1].split()[3]) == self.process
                    ):
                        for line in (folder / "smaps_rollup").read_text().splitlines():
                            if line.startswith("Pss:"):
                                total += int(line.split()[1])
            self.most = max(self.most, total * 1024 / 1e6)
            time.sleep(0.2)


def fill(site: Site, topic: str, count: int, size: int = SIZE) -> None:
    """Values of a kilobyte that compress about 3:1, a key of 16 bytes and a header, dated over thirty days."""
    chance = random.Random(7)
    pool = [
        (b'{"id":"' + chance.randbytes(size // 4).hex().encode() + b'","text":"').ljust(size, b"x")[:size]
        for dummy in range(997)
    ]
    step = 30 * DAY / max(1, count)
    site.send(
        topic,
        (
            (n % PARTITIONS, int(NOW - 30 * DAY + n * step), b"%016d" % n, pool[n % 997], [("h", b"12345678")])
            for n in range(count)
        ),
        linger_ms=50,
        batch_size=1_000_000,
        queue_buffering_max_messages=500_000,
    )


class Bench:
    """The broker, the source topic, and one method for each way to copy it. Each returns seconds for all records."""

    def __init__(self, kafka: Kafka, folder: Path, records: int) -> None:
        self.kafka, self.folder, self.records = kafka, folder, records
        self.site = Site(kafka.bootstrap)
        self.run = 0
        self.rss = 0.0
        self.topic = SOURCE + "work-default"
        self.site.create(self.topic, PARTITIONS)
        fill(self.site, self.topic, records)
        self.streams = str(folder / "streams.json")
        self.servers = [kafka.bootstrap]
        module("kafka_topic_info", {"bootstrap_servers": self.servers, "prefix": SOURCE, "dest": self.streams})

    def check(self, topic: str) -> None:
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": "bench-look"})
        found = sum(consumer.get_watermark_offsets(TopicPartition(topic, n), 30)[1] for n in range(PARTITIONS))
        consumer.close()
        if found != self.records:
            raise AssertionError(f"{topic} holds {found} of {self.records} records")

    def ours(self, verify: bool = False) -> float:
        self.run += 1
        prefix = f"copy{self.run}-"
        began = time.monotonic()
        process = start_module(
            "kafka_topic_replicate",
            {
                "bootstrap_servers": self.servers,
                "source_prefix": SOURCE,
                "target_prefix": prefix,
                "streams": self.streams,
                "state": str(self.folder / f"state{self.run}"),
                "verify": verify,
            },
        )
        memory = Memory(process.pid)
        memory.start()
        end_module(process, 3600)
        seconds = time.monotonic() - began
        memory.over = True
        self.rss = max(self.rss, memory.most)
        self.check(prefix + "work-default")
        self.site.delete(prefix + "work-default")
        return seconds

    def verified(self) -> float:
        return self.ours(verify=True)

    def kcat(self) -> float:
        """A pair per partition. It loses timestamps and headers."""
        self.run += 1
        target = f"kcat{self.run}"
        self.site.create(target, PARTITIONS)
        began = time.monotonic()
        pairs = []
        for n in range(PARTITIONS):
            common = ["-q", "-b", self.kafka.bootstrap, "-p", str(n), "-K", "\t"]
            read = subprocess.Popen(
                ["kcat", "-C", *common, "-t", self.topic, "-o", "beginning", "-e"], stdout=subprocess.PIPE
            )
            write = subprocess.Popen(
                ["kcat", "-P", *common, "-t", target, "-X", "linger.ms=20", "-X", "batch.size=1000000"],
                stdin=read.stdout,
            )
            assert read.stdout is not None
            read.stdout.close()
            pairs += [read, write]
        codes = [process.wait(3600) for process in pairs]
        seconds = time.monotonic() - began
        assert not any(codes), codes
        self.check(target)
        self.site.delete(target)
        return seconds

    def perf_consumer(self) -> float:
        return self._tool(
            "ConsumerPerformance",
            "--bootstrap-server",
            self.kafka.bootstrap,
            "--topic",
            self.topic,
            "--messages",
            str(self.records),
            "--timeout",
            "60000",
        )

    def perf_producer(self) -> float:
        self.run += 1
        target = f"perf{self.run}"
        self.site.create(target, PARTITIONS)
        seconds = self._tool(
            "ProducerPerformance",
            "--topic",
            target,
            "--num-records",
            str(self.records),
            "--record-size",
            str(SIZE),
            "--throughput",
            "-1",
            "--producer-props",
            f"bootstrap.servers={self.kafka.bootstrap}",
            "acks=all",
            "linger.ms=20",
            "batch.size=1000000",
        )
        self.site.delete(target)
        return seconds

    def _tool(self, name: str, *arguments: str) -> float:
        command = self.kafka.java(f"org.apache.kafka.tools.{name}", *arguments, heap="512m", profile="tools")
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=3600)
        return time.monotonic() - began

    def mirror(self) -> float:
        """MirrorMaker 2 as shipped, from its start to the last record."""
        self.run += 1
        prefix = f"mirror{self.run}."
        kinds = ("", "offset-syncs.topic.", "checkpoints.topic.", "heartbeats.topic.")
        one = {f"{kind}replication.factor": 1 for kind in kinds}
        one.update({f"{kind}.storage.replication.factor": 1 for kind in ("offset", "status", "config")})
        one.update({"offset.storage.partitions": 1, "status.storage.partitions": 1})
        settings = {
            **one,
            "clusters": "source,target",
            "source.bootstrap.servers": self.kafka.bootstrap,
            "target.bootstrap.servers": self.kafka.bootstrap,
            "source->target.enabled": "true",
            "target->source.enabled": "false",
            "source->target.topics": self.topic.replace(".", "[.]"),
            "tasks.max": 2,
            "replication.policy.class": "PrefixPolicy",
            "replication.policy.bench.prefix": prefix,
            "emit.heartbeats.enabled": "false",
            "heartbeats.replication.enabled": "false",
            "sync.topic.acls.enabled": "false",
        }
        path = self.folder / "mirror.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        classes = self.folder / "classes"
        libraries = jars(self.kafka.version, "mirror")
        if not classes.exists():
            subprocess.run(
                ["javac", "-d", str(classes), "-cp", f"{libraries}/*", f"{HERE}/PrefixPolicy.java"], check=True
            )
        command = [
            "java",
            "-Xmx2g",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            f"{classes}:{libraries}/*",
            "org.apache.kafka.connect.mirror.MirrorMaker",
            str(path),
        ]
        began, given_up = time.monotonic(), self.records / 500
        with (self.folder / "mirror.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            while True:
                assert process.poll() is None and time.monotonic() - began < max(120, given_up), "see mirror.log"
                time.sleep(0.25)
                with contextlib.suppress(Exception):
                    if prefix + self.topic in self.site.admin.list_topics(timeout=10).topics:
                        self.check(prefix + self.topic)
                        seconds = time.monotonic() - began
                        break
        finally:
            process.terminate()
            process.wait(60)
        for name in self.site.admin.list_topics(timeout=10).topics:
            if name.startswith("mirror") or ".internal" in name or name.startswith("mm2-"):
                self.site.delete(name)
        return seconds


def beyond(kafka: Kafka, folder: Path, wanted: int) -> dict[str, t.Any]:
    """A topic of ten times the records that are wanted: how many are read beyond, and how many a fetch brings."""
    site, size = Site(kafka.bootstrap), 100
    site.create("far-work-default", PARTITIONS)
    fill(site, "far-work-default", wanted, size)
    streams = str(folder / "far.json")
    module("kafka_topic_info", {"bootstrap_servers": [kafka.bootstrap], "prefix": "far-", "dest": streams})
    for dummy in range(9):
        fill(site, "far-work-default", wanted, size)
    result = module(
        "kafka_topic_replicate",
        {
            "bootstrap_servers": [kafka.bootstrap],
            "source_prefix": "far-",
            "verify": False,
            "target_prefix": "near-",
            "streams": streams,
            "state": str(folder / "far.state"),
        },
    )
    assert result["records"] == wanted
    fetch = 2 * 1024 * 1024 // (size + 16)  # the least that a record takes
    return {"read": result["beyond_cut_records"], "one_fetch": fetch, "partitions": PARTITIONS}


def copies(kafka: Kafka, folder: Path, records: int, rounds: int) -> dict[str, t.Any]:
    """All ways to copy, interleaved; the medians, and the ratios of ours."""
    bench = Bench(kafka, folder, records)
    times: dict[str, list[float]] = {}
    for turn in range(rounds):
        for name in ("mirror", "ours", "kcat", "perf_consumer", "verified", "perf_producer"):
            seconds = getattr(bench, name)()
            times.setdefault(name, []).append(seconds)
            rate, load = records / seconds, os.getloadavg()[0]
            print(f"round {turn} {name:14s}{seconds:8.1f} s {rate:10.0f}/s load {load:.1f}", flush=True)
    median = {name: statistics.median(values) for name, values in times.items()}
    ratios = {
        "copy_vs_mm2": round(median["mirror"] / median["ours"], 2),
        "copy_vs_kcat": round(median["kcat"] / median["ours"], 2),
        "copy_vs_perf": round(max(median["perf_consumer"], median["perf_producer"]) / median["ours"], 2),
        "verified_copy_vs_mm2": round(median["mirror"] / median["verified"], 2),
        "rss_mb": round(bench.rss),
    }
    rates = {name: round(records / seconds) for name, seconds in median.items()}
    return {"ratios": ratios, "records_per_second": rates, "seconds": times, "records": records}


def read_beyond(kafka: Kafka, folder: Path, wanted: int) -> dict[str, t.Any]:
    """The ratios of what is read beyond the cut."""
    far = beyond(kafka, folder, wanted)
    fetches = round(far["read"] / far["one_fetch"] / far["partitions"], 2)
    ratios = {"beyond_cut_records": far["read"], "beyond_cut_fetches_per_partition": fetches}
    return {"ratios": ratios, "beyond": far}


def cuts(kafka: Kafka, folder: Path, rounds: int) -> dict[str, t.Any]:
    """Whole backups while the instance writes: the most seconds from the first engine's cut to the last."""
    login = {"name": "nuxeo", "user": "nuxeo", "password": "secret"}
    properties = {
        "kafka.enabled": "true",
        "kafka.bootstrap.servers": kafka.bootstrap,
        "kafka.topicPrefix": "cut-",
        "standin.streams": "modern",
    }
    site = Deployment(
        folder / "backup",
        lambda **hosts: local_inventory(folder / "inventory.json", hosts),
        lambda *words: start(Path(tempfile.mkdtemp(dir=folder)), *words),
    )
    found = []
    with Server(folder / "server", version="15") as server:
        server.create_database(*login.values())
        database: dict[str, str | int] = {"host": server.host, "port": server.port, **login}
        instance = make_instance(folder / "home", database, "2023.31", properties=properties).start()
        try:
            site.add("acme", instance, nuxeo_client_python=sys.executable)
            instance.create_documents(100)
            instance.write(20)
            for turn in range(rounds):
                site.backup()
                found.append(site.manifest("acme")["cut_seconds"])
                print(f"round {turn} cut {found[-1]:.3f} s load {os.getloadavg()[0]:.1f}", flush=True)
        finally:
            instance.stop()
    return {"ratios": {"cut_seconds": max(found)}, "cut_seconds": found}


def main() -> None:
    """Run all, print a table, write the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beyond", type=int, default=1_000_000, help="records that are wanted of ten times as many")
    parser.add_argument("--cuts", type=int, default=5, help="backups whose cuts are compared")
    parser.add_argument("--version", default=DEFAULT_VERSION)
    parser.add_argument("--output", default=str(ROOT / "build" / "bench" / "streams.json"))
    given = parser.parse_args()
    output = Path(given.output)
    whole = given.rounds and given.beyond and given.cuts
    content = json.loads(output.read_text()) if output.exists() and not whole else {}
    folder = Path(tempfile.mkdtemp(prefix="bench-streams-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    parts = []
    try:
        settings = {"log.segment.bytes": 256 << 20, "num.network.threads": 3, "num.io.threads": 4}
        with Kafka(given.version, str(folder / "kafka"), heap="1g", settings=settings, quick=False) as kafka:
            if given.rounds:
                parts.append(copies(kafka, folder, given.records, given.rounds))
            if given.beyond:
                parts.append(read_beyond(kafka, folder, given.beyond))
            if given.cuts:
                parts.append(cuts(kafka, folder, given.cuts))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratios = content.get("ratios", {})
    for part in parts:
        ratios = {**ratios, **part["ratios"]}
        content = {**content, **part, "ratios": ratios, "kafka": given.version}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    print(json.dumps(ratios, indent=2))


if __name__ == "__main__":
    main()
