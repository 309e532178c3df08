# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which prefix the streams of a set come back."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.streams import (
    file_problems,
    left_lines,
    plan,
    prefix_problems,
)

SET = "20261123T020004Z"


def planned(folder: Path, instance: str = "acme", prefix: str = "nuxeo-", **given: t.Any) -> dict[str, t.Any]:
    manifest = {"id": SET, "instance": "acme", "streams": {"prefix": prefix, "topics": 3}}
    target = {"data_dir": str(folder), "streams": {"kind": "kafka"}}
    values = {"marker": {}, "unchanged": False, "wanted": "", **given}
    return plan(manifest, target, instance=instance, **values)


@pytest.mark.parametrize(
    ("instance", "source", "prefix"),
    [
        ("acme", "nuxeo-", f"nuxeo-{SET}-"),
        ("acme", "nuxeo-20251123T020004Z-3-", f"nuxeo-{SET}-"),
        ("staging", "nuxeo-", f"nuxeo-{SET}-staging-"),
        ("training", "nuxeo-20251123T020004Z-", f"nuxeo-{SET}-training-"),
    ],
)
def test_clones_of_one_set_have_prefixes_of_their_own(tmp_path: Path, instance: str, source: str, prefix: str) -> None:
    found = planned(tmp_path, instance, source)
    assert (found["prefix"], found["problems"]) == (prefix, [])
    Path(found["state"]).touch()  # it was restored to before
    assert planned(tmp_path, instance, source)["prefix"] == f"{prefix}2-"
    begun = {"set": SET, "status": "begun", "streams": {"prefix": prefix}}
    assert planned(tmp_path, instance, source, marker=begun)["prefix"] == prefix


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"wanted": "mine-"}, ""),
        ({"wanted": "nuxeo-"}, "it is that of the set itself"),
        ({"wanted": "a b-"}, "Kafka allows letters"),
        ({"wanted": "old-"}, "it was restored to before, and worked on"),
        ({"wanted": "old-", "marker": {"set": SET, "status": "begun", "streams": {"prefix": "old-"}}}, ""),
        ({"wanted": "old-", "marker": {"set": "other", "status": "begun", "streams": {"prefix": "old-"}}}, "before"),
        ({"wanted": "old-", "marker": {"set": SET, "status": "finished", "streams": {"prefix": "old-"}}}, "before"),
        (
            {"wanted": "mine-", "unchanged": True, "marker": {"set": SET, "streams": {"prefix": "first-"}}},
            "this very set is there already under 'first-'. Leave restore_streams_prefix out, or set restore_overwrite",
        ),
    ],
)
def test_a_prefix_that_would_touch_what_is_there_is_refused(tmp_path: Path, given: dict[str, t.Any], told: str) -> None:
    Path(planned(tmp_path, wanted="old-")["state"]).touch()
    problems = planned(tmp_path, **given)["problems"]
    assert len(problems) == bool(told) and all(told in problem for problem in problems)


def streams_in(data_dir: str, path: str, kind: str = "chronicle") -> dict[str, t.Any]:
    return {"data_dir": data_dir, "streams": {"kind": kind, "path": path}}


QUEUES = {"nuxeo": streams_in("/var/lib/nuxeo/data", "/var/lib/nuxeo/data/queues")}
ELSEWHERE = {"nuxeo": streams_in("/var/lib/nuxeo/data", "/srv/queues")}  # not in the set


def test_streams_that_stay_as_they_are_are_told() -> None:
    target = {"streams": {"kind": "kafka", "prefix": "nuxeo-"}}
    saved = {"nuxeo": target, "streams": {"prefix": "nuxeo-"}}
    (line,) = left_lines(saved, target, False)
    assert "'nuxeo-' stay as they are" in line and "work of after the backup" in line
    assert left_lines({"nuxeo": target}, target, True) == [line]  # they were left out of the set
    assert left_lines(saved, target, True) == left_lines(saved, {"streams": {"kind": "memory"}}, False) == []
    assert left_lines(QUEUES, target, False) == [line, "streams  work that waits in the files of the set is left out"]


def test_queues_are_looked_for_where_they_come_back() -> None:
    assert file_problems(QUEUES, streams_in("/srv/data", "/srv/data/queues"), True) == []
    (problem,) = file_problems(QUEUES, streams_in("/srv/data", "/var/lib/nuxeo/data/queues"), True)  # of the source
    assert "'queues' of the data folder" in problem and "nuxeo.stream.chronicle.dir" in problem
    assert file_problems(ELSEWHERE, streams_in("/srv/data", "/srv/data/stream"), True) == []


@pytest.mark.parametrize("kind", ["kafka", "memory"])
def test_queues_do_not_come_back_where_nobody_looks_for_them(kind: str) -> None:
    target = streams_in("/srv/data", "", kind)
    (problem,) = file_problems(QUEUES, target, True)
    assert f"the target has its own in {kind}" in problem and "restore_streams" in problem
    assert file_problems(QUEUES, target, False) == file_problems(ELSEWHERE, target, True) == []
    assert file_problems({"nuxeo": target}, streams_in("/srv/data", "/srv/data/stream"), True) == []


def test_a_prefix_that_a_node_would_not_read_is_refused() -> None:
    """It would go on with the old streams, and nothing would ever work off the restored ones."""
    facts = {"conf": "/etc/nuxeo/nuxeo.conf"}
    nodes = {
        "n1": {"facts": {**facts, "regenerates": True}},
        "n2": {"facts": {**facts, "regenerates": False}},
        "n3": {},
    }
    (problem,) = prefix_problems(nodes, True)
    assert problem.startswith("Node 'n2': ") and "nuxeo.force.generation" in problem
    assert prefix_problems(nodes, False) == []
