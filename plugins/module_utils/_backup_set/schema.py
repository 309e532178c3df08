# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a manifest must hold. docs/manifest.schema.json is this schema, for others."""

from __future__ import annotations

import re
import typing as t

FORMAT = 1
_TIME = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"}
_COUNT = {"type": "integer", "minimum": 0}
_NAME = {"type": "string", "pattern": r"^.+$"}

SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Manifest of a backup set of a Nuxeo instance, format 1",
    "type": "object",
    "required": [
        "format",
        "id",
        "instance",
        "run_id",
        "backup_date",
        "started",
        "finished",
        "kind",
        "leader",
        "nodes",
        "nuxeo",
        "uncovered",
        "database",
        "blobs",
        "files",
        "bytes",
    ],
    "properties": {
        "format": {"description": "The version of this format.", "const": FORMAT},
        "id": {
            "description": "The name of the set's folder: the UTC second of the cut.",
            "type": "string",
            "pattern": "^[0-9]{8}T[0-9]{6}Z$",
        },
        "instance": {"description": "The name of the folder below the backup root.", **_NAME},
        "run_id": {"description": "The run that made the set.", **_NAME},
        "backup_date": {
            "description": "The moment of the cut, by the clock of the database server; of H2 by that of the leader.",
            **_TIME,
        },
        "started": {"description": "When the run took the lease.", **_TIME},
        "finished": {"description": "When the set was complete.", **_TIME},
        "kind": {"description": "Whether the server was running meanwhile.", "enum": ["hot", "cold"]},
        "leader": {"description": "The node that did the work of the instance.", **_NAME},
        "nodes": {
            "description": "The nodes of the instance, and whether each one's own files are in the set.",
            "type": "object",
        },
        "nuxeo": {
            "description": "What nuxeo_conf_facts told of the leader.",
            "type": "object",
            "required": ["version", "database"],
            "properties": {
                "version": _NAME,
                "database": {"type": "object", "required": ["kind"], "properties": {"kind": _NAME}},
            },
        },
        "uncovered": {
            "description": "Stores of the instance that are not in the set, with the operator's consent.",
            "type": "array",
            "items": _NAME,
        },
        "shares": {
            "description": "Where data folder and blob stores were on volumes that servers share.",
            "type": "array",
            "items": _NAME,
        },
        "database": {
            "description": "What the dump told: server, database, tables, blob keys. Of H2 version, tables, blob keys.",
            "type": "object",
        },
        "blobs": {
            "description": "Each blob store of the set, by its provider: kind, digest, depth, keys, pool.",
            "type": "object",
        },
        "streams": {
            "description": "Of an instance on Kafka: what streams.json holds, and whether records are archived.",
            "type": "object",
            "required": ["cluster_id", "prefix", "positions_taken", "ends_taken", "archived"],
            "properties": {"cluster_id": _NAME, "prefix": _NAME, "positions_taken": _TIME, "ends_taken": _TIME},
        },
        "audit": {
            "description": "Where the search engine's snapshot of audit and sequences is. Absent where there is none.",
            "type": "object",
            "required": ["repository", "own", "location", "snapshot", "uuid", "names", "documents"],
            "properties": {
                "repository": _NAME,
                "location": _NAME,
                "snapshot": _NAME,
                "uuid": _NAME,
                "names": {"type": "object"},
                "documents": {"type": "object"},
            },
        },
        "cuts": {
            "description": "When each engine's cut was made, by the clock of the leader.",
            "type": "object",
            "properties": {"database": _TIME, "streams": _TIME},
        },
        "cut_seconds": {
            "description": "Seconds from the first of the cuts to the last.",
            "type": "number",
            "minimum": 0,
        },
        "files": {"description": "How many files SHA256SUMS names, manifest.json not counted.", **_COUNT},
        "bytes": {"description": "Their size; the blobs in the pool are not counted.", **_COUNT},
    },
}


def problems(value: t.Any, schema: dict[str, t.Any] | None = None, where: str = "manifest") -> list[str]:
    """What is wrong with a value by the schema; knows the keywords that the schema uses."""
    schema = SCHEMA if schema is None else schema
    kind = schema.get("type")
    if kind and not _is(value, kind):
        return [f"{where} is not of type {kind}"]
    if "const" in schema and (value != schema["const"] or isinstance(value, bool)):
        return [f"{where} is not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where} is not one of {', '.join(schema['enum'])}"]
    if "pattern" in schema and not re.search(schema["pattern"].replace("$", r"\Z"), value):
        return [f"{where} is {value!r}, which does not match {schema['pattern']}"]
    if "minimum" in schema and value < schema["minimum"]:
        return [f"{where} is less than {schema['minimum']}"]
    found = [f"{where}.{key} is missing" for key in schema.get("required", ()) if key not in value]
    for key, inner in schema.get("properties", {}).items():
        if key in value:
            found += problems(value[key], inner, f"{where}.{key}")
    if "items" in schema:
        for number, item in enumerate(value):
            found += problems(item, schema["items"], f"{where}[{number}]")
    return found


def _is(value: t.Any, kind: str) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    types: dict[str, type] = {"object": dict, "array": list, "string": str}
    return isinstance(value, types[kind])
