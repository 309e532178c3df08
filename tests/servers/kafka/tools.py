# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of streams do to a cluster, and how they look at it: written with one client, read with another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public there, and not said to mypy
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

ROOT = Path(__file__).resolve().parents[3]
COLLECTIONS = ROOT / "build" / "collections"
RUNNER = Path(__file__).resolve().with_name("run_module.py")

DAY = 86_400_000


class Row(t.NamedTuple):
    """A record as kafka-python reads it. Offsets are left out: they differ in a copy."""

    time: int
    key: t.Optional[bytes]
    value: t.Optional[bytes]
    headers: tuple[tuple[str, t.Optional[bytes]], ...]


class Failed(Exception):
    """A module that ended with ``failed``."""

    def __init__(self, result: dict[str, t.Any]) -> None:
        self.result = result
        super().__init__(result["msg"])


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(COLLECTIONS), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}


def start_module(name: str, options: t.Mapping[str, t.Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, str(RUNNER), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(options))
    process.stdin.close()
    process.stdin = None
    return process


def end_module(process: subprocess.Popen[str], seconds: float = 240) -> dict[str, t.Any]:
    output, errors = process.communicate(timeout=seconds)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise AssertionError(f"exit code {process.returncode}\n{output}\n{errors}")
    result: dict[str, t.Any] = json.loads(lines[-1])
    if result.get("failed"):
        raise Failed({**result, "stderr": errors})
    return result


def module(name: str, options: t.Mapping[str, t.Any], check: bool = False) -> dict[str, t.Any]:
    return end_module(start_module(name, {**options, **({"_ansible_check_mode": True} if check else {})}))


class Site:
    """A cluster as a test sees it."""

    def __init__(self, bootstrap: str, settings: t.Optional[dict[str, t.Any]] = None) -> None:
        self.bootstrap = bootstrap
        self.settings = settings or {"bootstrap.servers": bootstrap}
        self.admin = AdminClient({**self.settings, "log_level": 0})

    def create(self, name: str, partitions: int = 1, replicas: int = 1, **configs: t.Any) -> None:
        new = NewTopic(
            name, partitions, replicas, config={key.replace("_", "."): str(value) for key, value in configs.items()}
        )
        end = time.monotonic() + 20
        while True:
            try:
                self.admin.create_topics([new])[name].result(30)
                break
            except KafkaException as error:  # of a cluster with a ZooKeeper, whose deletion goes on
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS" or time.monotonic() > end:
                    raise
                time.sleep(0.1)
        while name not in self.admin.list_topics(timeout=10).topics and time.monotonic() < end:
            time.sleep(0.05)

    def delete(self, name: str) -> None:
        self.admin.delete_topics([name], operation_timeout=20)[name].result(30)
        end = time.monotonic() + 20
        while name in self.admin.list_topics(timeout=10).topics and time.monotonic() < end:
            time.sleep(0.1)

    def producer(self, **settings: t.Any) -> Producer:
        return Producer(
            {
                **self.settings,
                "linger.ms": 5,
                "max.in.flight": 1,  # else a batch that a new topic's leader refuses at first comes after the next one
                "message.max.bytes": 100_000_000,
                **{key.replace("_", "."): value for key, value in settings.items()},
            }
        )

    def send(self, topic: str, records: t.Iterable[tuple[t.Any, ...]], **settings: t.Any) -> None:
        """Records are (partition, time, key, value[, headers])."""
        producer = self.producer(**settings)
        failures: list[t.Any] = []
        for partition, moment, key, value, *headers in records:
            while True:
                try:
                    producer.produce(
                        topic,
                        value,
                        key,
                        partition,
                        timestamp=moment,
                        headers=headers[0] if headers else None,
                        on_delivery=lambda error, _message: failures.append(error) if error else None,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(60) == 0
        assert not failures, failures

    def commit(self, group: str, positions: t.Mapping[tuple[str, int], int]) -> None:
        entries = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        end = time.monotonic() + 30
        while True:
            request = [ConsumerGroupTopicPartitions(group, entries)]
            answer = self.admin.alter_consumer_group_offsets(request)[group].result(30)
            errors = [entry.error for entry in answer.topic_partitions if entry.error]
            if not errors:
                return
            assert time.monotonic() < end, errors  # the coordinator may still be loading
            time.sleep(0.2)

    def configs(self, topic: str) -> dict[str, str]:
        """The topic's own settings."""
        answer = list(self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values())[0].result(30)
        return {name: entry.value for name, entry in answer.items() if int(entry.source) == 1}

    def alter(self, topic: str, **configs: t.Any) -> None:
        entries = [
            ConfigEntry(key.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET)
            for key, value in configs.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        try:
            self.admin.incremental_alter_configs([resource])[resource].result(30)
        except KafkaException as error:  # of a broker before 2.3, which takes all at once
            if error.args[0].name() != "_UNSUPPORTED_FEATURE":
                raise
            every = {**self.configs(topic), **{entry.name: str(entry.value) for entry in entries}}
            resource = ConfigResource(ResourceType.TOPIC, topic, set_config=every)
            self.admin.alter_configs([resource])[resource].result(30)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        list(self.admin.delete_records([TopicPartition(topic, partition, before)]).values())[0].result(30)

    def member(self, group: str, topic: str) -> Consumer:
        """An active member of a group, assigned."""
        consumer = Consumer(
            {**self.settings, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        )
        consumer.subscribe([topic])
        end = time.monotonic() + 30
        while not consumer.assignment() and time.monotonic() < end:
            consumer.poll(0.2)
        return consumer

    # -- looked at with kafka-python

    def rows(self, topic: str, partition: int = 0) -> list[Row]:
        """All records of a partition that a reader of committed transactions sees."""
        from kafka import KafkaConsumer
        from kafka import TopicPartition as Part

        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap.split(","),
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=64 << 20,
            fetch_max_bytes=64 << 20,
        )
        try:
            part = Part(topic, partition)
            consumer.assign([part])
            end = consumer.end_offsets([part])[part]
            consumer.seek_to_beginning(part)
            found = []
            deadline = time.monotonic() + 60
            while consumer.position(part) < end:
                assert time.monotonic() < deadline, f"{topic}/{partition}: {consumer.position(part)} of {end}"
                for messages in consumer.poll(500).values():
                    found += [Row(m.timestamp, m.key, m.value, tuple(m.headers or ())) for m in messages]
            return found
        finally:
            consumer.close()

    def positions(self, group: str) -> dict[tuple[str, int], int]:
        """Committed positions of a group."""
        from kafka import KafkaAdminClient

        client = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","))
        try:
            found = client.list_group_offsets(group)
            flat = found.get(group, found) if isinstance(found, dict) else found
            return {(part.topic, part.partition): entry.offset for part, entry in flat.items()}
        finally:
            client.close()
