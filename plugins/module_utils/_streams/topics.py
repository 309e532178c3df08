# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the target's topics: made with retention held, told whose they are, set right
afterwards."""

from __future__ import annotations

import os
import time
import typing as t

from .cluster import Cluster
from .cluster import Topic as MadeTopic
from .errors import StreamsError
from .journal import Journal
from .plan import Plan

ALWAYS = ("cleanup.policy", "compression.type", "max.message.bytes", "message.timestamp.type")
"""Settings that come over even where the source's broker sets them for all its topics."""

NEVER = ("leader.replication.throttled.replicas", "follower.replication.throttled.replicas")

RETENTION = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Held until released: copied records are old, and compaction would take away what is still to be compared."""

FOREVER = str(2**63 - 1)
COPYING = {
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": FOREVER,
    "message.timestamp.before.max.ms": FOREVER,
    "message.timestamp.difference.max.ms": FOREVER,
}
"""Held while copying only: with these a record keeps its time, whatever it is."""

LARGEST = 64 << 20
MAY_BE_UNKNOWN = ("message.", "remote.", "local.", "compression.", "segment.", "flush.", "internal.", "confluent.")

Configs = t.Dict[str, str]


def carried(configs: t.Mapping[str, t.Mapping[str, str]], replication: int) -> Configs:
    """What comes over of a source topic's settings."""
    found = {
        name: entry["value"]
        for name, entry in configs.items()
        if name not in NEVER and (entry["source"] == "topic" or (entry["source"] == "broker" and name in ALWAYS))
    }
    least = found.get("min.insync.replicas")
    if least is not None and 0 < replication < int(least):
        del found["min.insync.replicas"]  # nothing could be written
    return found


def largest_message(configs: t.Mapping[str, t.Mapping[str, str]]) -> int:
    """The largest batch that the source topic takes."""
    return int(configs.get("max.message.bytes", {}).get("value", 0))


def held(topic: Plan, replication: int) -> Configs:
    """The settings of a topic while it is filled. One that is made empty holds nothing: nobody may ever release it, and
    what Nuxeo writes there would stay."""
    kept = {} if topic.get("empty") else RETENTION
    room = {"max.message.bytes": str(max(LARGEST, largest_message(topic["configs"])))}
    return {**carried(topic["configs"], replication), **COPYING, **kept, **room}


def final(topic: Plan, replication: int, names: t.Iterable[str]) -> dict[str, t.Optional[str]]:
    """What ``names`` are set to in the end; None where the source topic had no value of its own."""
    kept = carried(topic["configs"], replication)
    return {name: kept.get(name) for name in names}


def lasting(topics: t.Sequence[Plan], state: t.Optional[str]) -> str:
    """Settings of topics that a copy still holds become what it will set in the end, else a copy of them would hold for
    ever. Returns what is to be warned of.

    :param state: the state file of the copy that has made the topics, which may not be there
    """
    if state and os.path.exists(state) and not os.access(state, os.R_OK):
        return f"State file '{state}' cannot be read: settings that its copy holds are recorded as they are"
    journal = Journal(state, {})
    if not journal.load(()) or journal.phase == "released":
        return ""
    made = {}
    for source in journal.plan["topics"]:
        entry = journal.topic(source["name"])
        made[(entry.get("target"), entry.get("id"))] = source["configs"]
    for topic in topics:
        kept = made.get((topic["name"], topic["id"]), {})
        for name in kept.keys() & RETENTION:
            if topic["configs"].get(name) == {"value": RETENTION[name], "source": "topic"}:
                topic["configs"][name] = kept[name]
    return ""


def replicas(cluster: Cluster, topic: Plan, replication: int) -> int:
    """How many replicas a topic gets. Brokers before 2.4 give none their default: then as many as the source had."""
    if replication > 0 or cluster.gives_default_replication():
        return replication
    return min(int(topic["replication_factor"]), cluster.broker_count())


def known(
    cluster: Cluster, name: str, partitions: int, replication: int, configs: Configs
) -> tuple[Configs, list[str], str]:
    """Ask whether a topic could be made. Returns the settings this broker knows, those it does not, and its refusal."""
    refusal = cluster.create(name, partitions, replication, configs, validate=True)
    if not refusal.startswith("INVALID_CONFIG"):
        return configs, [], refusal
    good, dropped = {}, []
    for key, value in sorted(configs.items()):
        answer = cluster.create(name, partitions, replication, {key: value}, validate=True)
        if not answer:
            good[key] = value
        elif key.startswith(MAY_BE_UNKNOWN):
            dropped.append(key)
        else:
            return configs, [], answer
    return good, dropped, cluster.create(name, partitions, replication, good, validate=True)


def create_all(
    cluster: Cluster, journal: Journal, targets: t.Mapping[str, str], replication: int, problems: list[str]
) -> None:
    """Create what is missing; each topic's id is kept as soon as it is known. Expects :func:`examine` to have
    passed."""
    existing = cluster.topics(sorted(targets.values()))
    for topic in journal.plan["topics"]:
        entry, name = journal.topic(topic["name"]), targets[topic["name"]]
        if entry.get("id") or (name in existing and entry.get("intended") and entry.get("ready")):
            continue
        factor, refusal = replicas(cluster, topic, replication), ""
        if name in existing:
            _adopt(cluster, name, held(topic, factor), entry)
        else:
            refusal = _create(cluster, journal, topic, name, factor)
        if refusal:
            problems.append(f"topic '{name}' cannot be created: {refusal}")
            continue
        entry.update(target=name, ready=True)
    journal.save()
    if problems:
        return
    made = wait_for(cluster, sorted(targets.values()))
    for topic in journal.plan["topics"]:
        name = targets[topic["name"]]
        journal.topic(topic["name"])["id"] = made[name].id
        _let_write(cluster, made[name], topic)
    journal.save()


def _create(cluster: Cluster, journal: Journal, topic: Plan, name: str, factor: int) -> str:
    """Create a topic; returns the broker's refusal. One with a ZooKeeper has a deleted topic's name for a while yet."""
    entry, end = journal.topic(topic["name"]), time.monotonic() + cluster.timeout
    while True:
        configs, dropped, refusal = known(cluster, name, topic["partition_count"], factor, held(topic, factor))
        entry.update(target=name, intended=True, dropped=dropped)
        journal.save()
        refusal = refusal or cluster.create(name, topic["partition_count"], factor, configs)
        if not refusal.startswith("TOPIC_ALREADY_EXISTS"):
            return refusal
        there = cluster.topics([name]).get(name)
        # made, and only the answer was lost; or by somebody who has asked for it just now
        if there and there.partitions == topic["partition_count"]:
            _adopt(cluster, name, held(topic, factor), entry)
            return ""
        if time.monotonic() > end:
            return refusal
        time.sleep(0.2)


def _let_write(cluster: Cluster, made: MadeTopic, topic: Plan) -> None:
    """A topic that the broker has given fewer replicas than its setting asks for would take no record."""
    lost = set(carried(topic["configs"], -1)) - set(carried(topic["configs"], made.replication))
    if lost:
        cluster.alter(made.name, dict.fromkeys(sorted(lost)))


def _adopt(cluster: Cluster, name: str, configs: Configs, entry: dict[str, t.Any]) -> None:
    """An empty topic that is there already, perhaps made by this copy just before it was killed, gets its settings."""
    understood = cluster.configs([name])[name]
    dropped = sorted(set(configs) - set(understood))
    cluster.alter(name, {key: value for key, value in configs.items() if key in understood})
    entry.update(dropped=dropped)


def wait_for(cluster: Cluster, names: t.Sequence[str]) -> dict[str, t.Any]:
    """Until all topics are there with a leader for each partition."""
    end = time.monotonic() + cluster.timeout
    while True:
        found = cluster.topics(names)
        if len(found) == len(names):
            return found
        if time.monotonic() > end:
            lacking = sorted(set(names) - set(found))
            raise StreamsError(
                f"Creation of topics on Kafka {cluster.where}",
                f"after {cluster.timeout:g} s there is no '{lacking[0]}'",
            )
        time.sleep(0.1)


def set_final(
    cluster: Cluster, journal: Journal, names: t.Sequence[str], replication: int, check: bool = False
) -> list[dict[str, t.Any]]:
    """Set ``names`` to their lasting values where they are not; returns what was, or would be, changed."""
    topics = [topic for topic in journal.plan["topics"] if journal.topic(topic["name"]).get("target")]
    now = cluster.configs([journal.topic(topic["name"])["target"] for topic in topics])
    changed = []
    for topic in topics:
        target = journal.topic(topic["name"])["target"]
        dropped = set(journal.topic(topic["name"]).get("dropped") or ())
        wanted = final(topic, replication, [name for name in names if name not in dropped])
        own = {key: entry["value"] for key, entry in now[target].items() if entry["source"] == "topic"}
        differ = {key: value for key, value in wanted.items() if own.get(key) != value}
        if differ:
            if not check:
                cluster.alter(target, differ)
            changed.append({"topic": target, "before": {key: own.get(key) for key in differ}, "after": differ})
    return changed
