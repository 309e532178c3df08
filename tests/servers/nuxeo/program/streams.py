# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nuxeo Stream on Kafka, as far as a backup sees it: topics and groups by Nuxeo's names, records, committed positions.

A record is appended after the commit of the document that it is about, to the partition that Nuxeo would choose. A
group works records off and commits after it; a group without a position begins at the start of the topic. Both are
noted in a ledger (JSON lines) that tests compare a restored instance with. Runs with ``standin.streams`` alone, which
is ``modern`` (names of 2021 and later) or ``legacy`` (10.10).
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import typing as t

from configuration import Configuration

MODERN = {
    "audit-audit": 4,
    "bulk-command": 2,
    "bulk-status": 1,
    "bulk-done": 1,
    "work-default": 2,
    "pubsub-pubsub": 1,
    "internal-processors": 1,
}
LEGACY = {"audit": 4, "default": 2, "bulk-command": 2, "bulk-status": 1, "pubsub": 1}


def java_hash(text: str) -> int:
    """String.hashCode() without its sign."""
    value = 0
    for char in text:
        value = (31 * value + ord(char)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def client_settings(configuration: Configuration) -> dict[str, str | int | float | bool]:
    """Where Kafka is, and the login, in the words of the client library."""
    found: dict[str, str | int | float | bool] = {"bootstrap.servers": configuration.get("kafka.bootstrap.servers")}
    if configuration.get("kafka.sasl.enabled") == "true":
        login = dict(re.findall(r'(username|password)="([^"]*)"', configuration.get("kafka.sasl.jaas.config")))
        found.update(
            {
                "security.protocol": configuration.get("kafka.security.protocol"),
                "sasl.mechanism": configuration.get("kafka.sasl.mechanism"),
                "sasl.username": login["username"],
                "sasl.password": login["password"],
            }
        )
    return found


class Streams:
    """Appends records and works them off."""

    def __init__(self, configuration: Configuration, note: t.Callable[..., None]) -> None:
        import confluent_kafka
        from confluent_kafka.admin import AdminClient

        self._kafka = confluent_kafka
        self._settings = client_settings(configuration)
        self._note = note
        self.prefix = configuration.get("kafka.topicPrefix")
        modern = self._modern = configuration.get("standin.streams") == "modern"
        self._topics = MODERN if modern else LEGACY
        self._groups = (
            {"audit-writer": "audit-audit", "work-default": "work-default"}
            if modern
            else {"AuditLogWriter": "audit", "default": "default"}
        )
        self._make_topics(AdminClient(self._settings))
        self._producer = confluent_kafka.Producer({**self._settings, "acks": "all", "linger.ms": 2})
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=pair, daemon=True) for pair in sorted(self._groups.items())
        ]
        for thread in self._threads:
            thread.start()

    def _make_topics(self, admin: t.Any) -> None:
        from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

        there = admin.list_topics(timeout=30).topics
        replicas = -1 if self._modern else 1  # kafka.default.replication.factor
        wanted = [NewTopic(self.prefix + name, count, replicas) for name, count in self._topics.items()]
        wanted = [topic for topic in wanted if topic.topic not in there]
        for made in (admin.create_topics(wanted) if wanted else {}).values():
            made.result(30)

    def append(self, doc: str) -> None:
        """What happened to a document, and a work for it; waits until Kafka has both."""
        for name in self._groups.values():
            partition = java_hash(doc) % self._topics[name]
            value = json.dumps({"doc": doc, "at": time.time()}).encode()
            self._producer.produce(self.prefix + name, value, doc.encode(), partition)
        if self._producer.flush(30):
            raise OSError("Kafka does not take records")
        self._note(what="appended", id=doc, ended=time.time())

    def _work(self, group: str, topic: str) -> None:
        consumer = self._kafka.Consumer(
            {
                **self._settings,
                "group.id": self.prefix + group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([self.prefix + topic])
        while not self._stop.is_set():
            records = [record for record in consumer.consume(20, 0.2) if record.error() is None]
            began = time.time()
            if not records:
                continue
            try:
                consumer.commit(asynchronous=False, offsets=self._behind(records))
            except self._kafka.KafkaException as error:
                print(f"group {group}: {error}", file=sys.stderr, flush=True)
                continue
            for record in records:
                place = {"topic": record.topic(), "partition": record.partition(), "offset": record.offset()}
                doc = json.loads(record.value() or b"")["doc"]
                self._note(what="worked", id=doc, group=self.prefix + group, began=began, ended=time.time(), **place)
        consumer.close()

    def _behind(self, records: t.Sequence[t.Any]) -> list[t.Any]:
        last = {(record.topic(), record.partition()): record.offset() + 1 for record in records}
        return [self._kafka.TopicPartition(topic, number, offset) for (topic, number), offset in last.items()]

    def stop(self) -> None:
        """End in good order."""
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
