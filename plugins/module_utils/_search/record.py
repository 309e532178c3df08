# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a backup set keeps about its snapshot (audit.json)."""

from __future__ import annotations

import typing as t

from . import indices, repository
from .client import Client, path
from .engine import Engine
from .errors import refused

FORMAT = 1
_NOT_COUNTED = {"documents": None, "documents_at_least": None, "documents_at_most": None}
_MOST_SEQUENCES = 10000


def sequences(client: Client, index: str) -> dict[str, int]:
    """The value of each sequence in a uidgen index: the version of the document that bears its name."""
    body = {"size": _MOST_SEQUENCES, "version": True, "_source": False, "query": {"match_all": {}}}
    answer = client.call("POST", path(index, "_search"), body, repeat=True)
    if not answer.ok:
        raise refused(f"Sequences in index '{index}' on {client.where}", answer.status, answer.body)
    return {hit["_id"]: int(hit["_version"]) for hit in answer.body["hits"]["hits"]}


def record(
    client: Client,
    engine: Engine,
    where: str,
    *,
    snapshot: dict[str, t.Any],
    requested: dict[str, list[str]],
    documents: t.Mapping[str, indices.Documents],
) -> dict[str, t.Any]:
    """Everything that a restore has to know, and that tells a later reader what he has before him."""
    described = []
    for name in snapshot["indices"]:
        found = indices.describe(client, name)
        described.append({**found, **(documents[name].as_dict() if name in documents else _NOT_COUNTED)})
    return {
        "format": FORMAT,
        "engine": {"distribution": engine.distribution, "version": engine.version},
        "cluster": {"name": engine.cluster_name, "uuid": engine.cluster_uuid},
        "repository": {"name": where, **(repository.public(repository.must(client, where)) or {})},
        "snapshot": snapshot,
        "requested": requested,
        "indices": described,
    }
