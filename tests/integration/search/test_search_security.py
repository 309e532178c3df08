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

ENGINE = next((name for name in ("es7", "es8") if name in wanted()), None)
pytestmark = pytest.mark.skipif(ENGINE is None, reason="needs es7 or es8 among NUXEO_TEST_ENGINES")


@pytest.fixture(scope="module")
def secured() -> t.Iterator[Server]:
    """A server with users: ``snap`` may do what a backup needs, ``guest`` nothing."""
    with Server(str(ENGINE), tls=True, client_auth=True) as server:
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
