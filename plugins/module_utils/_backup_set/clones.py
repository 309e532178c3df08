# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a clone never takes, nor deletes, what is its source's."""

from __future__ import annotations

import os
import typing as t
from urllib.parse import urlsplit

Facts = t.Dict[str, t.Any]
Manifest = t.Dict[str, t.Any]

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def clone_problems(manifest: Manifest, instance: str, database: dict[str, t.Any], audit: dict[str, t.Any]) -> list[str]:
    """A clone never goes into the database that it is a clone of, nor takes the names of its audit and sequences."""
    if manifest["instance"] == instance:
        return []
    what = f"Restore of a clone of '{manifest['instance']}' as '{instance}'"
    problems = []
    saved = (manifest.get("database") or {}).get("server") or {}
    there = database.get("server") or {}
    same = saved.get("system_identifier") and saved.get("system_identifier") == there.get("system_identifier")
    name = manifest["nuxeo"]["database"].get("name")
    if same and name == database.get("name"):
        problems.append(
            f"{what}: its target is the source's own database '{name}', or one in a physical copy of its cluster, "
            "which has the same identifier. "
            "Give another by restore_database_name or restore_database_host."
        )
    kept = manifest.get("audit") or {}
    own = sorted(set((kept.get("names") or {}).values()) & set((audit.get("names") or {}).values()))
    if own and kept.get("cluster") and kept["cluster"] == audit.get("cluster"):
        problems.append(
            f"{what}: it would take the source's own index {', '.join(own)} of the same search engine. "
            "Give the target an elasticsearch.indexName of its own, in its nuxeo.conf or by restore_properties."
        )
    return problems


def place_problems(manifest: Manifest, instance: str, target: Facts, stores: t.Sequence[dict[str, t.Any]]) -> list[str]:
    """A clone on the host of its source goes into other folders: nobody stops the source for it."""
    source = manifest["nuxeo"]
    conf = source["conf"]
    if manifest["instance"] == instance or not os.path.isfile(conf) or os.path.samefile(conf, target["conf"]):
        return []
    theirs = _real([source["data_dir"], *(each.get("path") for each in source["blobs"])])
    taken = theirs & _real([target["data_dir"], *(each["path"] for each in stores)])
    if not taken:
        return []
    return [
        f"Restore of a clone of '{manifest['instance']}' as '{instance}': it would go into the source's own "
        f"{' and '.join(sorted(taken))}, which '{conf}' on this host names. Give the target places of its own, in its "
        "nuxeo.conf, by restore_data_dir or by restore_properties."
    ]


def _real(paths: t.Iterable[str | None]) -> set[str]:
    return {os.path.realpath(path) for path in paths if path}


def _hosts(urls: t.Iterable[str]) -> set[str]:
    """The hosts of addresses, with or without scheme and port, some of which may hold several."""
    parts = [part.strip() for url in urls for part in str(url).split(",")]
    return {urlsplit(part if "//" in part else f"//{part}").hostname or "" for part in parts} - {""}


def _shared(manifest: Manifest, leader: str, source: t.Iterable[str], target: t.Iterable[str]) -> set[str]:
    """The hosts that are among both addresses."""
    found = _hosts(source) & _hosts(target)
    return found if leader == manifest["leader"] else found - set(LOOPBACK)


def index_problems(
    manifest: Manifest, instance: str, leader: str, target: Facts, drop_index: t.Sequence[str]
) -> list[str]:
    """A clone never drops the index of documents of its source. ``localhost`` is the source's on its own node only."""
    source = manifest["nuxeo"].get("search") or {}
    name = (target.get("search") or {}).get("index")
    if manifest["instance"] == instance or not drop_index or not name or name != source.get("index"):
        return []
    shared = _shared(manifest, leader, source.get("url") or (), drop_index)
    if not shared:
        return []
    return [
        f"Restore of a clone of '{manifest['instance']}' as '{instance}': restore_drop_index would delete the source's "
        f"own index of documents '{name}' at {', '.join(sorted(shared))}. Give the target an elasticsearch.indexName "
        "of its own, in its nuxeo.conf or by restore_properties, or leave restore_drop_index away."
    ]


def streams_problems(manifest: Manifest, instance: str, leader: str, target: Facts, restored: bool) -> list[str]:
    """A clone never works off the streams of its source: as a member of the same groups it would take their work away.

    :param restored: whether the set's own streams come back, for they come under a prefix of their own
    """
    source, there = manifest["nuxeo"].get("streams") or {}, target.get("streams") or {}
    if manifest["instance"] == instance or restored or {source.get("kind"), there.get("kind")} != {"kafka"}:
        return []
    shared = _shared(manifest, leader, source["bootstrap_servers"], there["bootstrap_servers"])
    if not shared or source["prefix"] != there["prefix"]:
        return []
    return [
        f"Restore of a clone of '{manifest['instance']}' as '{instance}': it would work off the source's own streams, "
        f"of prefix '{there['prefix']}' in Kafka at {', '.join(sorted(shared))}. "
        "Give the target a kafka.topicPrefix of its own, in its nuxeo.conf or by restore_properties."
    ]
