# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what stands in the way of a backup, and what it will hold.

Everything is read from the facts of the nodes (see nuxeo_conf_facts) and from the leader's own file system.
"""

from __future__ import annotations

import os
import re
import typing as t

from .._conf.generated import unread_problems
from .._database.error import DatabaseError, hint, told
from .._search import audit
from .mounts import share
from .trees import WORKS, embedded_problems, file_trees, folder_problems, h2_place, h2_problems, inside, tree_problems

Facts = t.Dict[str, t.Any]
Node = t.Dict[str, t.Any]

COVERED_DATABASES = ("postgresql", "h2")
POOLED_BLOBS = {"file": "digest", "record": "record", "encrypted": "encrypted"}
"""Blob stores on a file system, by the facts' word and by blob_rsync's."""

_PROVIDER = re.compile(r"[^./:][^/:]*")

STREAMS = "streams:kafka"
"""The id of streams in Kafka, which are saved unless the operator lists them as saved by other means."""


def _not_saved(facts: Facts, name: str, kept: str) -> str:
    """Where audit or sequences are kept when nothing saves them there; empty where something does."""
    if kept in ("sql", "memory") or (kept == "mongodb" and facts["database"]["kind"] == "mongodb"):
        return ""  # with the database, or nowhere for longer than the server runs
    if kept != "elasticsearch":
        return kept
    if not audit.is_embedded(facts) or facts["database"]["kind"] == "h2" or facts["search"].get("home"):
        return ""  # by snapshot; with the data folder while the server is stopped
    return "an engine embedded in Nuxeo that cannot be saved while it runs"


def uncovered(facts: Facts) -> dict[str, str]:
    """The stores of an instance that this collection cannot save yet: id to sentence."""
    found: dict[str, str] = {}
    for store in facts["blobs"]:
        if store["kind"] not in POOLED_BLOBS:
            found[f"blobs:{store['provider']}"] = f"blob store '{store['provider']}' is of kind {store['kind']}"
    for name in ("audit", "sequences"):
        kept = (facts.get(name) or {}).get("kept", "sql")
        why = _not_saved(facts, name, kept)
        if why:
            found[f"{name}:{kept}"] = f"{name} {'is' if name == 'audit' else 'are'} kept in {why}"
    streams = facts["streams"]
    if streams["kind"] == "chronicle" and inside(streams["path"], facts["data_dir"]) is None:
        place = os.path.realpath(streams["path"])
        found["streams:chronicle"] = f"its files are in '{place}', outside of the data folder"
    if facts["cluster"].get("redis"):
        found["redis"] = "Redis holds works, locks or key/value stores"
    return found


def database_problems(facts: Facts) -> list[str]:
    """No other means help here: the snapshot of the database is the cut, and its keys are what proves the blobs."""
    kind = facts["database"]["kind"]
    if kind in COVERED_DATABASES:
        return []
    return [f"Backup of the database: it is {kind}, and only {' and '.join(COVERED_DATABASES)} are covered yet."]


def uncovered_problems(facts: Facts, accepted: t.Sequence[str]) -> list[str]:
    """One sentence for each store that is neither covered nor accepted."""
    return [
        f"Backup of store '{name}': not covered yet, {why}. "
        f"Save it by other means and list '{name}' in backup_accept_uncovered."
        for name, why in sorted(uncovered(facts).items())
        if name not in accepted
    ]


def with_stores(facts: Facts, further: t.Sequence[dict[str, t.Any]]) -> Facts:
    """The facts with all blob stores. What the operator says of one counts: a contribution may have changed it."""
    return {**facts, "blobs": list({store["provider"]: store for store in [*facts["blobs"], *further]}.values())}


def provider_problems(further: t.Sequence[dict[str, t.Any]]) -> list[str]:
    """Stores that would have one pool and one list in the set, or none that can be named."""
    names = [store["provider"] for store in further]
    problems = [
        f"Backup of blob store '{name}': it is named twice in backup_blob_stores. List each store once."
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    return problems + [
        f"Backup of blob store '{name}': its name begins with '.' or holds '/' or ':', and is to name a folder. "
        "Correct it in backup_blob_stores."
        for name in sorted(set(names))
        if not _PROVIDER.fullmatch(name)
    ]


def left_out(facts: Facts, accepted: t.Sequence[str]) -> list[str]:
    """The ids of the operator's list that this instance has: they go into the manifest."""
    has = set(uncovered(facts)) | ({STREAMS} if facts["streams"]["kind"] == "kafka" else set())
    searched = [name for name in ("audit", "sequences") if (facts.get(name) or {}).get("kept") == "elasticsearch"]
    return sorted((has | {f"{name}:elasticsearch" for name in searched}) & set(accepted))


def elsewhere(accepted: t.Sequence[str]) -> set[str]:
    """The providers of blobs that the operator saves by other means; XML contributions may be all that names them."""
    return {name[len("blobs:") :] for name in accepted if name.startswith("blobs:")}


def streams_wanted(facts: Facts, accepted: t.Sequence[str]) -> bool:
    """Whether topics and positions of Kafka belong into the set."""
    return facts["streams"]["kind"] == "kafka" and STREAMS not in accepted


def _identity(facts: Facts) -> dict[str, t.Any]:
    database = facts["database"]
    return {
        "database": [database.get(key) for key in ("kind", "host", "port", "name")],
        "data folder": facts["data_dir"],
        "blob stores": sorted([store["provider"], store.get("path"), store["kind"]] for store in facts["blobs"]),
        "stream prefix": facts["streams"].get("prefix"),
        "kind of streams": facts["streams"]["kind"],
        "audit": facts.get("audit"),
        "sequences": facts.get("sequences"),
        "version": facts["version"],
    }


def disagreements(nodes: dict[str, Node], leader: str) -> list[str]:
    """Nodes of one instance share a database, a data folder and a prefix; each difference from the leader is named."""
    expected = _identity(nodes[leader]["facts"])
    problems = []
    for name, node in sorted(nodes.items()):
        found = _identity(node["facts"]) if node.get("facts") else expected
        problems += [
            f"Nodes '{leader}' and '{name}': their {what} differs, {expected[what]} against {found[what]}. "
            "Correct nuxeo.conf, or give nodes of different instances a different nuxeo_instance."
            for what in expected
            if expected[what] != found[what]
        ]
    return problems


def node_problems(nodes: dict[str, Node], cold: bool) -> list[str]:
    """Nodes whose configuration or keys could not be read; in a cold backup also those that could not be reached."""
    problems = [f"Node '{name}': {node['error']}" for name, node in sorted(nodes.items()) if node.get("error")]
    problems += [
        f"Node '{name}': {problem}"
        for name, node in sorted(nodes.items())
        for problem in (node.get("facts") or {}).get("key_problems", ())
    ]
    if cold:
        problems += [
            f"Node '{name}': it cannot be reached, or this run leaves it out, so nobody knows whether it is stopped. "
            "Bring it back, run on all nodes, or give it another nuxeo_instance where it is none of them."
            for name, node in sorted(nodes.items())
            if not node.get("error") and not node.get("facts")
        ]
    return problems


def look(
    facts: Facts, further_stores: t.Sequence[dict[str, t.Any]], exclude: t.Sequence[str]
) -> dict[str, list[t.Any]]:
    """What one node alone can tell, for a volume may be away there, and what is to be left out of its copy may differ.

    :returns: ``trees`` and ``problems`` of the node on which this runs
    """
    facts = with_stores(facts, further_stores)
    stores, cold = blob_stores(facts), facts["database"]["kind"] == "h2"
    return {"trees": file_trees(facts, stores, cold, exclude), "problems": folder_problems(facts, stores)}


def look_problems(nodes: dict[str, Node], leader: str, works: bool) -> list[str]:
    """What the other nodes have told of their folders.

    :param works: whether the leader has the folder of big works that nodes share
    """
    problems = []
    for name, node in sorted(nodes.items()):
        told = node if name != leader else {}  # of its own the leader tells itself
        problems += [f"Node '{name}': {problem}" for problem in told.get("problems", ())]
        if "trees" in told and works != (WORKS in (tree["name"] for tree in told["trees"])):
            lacks, has = (name, leader) if works else (leader, name)
            path = nodes[has]["facts"]["streams"]["big_works"]
            problems.append(
                f"Node '{lacks}': it has no folder '{path}', where node '{has}' has the bodies of queued works. "
                "Nodes share it as they share the blobs: mount it on each."
            )
    return problems


def blob_stores(facts: Facts) -> list[dict[str, t.Any]]:
    """The blob stores to copy, as blob_rsync takes them; the first is the default provider."""
    stores = []
    for index, store in enumerate(facts["blobs"]):
        if store["kind"] in POOLED_BLOBS:
            stores.append(
                {
                    "provider": store["provider"],
                    "path": store["path"],
                    "kind": POOLED_BLOBS[store["kind"]],
                    "digest": store.get("digest"),
                    "depth": store.get("depth"),
                    "default": index == 0,
                }
            )
    return stores


def shares(facts: Facts, stores: t.Sequence[dict[str, t.Any]]) -> list[str]:
    """Where data folder and blob stores are on volumes of servers: a clone elsewhere must not have them for its own."""
    return sorted(filter(None, {share(path) for path in (facts["data_dir"], *(store["path"] for store in stores))}))


def server_problems(facts: Facts | None, ping: dict[str, t.Any], server: dict[str, t.Any]) -> list[str]:
    """A database that does not let this login in, or a server that is not the one to dump from.

    :param ping: what postgresql_ping said, empty when it did not run
    :param server: what postgresql_info said, likewise
    """
    if not facts or not ping or ping.get("skipped"):
        return []
    database = facts["database"]
    where = f"{database.get('host') or 'the local socket'}:{database.get('port') or 5432}"
    if not ping.get("is_available"):
        why = told(str(ping.get("conn_err_msg") or ping.get("msg") or "it did not answer"))
        what = f"Login to database '{database.get('name')}' on {where} as '{database.get('user')}'"
        return [str(DatabaseError(what, why, hint(why)))]
    if server.get("in_recovery"):
        why = "it is a standby, whose snapshot is older than its clock says by what it has not replayed yet"
        return [str(DatabaseError(f"Backup from the server {where}", why, "Name the primary server in nuxeo.conf"))]
    return []


def plan(
    nodes: dict[str, Node],
    leader: str,
    accepted: t.Sequence[str],
    further_stores: t.Sequence[dict[str, t.Any]],
    exclude: t.Sequence[str],
) -> dict[str, t.Any]:
    """What a backup of this instance will do, and every problem that stands in its way.

    :param nodes: by inventory name, ``{"facts": {...}}``, ``{"error": "..."}`` or ``{}`` for one not reached;
        with the facts goes what :func:`look` told there
    :param leader: the node on which this runs
    :returns: ``cold``, ``h2`` (where in the data folder it is), ``stores``, ``providers`` (of all stores, copied or
        accepted), ``trees``, ``uncovered`` (ids that were accepted), ``shares``, ``streams``, ``embedded`` (whether an
        engine inside of Nuxeo has to be opened), ``problems``, ``warnings``
    """
    facts = nodes[leader].get("facts")
    if not facts:
        nothing = {"cold": False, "h2": "", "stores": [], "providers": [], "trees": [], "uncovered": [], "shares": []}
        problems = node_problems(nodes, cold=False)
        return {**nothing, "streams": False, "embedded": False, "warnings": [], "problems": problems}
    cold = facts["database"]["kind"] == "h2"
    problems = node_problems(nodes, cold) + disagreements(nodes, leader) + provider_problems(further_stores)
    problems += unread_problems(nodes)
    facts = with_stores(facts, further_stores)
    stores = blob_stores(facts)
    problems += database_problems(facts) + uncovered_problems(facts, accepted)
    problems += folder_problems(facts, stores) + h2_problems(facts) + embedded_problems(facts, accepted)
    trees = file_trees(facts, stores, cold, exclude)
    problems += tree_problems(facts, trees)
    problems += look_problems(nodes, leader, any(tree["name"] == WORKS for tree in trees))
    return {
        "cold": cold,
        "h2": h2_place(facts) if cold else "",
        "stores": stores,
        "providers": sorted({store["provider"] for store in facts["blobs"]} | elsewhere(accepted)),
        "trees": trees,
        "uncovered": left_out(facts, accepted),
        "shares": shares(facts, stores),
        "streams": streams_wanted(facts, accepted),
        "embedded": not cold and audit.is_embedded(facts) and bool(audit.store(facts, accepted).indices),
        "problems": problems,
        "warnings": [
            f"Node '{name}' cannot be reached, or this run leaves it out: the set has no files or configuration of it."
            for name, node in sorted(nodes.items())
            if not cold and not node.get("error") and not node.get("facts")
        ],
    }
