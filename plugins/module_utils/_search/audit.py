# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which indices of an instance are primary data, from the facts of its leader."""

from __future__ import annotations

import json
import os
import typing as t

KEPT_HERE = "elasticsearch"
AUDIT, SEQUENCES = "audit", "sequences"

Facts = t.Mapping[str, t.Any]


class Store(t.NamedTuple):
    """What is to be saved by snapshot. No name means that nothing of the kind is in the search engine."""

    audit: str
    sequences: str

    @property
    def names(self) -> dict[str, str]:
        return {kind: name for kind, name in self._asdict().items() if name}

    @property
    def indices(self) -> list[str]:
        return list(self.names.values())


def store(facts: Facts, left_out: t.Sequence[str] = ()) -> Store:
    """The audit and the sequences of one node's facts (``ansible_facts.nuxeo``).

    :param left_out: ids such as ``sequences:elasticsearch`` of what the operator saves by other means
    """

    def index(name: str) -> str:
        found = facts.get(name) or {}
        here = found.get("kept") == KEPT_HERE and f"{name}:{KEPT_HERE}" not in left_out
        return str(found.get("index") or "") if here else ""

    return Store(index(AUDIT), index(SEQUENCES))


def places(facts: Facts) -> dict[str, str]:
    """Where the audit and the sequences are that a search engine keeps: since 2025 each may have one of its own."""

    def place(found: Facts) -> str:
        listed = ", ".join(sorted(found.get("url") or ()))
        return f"at {listed}" if listed else "inside of Nuxeo" if found.get("embedded") else ""

    kept = {kind: facts.get(kind) or {} for kind in (AUDIT, SEQUENCES)}
    return {kind: place(found) for kind, found in kept.items() if found.get("kept") == KEPT_HERE}


def is_embedded(facts: Facts) -> bool:
    """Whether the engine that holds the audit runs inside of Nuxeo, with its files in the data folder."""
    own = facts.get(AUDIT) or {}
    search = facts.get("search") or {}
    return bool(own.get("embedded", search.get("embedded", False)))


def opening_problems(facts: Facts) -> list[str]:
    """A settings file of somebody else, where that goes with which the role ``embedded`` opens the engine."""
    home = facts["search"].get("home")
    name = "opensearch" if str(facts["version"]).startswith("2023") else "elasticsearch"
    path = f"{home}/config/{name}.yml"
    own = (
        "# For the time of a snapshot by nuxeo.platform, which takes it away again.\n"
        f"path.repo: {json.dumps([f'{home}/nuxeo-platform'])}\n"
    )
    why = "is there already, and not of this collection"
    try:
        if not os.path.lexists(path):
            return []
        with open(path, "rb") as stream:
            if stream.read() == own.encode():
                return []
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    return [f"Opening of the search engine inside of Nuxeo: '{path}' {why}. Take it away."]
