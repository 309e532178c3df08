# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: every question to a Kafka cluster, each with a deadline of its own.

A silent broker, a coordinator that moves and a leader that is being elected are told apart from a refusal: the first
are asked again until the deadline, the last is raised at once.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import logging
import time
import typing as t

from .errors import AGAIN, SILENCE, UNSUPPORTED, StreamsError, admin_library, code, library, reason

RECONNECT = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 1000}
"""Settings of every client: a connection that was reset is made again soon."""

Partition = t.Tuple[str, int]
LOG = logging.getLogger("nuxeo.platform.streams")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False


@dataclasses.dataclass
class Topic:
    """One topic as the cluster has it now."""

    name: str
    id: str
    partitions: int
    replication: int
    operations: frozenset[str]


@dataclasses.dataclass
class Group:
    """One consumer group as the cluster has it now."""

    name: str
    state: str
    members: int
    operations: frozenset[str]


def client(kind: t.Any, settings: t.Mapping[str, t.Any], own: t.Mapping[str, t.Any]) -> t.Any:
    """A client of the library: ``settings`` say how its cluster is reached, ``own`` what it does.

    What the library refuses them for it tells without their values, so without a secret.
    """
    try:
        return kind({**settings, **RECONNECT, **own}, logger=LOG)
    except (library().KafkaException, TypeError, ValueError) as error:
        raise StreamsError(
            f"Making of a client for Kafka {settings.get('bootstrap.servers')}",
            reason(error),
            "Check what is set for it and the files that this names",
        ) from error


class Cluster:
    """One cluster. ``settings`` are librdkafka's; ``timeout`` is the deadline of one question, in seconds."""

    def __init__(self, settings: t.Mapping[str, t.Any], timeout: float) -> None:
        self.settings = dict(settings)
        self.timeout = timeout
        self.last_error = ""
        self.admin_module = admin_library()
        self.kafka = library()
        self.where = str(settings["bootstrap.servers"])
        self._admin = self._connect()
        self._gives_default: t.Optional[bool] = None

    def _connect(self) -> t.Any:
        milliseconds = int(max(1.0, self.timeout) * 1000)
        own = {
            "socket.timeout.ms": milliseconds,
            "socket.connection.setup.timeout.ms": max(1000, milliseconds // 2),
            "error_cb": self._note,
        }
        return client(self.admin_module.AdminClient, self.settings, own)

    def _note(self, error: t.Any) -> None:
        if code(error) not in ("_ALL_BROKERS_DOWN",) or not self.last_error:
            self.last_error = reason(error)

    def error(self, what: str, error: t.Any, todo: str = "") -> StreamsError:
        """What has to be raised for a failed question; names the connection's own trouble where there is one."""
        self._admin.poll(0)
        why = reason(error)
        if code(error) in SILENCE:
            why = f"no answer within {self.timeout:g} s" + (f" ({self.last_error})" if self.last_error else "")
        return StreamsError(f"{what} on Kafka {self.where}", why, todo or "Check the brokers, then run again")

    def ask(self, what: str, call: t.Callable[[float], t.Any]) -> t.Any:
        """Put one question, again while the answer is one that passes. ``call`` is given the seconds that it may take.

        A question that is lost with its connection gets no answer at all, and a client goes on asking a coordinator
        that is gone; so each try has a part of the time only, and after silence a new client asks.
        """
        end = time.monotonic() + self.timeout
        pause = 0.1
        while True:
            left = end - time.monotonic()
            try:
                return call(max(0.1, min(left, max(2.0, self.timeout / 5))))
            except (self.kafka.KafkaException, TimeoutError, concurrent.futures.TimeoutError) as error:
                if code(error) not in AGAIN or time.monotonic() + pause >= end:
                    raise self.error(what, error) from error
                if code(error) in SILENCE or code(error).endswith("_EPOCH"):
                    self._admin.poll(0)
                    self._admin = self._connect()
            time.sleep(pause)
            pause = min(1.0, pause * 2)

    def _each(self, futures: t.Mapping[t.Any, t.Any], left: float) -> dict[t.Any, t.Any]:
        end = time.monotonic() + left
        return {key: future.result(max(0.1, end - time.monotonic())) for key, future in futures.items()}

    # -- what is there

    def cluster_id(self) -> str:
        """The id that the cluster was given when it was made."""
        found = self.ask(
            "Reading of the cluster id",
            lambda left: self._admin.describe_cluster(request_timeout=left).result(left + 1),
        )
        return str(found.cluster_id)

    def broker_count(self) -> int:
        """How many brokers there are now."""
        return len(self.ask("Listing of brokers", lambda left: self._admin.list_topics(timeout=left)).brokers)

    def topic_names(self) -> list[str]:
        """The names of all topics that this user may see."""
        found = self.ask("Listing of topics", lambda left: self._admin.list_topics(timeout=left))
        return sorted(found.topics)

    def topics(self, names: t.Sequence[str], rights: bool = False) -> dict[str, Topic]:
        """Those of the topics that exist. One that this user may not see is an error."""
        if not names:
            return {}
        collection = self.kafka.TopicCollection(list(names))

        def call(left: float) -> dict[str, Topic]:
            futures = self._admin.describe_topics(
                collection, include_authorized_operations=rights, request_timeout=left
            )
            found = {}
            for name, future in futures.items():
                try:
                    found[name] = self._topic(name, future.result(left + 1))
                except self.kafka.KafkaException as error:
                    if code(error) not in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"):
                        raise
            return found

        return t.cast(t.Dict[str, Topic], self.ask(f"Description of {_some(names)}", call))

    def _topic(self, name: str, found: t.Any) -> Topic:
        if any(part.leader is None or part.leader.id < 0 for part in found.partitions):
            raise self.kafka.KafkaException(self.kafka.KafkaError(self.kafka.KafkaError.LEADER_NOT_AVAILABLE))
        unknown = "AAAAAAAAAAAAAAAAAAAAAA"
        topic_id = str(found.topic_id or "")
        replication = len(found.partitions[0].replicas) if found.partitions else 0
        operations = frozenset(op.name for op in found.authorized_operations or ())
        return Topic(name, "" if topic_id == unknown else topic_id, len(found.partitions), replication, operations)

    def configs(self, names: t.Sequence[str]) -> dict[str, dict[str, dict[str, str]]]:
        """For each topic every setting's value and where it comes from (``topic``, ``broker``, ``default``)."""
        module = self.admin_module
        resources = [module.ConfigResource(module.ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        sources = {1: "topic", 5: "default"}

        def call(left: float) -> dict[str, dict[str, dict[str, str]]]:
            futures = self._admin.describe_configs(resources, request_timeout=left)
            found: dict[str, dict[str, dict[str, str]]] = {}
            denied, end = [], time.monotonic() + left + 1
            for resource, future in futures.items():
                try:
                    answer = future.result(max(0.1, end - time.monotonic()))
                except self.kafka.KafkaException as error:
                    if code(error) != "TOPIC_AUTHORIZATION_FAILED":
                        raise
                    denied.append(resource.name)
                    continue
                found[resource.name] = {
                    name: {"value": str(entry.value), "source": sources.get(int(entry.source), "broker")}
                    for name, entry in answer.items()
                    if entry.value is not None
                }
            if denied:
                raise self._may_not_see_settings(sorted(denied))
            return found

        return t.cast(t.Dict[str, t.Dict[str, t.Dict[str, str]]], self.ask(f"Settings of {_some(names)}", call))

    def _may_not_see_settings(self, names: t.Sequence[str]) -> StreamsError:
        return StreamsError(
            f"Settings of {_some(names)} on Kafka {self.where}",
            "this user has no right DESCRIBE_CONFIGS on them",
            "Grant DESCRIBE_CONFIGS on topics with the prefix (pattern type PREFIXED), then run again",
            {"missing_rights": [f"DESCRIBE_CONFIGS on topic '{name}'" for name in names[:20]]},
        )

    def offsets(self, partitions: t.Sequence[Partition], which: str) -> dict[Partition, int]:
        """One offset of each partition: ``start``, ``end`` (of all records), ``stable`` (of committed transactions)."""
        if not partitions:
            return {}
        spec = self.admin_module.OffsetSpec.earliest() if which == "start" else self.admin_module.OffsetSpec.latest()
        level = (
            self.kafka.IsolationLevel.READ_COMMITTED
            if which == "stable"
            else self.kafka.IsolationLevel.READ_UNCOMMITTED
        )
        wanted = {self.kafka.TopicPartition(topic, number): spec for topic, number in partitions}

        def call(left: float) -> dict[Partition, int]:
            futures = self._admin.list_offsets(wanted, isolation_level=level, request_timeout=left)
            return {(p.topic, p.partition): info.offset for p, info in self._each(futures, left + 1).items()}

        return t.cast(t.Dict[Partition, int], self.ask(f"Reading of {which} offsets", call))

    def offsets_at(self, partitions: t.Sequence[Partition], milliseconds: int) -> dict[Partition, int]:
        """The first offset at or after a time, -1 where there is none. Only exact where times rise."""
        spec = self.admin_module.OffsetSpec.for_timestamp(milliseconds)
        wanted = {self.kafka.TopicPartition(topic, number): spec for topic, number in partitions}
        if not wanted:
            return {}

        def call(left: float) -> dict[Partition, int]:
            futures = self._admin.list_offsets(wanted, request_timeout=left)
            return {(p.topic, p.partition): info.offset for p, info in self._each(futures, left + 1).items()}

        return t.cast(t.Dict[Partition, int], self.ask("Reading of offsets by time", call))

    # -- groups

    def group_names(self) -> list[str]:
        """All groups that this user may see, on all brokers. A broker that did not answer is an error."""

        def call(left: float) -> list[str]:
            found = self._admin.list_consumer_groups(request_timeout=left).result(left + 1)
            for error in found.errors:
                raise error if isinstance(error, Exception) else self.kafka.KafkaException(error)
            return sorted(group.group_id for group in found.valid)

        return t.cast(t.List[str], self.ask("Listing of consumer groups", call))

    def groups(self, names: t.Sequence[str], rights: bool = False) -> dict[str, Group]:
        """State and members of each group; one that does not exist is ``DEAD``."""
        if not names:
            return {}

        def call(left: float) -> dict[str, Group]:
            futures = self._admin.describe_consumer_groups(
                list(names), include_authorized_operations=rights, request_timeout=left
            )
            found = {}
            for name, future in futures.items():
                try:
                    group = future.result(left + 1)
                except self.kafka.KafkaException as error:
                    if code(error) != "GROUP_ID_NOT_FOUND":
                        raise
                    found[name] = Group(name, "DEAD", 0, frozenset())
                    continue
                operations = frozenset(op.name for op in group.authorized_operations or ())
                found[name] = Group(name, group.state.name, len(group.members), operations)
            return found

        return t.cast(t.Dict[str, Group], self.ask(f"Description of groups {_some(names)}", call))

    def positions(self, names: t.Sequence[str]) -> dict[str, dict[Partition, tuple[int, str]]]:
        """Committed positions of each group, all groups asked at once; missing ones are left out."""
        wanted = self.kafka.ConsumerGroupTopicPartitions

        def call(left: float) -> dict[str, dict[Partition, tuple[int, str]]]:
            futures: dict[str, t.Any] = {}
            for name in names:
                futures.update(
                    self._admin.list_consumer_group_offsets([wanted(name)], require_stable=True, request_timeout=left)
                )
            found: dict[str, dict[Partition, tuple[int, str]]] = {}
            for name, answer in self._each(futures, left + 1).items():
                found[name] = {}
                for entry in answer.topic_partitions:
                    if entry.error is not None:
                        raise self.kafka.KafkaException(entry.error)
                    if entry.offset >= 0:
                        found[name][(entry.topic, entry.partition)] = (entry.offset, entry.metadata or "")
            return found

        return t.cast(
            t.Dict[str, t.Dict[Partition, t.Tuple[int, str]]], self.ask(f"Positions of groups {_some(names)}", call)
        )

    def commit(self, group: str, positions: t.Mapping[Partition, tuple[int, str]]) -> None:
        """Set positions of a group that has no member. Every partition's own answer is looked at."""
        entries = [
            self.kafka.TopicPartition(topic, number, offset, *([metadata] if metadata else []))
            for (topic, number), (offset, metadata) in sorted(positions.items())
        ]
        request = [self.kafka.ConsumerGroupTopicPartitions(group, entries)]

        def call(left: float) -> None:
            answer = self._admin.alter_consumer_group_offsets(request, request_timeout=left)[group].result(left + 1)
            for entry in answer.topic_partitions:
                if entry.error is not None:
                    raise self.kafka.KafkaException(entry.error)

        self.ask(f"Setting the positions of group '{group}'", call)

    # -- changes of topics

    def gives_default_replication(self) -> bool:
        """Whether the brokers give a topic their own number of replicas when none is asked for: from 2.4 on."""
        if self._gives_default is None:
            refusal = self.create("nuxeo-platform", 1, -1, {}, validate=True)  # only asked: nothing is made
            self._gives_default = not refusal.startswith(UNSUPPORTED)
        return self._gives_default

    def create(
        self, name: str, partitions: int, replication: int, configs: t.Mapping[str, str], validate: bool = False
    ) -> str:
        """Create a topic, or only ask whether it could be. Returns the broker's refusal: its error's name and words."""
        request = [self.admin_module.NewTopic(name, partitions, replication, config=dict(configs))]

        def call(left: float) -> str:
            future = self._admin.create_topics(
                request, operation_timeout=left, request_timeout=left, validate_only=validate
            )[name]
            try:
                future.result(left + 1)
            except self.kafka.KafkaException as error:
                if code(error) in AGAIN:
                    raise
                return f"{code(error)}: {reason(error)}"
            return ""

        return str(self.ask(f"Creation of topic '{name}'", call))

    def delete(self, name: str) -> None:
        """Delete a topic: only ever one that this copy has made."""

        def call(left: float) -> None:
            try:
                self._admin.delete_topics([name], operation_timeout=left, request_timeout=left)[name].result(left + 1)
            except self.kafka.KafkaException as error:
                if code(error) != "UNKNOWN_TOPIC_OR_PART":
                    raise

        self.ask(f"Deletion of topic '{name}'", call)

    def alter(self, name: str, configs: t.Mapping[str, t.Optional[str]]) -> None:
        """Set settings of a topic; None takes the topic's own value away, so that the broker's default holds."""
        module = self.admin_module
        operation = module.AlterConfigOpType
        entries = [
            module.ConfigEntry(key, value, incremental_operation=operation.DELETE if value is None else operation.SET)
            for key, value in sorted(configs.items())
        ]
        resource = module.ConfigResource(module.ResourceType.TOPIC, name, incremental_configs=entries)

        def call(left: float) -> None:
            try:
                self._each(self._admin.incremental_alter_configs([resource], request_timeout=left), left + 1)
            except self.kafka.KafkaException as error:
                if code(error) != UNSUPPORTED:
                    raise
                self._alter_all(name, configs, left)

        self.ask(f"Settings of topic '{name}'", call)

    def _alter_all(self, name: str, configs: t.Mapping[str, t.Optional[str]], left: float) -> None:
        """A broker before 2.3 takes all of a topic's own settings at once; the topic is one of our own making."""
        there = self.configs([name])[name].items()
        own = {key: entry["value"] for key, entry in there if entry["source"] == "topic"}
        wanted = {key: value for key, value in {**own, **configs}.items() if value is not None}
        module = self.admin_module
        resource = module.ConfigResource(module.ResourceType.TOPIC, name, set_config=wanted)
        self._each(self._admin.alter_configs([resource], request_timeout=left), left + 1)


def _some(names: t.Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
