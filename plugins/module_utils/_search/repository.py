# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: snapshot repositories, registered only when every node can use them."""

from __future__ import annotations

import os
import re
import typing as t

from .._conf.secrets import values_under
from .client import Client, path
from .errors import SearchError, error_types, refused

_SECRET = re.compile(r"secret|password|token|access_key|sas", re.IGNORECASE)
HIDDEN = "********"


class Change(t.NamedTuple):
    """What :func:`ensure` did, or would do."""

    changed: bool
    before: dict[str, t.Any] | None
    after: dict[str, t.Any] | None
    nodes: list[str]


def definition(client: Client, name: str) -> dict[str, t.Any] | None:
    """Type and settings as registered; None when there is no such repository."""
    answer = client.call("GET", path("_snapshot", name))
    if answer.status == 404:
        return None
    if not answer.ok:
        raise refused(f"Definition of repository '{name}' on {client.where}", answer.status, answer.body)
    found = answer.body[name]
    return {"type": found["type"], "settings": dict(found.get("settings", {}))}


def public(found: dict[str, t.Any] | None) -> dict[str, t.Any] | None:
    """The definition without what some repository types keep in it: keys of a cloud's store."""
    if found is None:
        return None
    settings = {key: HIDDEN if _SECRET.search(key) else value for key, value in found["settings"].items()}
    return {"type": found["type"], "settings": settings}


def secrets_in(settings: t.Any) -> set[str]:
    """The values that :func:`public` hides; a switch is none. What is no dictionary is one as a whole."""
    if not isinstance(settings, dict):
        return {str(settings)} if settings else set()
    return values_under(_SECRET.search, settings)


def is_readonly(found: dict[str, t.Any]) -> bool:
    """Whether nothing can be written into it."""
    return found["type"] == "url" or str(found["settings"].get("readonly", "false")).lower() == "true"


def as_engine(settings: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Settings as the engine gives them back: all are strings."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in settings.items()}


def verify(client: Client, name: str) -> list[str]:
    """Have every node write, or for a read-only one read, the repository; the names of the nodes that did."""
    what = f"Verification of snapshot repository '{name}' on {client.where}"
    answer = client.call("POST", path("_snapshot", name, "_verify"), repeat=True)
    if not answer.ok:
        todo = "Make the store readable and writable by the server's user on every node, then run again"
        raise refused(what, answer.status, answer.body, todo)
    done = set(answer.body.get("nodes", {}))
    every = client.call("GET", "/_nodes", params={"filter_path": "nodes.*.name,nodes.*.roles"})
    if not every.ok:
        raise refused(what, every.status, every.body)
    nodes = every.body.get("nodes", {})
    missed = sorted(node["name"] for key, node in nodes.items() if key not in done and _takes_part(node))
    unasked = not done and is_readonly(must(client, name))  # Elasticsearch 5 verifies by writing only
    if missed and not unasked:
        raise SearchError(what, f"node {', '.join(missed)} did not take part", "Mount the store on every data node")
    return sorted(node["name"] for node in answer.body["nodes"].values())


def _takes_part(node: t.Mapping[str, t.Any]) -> bool:
    """Whether it reads or writes repositories: it keeps shards, or may be master, which one that only votes never is.

    Elasticsearch before 7.10 asks that one too; then it is the engine that refuses what it cannot use.
    """
    roles = node.get("roles", ["data"])
    if any(role.startswith("data") for role in roles):
        return True
    return "voting_only" not in roles and any(role in ("master", "cluster_manager") for role in roles)


def path_problems(client: Client, settings: t.Mapping[str, t.Any]) -> list[str]:
    """Why a file system repository cannot be there: one line for each node whose path.repo does not allow it."""
    answer = client.call("GET", "/_nodes/settings")
    if not answer.ok:
        return []  # no right to look: the engine refuses it itself, in its own words
    location = str(settings.get("location", ""))
    problems = []
    for node in sorted(answer.body["nodes"].values(), key=lambda each: str(each["name"])):
        if not _takes_part(node):
            continue
        roots = node["settings"].get("path", {}).get("repo") or []
        if isinstance(roots, str):  # as it was given, by the environment of a container for one
            roots = [root.strip() for root in roots.split(",") if root.strip()]
        if not roots:
            problems.append(f"path.repo is not set on node {node['name']}")
        elif os.path.isabs(location) and not any(_below(location, root) for root in roots):
            problems.append(f"path.repo of node {node['name']} is {', '.join(roots)}, and '{location}' is not in it")
    return problems


def _below(location: str, root: str) -> bool:
    inside, top = os.path.normpath(location), os.path.normpath(root)
    return inside == top or inside.startswith(top.rstrip("/") + "/")


def ensure(
    client: Client, name: str, wanted: dict[str, t.Any], *, check_mode: bool = False, verified: bool = True
) -> Change:
    """Register and verify. What fails its verification does not stay registered: the former definition is put back."""
    wanted = {"type": wanted["type"], "settings": as_engine(wanted["settings"])}
    before = definition(client, name)
    changed = before != wanted
    if changed and wanted["type"] == "fs":
        problems = path_problems(client, wanted["settings"])
        if problems:
            raise SearchError(
                f"Registration of snapshot repository '{name}' on {client.where}",
                "; ".join(problems),
                "Set path.repo in the configuration file (elasticsearch.yml or opensearch.yml) of the nodes named, "
                "restart them, then run again",
                {"problems": problems},
            )
    if check_mode:
        return Change(changed, before, wanted, [])
    if changed:
        _register(client, name, wanted)
    try:
        nodes = verify(client, name) if verified else []
    except SearchError as error:
        if not changed:
            raise
        _take_back(client, name, before)
        raise SearchError(error.what, error.why, f"{error.todo}. The registration was taken back") from error
    return Change(changed, before, wanted, nodes)


def _register(client: Client, name: str, wanted: dict[str, t.Any]) -> None:
    answer = client.call("PUT", path("_snapshot", name), wanted, params={"verify": "false"}, repeat=True)
    if not answer.ok:
        todo = "Check the repository's type and settings, and that its plugin is installed on every node"
        what = f"Registration of snapshot repository '{name}' on {client.where}"
        raise refused(what, answer.status, answer.body, todo)


def _take_back(client: Client, name: str, before: dict[str, t.Any] | None) -> None:
    if before is None:
        client.call("DELETE", path("_snapshot", name), repeat=True)
    else:
        client.call("PUT", path("_snapshot", name), before, params={"verify": "false"}, repeat=True)


def remove(client: Client, name: str, *, check_mode: bool = False) -> Change:
    """Forget a repository. Its snapshots stay in the store."""
    before = definition(client, name)
    if before is not None and not check_mode:
        answer = client.call("DELETE", path("_snapshot", name), repeat=True)
        if not answer.ok and "repository_missing_exception" not in error_types(answer.body):
            raise refused(f"Removal of snapshot repository '{name}' on {client.where}", answer.status, answer.body)
    return Change(before is not None, before, None, [])


def lost_catalogue(found: dict[str, t.Any]) -> str:
    """Why an empty list from a file system repository cannot be believed, as far as this host sees its folder."""
    location = str(found["settings"].get("location", ""))
    if found["type"] != "fs" or not os.path.isabs(location):
        return ""
    try:
        names = os.listdir(location)
        held = os.listdir(os.path.join(location, "indices")) if "indices" in names else []
    except PermissionError:
        return ""
    except OSError as error:
        return f"its folder '{location}' cannot be read: {error.strerror}"
    catalogued = any(name.startswith("index-") for name in names)
    if (held or any(name.startswith(("snap-", "meta-")) for name in names)) and not catalogued:
        return f"its folder '{location}' holds data but not the catalogue (the file index-N)"
    return ""


def must(client: Client, name: str) -> dict[str, t.Any]:
    """The definition, or an error."""
    found = definition(client, name)
    if found is None:
        raise SearchError(
            f"Snapshot repository '{name}' on {client.where}",
            "it is not registered",
            "Register it with nuxeo.platform.es_repository",
        )
    return found
