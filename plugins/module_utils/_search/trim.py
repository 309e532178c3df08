# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: entries newer than the backup date, removed before anybody sees the restored index."""

from __future__ import annotations

import datetime
import typing as t

from .client import Client, path
from .errors import SearchError, refused
from .indices import counted, refresh

BATCH = 2000


def milliseconds(moment: str) -> int:
    """An ISO 8601 time as the engines compare dates: in whole milliseconds since 1970."""
    try:
        parsed = datetime.datetime.fromisoformat(moment.replace("Z", "+00:00"))
    except ValueError as error:
        raise SearchError(f"Time '{moment}'", str(error), "Write it as 2026-11-23T02:00:04.512000Z") from error
    if parsed.tzinfo is None:
        raise SearchError(f"Time '{moment}'", "it has no zone", "Write it as 2026-11-23T02:00:04.512000Z")
    since = parsed - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return since // datetime.timedelta(milliseconds=1)


def field_type(mappings: dict[str, t.Any], field: str) -> str:
    """The type of a field; mappings up to version 6 have one more level, that of the document type."""
    levels = [mappings, *(value for value in mappings.values() if isinstance(value, dict))]
    for level in levels:
        properties = level.get("properties")
        if isinstance(properties, dict) and isinstance(properties.get(field), dict):
            return str(properties[field].get("type", ""))
    return ""


def newer(field: str, limit: int) -> dict[str, t.Any]:
    """The query for what is newer."""
    return {"range": {field: {"gt": limit, "format": "epoch_millis"}}}


def count_newer(client: Client, index: str, field: str, limit: int) -> int:
    """How many entries are newer."""
    what = f"Count of newer entries in index '{index}' on {client.where}"
    answer = client.call("POST", path(index, "_count"), {"query": newer(field, limit)}, repeat=True)
    return counted(what, answer)


def trim(client: Client, index: str, mappings: dict[str, t.Any], *, field: str, limit: int) -> int:
    """Remove them by search and bulk delete, since not every engine has delete-by-query. Returns how many."""
    what = f"Removal of newer entries from index '{index}' on {client.where}"
    kind = field_type(mappings, field)
    if kind not in ("date", "date_nanos"):
        why = f"its field '{field}' is {'of type ' + kind if kind else 'not mapped'}, so times cannot be compared"
        raise SearchError(what, why, "Name the field that holds the time of an entry")
    before = count_newer(client, index, field, limit)
    body = {"size": BATCH, "_source": False, "query": newer(field, limit)}
    left = before
    while left:
        answer = client.call("POST", path(index, "_search"), body, repeat=True)
        if not answer.ok:
            raise refused(what, answer.status, answer.body)
        _delete(client, what, answer.body["hits"]["hits"])
        refresh(client, index)
        after = count_newer(client, index, field, limit)
        if after >= left:
            raise SearchError(what, f"{after} entries could not be removed", "See the log of the cluster")
        left = after
    return before


def _delete(client: Client, what: str, hits: list[dict[str, t.Any]]) -> None:
    lines = []
    for hit in hits:
        action = {"_index": hit["_index"], "_id": hit["_id"]}
        if "_type" in hit and hit["_type"] != "_doc":
            action["_type"] = hit["_type"]
        if "_routing" in hit:
            action["routing"] = hit["_routing"]
        lines.append({"delete": action})
    answer = client.call("POST", "/_bulk", lines, repeat=True, kind="application/x-ndjson")
    if not answer.ok:
        raise refused(what, answer.status, answer.body)
