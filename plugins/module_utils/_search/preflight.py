# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what stands in the way of a snapshot, all of it, before anything is changed."""

from __future__ import annotations

import typing as t

from . import indices, repository, snapshot
from .client import Client
from .engine import Engine
from .errors import SearchError

_MOUNTED = ("snapshot", "remote_snapshot")
"""Where an index has its files, of Elasticsearch and of OpenSearch, when they are those of a snapshot."""


class Plan(t.NamedTuple):
    """What a snapshot would take."""

    requested: dict[str, list[str]]
    indices: list[str]
    problems: list[str]
    warnings: list[str]


def resolve(client: Client, names: t.Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Each name with the indices behind it, and one problem for each that has none."""
    requested = {name: sorted(indices.behind(client, name)) for name in names}
    problems = [f"there is no index or alias '{name}'" for name, found in requested.items() if not found]
    return requested, problems


def for_snapshot(client: Client, engine: Engine, where: str, names: t.Sequence[str]) -> Plan:
    """Look at everything that can be looked at without a change."""
    requested, problems = resolve(client, names)
    every = sorted({index for found in requested.values() for index in found})
    shut = indices.closed(client, every) if every else set()
    problems += [f"index '{name}' is closed" for name in sorted(shut)]
    open_ones = [name for name in every if name not in shut]
    for name in open_ones:
        if indices.describe(client, name)["settings"].get("store", {}).get("type") in _MOUNTED:
            problems.append(f"index '{name}' is mounted from a snapshot: one of it would not hold its documents")
    for name, state in sorted(indices.health(client, open_ones).items() if open_ones else ()):
        if state["active_primary_shards"] != state["number_of_shards"]:
            lacking = state["number_of_shards"] - state["active_primary_shards"]
            problems.append(f"index '{name}' is {state['status']}: {lacking} of its primary shards are on no node")
    more, warnings = _repository(client, engine, where)
    return Plan(requested, every, problems + more, warnings)


def _repository(client: Client, engine: Engine, where: str) -> tuple[list[str], list[str]]:
    found = repository.definition(client, where)
    if found is None:
        return [], [f"snapshot repository '{where}' is not registered yet"]
    problems = [f"snapshot repository '{where}' is readonly"] if repository.is_readonly(found) else []
    others = [] if engine.concurrent_snapshots else snapshot.running(client)  # they are waited for
    return problems, [
        f"snapshot '{name}' is running in repository '{other}': {engine} makes one at a time" for other, name in others
    ]


def raise_all(what: str, problems: t.Sequence[str], todo: str) -> None:
    """One error that tells every problem; nothing when there is none."""
    if problems:
        raise SearchError(what, "; ".join(problems), todo, {"problems": list(problems)})
