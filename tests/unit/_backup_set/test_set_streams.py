# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which prefix the streams of a set come back."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.streams import left_lines, plan

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


def test_streams_that_stay_as_they_are_are_told() -> None:
    target = {"streams": {"kind": "kafka", "prefix": "nuxeo-"}}
    (line,) = left_lines(target, False)
    assert "'nuxeo-' stay as they are" in line and "work of after the backup" in line
    assert left_lines(target, True) == left_lines({"streams": {"kind": "memory"}}, False) == []
