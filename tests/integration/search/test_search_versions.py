# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots that go from one version to the next, until an engine cannot read them: told before anything is changed."""

from __future__ import annotations

import contextlib
import shutil
import typing as t

import pytest
from servers.search.engines import wanted
from servers.search.nuxeo_indices import Curl
from servers.search.server import Server

from .conftest import Result, arguments, folder_for, run_module

CHAIN = ("es5", "es6", "es7")
pytestmark = pytest.mark.skipif(not set(CHAIN) <= set(wanted()), reason="needs es5, es6 and es7 (make test-engines)")
AUDIT = "nuxeo-audit"


def run(server: Server, module: str, **options: t.Any) -> Result:
    """A module against one of them."""
    return run_module(module, {**arguments(server), **options})


def save(server: Server) -> Result:
    """A snapshot of the audit, and its record."""
    run(server, "es_repository", name="own", settings={"location": folder_for(server, "own")})
    return run(server, "es_snapshot", repository="own", name="s", indices=[AUDIT])


def bring(source: Server, target: Server, record: dict[str, t.Any]) -> Result:
    """A restore in another engine, from a copy of the repository."""
    copy = target.repository / f"of-{source.name}"
    shutil.copytree(source.repository / "own", copy)
    target.give(copy)
    run(target, "es_repository", name=copy.name, settings={"location": str(copy)}, readonly=True)
    return run(target, "es_snapshot_restore", repository=copy.name, name="s", record=record)


def test_snapshots_from_version_to_version() -> None:
    with contextlib.ExitStack() as stack:
        old, middle, new = (stack.enter_context(Server(name, heap="256m")) for name in CHAIN)
        Curl(old).create(AUDIT)
        Curl(old).write(AUDIT, 1, 20)
        record = save(old)["record"]
        assert bring(old, middle, record)["changed"] and Curl(middle).count(AUDIT) == 20
        record = save(middle)["record"]
        refused = bring(middle, old, record)["msg"]
        assert "the snapshot was made by Elasticsearch 6.8.23, which is newer than Elasticsearch 5.6.16" in refused
        refused = bring(middle, new, record)["msg"]
        assert "the index was created by Elasticsearch 5, more than one major version before" in refused
        assert Curl(new).indices() == [] and Curl(old).indices() == [AUDIT]
