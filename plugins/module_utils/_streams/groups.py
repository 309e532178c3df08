# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: consumer groups under the new prefix, each where it was."""

from __future__ import annotations

import typing as t

from .cluster import Cluster, Partition
from .errors import StreamsError
from .journal import Journal
from .plan import Plan, wanted_positions

Positions = t.Dict[str, t.Dict[Partition, t.Tuple[int, str]]]


def renamed(name: str, source_prefix: str, target_prefix: str) -> str:
    """A topic's or group's name under the new prefix."""
    return target_prefix + name[len(source_prefix) :]


def translate(journal: Journal, target_prefix: str) -> Positions:
    """Each group's positions on the target: the index of the first copied record at or after the source position."""
    plan = journal.plan
    places: dict[tuple[Partition, int], int] = {}
    for key, offsets in wanted_positions(plan["groups"]).items():
        entry = journal.partition(key)
        translated = entry["translated"] or [0] * len(offsets)  # a topic that is created empty has only this place
        places.update({(key, offset): place for offset, place in zip(offsets, translated)})
    found: Positions = {}
    for group in plan["groups"]:
        name = renamed(group["name"], plan["prefix"], target_prefix)
        found[name] = {
            (renamed(p["topic"], plan["prefix"], target_prefix), p["partition"]): (
                places[((p["topic"], p["partition"]), p["offset"])],
                p["metadata"],
            )
            for p in group["positions"]
        }
    return found


def target_names(plan: Plan, target_prefix: str) -> list[str]:
    """The groups of the target that get a position."""
    return sorted(renamed(g["name"], plan["prefix"], target_prefix) for g in plan["groups"] if g["positions"])


def check_free(
    cluster: Cluster, names: t.Sequence[str], topics: t.Collection[str], ours: t.Optional[Positions]
) -> list[str]:
    """What speaks against setting positions: members, and positions that this copy has not set."""
    problems, idle = [], []
    for name, group in cluster.groups(names).items():
        if group.members or group.state not in ("EMPTY", "DEAD"):
            problems.append(
                f"group '{name}' has {group.members} active members (state {group.state}): stop what consumes with it"
            )
        else:
            idle.append(name)
    for name, positions in cluster.positions(idle).items():
        wrong = [
            f"'{topic}' {number} at {value[0]}"
            for (topic, number), value in sorted(positions.items())
            if topic in topics and (ours is None or ours.get(name, {}).get((topic, number)) != value)
        ]
        if wrong:
            problems.append(
                f"group '{name}' has {len(wrong)} positions that this copy has not set ({wrong[0]}): delete the group"
            )
    return problems


def commit(cluster: Cluster, wanted: Positions) -> int:
    """Set all positions and read them back. Returns how many there are."""
    for name, positions in sorted(wanted.items()):
        if positions:
            cluster.commit(name, positions)
    names = [name for name, positions in sorted(wanted.items()) if positions]
    for name, found in cluster.positions(names).items():
        for key, value in wanted[name].items():
            if found.get(key) != value:
                raise StreamsError(
                    f"Setting the position of group '{name}' on topic '{key[0]}', partition {key[1]}",
                    f"it was set to {value[0]} and reads back as {found.get(key, ('nothing',))[0]}",
                    "Make sure that nothing consumes with the new prefix yet, then run again",
                )
    return sum(len(positions) for positions in wanted.values())


def lag(
    cluster: Cluster, plan: Plan, target_prefix: str, copied: t.Mapping[Partition, int]
) -> tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]]:
    """The groups that have not yet come to the end of what was copied, and the topics with records that no group has a
    position on.

    A group that reads a topic begins with the first record of each partition that it has no position on. One that the
    backup does not know counts as soon as it has begun.
    """
    known = {
        renamed(group["name"], plan["prefix"], target_prefix): {
            renamed(position["topic"], plan["prefix"], target_prefix) for position in group["positions"]
        }
        for group in plan["groups"]
    }
    names = {*known, *(name for name in cluster.group_names() if name.startswith(target_prefix))}
    behind: list[dict[str, t.Any]] = []
    read: set[str] = set()
    for name, positions in cluster.positions(sorted(names)).items():
        topics = known.get(name, set()) | {topic for topic, _number in positions}
        left = sum(max(0, n - positions.get(key, (0, ""))[0]) for key, n in copied.items() if key[0] in topics)
        if left:
            behind.append({"group": name, "records": left})
        read |= topics
    unread: dict[str, int] = {}
    for (topic, _number), records in copied.items():
        if records and topic not in read:
            unread[topic] = unread.get(topic, 0) + records
    return behind, [{"topic": topic, "records": records} for topic, records in sorted(unread.items())]
