# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes: a store that they do not share, and one that dies during the snapshot."""

from __future__ import annotations

import re
import time
import typing as t

import pytest
from servers.search.engines import wanted
from servers.search.nuxeo_indices import Curl
from servers.search.server import Server

from .conftest import Trip, arguments, run_module

ENGINE = next((name for name in ("os1", "os2", "es7") if name in wanted()), None)
pytestmark = pytest.mark.skipif(ENGINE is None, reason="needs os1, os2 or es7 among NUXEO_TEST_ENGINES")


@pytest.fixture(scope="module")
def pair() -> t.Iterator[Server]:
    """Two nodes, each with a folder of its own for a relative location, and a shared one."""
    with Server(str(ENGINE), nodes=2, private_repositories=True, heap="256m") as server:
        yield server


def test_a_store_that_nodes_do_not_share(pair: Server) -> None:
    curl = Curl(pair)
    curl.create("nuxeo-audit")
    curl.write("nuxeo-audit", 1, 20)
    curl.ok("GET", "/_cluster/health?wait_for_no_initializing_shards=true&timeout=20s")
    login = arguments(pair)
    result = run_module("es_repository", {"name": "r", "settings": {"location": "audit"}, **login})
    assert result.failed and "Verification of snapshot repository 'r'" in result["msg"]
    assert curl("GET", "/_snapshot/r")[0] == 404
    curl.ok("PUT", "/_snapshot/r?verify=false", {"type": "fs", "settings": {"location": "audit"}})
    made = curl.ok("PUT", "/_snapshot/r/s?wait_for_completion=true", {"indices": "nuxeo-audit"})["snapshot"]
    assert made["state"] == "SUCCESS" and made["shards"]["successful"] == 2  # the lie
    result = run_module("es_snapshot", {"repository": "r", "name": "s2", "indices": ["nuxeo-audit"], **login})
    assert result.failed and "Verification of snapshot repository 'r'" in result["msg"]
    assert list(curl.snapshots("r")) == ["s"]


def test_a_node_killed_during_a_snapshot(pair: Server, make_trip: t.Callable[[Server], Trip]) -> None:
    """The backup fails and leaves nothing. The last test of this file: one node is left."""
    trip = make_trip(pair)
    site, curl = trip.site, trip.curl
    curl.clean()
    curl.create("acme-audit")
    curl.write("acme-audit", 1, 3000, filler=300)
    curl.ok("GET", "/_cluster/health?wait_for_no_initializing_shards=true&timeout=20s")
    assert {each["node"] for each in curl.ok("GET", "/_cat/shards/acme-audit?format=json")} == {"n0", "n1"}
    settings = {"location": str(pair.shared), "max_snapshot_bytes_per_sec": "40kb", "compress": False}
    made = run_module("es_repository", {"name": "slow", "settings": settings, **arguments(pair)})
    assert made["nodes"] == ["n0", "n1"], made
    trip.add("acme", trip.instance("acme").start(), backup_audit_repository="slow")
    backup = site.start("backup")
    while not curl.ok("GET", "/_snapshot/_status")["snapshots"]:
        assert backup.process.poll() is None
        time.sleep(0.1)
    pair.kill(1)
    failed = " ".join(backup.wait().failures)
    assert re.search(r"it ended (PARTIAL|FAILED) with [12] of 3 shards failed; acme-", failed), failed
    assert site.sets("acme") == [] and site.partial("acme") == [] and curl.snapshots("slow") == {}
    again = " ".join(site.run("backup").failures)
    assert "index 'acme-audit' is red: 1 of its primary shards are on no node" in again
