# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: sequences, each a document that bears its name and whose version is its value."""

from __future__ import annotations

import typing as t

from .client import Client, path
from .errors import SearchError, refused

OF_AUDIT = "audit"
"""The sequence that numbers the entries of the audit."""
_MOST = 10000


def _hits(client: Client, index: str, names: t.Iterable[str] | None = None) -> list[dict[str, t.Any]]:
    """Those of some names; without names the first of all, as many as an engine gives in one answer."""
    query = {"match_all": {}} if names is None else {"ids": {"values": sorted(names)}}
    body = {"size": _MOST, "version": True, "_source": False, "query": query}
    answer = client.call("POST", path(index, "_search"), body, repeat=True)
    if not answer.ok:
        raise refused(f"Sequences in index '{index}' on {client.where}", answer.status, answer.body)
    hits: list[dict[str, t.Any]] = answer.body["hits"]["hits"]
    return hits


def read(client: Client, index: str, names: t.Iterable[str] | None = None) -> dict[str, int]:
    """The value of each sequence in a uidgen index, or of those with some names."""
    return {hit["_id"]: int(hit["_version"]) for hit in _hits(client, index, names)}


def check(client: Client, index: str, wanted: t.Mapping[str, int]) -> None:
    """Raise when a restored sequence stands below a number that was given before the snapshot."""
    found = read(client, index, wanted)
    low = [
        f"'{name}' is {found.get(name, 0)}, was {value}"
        for name, value in sorted(wanted.items())
        if found.get(name, 0) < value
    ]
    if low:
        what = f"Sequences in index '{index}' on {client.where}"
        raise SearchError(what, "; ".join(low), "Numbers would be given twice: use another set")


def largest_entry(client: Client, index: str) -> int:
    """The largest number of an audit entry; 0 where entries have none."""
    body = {"size": 0, "aggs": {"largest": {"max": {"field": "id"}}}}
    answer = client.call("POST", path(index, "_search"), body, repeat=True)
    if not answer.ok:
        raise refused(f"Largest entry of index '{index}' on {client.where}", answer.status, answer.body)
    return int(answer.body["aggregations"]["largest"]["value"] or 0)


def raise_to(client: Client, index: str, name: str, value: int) -> None:
    """Let a sequence that stands below a number stand at it. Its version is set, which the engines allow upwards."""
    for hit in _hits(client, index, [name]):
        if int(hit["_version"]) < value:
            target = path(index, hit.get("_type", "_doc"), name)
            versions = {"version": str(value), "version_type": "external_gte", "refresh": "true"}
            answer = client.call("PUT", target, {}, params=versions, repeat=True)
            if not answer.ok:
                raise refused(f"Sequence '{name}' in index '{index}' on {client.where}", answer.status, answer.body)
