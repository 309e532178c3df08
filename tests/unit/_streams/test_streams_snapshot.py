# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions at T0 and ends at E: topics that come, go and are made anew in between."""

from __future__ import annotations

import hashlib
import types

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._streams import archive, plan, snapshot
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.errors import StreamsError


class Cluster:
    """Topics of one partition each, by the ids that they have now, and one group that has a position on each."""

    where = "here"

    def __init__(self, **ids):
        self.ids = ids

    def cluster_id(self):
        return "c"

    def topic_names(self):
        return sorted(f"p-{name}" for name in self.ids)

    def topics(self, names):
        there = {f"p-{name}": topic_id for name, topic_id in self.ids.items()}
        found = {name: types.SimpleNamespace(id=there[name]) for name in names if name in there}
        for topic in found.values():
            topic.partitions, topic.replication = 1, 1
        return found

    def group_names(self):
        return ["p-work", "q-work"]

    def positions(self, names):
        return {name: {(topic, 0): (40, "") for topic in self.topic_names()} for name in names}

    def groups(self, names):
        return {name: types.SimpleNamespace(state="EMPTY", members=0) for name in names}

    def offsets(self, keys, which):
        return dict.fromkeys(keys, {"start": 10, "stable": 100, "end": 100}[which])

    def configs(self, names):
        return {name: {} for name in names}


def positions(found):
    (group,) = found["groups"]
    return [(one["topic"], one["offset"]) for one in group["positions"]]


def test_positions_of_topics_that_are_gone_or_made_anew_at_the_ends_are_none():
    """A restore would skip records of another topic by them, or set them on a topic that it has not made."""
    before = snapshot.take(Cluster(a="1", b="1", c="1"), "p-")
    assert positions(before) == [("p-a", 40), ("p-b", 40), ("p-c", 40)]
    after = snapshot.take(Cluster(b="2", c="1", d="1"), "p-", earlier=before)
    assert positions(after) == [("p-c", 40)]
    assert [topic["name"] for topic in after["topics"]] == ["p-b", "p-c", "p-d"]
    assert (after["positions_taken"], snapshot.remade(before, after)) == (before["positions_taken"], ["p-a", "p-b"])
    assert "p-a, p-b" in snapshot.warnings(after, ["p-a", "p-b"])[0]


def test_positions_are_read_before_the_snapshot_and_stand():
    before = snapshot.take(Cluster(a="1"), "p-")
    moved = Cluster(a="1")
    moved.positions = lambda names: pytest.fail("positions of E are past work that the dump lacks")
    assert positions(snapshot.take(moved, "p-", earlier=before)) == [("p-a", 40)]
    for earlier in ({**before, "cluster_id": "d"}, {**before, "prefix": "q-"}):
        with pytest.raises(StreamsError, match="Read positions and ends on the same cluster"):
            snapshot.take(moved, "p-", earlier=earlier)


@pytest.mark.parametrize(("offset", "usable"), [(9, False), (10, True), (100, True), (101, False)])
def test_positions_outside_of_their_log_are_told_at_the_backup(offset, usable):
    found = snapshot.take(Cluster(a="1"), "p-")
    found["groups"][0]["positions"][0]["offset"] = offset
    assert bool(snapshot.unusable(found)) != usable
    assert bool(snapshot.warnings(found, [])) != usable


def test_topics_that_are_taken_for_another_instances_are_told_until_the_operator_says_so():
    other = {f"test-{name}": "1" for name in ("bulk-command", "bulk-done", "rows")}
    restored = {f"20261123T020004Z-{name}": "1" for name in ("bulk-command", "bulk-done")}
    cluster = Cluster(a="1", **other, **restored)
    found = snapshot.take(cluster, "p-")
    assert len(found["left_out"]) == 5
    (warning,) = snapshot.warnings(found, [])
    assert "3 topics with prefix 'p-test-'" in warning and "backup_streams_exclude" in warning
    assert snapshot.warnings(snapshot.take(cluster, "p-", exclude=["test-*"]), []) == []


def index(*numbers, **more):
    parts = [{"partition": n, "start": 40, "end": 100, "sha256": f"sum{n}"} for n in numbers]
    gaps = [{"topic": topic, "partition": 0} for topic in ("p-a", "p-pubsub")]
    return {"topics": [{"name": "p-a", "partitions": parts}], "gaps": gaps, **more}


def test_a_plan_of_an_archive_has_what_was_archived_and_misses_what_is_not_in_it():
    recorded = snapshot.take(Cluster(**{"a": "1", "pubsub": "1"}), "p-")
    found = plan.from_archive(index(0), recorded, ["pubsub"])
    assert [topic["empty"] for topic in found["topics"]] == [False, True]
    (part,) = found["topics"][0]["partitions"]
    assert (part["start"], part["end"], part["expected"]) == (40, 100, "sum0")
    assert found["gaps"] == [{"topic": "p-a", "partition": 0}]
    with pytest.raises(StreamsError, match="partition 0 is not in it"):
        plan.from_archive(index(), recorded, ["pubsub"])


def test_an_archive_of_another_backup_is_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    archive.write_index(str(tmp_path), {"streams_sha256": hashlib.sha256(b"one").hexdigest()})
    assert archive.read_index(str(tmp_path), str(tmp_path / "one"))["schema"] == 1
    with pytest.raises(StreamsError, match="another backup"):
        archive.read_index(str(tmp_path), str(tmp_path / "two"))
    (tmp_path / archive.INDEX).write_text('{"schema": 2}')
    with pytest.raises(StreamsError, match="a schema that this version does not know"):
        archive.read_index(str(tmp_path), str(tmp_path / "one"))
