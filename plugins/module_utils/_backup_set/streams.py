# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: under which prefix the streams of a set come back.

Topics that were restored once are consumed at once, so a restore of the same set later needs new ones: a prefix is only
used again by the restore that has begun with it, or while the database is still as that restore left it.
"""

from __future__ import annotations

import os
import re
import typing as t

from .._conf.generated import unheeded
from .marker import Marker

Plan = t.Dict[str, t.Any]
_RESTORED = re.compile(r"[0-9]{8}T[0-9]{6}Z-(?:[0-9]+-)?\Z")
_LEGAL = re.compile(r"[A-Za-z0-9._-]+")


def state_file(data_dir: str, prefix: str) -> str:
    """Where a copy to a prefix keeps how far it is; restores and backups leave files of such names alone."""
    return os.path.join(data_dir, f".nuxeo-platform-streams-{prefix}.json")


def left_lines(manifest: Plan, target: Plan, wanted: bool) -> list[str]:
    """What is to be known where the set's streams do not come back to a server on Kafka.

    :param wanted: whether the operator wants them
    """
    streams = target.get("streams") or {}
    if streams.get("kind") != "kafka" or (wanted and manifest.get("streams")):
        return []
    lines = [
        f"streams  those of prefix '{streams['prefix']}' stay as they are: unless that is a new one, work of after the "
        "backup will be done to what is restored"
    ]
    if _in_set(manifest):
        lines.append("streams  work that waits in the files of the set is left out")
    return lines


def file_problems(manifest: Plan, target: Plan, wanted: bool) -> list[str]:
    """Streams in files of the set come back with these; the target has to look for them there.

    :param wanted: whether the operator wants them
    """
    source, streams = _in_set(manifest), target.get("streams") or {}
    if not source or not streams:
        return []
    if streams["kind"] != "chronicle":
        return [
            f"Restore of the streams: in the set they are in files, and the target has its own in {streams['kind']}: "
            "no work that waits in them would ever be done. Configure the target as the source was, or by "
            "restore_properties, or leave them out by restore_streams."
        ][: int(wanted)]
    if _chronicle_place(target) == source:
        return []
    return [
        f"Restore of the streams: in the set their files are '{source}' of the data folder, and the target has them in "
        f"'{streams['path']}'. Set nuxeo.stream.chronicle.dir as the source had it, in nuxeo.conf or by "
        "restore_properties."
    ]


def prefix_problems(nodes: t.Mapping[str, t.Mapping[str, t.Any]], restored: bool) -> list[str]:
    """Nodes that would go on with the streams of before, since they do not read the new prefix.

    :param restored: whether streams of the set come back under one
    """
    every = {name: node.get("facts") or {} for name, node in sorted(nodes.items())}
    return [
        f"Node '{name}': {unheeded(facts['conf'], 'the prefix of the restored streams')}"
        for name, facts in every.items()
        if restored and facts.get("regenerates") is False
    ]


def _in_set(manifest: Plan) -> str | None:
    """Where in the data folder of the set the files of its streams are, if they are there."""
    place = _chronicle_place(manifest["nuxeo"])
    return None if place is None or place.startswith("..") else place


def _chronicle_place(facts: Plan) -> str | None:
    """Where Chronicle has its files, relative to the data folder; None where streams are elsewhere."""
    streams = facts.get("streams") or {}
    return os.path.relpath(streams["path"], facts["data_dir"]) if streams.get("kind") == "chronicle" else None


def derived(data_dir: str, source: str, set_id: str, clone: str) -> str:
    """The source's prefix followed by the set's id, the name of a clone, and a number where that has been used.

    Clones of one set that are made at the same time each have topics of their own: neither would see the other's yet.
    """
    first = f"{_RESTORED.sub('', source)}{set_id}-" + (f"{clone}-" if clone else "")
    prefix, number = first, 1
    while os.path.exists(state_file(data_dir, prefix)):
        number += 1
        prefix = f"{first}{number}-"
    return prefix


def plan(manifest: Plan, target: Plan, marker: Marker, unchanged: bool, wanted: str, instance: str) -> Plan:
    """The new prefix, the copy's state file, and what speaks against it.

    :param target: the facts of the target
    :param marker: that of the target's data folder, empty when there is none
    :param unchanged: whether the database is as an earlier restore of this set has left it, and is to stay so
    :param wanted: the prefix that the operator gives, or an empty text
    :param instance: the instance that the target is
    """
    source, data_dir = manifest["streams"]["prefix"], target["data_dir"]
    earlier = (marker.get("streams") or {}) if marker.get("set") == manifest["id"] else {}
    ours = earlier.get("prefix") if marker.get("status") == "begun" or unchanged else None
    clone = instance if instance != manifest["instance"] else ""
    prefix = wanted or ours or derived(data_dir, source, manifest["id"], clone)
    state, problems = state_file(data_dir, prefix), []
    what = f"Restore of streams to prefix '{prefix}'"
    if target["streams"]["kind"] != "kafka":
        problems.append(
            f"{what}: the target has its streams in {target['streams']['kind']}. Set kafka.enabled in its nuxeo.conf, "
            "or leave them out by restore_streams."
        )
    if not _LEGAL.fullmatch(prefix):
        problems.append(f"{what}: Kafka allows letters, digits, '.', '_' and '-'. Give another restore_streams_prefix.")
    if prefix == source:
        problems.append(f"{what}: it is that of the set itself. Give another restore_streams_prefix.")
    if unchanged and ours and prefix != ours:
        problems.append(
            f"{what}: this very set is there already under '{ours}'. Leave restore_streams_prefix out, or set "
            "restore_overwrite to true to have all of it restored once more."
        )
    elif prefix != ours and os.path.exists(state):
        problems.append(f"{what}: it was restored to before, and worked on. Give another restore_streams_prefix.")
    return {
        "prefix": prefix,
        "source": source,
        "state": state,
        "problems": problems,
        "lines": [f"streams  {manifest['streams']['topics']} topics from '{source}' to '{prefix}'"],
    }
