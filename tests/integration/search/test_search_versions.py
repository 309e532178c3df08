# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots that go from one version to the next, until an engine cannot read them: told before anything is changed."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest
from servers.search.engines import wanted
from servers.search.nuxeo_indices import Curl
from servers.search.server import Server

from .conftest import Result, arguments, run_module

CHAIN = ("es5", "es6", "es7")
pytestmark = pytest.mark.skipif(not set(CHAIN) <= set(wanted()), reason="needs es5, es6 and es7 (make test-engines)")
AUDIT = "nuxeo-audit"


def run(server: Server, module: str, **options: t.Any) -> Result:
    """A module against one of them."""
    return run_module(module, {**arguments(server), **options})


def save(server: Server, name: str, location: Path) -> dict[str, t.Any]:
    """The record of a snapshot of the audit."""
    location.mkdir()
    server.give(location)
    run(server, "es_repository", name=name, settings={"location": str(location)})
    return t.cast("dict[str, t.Any]", run(server, "es_snapshot", repository=name, name="s", indices=[AUDIT])["record"])


def bring(server: Server, name: str, location: Path, record: dict[str, t.Any]) -> Result:
    """A restore of it elsewhere."""
    run(server, "es_repository", name=name, settings={"location": str(location)}, readonly=True)
    return run(server, "es_snapshot_restore", repository=name, name="s", record=record, overwrite=True)


def test_snapshots_from_version_to_version(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        settings = {"path.repo": [str(tmp_path)]}
        old, middle, new = (stack.enter_context(Server(name, heap="256m", settings=settings)) for name in CHAIN)
        Curl(old).create(AUDIT)
        Curl(old).write(AUDIT, 1, 20)
        record = save(old, "old", tmp_path / "old")
        assert bring(middle, "old", tmp_path / "old", record)["changed"] and Curl(middle).count(AUDIT) == 20
        record = save(middle, "middle", tmp_path / "middle")
        refused = bring(old, "middle", tmp_path / "middle", record)
        assert (
            "the snapshot was made by Elasticsearch 6.8.23, which is newer than Elasticsearch 5.6.16" in refused["msg"]
        )
        refused = bring(new, "middle", tmp_path / "middle", record)
        assert "the index was created by Elasticsearch 5, more than one major version before" in refused["msg"]
        assert Curl(new).indices() == [] and Curl(old).indices() == [AUDIT]
