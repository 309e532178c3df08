# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which indices of an instance are primary data, from the facts of its nodes."""

from __future__ import annotations

import typing as t

from .errors import SearchError

KEPT_HERE = "elasticsearch"


class Store(t.NamedTuple):
    """What is to be saved by snapshot. No name means that nothing of the kind is in the search engine."""

    audit: str
    sequences: str

    @property
    def indices(self) -> list[str]:
        return [name for name in self if name]


def store(facts: t.Mapping[str, t.Any], sequences: bool = True) -> Store:
    """The audit and the sequences of one node's facts (``ansible_facts.nuxeo``)."""
    audit = facts.get("audit") or {}
    numbers = facts.get("sequences") or {}
    return Store(
        audit.get("index", "") if audit.get("kept") == KEPT_HERE else "",
        numbers.get("index", "") if sequences and numbers.get("kept") == KEPT_HERE else "",
    )


def agreed(nodes: t.Mapping[str, t.Mapping[str, t.Any]], sequences: bool = True) -> Store:
    """The store of an instance. Nodes that name different indices are not one instance, or one is set up wrongly."""
    found = {name: store(facts, sequences) for name, facts in sorted(nodes.items())}
    if len(set(found.values())) > 1:
        told = "; ".join(f"{name}: {', '.join(each.indices) or 'none'}" for name, each in found.items())
        raise SearchError(
            "Audit store of the instance", f"its nodes name different indices ({told})", "Make them agree"
        )
    return next(iter(found.values()), Store("", ""))
