# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rights that a copy needs, asked for before it needs them, the missing ones by name.

Kafka tells what a user may do on a topic or group that it may describe; an empty answer means that the broker does not
tell (older than 2.3), and then the first refusal has to.
"""

from __future__ import annotations

import typing as t

from .cluster import Cluster
from .errors import StreamsError

SOURCE = ("READ", "DESCRIBE")
TARGET = ("WRITE", "READ", "ALTER_CONFIGS")
GROUP = ("READ",)


def _lacking(operations: frozenset[str], needed: t.Sequence[str]) -> list[str]:
    if not operations or "ALL" in operations:
        return []
    return [right for right in needed if right not in operations]


def topic_rights(cluster: Cluster, names: t.Sequence[str], needed: t.Sequence[str]) -> list[str]:
    """The rights on existing topics that are missing, each as ``WRITE on topic 'x'``."""
    missing = []
    for name in names:
        try:
            found = cluster.topics([name], rights=True)
        except StreamsError as error:
            if "uthorization" not in error.why:
                raise
            missing.append(f"DESCRIBE on topic '{name}'")
            continue
        if name in found:
            missing += [f"{right} on topic '{name}'" for right in _lacking(found[name].operations, needed)]
    return missing


def new_topic_rights(
    allowed: t.Mapping[str, frozenset[str]], names: t.Sequence[str], needed: t.Sequence[str]
) -> list[str]:
    """The rights that are missing on topics that are still to be made, as far as ``wire.operations`` tells."""
    return [
        f"{right} on topic '{name}'"
        for name in names
        if name in allowed
        for right in needed
        if right not in allowed[name]
    ]


def group_rights(cluster: Cluster, names: t.Sequence[str], needed: t.Sequence[str] = GROUP) -> list[str]:
    """The rights on groups that are missing; groups need not exist."""
    missing = []
    for name in names:
        try:
            found = cluster.groups([name], rights=True)[name]
        except StreamsError as error:
            if "uthorization" not in error.why:
                raise
            missing.append(f"{needed[0]} on group '{name}'")
            continue
        missing += [f"{right} on group '{name}'" for right in _lacking(found.operations, needed)]
    return missing


def refuse(where: str, missing: t.Sequence[str]) -> None:
    """Raise when a right is missing."""
    if missing:
        raise StreamsError(
            f"Copy of topics on Kafka {where}",
            f"this user lacks {len(missing)} rights: "
            + ", ".join(missing[:20])
            + (" ..." if len(missing) > 20 else ""),
            "Grant them (pattern type PREFIXED on the prefix is enough), then run again",
            {"missing_rights": list(missing[:20])},
        )
