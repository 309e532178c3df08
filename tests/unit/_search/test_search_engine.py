# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine restores whose snapshot: what real engines answered, pair by pair."""

from __future__ import annotations

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search.engine import (
    Engine,
    from_id,
    why_not_restorable,
)

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
