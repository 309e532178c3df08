# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine restores whose snapshot: what real engines answered, pair by pair."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search.client import Answer, Client
from ansible_collections.nuxeo.platform.plugins.module_utils._search.engine import (
    Engine,
    from_id,
    read_engine,
    why_not_restorable,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import SearchError

VERSIONS = {
    "es5": ("elasticsearch", "5.6.16", 5061699),
    "es6": ("elasticsearch", "6.8.23", 6082399),
    "es7": ("elasticsearch", "7.17.29", 7172999),
    "es8": ("elasticsearch", "8.8.2", 8080299),
    "es819": ("elasticsearch", "8.19.21", 8192199),
    "es9": ("elasticsearch", "9.5.3", 9050399),
    "os1": ("opensearch", "1.3.20", 135249827),
    "os2": ("opensearch", "2.19.6", 2190699 ^ 0x08000000),
    "os3": ("opensearch", "3.6.0", 3060099 ^ 0x08000000),
}
READS = {
    "es5": {"es5"},
    "es6": {"es5", "es6"},
    "es7": {"es6", "es7"},
    "es8": {"es7", "es8"},
    "es819": {"es7", "es8", "es819"},
    "es9": {"es8", "es819", "es9"},
    "os1": {"es6", "os1"},
    "os2": {"os1", "os2"},
    "os3": {"os2", "os3"},
}


def reading(name: str) -> Engine:
    distribution, version, dummy = VERSIONS[name]
    return Engine(distribution, version, "c", "u")


@pytest.mark.parametrize("reader", READS)
@pytest.mark.parametrize("writer", VERSIONS)
def test_the_answer_of_the_real_engines(reader: str, writer: str) -> None:
    dummy, version, number = VERSIONS[writer]
    why = why_not_restorable(reading(reader), {"version": version, "version_id": number}, number)
    assert (why == "") is (writer in READS[reader]), why


def test_an_index_made_two_majors_ago() -> None:
    snapshot = {"version": "7.17.29", "version_id": 7172999}
    why = why_not_restorable(reading("es8"), snapshot, 6082399)
    assert why == "the index was created by Elasticsearch 6, more than one major version before Elasticsearch 8.8.2"
    assert why_not_restorable(reading("es7"), snapshot, 6082399) == ""


def test_the_common_ancestor_of_both() -> None:
    snapshot = {"version": "7.10.2", "version_id": 7100299}
    assert why_not_restorable(reading("os1"), snapshot, 7100299) == ""
    assert why_not_restorable(reading("os2"), snapshot, 7100299) == ""
    assert "cannot read" in why_not_restorable(reading("os3"), snapshot, 7100299)


def test_version_numbers() -> None:
    assert from_id(7172999) == ("elasticsearch", (7, 17, 29))
    assert from_id(135249827) == ("opensearch", (1, 3, 20))


def test_snapshots_at_a_time() -> None:
    assert not Engine("elasticsearch", "7.8.1", "c", "u").concurrent_snapshots
    assert Engine("elasticsearch", "7.9.0", "c", "u").concurrent_snapshots
    assert reading("os1").concurrent_snapshots and str(reading("os1")) == "OpenSearch 1.3.20"


class Told:
    """A cluster that says what it is."""

    where = "fake"

    def __init__(self, root: Answer, node: str | Answer) -> None:
        nodes = Answer(200, {"nodes": {"1": {"version": node}}}) if isinstance(node, str) else node
        self.answers = {"/": root, "/_nodes": nodes, "/_cluster/stats": Answer(200, {"cluster_uuid": "u"})}

    def call(self, method: str, target: str, **_: t.Any) -> Answer:
        return self.answers[target]


DENIED = Answer(
    403,
    {
        "error": {
            "type": "security_exception",
            "reason": "no permissions for [cluster:monitor/nodes/info] and User [name=u]",
        }
    },
)


def engine_of(root: Answer, node: str | Answer = "") -> str:
    return str(read_engine(t.cast(Client, Told(root, node))))


def test_what_a_cluster_says_that_it_is() -> None:
    def root(**version: str) -> Answer:
        return Answer(200, {"version": version, "cluster_name": "c", "cluster_uuid": "u"})

    assert engine_of(root(number="5.6.16")) == "Elasticsearch 5.6.16"
    assert engine_of(root(number="2.19.6", distribution="opensearch")) == "OpenSearch 2.19.6"
    assert engine_of(root(number="7.10.2"), "2.8.0") == "OpenSearch 2.8.0", "hidden from old clients"
    assert engine_of(root(number="7.10.2"), "3.1.0") == "OpenSearch 3.1.0"
    assert engine_of(root(number="7.10.2"), "7.10.2") == "Elasticsearch 7.10.2"
    itself = {"version": {"number": "7.10.2"}, "tagline": "You Know, for Search", "cluster_uuid": "u"}
    assert engine_of(Answer(200, itself), "nobody asked") == "Elasticsearch 7.10.2"
    assert engine_of(Answer(405, {}), "2.19.6") == "OpenSearch 2.19.6"
    with pytest.raises(SearchError, match="lacks the privilege for 'cluster:monitor/nodes/info'"):
        engine_of(root(number="7.10.2"), DENIED)
    what = DENIED.body["error"]["reason"].replace("nodes/info", "main")
    with pytest.raises(SearchError, match="lacks the privilege for 'cluster:monitor/main'"):
        engine_of(Answer(403, {"error": {"type": "security_exception", "reason": what}}), DENIED)
    for old in ("2.4.6", "5.5.3"):
        with pytest.raises(SearchError, match=rf"it is Elasticsearch {old}\. This collection knows"):
            engine_of(root(number=old))
