# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a clone never takes, nor deletes, what is its source's."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import typing as t
from urllib.parse import SplitResult, urlsplit

from .._conf.copy import saved_parts
from .._conf.errors import ConfError
from .._conf.host import LOOPBACK, this_host
from .._conf.process import same_file
from .mounts import share

INDEX = "an elasticsearch.indexName"
Facts = t.Dict[str, t.Any]
Manifest = t.Dict[str, t.Any]


def _what(manifest: Manifest, instance: str) -> str:
    return f"Restore of a clone of '{manifest['instance']}' as '{instance}'"


def _instead(manifest: Manifest) -> str:
    """What else to do: a new server for a lost one is no clone."""
    return f"if it takes the source's place, give its host nuxeo_instance '{manifest['instance']}' in the inventory."


def _own(what: str, manifest: Manifest, means: str = "in its nuxeo.conf or by restore_properties") -> str:
    return f"Give the target {what} of its own, {means}; {_instead(manifest)}"


def clone_problems(manifest: Manifest, instance: str, database: dict[str, t.Any], audit: dict[str, t.Any]) -> list[str]:
    """A clone never goes into the database that it is a clone of, nor takes the names of its audit and sequences."""
    if manifest["instance"] == instance:
        return []
    what = _what(manifest, instance)
    problems = []
    saved = (manifest.get("database") or {}).get("server") or {}
    there = database.get("server") or {}
    same = saved.get("system_identifier") and saved.get("system_identifier") == there.get("system_identifier")
    name = manifest["nuxeo"]["database"].get("name")
    if same and name == database.get("name"):
        problems.append(
            f"{what}: its target is the source's own database '{name}', or one in a physical copy of its cluster, "
            "which has the same identifier. "
            f"Give another by restore_database_name or restore_database_host; {_instead(manifest)}"
        )
    kept = manifest.get("audit") or {}
    own = sorted(set((kept.get("names") or {}).values()) & set((audit.get("names") or {}).values()))
    if own and kept.get("cluster") and kept["cluster"] == audit.get("cluster"):
        problems.append(
            f"{what}: it would take the source's own index {', '.join(own)} of the same search engine. "
            + _own(INDEX, manifest)
        )
    return problems


def place_problems(manifest: Manifest, instance: str, target: Facts, stores: t.Sequence[dict[str, t.Any]]) -> list[str]:
    """A clone goes into other folders than its source's, on the same host or a shared volume: nobody stops that."""
    if manifest["instance"] == instance:
        return []
    paths = [path for path in (target["data_dir"], *(each["path"] for each in stores)) if path]
    taken = _on_this_host(manifest["nuxeo"], target["conf"], paths)
    why = f"which '{manifest['nuxeo']['conf']}' on this host names"
    if not taken:
        taken, why = _shared_places(manifest.get("shares", ()), paths), "a place that both hosts mount"
    if not taken:
        return []
    return [
        f"{_what(manifest, instance)}: it would go into the source's own {' and '.join(sorted(taken))}, {why}. "
        f"{_own('places', manifest, 'in its nuxeo.conf, by restore_data_dir or by restore_properties')}"
    ]


def _on_this_host(source: Facts, conf: str, paths: t.Iterable[str]) -> set[str]:
    """The source's own folders among some, where this is its host and it is not the target itself."""
    if not os.path.isfile(source["conf"]) or os.path.samefile(source["conf"], conf):
        return set()
    theirs = (source["data_dir"], *(each.get("path") for each in source["blobs"]))
    return {os.path.realpath(path) for path in theirs if path} & {os.path.realpath(path) for path in paths}


def _shared_places(shares: t.Iterable[str], paths: t.Iterable[str]) -> set[str]:
    """The folders, by their places on servers, that are the source's, in one of those, or hold one."""
    ours = filter(None, map(share, paths))
    return {own for own in ours for their in shares if _is_below(own, their) or _is_below(their, own)}


def _is_below(place: str, other: str) -> bool:
    return f"{place}/".startswith(f"{other.rstrip('/')}/")


def _own_confs(path: str, manifest: Manifest) -> list[str]:
    """The nuxeo.conf that nodes of the source have on this very host; most often none."""
    found = []
    for node in (name for name, saved in manifest["nodes"].items() if saved):
        with contextlib.suppress(ConfError):
            value, _parts = saved_parts(os.path.join(path, "conf", node))
            if value.get("host") and value["host"] == this_host():
                found.append(str(value["conf"]))
    return found


def _conf_problems(what: str, manifest: Manifest, confs: t.Iterable[str], target: Facts) -> list[str]:
    """A clone is never made of its source itself, which would be stopped and started with other data.

    Where all stays in its place it is the source by another name.
    """
    source, conf = manifest["nuxeo"], target.get("conf")
    if not conf or not any(same_file(conf, own) for own in confs):
        return []
    if source["data_dir"] == target["data_dir"] and _database(source) == _database(target):
        return []
    return [
        f"{what}: '{conf}' is the source's own, so the source would become the clone. "
        "Name the clone's by nuxeo_conf_path and nuxeo_home; "
        f"if the source is to change, give its host nuxeo_instance '{manifest['instance']}' in the inventory."
    ]


def _database(facts: Facts) -> list[t.Any]:
    return [facts["database"].get(key) for key in ("kind", "host", "port", "name", "path")]


def _hosts(urls: t.Iterable[str], port: int | None = None) -> set[str]:
    """The hosts of addresses, with or without scheme and port, some of which may hold several.

    :param port: what stands for one that is not given, when ports count
    """
    parts = [_in_brackets(part.strip()) for url in urls for part in str(url).split(",")]
    found = [urlsplit(part if "//" in part else f"//{part}") for part in parts]
    return {f"{url.hostname}:{_port(url) or port}" if port else url.hostname for url in found if url.hostname}


def _in_brackets(address: str) -> str:
    """Java takes an IPv6 address without them too, and cuts the port off at the last colon."""
    host, _colon, port = address.rpartition(":")
    with contextlib.suppress(ValueError):
        return f"[{ipaddress.IPv6Address(host)}]:{port}"
    return address


def _port(url: SplitResult) -> int | None:
    try:
        return url.port
    except ValueError:  # Nuxeo would not reach it either
        return None


def _shared(
    manifest: Manifest, leader: str, source: t.Iterable[str], target: t.Iterable[str], port: int | None = None
) -> set[str]:
    """The hosts that are among both addresses."""
    found = _hosts(source, port) & _hosts(target, port)
    if leader == manifest["leader"]:
        return found
    return {host for host in found if (host.rpartition(":")[0] if port else host) not in LOOPBACK}


def _index_problems(
    what: str, manifest: Manifest, leader: str, target: Facts, drop_index: t.Sequence[str]
) -> list[str]:
    """A clone never drops the index of documents of its source, nor writes to it; nor to its audit and sequences.

    :param leader: that of the source where this is a host of the source: ``localhost`` is the source's there only
    """
    source = manifest["nuxeo"]
    todo = _own(INDEX, manifest)
    name = (target.get("search") or {}).get("index")
    if drop_index and name and name == (source.get("search") or {}).get("index"):
        shared = _shared(manifest, leader, _engine(source, "search").get("url") or (), drop_index)
        if shared:
            own = f"the source's own index of documents '{name}' at {', '.join(sorted(shared))}"
            return [f"{what}: restore_drop_index would delete {own}. {todo} Else leave restore_drop_index away."]
    saved = (manifest.get("audit") or {}).get("names") or {}  # these were looked for in the engine itself
    kinds = [kind for kind in ("search", "audit", "sequences") if kind not in saved]
    taken = {
        target[kind]["index"]: _written(manifest, leader, target, kind)
        for kind in kinds
        if target.get(kind, {}).get("index")
    }
    own = ", ".join(f"{index} at {', '.join(sorted(at))}" for index, at in taken.items() if at)
    return [f"{what}: it would write to the source's own index {own}. {todo}"] if own else []


def _engine(facts: Facts, kind: str) -> Facts:
    """How the engine of one of search, audit and sequences is reached; up to 2023 all have that of search."""
    own = facts.get(kind) or {}
    return own if "url" in own else facts.get("search") or {}


def _written(manifest: Manifest, leader: str, target: Facts, kind: str) -> set[str]:
    """The engines of the source in which the target would write to an index of the same name."""
    source = manifest["nuxeo"]
    if target[kind]["index"] != (source.get(kind) or {}).get("index"):
        return set()
    here, there = _engine(source, kind), _engine(target, kind)
    alike = here.get("client", "rest") == there.get("client", "rest")  # else the ports say nothing
    port = (9300 if here.get("client") == "transport" else 9200) if alike else None
    return _shared(manifest, leader, here.get("url") or (), there.get("url") or (), port)


def _redis_problems(what: str, manifest: Manifest, leader: str, target: Facts) -> list[str]:
    """A clone never takes works, locks and caches of its source in Redis for its own."""
    here, there = ((facts.get("cluster") or {}).get("redis") for facts in (manifest["nuxeo"], target))
    if not here or not there:
        return []
    ours, theirs = ([f"{host.strip()}:{redis['port']}" for host in redis["host"].split(",")] for redis in (here, there))
    shared = _shared(manifest, leader, ours, theirs, port=6379)
    if not shared or any(here[key] != there[key] for key in ("database", "prefix", "sentinel")):
        return []
    return [
        f"{what}: it would work off the source's own works in Redis at {', '.join(sorted(shared))}, database "
        f"{there['database']}, prefix '{there['prefix']}'. "
        f"{_own('a nuxeo.redis.database or nuxeo.redis.prefix', manifest)}"
    ]


def _bucket_problems(what: str, manifest: Manifest, target: Facts) -> list[str]:
    """A clone never writes to a bucket of its source, which its garbage collection would empty of all newer blobs."""
    theirs, ours = ({store.get("bucket") for store in facts.get("blobs", ())} for facts in (manifest["nuxeo"], target))
    shared = sorted(filter(None, theirs & ours))
    if not shared:
        return []
    return [
        f"{what}: it would write to the source's own bucket {', '.join(shared)}, and remove what its documents do not "
        f"refer to. {_own('a bucket or a prefix', manifest)}"
    ]


def _streams_problems(what: str, manifest: Manifest, leader: str, target: Facts, restored: bool) -> list[str]:
    """A clone never works off the streams of its source: as a member of the same groups it would take their work away.

    :param restored: whether the set's own streams come back, for they come under a prefix of their own
    """
    source, there = manifest["nuxeo"].get("streams") or {}, target.get("streams") or {}
    if restored or {source.get("kind"), there.get("kind")} != {"kafka"}:
        return []
    shared = _shared(manifest, leader, source["bootstrap_servers"], there["bootstrap_servers"])
    if not shared or source["prefix"] != there["prefix"]:
        return []
    return [
        f"{what}: it would work off the source's own streams, of prefix '{there['prefix']}' in Kafka at "
        f"{', '.join(sorted(shared))}. "
        f"{_own('a kafka.topicPrefix', manifest)}"
    ]


def shared_problems(
    manifest: Manifest,
    instance: str,
    leader: str,
    path: str,
    target: Facts,
    drop_index: t.Sequence[str],
    restored: bool,
) -> list[str]:
    """What a clone would have in common with its source, beside database and folders.

    :param path: of the set
    :param restored: as for :func:`_streams_problems`
    """
    if manifest["instance"] == instance:
        return []
    what, confs = _what(manifest, instance), _own_confs(path, manifest)
    at = manifest["leader"] if confs else leader
    found = _conf_problems(what, manifest, confs, target)
    found += _index_problems(what, manifest, at, target, drop_index)
    found += _redis_problems(what, manifest, at, target) + _bucket_problems(what, manifest, target)
    return found + _streams_problems(what, manifest, at, target, restored)
