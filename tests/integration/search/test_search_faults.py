# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines answer as if all were well, and what is wrong with a cluster before the first change."""

from __future__ import annotations

import base64
import dataclasses
import functools
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time
import typing as t

import pytest
from servers.search.proxy import Fault, Proxy
from servers.tiers import engines_only

from .conftest import arguments, start_module

if t.TYPE_CHECKING:
    from servers.search.nuxeo_indices import Curl
    from servers.search.server import Server

    from .conftest import Location, Run


@pytest.fixture
def audit(curl: Curl) -> str:
    """An audit index of 50 entries."""
    curl.create("nuxeo-audit")
    curl.write("nuxeo-audit", 1, 50)
    curl.ok("POST", "/nuxeo-audit/_refresh")
    return "nuxeo-audit"


@pytest.fixture
def repository(audit: str, good: Run, location: Location) -> str:
    """The folder of the repository ``r``, with the snapshot ``s1`` of the audit in it."""
    where = location()
    good("es_repository", name="r", settings={"location": where})
    good("es_snapshot", repository="r", name="s1", indices=[audit])
    return where


def copied(server: Server, folder: str) -> pathlib.Path:
    """A copy of a repository's folder, for damage."""
    target = pathlib.Path(folder + "-copy")
    shutil.copytree(folder, target)
    server.give(target)
    return target


# -- success that is none


def test_an_index_that_is_not_there_makes_no_snapshot(curl: Curl, run: Run, repository: str) -> None:
    for check in (True, False):
        result = run("es_snapshot", check=check, repository="r", name="s2", indices=["nuxeo-audit", "nuxeo-audti"])
        assert result.failed and result["problems"] == ["there is no index or alias 'nuxeo-audti'"]
    for wild in ("nuxeo-*", "nuxeo-audit,other", "*", "-nuxeo"):
        result = run("es_snapshot", repository="r", name="s2", indices=[wild])
        assert result.failed and "not the name of one index" in result["msg"]
    assert curl.snapshots("r") == {"s1": "SUCCESS"} and repository


def test_a_snapshot_that_says_success_and_holds_no_index_is_refused(curl: Curl, run: Run, repository: str) -> None:
    body = {"indices": "nuxeo-audti", "ignore_unavailable": True, "include_global_state": False}
    made = curl.ok("PUT", "/_snapshot/r/empty?wait_for_completion=true", body)["snapshot"]
    assert made["state"] == "SUCCESS" and made["indices"] == []
    result = run("es_snapshot", repository="r", name="empty", indices=["nuxeo-audit"])
    assert result.failed and "it holds no index instead of nuxeo-audit" in result["msg"]
    result = run("es_snapshot_restore", repository="r", name="empty", indices=["nuxeo-audit"], overwrite=True)
    assert result.failed and "index 'nuxeo-audit' is not in it (it holds none)" in result["msg"]
    assert curl.count("nuxeo-audit") == 50 and repository


def test_a_partial_snapshot_is_refused_with_its_shards(curl: Curl, run: Run, repository: str) -> None:
    lost = {"index.routing.allocation.require._name": "nowhere"}
    body = {"settings": {"number_of_shards": 1, "number_of_replicas": 0, **lost}}
    curl.ok("PUT", "/nuxeo-audit-red?wait_for_active_shards=0&timeout=1s", body)
    for check in (True, False):
        result = run("es_snapshot", check=check, repository="r", name="red", indices=["nuxeo-audit-red"])
        assert result.failed
        assert "index 'nuxeo-audit-red' is red: 1 of its primary shards are on no node" in result["problems"]
    assert curl.snapshots("r") == {"s1": "SUCCESS"}
    both = {"indices": "nuxeo-audit,nuxeo-audit-red", "partial": True, "include_global_state": False}
    made = curl.ok("PUT", "/_snapshot/r/part?wait_for_completion=true", both)["snapshot"]
    assert made["state"] == "PARTIAL"
    result = run("es_snapshot", repository="r", name="part", indices=["nuxeo-audit", "nuxeo-audit-red"])
    assert result.failed and "it ended PARTIAL with 1 of 3 shards failed; nuxeo-audit-red[0]" in result["msg"]
    result = run("es_snapshot_restore", repository="r", name="part", indices=["nuxeo-audit"], overwrite=True)
    assert result.failed and "the snapshot is PARTIAL" in result["msg"] and repository


def test_a_closed_index_is_told(curl: Curl, run: Run, repository: str) -> None:
    curl.ok("POST", "/nuxeo-audit/_close")
    result = run("es_snapshot", repository="r", name="s2", indices=["nuxeo-audit"])
    assert result.failed and result["problems"] == ["index 'nuxeo-audit' is closed"] and repository


def test_shards_that_do_not_come_back_leave_the_name_alone(
    curl: Curl, engine: Server, good: Run, run: Run, repository: str
) -> None:
    copy = copied(engine, repository)
    files = [path for path in copy.rglob("__*") if path.is_file()]
    max(files, key=lambda path: path.stat().st_size).unlink()
    good("es_repository", name="damaged", settings={"location": str(copy)}, readonly=True)
    before = curl.indices()
    result = run("es_snapshot_restore", repository="damaged", name="s1", indices=["nuxeo-audit"], overwrite=True)
    assert result.failed, result
    assert re.search(r"1 of 2 shards of 'nuxeo-audit-r[0-9a-f]{8}' did not come back", result["msg"])
    assert curl.indices() == before and curl.count("nuxeo-audit") == 50


def test_a_lost_catalogue_is_no_empty_list(curl: Curl, engine: Server, good: Run, run: Run, repository: str) -> None:
    copy = copied(engine, repository)
    for path in copy.glob("index*"):
        path.unlink()
    good("es_repository", name="lost", settings={"location": str(copy)}, readonly=True)
    assert curl.snapshots("lost") == {}
    result = run("es_snapshot_info", repository="lost")
    assert result.failed and "not the catalogue" in result["msg"]
    result = run(
        "es_snapshot_restore", repository="lost", name="s1", indices=["nuxeo-audit"], rename={"nuxeo-audit": "x"}
    )
    assert result.failed and "catalogue may be lost" in result["msg"]
    listed = good("es_snapshot_info", repository="r")
    assert [each["name"] for each in listed["snapshots"]] == ["s1"] and listed["total"] == 1
    assert listed["engine"]["version"] == engine.engine.version
    result = run("es_snapshot_info", repository="r", names=["s1", "s0"])
    assert result.failed and result["missing"] == ["s0"]
    assert run("es_snapshot_info", repository="nosuch").failed


# -- repositories


def test_a_registration_that_cannot_be_verified_is_taken_back(
    curl: Curl, engine: Server, good: Run, run: Run, location: Location
) -> None:
    shut = location()
    os.chmod(shut, 0o555)
    body = {"type": "fs", "settings": {"location": shut}}
    assert curl("PUT", "/_snapshot/bare", body)[0] == 500  # and it stays registered, but for Elasticsearch 9
    result = run("es_repository", name="r", settings={"location": shut})
    assert result.failed and "Verification of snapshot repository 'r'" in result["msg"]
    assert "The registration was taken back" in result["msg"] and curl("GET", "/_snapshot/r")[0] == 404
    where = location()
    good("es_repository", name="r", settings={"location": where})
    assert run("es_repository", name="r", settings={"location": shut}).failed
    assert curl.ok("GET", "/_snapshot/r")["r"]["settings"] == {"location": where} and engine


def test_a_location_outside_path_repo_names_setting_and_node(curl: Curl, run: Run, engine: Server) -> None:
    for check in (True, False):
        result = run("es_repository", check=check, name="r", settings={"location": "/srv/elsewhere"})
        assert result.failed and result["problems"] == [
            f"path.repo of node n0 is {engine.repository}, {engine.shared}, and '/srv/elsewhere' is not in it"
        ]
    result = run("es_repository", name="r", type="s3", settings={"bucket": "b"})
    assert result.failed and "repository type [s3] does not exist" in result["msg"]
    assert curl.ok("GET", "/_snapshot") == {}


def test_all_problems_are_told_at_once(curl: Curl, good: Run, run: Run, repository: str) -> None:
    good("es_repository", name="r", settings={"location": repository}, readonly=True)
    result = run("es_snapshot", repository="r", name="s2", indices=["nuxeo-audit", "nosuch"])
    assert result.failed
    assert result["problems"] == ["there is no index or alias 'nosuch'", "snapshot repository 'r' is readonly"]
    assert curl.ok("GET", "/_snapshot/r")["r"]["settings"]["readonly"] == "true"


def test_two_clusters_do_not_write_one_repository(good: Run, run: Run, repository: str) -> None:
    record = good("es_snapshot", repository="r", name="s1", indices=["nuxeo-audit"])["record"]
    record["cluster"]["uuid"] = "another"
    options = {"repository": "r", "name": "s1", "record": record, "rename": {"nuxeo-audit": "x"}}
    result = run("es_snapshot_restore", **options)
    assert result.failed and "it is not readonly here" in result["msg"]
    good("es_repository", name="r", settings={"location": repository}, readonly=True)
    assert good("es_snapshot_restore", **options)["changed"]


def test_an_index_that_is_bound_to_nodes_of_its_cluster_comes_back_in_another(
    curl: Curl, good: Run, run: Run, repository: str
) -> None:
    """It stays where it is, and would be on no node that has no such name."""
    curl.ok("PUT", "/nuxeo-audit/_settings", {"index.routing.allocation.require._name": "elsewhere"})
    record = good("es_snapshot", repository="r", name="s2", indices=["nuxeo-audit"])["record"]
    options = {"repository": "r", "name": "s2", "rename": {"nuxeo-audit": "x"}, "wait_timeout": 30}
    assert "did not come back" in run("es_snapshot_restore", record=record, **options)["msg"]
    good("es_repository", name="r", settings={"location": repository}, readonly=True)
    record["cluster"]["uuid"] = "another"
    done = good("es_snapshot_restore", record=record, **options)
    assert done["indices"][0]["documents"] == curl.count("x") > 0


@engines_only("a unit test shows it")
def test_a_restore_that_has_to_wait_for_others_is_not_given_up(
    curl: Curl, good: Run, location: Location, repository: str
) -> None:
    """While a cluster is rebuilt from snapshots, as after a disaster: here one shard at a time is restored."""
    good("es_snapshot", repository="r", name="s1", indices=["nuxeo-audit"])
    curl.create("theirs", shards=1)
    curl.write("theirs", 1, 1000, filler=1000)
    slow = {"location": location(), "max_restore_bytes_per_sec": "3kb", "compress": False}
    good("es_repository", name="slow", settings=slow)
    good("es_snapshot", repository="slow", name="s", indices=["theirs"])
    curl.ok("DELETE", "/theirs")
    one = "cluster.routing.allocation.node_initial_primaries_recoveries"
    curl.ok("PUT", "/_cluster/settings", {"transient": {one: 1}})
    try:
        curl.ok("POST", "/_snapshot/slow/s/_restore", {"indices": "theirs"})
        began = time.monotonic()
        good("es_snapshot_restore", repository="r", name="s1", indices=["nuxeo-audit"], rename={"nuxeo-audit": "x"})
        assert time.monotonic() - began > 16, "it had to wait"
    finally:
        curl.ok("PUT", "/_cluster/settings", {"transient": {one: None}})
    assert curl.count("x") == curl.count("nuxeo-audit") and repository


def test_a_name_that_was_used_for_something_else_is_refused(curl: Curl, run: Run, repository: str) -> None:
    curl.create("other")
    result = run("es_snapshot", repository="r", name="s1", indices=["other"])
    assert result.failed and "it holds nuxeo-audit instead of other" in result["msg"]
    assert curl.snapshots("r") == {"s1": "SUCCESS"} and repository


# -- calls whose answer is lost

PUT = r"^PUT /_snapshot/r/s2"
FAULTS = {
    "cut after": [Fault(PUT, "cut")],
    "cut before": [Fault(PUT, "cut", forward=False)],
    "half an answer": [Fault(PUT, "truncate")],
    "late": [Fault(PUT, "delay", seconds=2.5)],
    "429": [Fault(PUT, 429, forward=False)],
    "503": [Fault(PUT, 503, forward=False)],
    "504 after": [Fault(PUT, 504)],
    "504 twice, then cut": [
        Fault(PUT, 504, forward=False),
        Fault(PUT, 504),
        Fault(r"^GET /_snapshot/r/s2", "cut", after=PUT),
    ],
    "away for a while": [Fault(PUT, "cut"), Fault(r"^GET /_snapshot/r/s2", "cut", times=9, after=PUT)],
    "the look-up fails too": [Fault(PUT, "cut"), Fault(r"^GET /_snapshot/r/s2", 503, times=2, after=PUT)],
}


def test_a_lost_answer_makes_exactly_one_snapshot(curl: Curl, engine: Server, good: Run, repository: str) -> None:
    for what, known in FAULTS.items():
        faults = [dataclasses.replace(each) for each in known]
        with Proxy(engine.urls[0], faults) as proxy:
            options = {"repository": "r", "name": "s2", "indices": ["nuxeo-audit"], "timeout": 1.0}
            options["retry_timeout"] = 0.3
            result = good("es_snapshot", url=[proxy.url], **options)
        assert all(each.times == 0 for each in faults), what
        assert result["snapshot"]["state"] == "SUCCESS" and result["snapshot"]["shards"]["failed"] == 0, what
        assert curl.snapshots("r") == {"s1": "SUCCESS", "s2": "SUCCESS"} and repository, what
        curl.ok("DELETE", "/_snapshot/r/s2")


RESTORE = r"^POST /_snapshot/r/s1/_restore"
RESTORES = {
    "restore cut": Fault(RESTORE, "cut"),
    "restore never came": Fault(RESTORE, 504, forward=False),
    "restore late": Fault(RESTORE, "delay", seconds=2.5),
    "swap cut": Fault(r"^POST /_aliases", "cut", after=RESTORE),
    "swap never came": Fault(r"^POST /_aliases", 503, forward=False, after=RESTORE),
}


def test_a_lost_answer_makes_exactly_one_restore(curl: Curl, engine: Server, good: Run, repository: str) -> None:
    curl.ok("DELETE", "/nuxeo-audit")
    for what, known in RESTORES.items():
        fault = dataclasses.replace(known)
        with Proxy(engine.urls[0], [fault]) as proxy:
            options = {"repository": "r", "name": "s1", "indices": ["nuxeo-audit"], "timeout": 1.0}
            result = good("es_snapshot_restore", url=[proxy.url], **options)
        assert fault.times == 0 and repository, what
        assert curl.indices() == [result["indices"][0]["index"]] and curl.count("nuxeo-audit") == 50, what
        curl.ok("DELETE", f"/{result['indices'][0]['index']}")


def test_a_removal_whose_answer_is_lost_is_made_good(curl: Curl, engine: Server, good: Run, repository: str) -> None:
    with Proxy(engine.urls[0], [Fault(r"^DELETE", "cut")]) as proxy:
        assert good("es_snapshot", url=[proxy.url], repository="r", name="s1", state="absent")["changed"]
    assert curl.snapshots("r") == {} and repository


def test_a_page_of_a_proxy_is_no_engine(curl: Curl, engine: Server, run: Run) -> None:
    with Proxy(engine.urls[0], [Fault(r"^GET / ?$", 502, times=99)]) as proxy:
        result = run("es_snapshot_info", url=[proxy.url], repository="r", retry_timeout=1.0)
    assert result.failed and "HTTP 502" in result["msg"] and curl


def test_another_node_takes_over(engine: Server, good: Run, curl: Curl, repository: str) -> None:
    result = good(
        "es_snapshot", url=["http://127.0.0.1:9", *engine.urls], repository="r", name="s2", indices=["nuxeo-audit"]
    )
    assert result["changed"] and curl.snapshots("r")["s2"] == "SUCCESS" and repository


# -- longer than a call, and killed


@pytest.fixture
def slow(curl: Curl, good: Run, location: Location) -> None:
    """An audit and a repository so slow that a snapshot or a restore takes some seconds."""
    curl.create("nuxeo-audit", shards=1)
    curl.write("nuxeo-audit", 1, 1500, filler=300)
    limits = {"max_snapshot_bytes_per_sec": "40kb", "max_restore_bytes_per_sec": "40kb", "compress": False}
    good("es_repository", name="r", settings={"location": location(), **limits})


def test_a_snapshot_longer_than_any_timeout(
    curl: Curl, run: Run, good: Run, slow: None, tmp_path: pathlib.Path
) -> None:
    options = {"repository": "r", "name": "s1", "indices": ["nuxeo-audit"], "timeout": 0.5}
    first = run("es_snapshot", **options, wait_timeout=0.5)
    assert first.failed and "it is IN_PROGRESS after 0.5 s" in first["msg"]
    assert first["snapshot"]["state"] == "IN_PROGRESS"
    other = {**options, "name": "s2"}  # an instance that shares the repository
    assert good("es_snapshot", **other, wait=False)["snapshot"]["name"] == "s2"
    again = good("es_snapshot", **options, progress=str(tmp_path / "progress.json"))
    assert not again["changed"] and again["snapshot"]["state"] == "SUCCESS" and again["snapshot"]["duration"] > 1
    assert good("es_snapshot", **other)["snapshot"]["state"] == "SUCCESS"
    assert curl.snapshots("r") == {"s1": "SUCCESS", "s2": "SUCCESS"} and slow is None
    assert '"phase": "search snapshot"' in (tmp_path / "progress.json").read_text()


def test_a_run_that_was_taken_over_leaves_no_snapshot(
    curl: Curl, run: Run, slow: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.nuxeo.platform.plugins.module_utils import _progress
    from ansible_collections.nuxeo.platform.plugins.module_utils._search import operations

    monkeypatch.setattr(operations, "Progress", functools.partial(_progress.Progress, interval=0.1))
    partial = tmp_path / "partial"
    partial.mkdir()

    def take_over() -> None:
        while not curl.ok("GET", "/_snapshot/_status")["snapshots"]:
            time.sleep(0.05)
        partial.rename(tmp_path / "theirs")  # at once, since the run still writes its progress into it

    other = threading.Thread(target=take_over)
    other.start()
    options = {"repository": "r", "name": "s1", "indices": ["nuxeo-audit"]}
    result = run("es_snapshot", **options, progress=str(partial / "progress.json"))
    other.join()
    assert result.failed and "another run has taken this one's place" in result["msg"]
    assert curl.snapshots("r") == {} and slow is None


def test_a_killed_restore_leaves_no_work(curl: Curl, engine: Server, good: Run, slow: None) -> None:
    saved = good("es_snapshot", repository="r", name="s1", indices=["nuxeo-audit"])
    curl.ok("DELETE", "/nuxeo-audit")
    options = {"repository": "r", "name": "s1", "record": saved["record"]}
    child = start_module("es_snapshot_restore", {**arguments(engine), **options})
    deadline = time.monotonic() + 30
    while not curl.indices() and time.monotonic() < deadline:
        time.sleep(0.05)
    child.kill()
    child.communicate()
    left = curl.indices()
    assert len(left) == 1 and not curl.exists("nuxeo-audit") and slow is None
    assert good("es_snapshot_restore", check=True, **options)["removed"] == left == curl.indices()
    result = good("es_snapshot_restore", **options)
    assert result["changed"] and result["removed"] == left and curl.count("nuxeo-audit") == 1500
    assert curl.indices() == [result["indices"][0]["index"]]


def test_a_killed_snapshot_is_found_by_the_next_run(curl: Curl, engine: Server, good: Run, slow: None) -> None:
    options = {"repository": "r", "name": "s1", "indices": ["nuxeo-audit"]}
    child = start_module("es_snapshot", {**arguments(engine), **options})
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status, answer = curl("GET", "/_snapshot/_status")
        if status == 200 and answer["snapshots"]:
            break
    child.kill()
    child.communicate()
    result = good("es_snapshot", **options)
    assert not result["changed"] and curl.snapshots("r") == {"s1": "SUCCESS"} and slow is None


def test_tls_and_basic_auth_in_front(
    curl: Curl, engine: Server, run: Run, repository: str, tmp_path: pathlib.Path
) -> None:
    if engine.tls:
        return  # it has its own, see test_search_security.py
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    argv += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(argv, check=True, capture_output=True, cwd=tmp_path)
    files = (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    basic = "Basic " + base64.b64encode(b"nuxeo:s3cret-pw").decode()
    with Proxy(engine.urls[0], certificate=files, authorization=basic) as proxy:
        options = {"url": [proxy.url], "url_username": "nuxeo", "url_password": "s3cret-pw", "ca_cert": files[0]}
        wrong = run("es_snapshot_info", repository="r", **{**options, "url_password": "s3cret-pw-not"})
        assert wrong.failed and "does not accept the login (401)" in wrong["msg"]
        unknown = run("es_snapshot_info", repository="r", **{**options, "ca_cert": None})
        assert unknown.failed and "certificate" in unknown["msg"].lower()
        made = run("es_snapshot", repository="r", name="s2", indices=["nuxeo-audit"], **options)
        assert not made.failed and made["changed"]
        back = run("es_snapshot_restore", repository="r", name="s2", record=made["record"], overwrite=True, **options)
        assert not back.failed, back["msg"]
    assert curl.count("nuxeo-audit") == 50 and repository
    key = base64.b64encode(b"key-id:key-secret").decode()
    with Proxy(engine.urls[0], certificate=files, authorization=f"ApiKey {key}") as proxy:
        for given in (key, "key-id:key-secret"):
            options = {"url": [proxy.url], "url_api_key": given, "ca_cert": files[0]}
            listed = run("es_snapshot_info", repository="r", **options)
            assert not listed.failed and listed["total"] == 2 and given not in str(listed)
        assert run("es_snapshot_info", repository="r", **{**options, "url_api_key": "other"}).failed
