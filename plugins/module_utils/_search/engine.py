# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which engine answers, and whose snapshots it can read."""

from __future__ import annotations

import dataclasses
import typing as t

from .._deps import numbers
from .client import Answer, Client
from .errors import SearchError, refused

ELASTICSEARCH = "elasticsearch"
OPENSEARCH = "opensearch"
_OPENSEARCH_BIT = 0x08000000
_OLDEST = (5, 6)
"""The oldest Elasticsearch whose snapshots come back: what is older was never tried, and is refused at the restore."""
_HIDING = "7.10.2"
"""What OpenSearch says of itself, and leaves out its distribution, where a setting hides it from old clients."""
_TAGLINE = "You Know, for Search"
"""What Elasticsearch says of itself."""
_LAST_COMMON = (7, 10, 2)
"""The Elasticsearch that OpenSearch was made from: the newest whose snapshots it reads."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """A cluster's engine, and the cluster's own identity."""

    distribution: str
    version: str
    cluster_name: str
    cluster_uuid: str

    @property
    def numbers(self) -> tuple[int, ...]:
        return numbers(self.version)

    @property
    def concurrent_snapshots(self) -> bool:
        """Whether it runs several snapshots at a time (since Elasticsearch 7.9)."""
        return self.distribution == OPENSEARCH or self.numbers >= (7, 9)

    def __str__(self) -> str:
        return f"{'OpenSearch' if self.distribution == OPENSEARCH else 'Elasticsearch'} {self.version}"


def read_engine(client: Client) -> Engine:
    """Ask the cluster what it is. No product is shut out."""
    answer = client.call("GET", "/")
    body = answer.body if answer.ok and isinstance(answer.body, dict) else {}
    version = body.get("version", {})
    if answer.status == 401:
        raise refused(f"Login on {client.where}", answer.status, answer.body)
    number, uuid, name = version.get("number", ""), body.get("cluster_uuid", ""), body.get("cluster_name", "")
    distribution = version.get("distribution", "")
    if not number or (number == _HIDING and body.get("tagline") != _TAGLINE):
        number = _node_version(client, answer)
    if not uuid:
        stats = client.call("GET", "/_cluster/stats", params={"filter_path": "cluster_uuid,cluster_name"})
        body = stats.body if stats.ok else {}
        uuid, name = body.get("cluster_uuid", ""), body.get("cluster_name", name)
    if not number:
        raise refused(f"Version of the search engine on {client.where}", answer.status, answer.body)
    told = version.get("number") not in (None, "", _HIDING)  # OpenSearch tells its distribution then
    if not distribution and told and numbers(number) < _OLDEST:
        what = f"Use of the search engine on {client.where}"
        raise SearchError(what, f"it is Elasticsearch {number}", "This collection knows Elasticsearch from 5.6 on")
    if not distribution:
        distribution = OPENSEARCH if numbers(number)[0] < 5 else ELASTICSEARCH
    return Engine(distribution, number, name, uuid)


def _node_version(client: Client, first: Answer) -> str:
    """What the oldest node says. Where that is refused too, what was asked first is what the login lacks."""
    answer = client.call("GET", "/_nodes", params={"filter_path": "nodes.*.version"})
    if not answer.ok:
        told = answer if first.ok else first
        raise refused(f"Version of the search engine on {client.where}", told.status, told.body)
    found = sorted((node["version"] for node in answer.body.get("nodes", {}).values()), key=numbers)
    return found[0] if found else ""


def from_id(version_id: int) -> tuple[str, tuple[int, int, int]]:
    """Distribution and version of an engine's version number, as indices and snapshots carry it."""
    distribution = OPENSEARCH if version_id & _OPENSEARCH_BIT else ELASTICSEARCH
    plain = version_id ^ _OPENSEARCH_BIT if distribution == OPENSEARCH else version_id
    return distribution, (plain // 1000000, plain // 10000 % 100, plain // 100 % 100)


def why_not_restorable(reader: Engine, snapshot: t.Mapping[str, t.Any], created: int | None) -> str:
    """Why this engine cannot restore an index of that snapshot; empty when nothing speaks against it.

    :param snapshot: as the engine describes it, with ``version`` and ``version_id``
    :param created: ``index.version.created`` of the index, where it is known
    """
    writer, dummy = from_id(int(snapshot.get("version_id") or 0))
    written = numbers(str(snapshot.get("version", ""))) or (0,)
    label = f"{'OpenSearch' if writer == OPENSEARCH else 'Elasticsearch'} {snapshot.get('version')}"
    if reader.distribution == ELASTICSEARCH and writer == OPENSEARCH:
        return f"the snapshot was made by {label}, which {reader} cannot read"
    if reader.distribution == OPENSEARCH and writer == ELASTICSEARCH:
        if written > _LAST_COMMON or reader.numbers[0] > 2:
            return f"the snapshot was made by {label}, which {reader} cannot read"
    elif written[:2] > reader.numbers[:2]:
        return f"the snapshot was made by {label}, which is newer than {reader}"
    if created is not None:
        maker, version = from_id(created)
        if _generation(maker, version[0]) < _generation(reader.distribution, reader.numbers[0]) - 1:
            name = "OpenSearch" if maker == OPENSEARCH else "Elasticsearch"
            return f"the index was created by {name} {version[0]}, more than one major version before {reader}"
    return ""


def _generation(distribution: str, major: int) -> int:
    """OpenSearch 1 counts as Elasticsearch 7, from which it was made."""
    return major + 6 if distribution == OPENSEARCH else major


def require_uuid(engine: Engine, where: str) -> str:
    """The cluster's identity, without which it cannot be told whether two clusters are one."""
    if not engine.cluster_uuid or engine.cluster_uuid == "_na_":
        raise SearchError(f"Identity of the cluster on {where}", "it has no uuid yet", "Wait until it has a master")
    return engine.cluster_uuid
