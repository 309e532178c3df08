# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS, logins and privileges on a server that asks for a client's certificate."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from servers.search.engines import wanted
from servers.search.nuxeo_indices import Curl
from servers.search.security import PASSWORD
from servers.search.server import Server

from .conftest import arguments, folder_for, run_module

ENGINES = [name for name in ("es7", "os2sec") if name in wanted()]
pytestmark = pytest.mark.skipif(not ENGINES, reason="needs es7 or os2sec among NUXEO_TEST_ENGINES")


@pytest.fixture(scope="module", params=ENGINES)
def secured(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server with users: ``snap`` may do what a backup needs, ``reader`` may only look, ``guest`` nothing."""
    with Server(request.param, tls=True, client_auth=True) as server:
        yield server


@pytest.fixture
def curl(secured: Server) -> Curl:
    """The emptied server with an audit of 20 entries."""
    found = Curl(secured)
    found.clean()
    found.create("nuxeo-audit")
    found.write("nuxeo-audit", 1, 20)
    return found


def test_the_trip_with_the_least_privileges(curl: Curl, secured: Server) -> None:
    login = arguments(secured, "snap")
    made = run_module("es_repository", {"name": "r", "settings": {"location": folder_for(secured)}, **login})
    assert made["changed"] and made["nodes"] == ["n0"]
    saved = run_module("es_snapshot", {"repository": "r", "name": "s", "indices": ["nuxeo-audit"], **login})
    assert saved["snapshot"]["state"] == "SUCCESS", saved
    options = {"repository": "r", "name": "s", "record": saved["record"], "overwrite": True}
    back = run_module("es_snapshot_restore", {**options, **login})
    assert not back.failed, back["msg"]
    assert curl.count("nuxeo-audit") == 20


def test_a_missing_privilege_is_named(curl: Curl, secured: Server) -> None:
    login = arguments(secured, "guest")
    result = run_module("es_repository", {"name": "r", "settings": {"location": "x"}, **login})
    assert result.failed
    assert "lacks the privilege for 'cluster:admin/repository/get' (403)" in result["msg"]
    assert "Grant 'cluster:admin/repository/get' to a role of that login" in result["msg"]
    result = run_module("es_snapshot", {"repository": "r", "name": "s", "indices": ["nuxeo-audit"], **login})
    assert result.failed and "lacks the privilege for 'cluster:monitor/main'" in result["msg"] and curl


FACTS = {"search": {"kind": "elasticsearch"}, "audit": {"kept": "elasticsearch", "index": "nuxeo-audit"}}
TO_WRITE = {
    f"cluster:admin/{what}" for what in ("repository/put", "repository/verify", "snapshot/create", "snapshot/delete")
}
TO_LOOK = {
    *("cluster:admin/repository/get", "cluster:admin/snapshot/get", "cluster:admin/snapshot/status"),
    *(f"cluster:monitor/{what}" for what in ("health", "nodes/info", "state")),
    *("indices:admin/aliases/get", "indices:admin/get", "indices:data/read/search", "indices:monitor/stats"),
}


def privileges(problem: str) -> set[str]:
    """Those that a problem names."""
    assert "the login lacks these privileges" in problem
    return {word.strip(".,") for word in problem.split() if word.startswith(("cluster:", "indices:"))}


def test_every_missing_privilege_is_told_at_once(curl: Curl, secured: Server) -> None:
    """Before anything is changed, and asking changes nothing."""
    place = {"facts": FACTS, "name": "nuxeo-acme", "location": folder_for(secured), "owner": "nobody"}
    before = curl.ok("GET", "/_cluster/state/metadata")["metadata"]
    for user, lacking in (("guest", TO_WRITE | TO_LOOK), ("reader", TO_WRITE)):
        (told,) = run_module("es_audit_info", {**place, **arguments(secured, user)})["problems"]
        assert privileges(told) == lacking
    assert run_module("es_audit_info", {**place, **arguments(secured, "snap")})["problems"] == []
    after = curl.ok("GET", "/_cluster/state/metadata")["metadata"]
    assert after["indices"] == before["indices"] and after.get("repositories") == before.get("repositories")


def test_a_restore_without_the_rights_for_it_changes_nothing(curl: Curl, secured: Server) -> None:
    place = {"repository": "r", "name": "s", "indices": ["nuxeo-audit"]}
    settings = {"location": folder_for(secured)}
    assert run_module("es_repository", {"name": "r", "settings": settings, **arguments(secured)})["changed"]
    assert run_module("es_snapshot", {**place, **arguments(secured)})["changed"]
    trim = {"indices": ["nuxeo-audit"], "newer_than": "2025-01-01T00:00:00Z"}
    for check, more in ((True, {"trim": trim}), (False, {"trim": trim}), (False, {})):
        options = {**place, **more, "overwrite": True, **arguments(secured, "reader")}
        result = run_module("es_snapshot_restore", options, check)
        assert result.failed
        lacking = {"cluster:admin/snapshot/restore", "indices:admin/aliases", "indices:admin/delete"}
        lacking |= {"indices:admin/refresh"}
        lacking |= {"indices:data/write/delete"} if more else set()
        assert privileges(result["problems"][0]) == lacking
    assert curl.indices() == ["nuxeo-audit"] and curl.count("nuxeo-audit") == 20


def test_logins_that_are_not_accepted(curl: Curl, secured: Server) -> None:
    login = arguments(secured)
    wrong = run_module("es_snapshot_info", {"repository": "r", **login, "url_password": "not-it"})
    assert wrong.failed and "does not accept the login (401)" in wrong["msg"]
    stranger = run_module("es_snapshot_info", {"repository": "r", **login, "ca_cert": None})
    assert stranger.failed and "TLS" in stranger["msg"] and "ca_cert" in stranger["msg"]
    without = {key: value for key, value in login.items() if not key.startswith("client_")}
    nobody = run_module("es_snapshot_info", {"repository": "r", **without, "retry_timeout": 1.0})
    assert nobody.failed and curl
    inside = run_module("es_snapshot_info", {"repository": "r", "url": ["http://me:hidden-pw@127.0.0.1:9"]})
    assert inside.failed and "holds a user or a password" in inside["msg"] and "hidden-pw" not in inside["msg"]


def test_address_and_login_from_nuxeo_conf(curl: Curl, secured: Server, tmp_path: pathlib.Path) -> None:
    for folder in ("bin", "templates/default"):
        (tmp_path / folder).mkdir(parents=True)
    conf = tmp_path / "bin" / "nuxeo.conf"
    conf.write_text(
        "nuxeo.templates=default\nelasticsearch.client=RestClient\n"
        f"elasticsearch.addressList={secured.urls[0]}\n"
        f"elasticsearch.restClient.username=snap\nelasticsearch.restClient.password={PASSWORD}\n"
    )
    for name in ("templates/nuxeo.defaults", "templates/default/nuxeo.defaults"):
        (tmp_path / name).write_text("nuxeo.templates=default\n")
    curl.ok("PUT", "/_snapshot/r", {"type": "fs", "settings": {"location": folder_for(secured)}})
    tls = {key: value for key, value in arguments(secured).items() if key in ("ca_cert", "client_cert", "client_key")}
    place = {"nuxeo_conf": str(conf), "nuxeo_home": str(tmp_path), "nuxeo_version": "10.10", "nuxeo_environment": {}}
    result = run_module("es_snapshot_info", {"repository": "r", **tls, **place})
    assert not result.failed, result["msg"]
    assert result["snapshots"] == []
