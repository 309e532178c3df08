# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a backup set keeps about its snapshot (audit.json)."""

from __future__ import annotations

import json
import typing as t

from .._io import write_json
from . import indices, repository
from .client import Client
from .engine import Engine
from .errors import SearchError

FORMAT = 1
_NOT_COUNTED = {"documents": None, "documents_at_least": None, "documents_at_most": None}


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


def write_record(file: str, value: dict[str, t.Any]) -> None:
    """Keep it in a file, which is whole or absent."""
    try:
        write_json(file, value)
    except OSError as error:
        raise SearchError(f"Writing of '{file}'", str(error.strerror), "Make room, or mend the folder") from error


def read_record(file: str) -> dict[str, t.Any]:
    """What a set has kept; a format that is not known is not guessed at."""
    try:
        with open(file, encoding="utf-8") as stream:
            value: dict[str, t.Any] = json.load(stream)
        if value["format"] != FORMAT:
            raise SearchError(f"Reading of '{file}'", f"its format is {value['format']}, not {FORMAT}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SearchError(f"Reading of '{file}'", f"it is not what es_snapshot wrote: {error!r}") from error
    return value
