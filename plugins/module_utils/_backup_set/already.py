# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: whether a set was restored onto this target before, and what is not as it was then."""

from __future__ import annotations

import typing as t

from .marker import Marker

Manifest = t.Dict[str, t.Any]
Nodes = t.Dict[str, t.Dict[str, t.Any]]


def is_there(node: dict[str, t.Any], manifest: Manifest) -> bool:
    """Whether a node's data folder says that this very set was restored into it, to the end."""
    marker: Marker = node.get("marker") or {}
    told = marker.get("status"), marker.get("set"), marker.get("instance")
    return told == ("finished", manifest["id"], manifest["instance"])


def lacking_problems(leader: str, nodes: Nodes, manifest: Manifest, streams: bool) -> list[str]:
    """Streams that a finished restore was told to leave out come back with all the rest only: its server runs, and goes
    on with others.

    :param streams: whether they are wanted
    """
    if not streams or "streams" not in manifest or not is_there(nodes[leader], manifest) or _prefix(nodes[leader]):
        return []
    return [
        f"Restore of the streams: this set was restored onto '{leader}' without them. Set restore_overwrite to true to "
        "have all of it restored, or leave them out again by restore_streams."
    ]


def conf_problems(leader: str, nodes: Nodes, manifest: Manifest, streams: bool) -> list[str]:
    """Changes of nuxeo.conf that the servers, which run, would not see before they are started again, and then not find
    what they have written until then. A node that a guard keeps from running takes them.

    :param streams: whether the streams of the set are wanted
    """
    prefix = _prefix(nodes[leader]) if streams and "streams" in manifest else None
    problems = []
    for name, node in sorted(nodes.items()):
        facts = node.get("facts") or {}
        changes, own = list(facts.get("unset") or ()), facts.get("streams") or {}
        if prefix and own.get("kind") == "kafka" and own["prefix"] != prefix:
            changes.append(f"kafka.topicPrefix={prefix}")
        if changes and not facts.get("guarded"):
            problems.append(
                f"Change of '{facts['conf']}' on node '{name}': this set was restored there before, and a server that "
                f"runs would not see that {', '.join(changes)} is set. Set it there yourself and start the server "
                "again, or set restore_overwrite to true to have all of it restored."
            )
    return problems


def _prefix(node: dict[str, t.Any]) -> str | None:
    """That of the streams which were restored."""
    return (node["marker"].get("streams") or {}).get("prefix")
