# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what kafka_topic_info reads, and streams.json: positions at T0, ends at E."""

from __future__ import annotations

import collections
import json
import secrets
import typing as t

from .._io import now, write_json
from .cluster import Cluster, Partition
from .errors import StreamsError
from .names import EMPTY, Chosen, choose, matches

KIND = "nuxeo.platform/streams"
Snapshot = t.Dict[str, t.Any]
APPENDING = 1.0
"""Seconds after the cut of the database in which records of transactions committed before it may still be on their way:
Nuxeo appends a work when its transaction has ended, and a partition's leader tells of a record when its followers have
it."""


def check_sight(cluster: Cluster, prefix: str) -> None:
    """Kafka leaves out of its lists what a user may not see; make sure that this user sees all that has the prefix."""
    probe = f"{prefix}platform-probe-{secrets.token_hex(8)}"
    for kind, call in (("topics", cluster.topics), ("consumer groups", cluster.groups)):
        try:
            call([probe])
        except StreamsError as error:
            if "uthorization" not in error.why:
                raise
            raise StreamsError(
                f"Reading of the {kind} with prefix '{prefix}' on Kafka {cluster.where}",
                "this user has no right DESCRIBE on all of them, and Kafka would leave out the others silently",
                f"Grant DESCRIBE on {kind} with the prefix '{prefix}' (pattern type PREFIXED)",
                {"missing_rights": [f"DESCRIBE on {kind} '{prefix}*'"]},
            ) from error


def read_groups(cluster: Cluster, prefix: str, topics: t.Collection[str]) -> tuple[list[Snapshot], list[Snapshot]]:
    """Positions of the groups with the prefix on the given topics, and the groups that have others' positions only."""
    names = [name for name in cluster.group_names() if name.startswith(prefix)]
    positions = cluster.positions(names)
    states = cluster.groups(names)
    own, left_out = [], []
    for name in names:
        kept = {key: value for key, value in positions[name].items() if key[0] in topics}
        if positions[name] and not kept:
            left_out.append({"name": name, "kind": "group", "why": "its positions are on other topics"})
            continue
        own.append(
            {
                "name": name,
                "state": states[name].state,
                "members": states[name].members,
                "positions": [
                    {"topic": topic, "partition": number, "offset": offset, "metadata": metadata}
                    for (topic, number), (offset, metadata) in sorted(kept.items())
                ],
            }
        )
    return own, left_out


def read_topics(cluster: Cluster, names: t.Sequence[str], configs: bool = True) -> list[Snapshot]:
    """Partitions, ids and settings of topics; offsets are read later, see :func:`read_ends`."""
    found = cluster.topics(names)
    settings = cluster.configs(sorted(found)) if configs else {}
    return [
        {
            "name": name,
            "id": topic.id,
            "partition_count": topic.partitions,
            "replication_factor": topic.replication,
            "configs": settings.get(name, {}),
        }
        for name, topic in sorted(found.items())
    ]


def read_ends(cluster: Cluster, topics: t.Sequence[Snapshot]) -> None:
    """Put start, stable and end offset of each partition into the topics."""
    keys: list[Partition] = [(topic["name"], number) for topic in topics for number in range(topic["partition_count"])]
    offsets = {which: cluster.offsets(keys, which) for which in ("stable", "end", "start")}
    for topic in topics:
        topic["partitions"] = [
            {
                "partition": number,
                **{which: offsets[which][(topic["name"], number)] for which in ("start", "stable", "end")},
            }
            for number in range(topic["partition_count"])
        ]


def _check_same(cluster: Cluster, cluster_id: str, prefix: str, earlier: Snapshot) -> None:
    """The earlier snapshot must be of this cluster and prefix."""
    if (earlier["cluster_id"], earlier["prefix"]) != (cluster_id, prefix):
        raise StreamsError(
            f"Reading of the ends of '{prefix}' on Kafka {cluster.where}",
            f"the positions are of cluster {earlier['cluster_id']}, prefix '{earlier['prefix']}', this is {cluster_id}",
            "Read positions and ends on the same cluster",
        )


def _choose(cluster: Cluster, prefix: str, include: t.Sequence[str], exclude: t.Sequence[str]) -> Chosen:
    """The instance's topics; there is at least one."""
    chosen = choose(cluster.topic_names(), prefix, include, exclude)
    if not chosen.taken:
        raise StreamsError(
            f"Reading of the topics with prefix '{prefix}' on Kafka {cluster.where}",
            "there is none" + (f", but {len(chosen.left_out)} were left out" if chosen.left_out else ""),
            "Check kafka.topicPrefix and the cluster; name topics in include if they are this instance's",
        )
    return chosen


def ready(cluster: Cluster, prefix: str, include: t.Sequence[str], exclude: t.Sequence[str]) -> None:
    """Connect to every broker that will be asked, so that the ends are read at once when the moment has come."""
    read_ends(cluster, read_topics(cluster, _choose(cluster, prefix, include, exclude).taken, configs=False))


def take(
    cluster: Cluster,
    prefix: str,
    include: t.Sequence[str] = (),
    exclude: t.Sequence[str] = (),
    earlier: t.Optional[Snapshot] = None,
) -> Snapshot:
    """Positions first, then ends, as near to each other as can be.

    :param earlier: a snapshot whose positions stand (T0): only the topics and their ends are read now
    """
    cluster_id = cluster.cluster_id()
    if earlier is None:
        check_sight(cluster, prefix)
    else:
        _check_same(cluster, cluster_id, prefix, earlier)
    chosen = _choose(cluster, prefix, include, exclude)
    left_out = [{"name": one.name, "kind": "topic", "why": one.why, "prefix": one.prefix} for one in chosen.left_out]
    positions_taken = now()
    if earlier is None:
        groups, others = read_groups(cluster, prefix, set(chosen.taken))
        left_out += others
    else:
        groups, positions_taken = earlier["groups"], earlier["positions_taken"]
        left_out += [one for one in earlier["left_out"] if one["kind"] == "group"]
    topics = [dict(topic) for topic in read_topics(cluster, chosen.taken, configs=False)]
    ends_started = now()
    read_ends(cluster, topics)
    ends_taken = now()
    settings = cluster.configs([topic["name"] for topic in topics])
    for topic in topics:
        topic["configs"] = settings[topic["name"]]
    return {
        "schema": 1,
        "kind": KIND,
        "cluster_id": cluster_id,
        "prefix": prefix,
        "positions_taken": positions_taken,
        "ends_started": ends_started,
        "ends_taken": ends_taken,
        "topics": topics,
        "groups": _without(groups, set(remade(earlier, {"topics": topics}))) if earlier else groups,
        "left_out": left_out,
    }


def _without(groups: t.Sequence[Snapshot], topics: t.Collection[str]) -> list[Snapshot]:
    """Groups without their positions on topics that are gone or others now: Kafka forgets these with the topic."""
    return [{**group, "positions": [p for p in group["positions"] if p["topic"] not in topics]} for group in groups]


def remade(earlier: Snapshot, later: Snapshot) -> list[str]:
    """Topics of the earlier snapshot that are gone or another one in the later."""
    ids = {topic["name"]: topic["id"] for topic in later["topics"]}
    return sorted(topic["name"] for topic in earlier["topics"] if ids.get(topic["name"]) != topic["id"])


def open_transactions(snapshot: Snapshot) -> list[Snapshot]:
    """Partitions whose stable offset lags: records behind an open transaction are not in the cut."""
    return [
        {"topic": topic["name"], "partition": part["partition"], "stable": part["stable"], "end": part["end"]}
        for topic in snapshot["topics"]
        for part in topic["partitions"]
        if part["stable"] < part["end"]
    ]


def unusable(snapshot: Snapshot) -> list[Snapshot]:
    """Positions whose next records Kafka has deleted, or that are past the end of their log: a restore asks for the
    operator's word."""
    parts = {(topic["name"], part["partition"]): part for topic in snapshot["topics"] for part in topic["partitions"]}
    found = []
    for group in snapshot["groups"]:
        for position in group["positions"]:
            part = parts.get((position["topic"], position["partition"]))
            if part is None or matches(position["topic"][len(snapshot["prefix"]) :], EMPTY):
                continue
            if not part["start"] <= position["offset"] <= part["end"]:
                where = {key: position[key] for key in ("topic", "partition", "offset")}
                found.append({"group": group["name"], **where, "start": part["start"], "end": part["end"]})
    return found


def warnings(snapshot: Snapshot, made_anew: t.Sequence[str]) -> list[str]:
    """What is to be said of a snapshot."""
    found = [
        f"Records of topic '{one['topic']}', partition {one['partition']} from offset {one['stable']} on are behind an "
        "open transaction and not in the cut"
        for one in open_transactions(snapshot)[:20]
    ]
    found += [
        f"Group '{one['group']}' is at offset {one['offset']} of topic '{one['topic']}', partition {one['partition']}, "
        f"and Kafka has those from {one['start']} to {one['end']}: a restore asks what to do. "
        "Delete the group if nothing consumes with it any more"
        for one in unusable(snapshot)[:20]
    ]
    others = collections.Counter(one.get("prefix") for one in snapshot["left_out"])
    found += [
        f"{others[prefix]} topics with prefix '{prefix}' are left out as another instance's, by their names. Name them "
        "in backup_streams_exclude (exclude) if they are, in backup_streams_include (include) if they are not"
        for prefix in sorted(filter(None, others))[:20]
    ]
    if made_anew:
        names = ", ".join(made_anew)
        found.append(f"Topics were deleted or made anew since the positions were read, which are left out: {names}")
    return found


def save(path: str, snapshot: Snapshot) -> None:
    """Write streams.json, whole or not at all."""
    write_json(path, snapshot)


def load(path: str) -> Snapshot:
    """Read streams.json."""
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
    except (OSError, ValueError) as error:
        raise StreamsError(
            f"Reading of '{path}'", str(error), "Give the streams.json that kafka_topic_info wrote"
        ) from error
    if not isinstance(content, dict) or content.get("kind") != KIND or content.get("schema") != 1:
        raise StreamsError(f"Reading of '{path}'", "it is not a streams.json of a schema that this version knows")
    return content
