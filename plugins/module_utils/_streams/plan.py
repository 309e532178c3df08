# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is to be copied up to which offset, and what speaks against it.

A plan is plain data: it is kept in the state file, so that a run that goes on after a kill does what the first began.
"""

from __future__ import annotations

import typing as t

from .cluster import Cluster, Partition
from .errors import ACCEPT_GAPS, StreamsError
from .names import matches
from .records import iso, parse_until
from .snapshot import Snapshot

Plan = t.Dict[str, t.Any]
SLACK = 60_000
"""Milliseconds by which the clocks of producers and of the node that read the ends may differ."""

PAST_END = 1 << 62
"""A position that is translated to the end of the copy, whatever it is."""


def groups_of(snapshot: Snapshot, choice: t.Optional[str], recorded: bool) -> list[Snapshot]:
    """The groups with the positions to translate.

    :param choice: ``start`` or ``end``, the operator's word where no usable position is known
    :param recorded: whether the snapshot's positions are those of the backup
    """
    if recorded:
        return t.cast(t.List[Snapshot], snapshot["groups"])
    if choice is None:
        raise StreamsError(
            f"Translation of the positions of '{snapshot['prefix']}'",
            "today's positions are past the work that the restored database has lost, and none of the backup are given",
            "Set positions to start (work is repeated) or to end (work is skipped), or give streams",
        )
    offset = 0 if choice == "start" else PAST_END
    return [
        {**group, "positions": [{**position, "offset": offset} for position in group["positions"]]}
        for group in snapshot["groups"]
    ]


def wanted_positions(groups: t.Sequence[Snapshot]) -> dict[Partition, list[int]]:
    """All positions of a partition, rising, each once."""
    found: dict[Partition, set[int]] = {}
    for group in groups:
        for position in group["positions"]:
            found.setdefault((position["topic"], position["partition"]), set()).add(position["offset"])
    return {key: sorted(values) for key, values in found.items()}


def missing_positions(groups: t.Sequence[Snapshot], topics: t.Sequence[Snapshot]) -> list[dict[str, t.Any]]:
    """Partitions without a position for a group that has one elsewhere in the topic: it begins at their first
    record."""
    counts = {topic["name"]: topic["partition_count"] for topic in topics}
    found = []
    for group in groups:
        have = {(position["topic"], position["partition"]) for position in group["positions"]}
        for name in sorted({topic for topic, _number in have}):
            for number in range(counts.get(name, 0)):
                if (name, number) not in have:
                    found.append({"group": group["name"], "topic": name, "partition": number})
    return found


class Gaps:
    """What the source has lost since the backup, collected to be told at once."""

    def __init__(self) -> None:
        self.found: list[dict[str, t.Any]] = []

    def add(self, topic: str, partition: int, start: int, end: int, why: str) -> None:
        """Records from ``start`` to before ``end`` are not to be had."""
        if end > start:
            entry = {
                "topic": topic,
                "partition": partition,
                "from": start,
                "to": end,
                "records": end - start,
                "why": why,
            }
            self.found.append(entry)


def described(gaps: t.Sequence[t.Mapping[str, t.Any]], count: int) -> str:
    """Some of ``count`` gaps, in words."""
    lines = [
        f"topic '{g['topic']}', partition {g['partition']}, offsets {g['from']} to {g['to'] - 1} ({g['why']}, "
        f"at most {g['records']} records)"
        for g in gaps[:20]
    ]
    return "; ".join(lines) + (f" and {count - 20} more" if count > 20 else "")


def refuse_gaps(gaps: t.Sequence[dict[str, t.Any]], what: str, todo: str) -> None:
    """Raise when there are any."""
    if gaps:
        raise StreamsError(
            what,
            f"records that are wanted are lost: {described(gaps, len(gaps))}",
            f"{todo}, or go on without them by {ACCEPT_GAPS}",
            {"gaps": list(gaps[:20]), "gap_count": len(gaps)},
        )


class Needs:
    """From which offset on the groups may still need the records of a partition."""

    def __init__(self, groups: t.Sequence[Snapshot], topics: t.Sequence[Snapshot]) -> None:
        self.positions = wanted_positions(groups)
        self.missing = missing_positions(groups, topics)
        self._missing = {(one["topic"], one["partition"]) for one in self.missing}
        self.consumed = {topic for topic, _number in self.positions}

    def lowest(self, topic: str, part: Snapshot) -> int:
        """The lowest position, which may be of records that have expired; the start where a group has none, and for a
        topic that no group is known of."""
        key, start = (topic, part["partition"]), int(part["start"])
        first = self.positions.get(key, [start])[0]
        return min(first, start) if key in self._missing else first


class Source:
    """A cluster's topics as they are now, against what was recorded of them."""

    def __init__(self, cluster: Cluster, recorded: Snapshot) -> None:
        names = [topic["name"] for topic in recorded["topics"]]
        now = cluster.topics(names)
        self.gone = {topic["name"]: _gone(topic, now) for topic in recorded["topics"]}
        self.gone.update(_made_anew(cluster, recorded, [name for name in now if not now[name].id]))
        keys = [
            (topic["name"], part["partition"])
            for topic in recorded["topics"]
            if not self.gone[topic["name"]]
            for part in topic["partitions"]
        ]
        self.offsets = {which: cluster.offsets(keys, which) for which in ("start", "end", "stable")}

    def range(self, topic: str, part: Snapshot, need: t.Optional[int], gaps: Gaps, to_now: bool) -> Plan:
        """Where to read one partition from and to; what is needed and not there any more goes to the gaps.

        :param need: the first offset that is needed; None when nobody needs any
        :param to_now: to the present stable end, not to the recorded one
        """
        number = part["partition"]
        if self.gone[topic]:
            first = part["start"] if need is None else min(need, part["start"])
            gaps.add(topic, number, first, part["stable"], self.gone[topic])
            return {"partition": number, "start": 0, "end": 0, "recorded_start": part["start"]}
        key = (topic, number)
        low, high = self.offsets["start"][key], self.offsets["end"][key]
        end = self.offsets["stable"][key] if to_now else part["stable"]
        need = end if need is None else need
        if high < end:
            gaps.add(topic, number, max(high, need), end, "the source has lost its tail")
            end = high
        gaps.add(topic, number, need, min(low, end), "expired")
        return {
            "partition": number,
            "start": min(low, end),
            "need": need,
            "end": end,
            "recorded_start": part["start"],
        }


def _gone(topic: Snapshot, now: dict[str, t.Any]) -> str:
    """Why a recorded topic is not the one that the cluster has now; empty when it is."""
    if topic["name"] not in now:
        return "the topic was deleted"
    if topic["id"] and now[topic["name"]].id and now[topic["name"]].id != topic["id"]:
        return "the topic was made anew"
    return ""


def _made_anew(cluster: Cluster, recorded: Snapshot, without_id: t.Sequence[str]) -> dict[str, str]:
    """Topics whose records from before the recorded end are newer than that: a broker before 2.8 gives no ids."""
    if not without_id:
        return {}
    since = parse_until(recorded["ends_taken"]) + SLACK
    ends = {
        (topic["name"], part["partition"]): part["stable"]
        for topic in recorded["topics"]
        if topic["name"] in without_id
        for part in topic["partitions"]
    }
    newer = cluster.offsets_at(list(ends), since)
    return {
        key[0]: "the topic was made anew: its records are newer" for key, end in ends.items() if 0 <= newer[key] < end
    }


def from_cluster(
    cluster: Cluster,
    recorded: Snapshot,
    until: t.Optional[int],
    empty: t.Sequence[str],
    *,
    choice: t.Optional[str],
    have_positions: bool,
) -> Plan:
    """The plan of a copy out of a cluster; its gaps are in it, for the caller to refuse or to accept."""
    cluster_id = cluster.cluster_id()
    if recorded["cluster_id"] != cluster_id:
        raise StreamsError(
            f"Copy of '{recorded['prefix']}' on Kafka {cluster.where}",
            f"the offsets were recorded on cluster {recorded['cluster_id']}, this one is {cluster_id}",
            "Give the cluster of the backup by restore_streams_source (source), or restore from an archive",
        )
    groups = groups_of(recorded, choice, have_positions)
    needs, source, gaps, topics = Needs(groups, recorded["topics"]), Source(cluster, recorded), Gaps(), []
    for topic in recorded["topics"]:
        name = topic["name"]
        is_empty = matches(name[len(recorded["prefix"]) :], empty)
        sieve = Gaps() if is_empty else gaps
        parts = []
        for part in topic["partitions"]:
            need = needs.lowest(name, part) if name in needs.consumed else None
            if need is not None and not have_positions:
                need = max(need, part["start"])  # the start of what there is was chosen, so nothing is lost below
            parts.append(source.range(name, part, need, sieve, until is not None))
        topics.append({**_shape(topic), "empty": is_empty, "partitions": parts})
    plan = _plan(recorded, topics, groups, needs.missing, until)
    return {**plan, "gaps": gaps.found, "out_of_range": _out_of_range(recorded, groups, topics)}


def _shape(topic: Snapshot) -> Plan:
    kept = ("name", "id", "partition_count", "replication_factor", "configs")
    return {key: topic[key] for key in kept}


def _plan(
    recorded: Snapshot, topics: list[Plan], groups: list[Snapshot], missing: list[Plan], until: t.Optional[int]
) -> Plan:
    return {
        "cluster_id": recorded["cluster_id"],
        "prefix": recorded["prefix"],
        "topics": topics,
        "groups": [{"name": group["name"], "positions": group["positions"]} for group in groups],
        "missing": missing,
        "until": until,
        "until_time": iso(until),
        "gaps": [],
        "out_of_range": [],
    }


def _out_of_range(recorded: Snapshot, groups: t.Sequence[Snapshot], topics: t.Sequence[Plan]) -> list[Plan]:
    """Positions that were past the end of their log when the ends were read: Kafka itself would have reset them. Those
    on a topic that is made empty are at its beginning, whatever they were."""
    empty = {topic["name"] for topic in topics if topic["empty"]}
    ends = {
        (topic["name"], part["partition"]): part["end"]
        for topic in recorded["topics"]
        if topic["name"] not in empty
        for part in topic["partitions"]
    }
    return [
        {"group": group["name"], **{key: position[key] for key in ("topic", "partition", "offset")}}
        for group in groups
        for position in group["positions"]
        if PAST_END > position["offset"] > ends.get((position["topic"], position["partition"]), PAST_END)
    ]


def settle_out_of_range(plan: Plan, choice: t.Optional[str]) -> Plan:
    """Give positions that never existed the place that the operator chose; without a choice they are an error."""
    wrong = {(one["group"], one["topic"], one["partition"]) for one in plan["out_of_range"]}
    if not wrong:
        return plan
    if choice is None:
        some = "; ".join(f"group '{g}', topic '{topic}', partition {n}" for g, topic, n in sorted(wrong)[:10])
        raise StreamsError(
            f"Translation of the positions of '{plan['prefix']}'",
            f"{len(wrong)} were past the end of their partition at the backup: {some}",
            "Set restore_streams_positions (positions) to start (work is repeated, as Nuxeo itself would have done) or "
            "to end (work is skipped)",
        )
    offset = 0 if choice == "start" else PAST_END
    groups = [
        {
            **group,
            "positions": [
                {**p, "offset": offset} if (group["name"], p["topic"], p["partition"]) in wrong else p
                for p in group["positions"]
            ],
        }
        for group in plan["groups"]
    ]
    return {**plan, "groups": groups}


def from_archive(index: t.Dict[str, t.Any], recorded: Snapshot, empty: t.Sequence[str]) -> Plan:
    """The plan of a copy out of an archive of the same backup; what was lost before it was written is in its gaps."""
    held = {(topic["name"], part["partition"]): part for topic in index["topics"] for part in topic["partitions"]}
    topics = []
    for topic in recorded["topics"]:
        is_empty = matches(topic["name"][len(recorded["prefix"]) :], empty)
        parts = []
        for part in topic["partitions"]:
            kept = held.get((topic["name"], part["partition"]))
            if kept is None and not is_empty and part["stable"] > part["start"]:
                raise StreamsError(
                    "Copy from an archive", f"topic '{topic['name']}', partition {part['partition']} is not in it"
                )
            start, end = (kept["start"], kept["end"]) if kept else (0, 0)
            parts.append(
                {"partition": part["partition"], "start": start, "end": end, "expected": kept and kept["sha256"]}
            )
        topics.append({**_shape(topic), "empty": is_empty, "partitions": parts})
    groups = recorded["groups"]
    plan = _plan(recorded, topics, groups, missing_positions(groups, recorded["topics"]), None)
    wanted = {topic["name"] for topic in topics if not topic["empty"]}
    gaps = [gap for gap in index["gaps"] if gap["topic"] in wanted]
    return {**plan, "gaps": gaps, "out_of_range": _out_of_range(recorded, groups, topics)}


def lowest_only(plan: Plan) -> Plan:
    """The plan of an archive: each partition from the lowest position on; from the start where one never was, for that
    is what the operator may choose at the restore."""
    shapes = [{**topic, "partition_count": len(topic["partitions"])} for topic in plan["topics"]]
    needs = Needs(settle_out_of_range(plan, "start")["groups"], shapes)
    topics = [
        {
            **topic,
            "partitions": [
                {**part, "start": min(max(needs.lowest(topic["name"], part), part["start"]), part["end"])}
                for part in topic["partitions"]
            ],
        }
        for topic in plan["topics"]
    ]
    return {**plan, "topics": topics}
