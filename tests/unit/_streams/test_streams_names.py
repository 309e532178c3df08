# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which topics are an instance's: another instance's are never taken, a stream of custom code is never left out
silently."""

from __future__ import annotations

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.errors import StreamsError
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.names import EMPTY, choose, matches
from hypothesis import given
from hypothesis import strategies as st

LTS_2021 = [
    *(f"bulk-{rest}" for rest in ("automation", "command", "csvExport", "done", "setProperties", "status")),
    *(f"work-{rest}" for rest in ("default", "dlq", "fulltextUpdater")),
    *("audit-audit", "input-null", "internal-metrics", "internal-processors", "pubsub-pubsub"),
    *("retention-retentionExpired", "source-blob", "source-document"),
]
LTS_2025 = [*LTS_2021, "source-indexing", "bulk-domainEventProducer"]
LTS_10 = ["audit", "default", "fulltextUpdater", "elasticSearchIndexing", "bulk-command", "bulk-status", "bulk-done"]
LTS_9 = ["audit", "default", "fulltextUpdater", "renditionBuilder", "pubsub"]


def names(prefix, rests):
    return [prefix + rest for rest in rests]


@pytest.mark.parametrize("own", [LTS_9, LTS_10, LTS_2021, LTS_2025], ids=["9.10", "10.10", "2021", "2025"])
@pytest.mark.parametrize("other", [LTS_9, LTS_10, LTS_2021, LTS_2025], ids=["9.10", "10.10", "2021", "2025"])
@pytest.mark.parametrize(
    "prefixes", [("nuxeo-", "nuxeo-test-"), ("nuxeo", "nuxeo-test-"), ("nuxeo-", "nuxeo-20261123-")]
)
def test_two_instances_of_any_age(own, other, prefixes):
    mine, theirs = prefixes
    chosen = choose([*names(mine, own), *names(theirs, other), "unrelated", "__consumer_offsets"], mine)
    assert chosen.taken == sorted(names(mine, own))
    assert [one.name for one in chosen.left_out] == sorted(names(theirs, other))
    assert {one.why for one in chosen.left_out} == {f"of the instance with prefix '{theirs}'"}
    assert choose([*names(mine, own), *names(theirs, other)], theirs).taken == sorted(names(theirs, other))


def test_a_prefix_without_a_dash_as_the_helm_chart_sets_it():
    chosen = choose([*names("nuxeo", LTS_2021), *names("nuxeotest", LTS_2021)], "nuxeo")
    assert chosen.taken == sorted(names("nuxeo", LTS_2021))


def test_streams_of_custom_code_are_taken():
    custom = ["import-document", "myapp-events", "thumbnails"]
    assert choose(names("nuxeo-", [*LTS_2021, *custom]), "nuxeo-").taken == sorted(
        names("nuxeo-", [*LTS_2021, *custom])
    )


@pytest.mark.parametrize("rest", ["myapp-audit", "myapp-bulk-command", "myapp-work-queue", "work-bulk-command"])
def test_one_name_alone_is_ambiguous_until_the_operator_says(rest):
    topics = names("nuxeo-", [*LTS_2021, rest])
    with pytest.raises(StreamsError, match=rest) as error:
        choose(topics, "nuxeo-")
    assert error.value.result["ambiguous"] == ["nuxeo-" + rest]
    assert "nuxeo-" + rest in choose(topics, "nuxeo-", include=[rest]).taken
    chosen = choose(topics, "nuxeo-", exclude=[rest])
    assert "nuxeo-" + rest not in chosen.taken and chosen.left_out[0].why == "excluded"


@pytest.mark.parametrize("some", [["blobs", "collections"], ["audit", "default", "pubsub"], ["quota", "escalation"]])
def test_words_that_anybody_uses_are_no_proof_of_another_instance(some):
    """They are names of Nuxeo 9.10 too; that one has others with them."""
    custom = [f"import-{rest}" for rest in [*some, "rows"]]
    with pytest.raises(StreamsError) as error:
        choose(names("nuxeo-", [*LTS_2021, *custom]), "nuxeo-")
    assert error.value.result["ambiguous"] == sorted(names("nuxeo-", custom))
    found = choose(names("nuxeo-", [*LTS_2021, *custom, "import-fulltextUpdater"]), "nuxeo-")
    assert found.taken == sorted(names("nuxeo-", LTS_2021))


def test_a_restore_that_has_made_one_topic_yet_is_another_instance():
    first, second = "nuxeo-20261123T020004Z-", "nuxeo-20261123T020004Z-2-"
    for mine, theirs in (("nuxeo-", first), ("nuxeo-", second), (first, second)):
        chosen = choose([*names(mine, LTS_2021), theirs + "audit-audit", theirs + "acme"], mine)
        assert chosen.taken == sorted(names(mine, LTS_2021))
        assert [one.why for one in chosen.left_out] == [f"of the instance with prefix '{theirs}'"] * 2
    with pytest.raises(StreamsError, match="may be another"):
        choose([*names("nuxeo-", LTS_2021), "nuxeo-import-20261123T020004Z-audit"], "nuxeo-")


def test_exclude_wins_and_an_empty_prefix_is_refused():
    assert choose(["p-a"], "p-", include=["a"], exclude=["a"]).taken == []
    with pytest.raises(StreamsError, match="prefix is empty"):
        choose(["a"], "")


def test_what_is_created_empty():
    assert [rest for rest in sorted(LTS_2025) if matches(rest, EMPTY)] == [
        "input-null",
        "internal-metrics",
        "internal-processors",
        "pubsub-pubsub",
    ]


@given(st.lists(st.text("ab-", min_size=1, max_size=8), max_size=20), st.text("ab-", min_size=1, max_size=3))
def test_every_topic_with_the_prefix_is_taken_or_said(found, prefix):
    chosen = choose(found, prefix)
    mine = {name for name in found if name.startswith(prefix) and name != prefix}
    assert {*chosen.taken, *(one.name for one in chosen.left_out)} == mine
