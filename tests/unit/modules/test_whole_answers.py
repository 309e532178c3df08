# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A password that is part of a name: Ansible would cut it out of what later tasks work with."""

from __future__ import annotations

import importlib
import json
import types
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nuxeo.platform.plugins.modules import es_snapshot_info, postgresql_restore

PACKAGE = "ansible_collections.nuxeo.platform.plugins.modules"
Answer = t.Dict[str, t.Any]
Ask = t.Callable[..., Answer]


@pytest.fixture
def ask(capfd: pytest.CaptureFixture[str]) -> Ask:
    """Run a module in this process."""

    def run(module: str, options: Answer, check: bool = True) -> Answer:
        with patch_module_args({**options, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            importlib.import_module(f"{PACKAGE}.{module}").main()
        found: Answer = json.loads(capfd.readouterr().out.strip().splitlines()[-1])
        return found

    return run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A Nuxeo in a folder that is called as much of it is."""
    folder = tmp_path / "acme"
    (folder / "templates/default").mkdir(parents=True)
    (folder / "templates/nuxeo.defaults").write_text("nuxeo.templates=default\nnuxeo.db.port=5432\n")
    (folder / "templates/default/nuxeo.defaults").touch()
    (folder / "nuxeo.conf").touch()
    return folder


def refused(answer: Answer, password: str) -> bool:
    """Whether it is, in words, and without the password; else nothing of the answer is hidden."""
    told = json.dumps({name: value for name, value in answer.items() if name != "invocation"})
    if answer.get("failed"):
        words = "a password that was given is part of a name"
        assert len(password) == 1 or (words in answer["msg"] and password not in told)
        return True
    assert "****" not in told and "VALUE_SPECIFIED" not in told
    return False


@pytest.mark.parametrize(
    ("password", "is_refused"),
    [("acme", True), ("5432", True), ("Ahk3eiGh", False), ("me", False), ("true", False), ("False", False)],
)
def test_the_facts_are_whole_or_refused(ask: Ask, home: Path, password: str, is_refused: bool) -> None:
    conf = {"nuxeo_conf": str(home / "nuxeo.conf"), "nuxeo_home": str(home), "nuxeo_version": "10.10"}
    (home / "nuxeo.conf").write_text("nuxeo.db.jdbc.url=jdbc:postgresql://h:5432/n\nx.y=true\nx.z=False\n")
    options = {name.replace("nuxeo_", ""): value for name, value in conf.items() if name != "nuxeo_conf"}
    options = {**options, "path": conf["nuxeo_conf"], "properties": ["x.y", "x.z"]}
    environment = {"DB_PASSWORD": password}
    assert refused(ask("nuxeo_conf_facts", {**options, "environment": environment}), password) == is_refused
    target = ask("restore_target_info", {**conf, "nuxeo_environment": environment})
    assert refused(target, password) == is_refused


@pytest.mark.parametrize("password", ["acme", "audit", "a", "Ahk3eiGh"])
@pytest.mark.parametrize("option", ["url_password", "url_api_key"])
def test_what_was_found_of_a_search_engine(ask: Ask, password: str, option: str) -> None:
    facts = {"search": {"kind": "elasticsearch"}, "audit": {"kept": "elasticsearch", "index": "n-audit"}}
    facts["sequences"] = {"kept": "sql"}
    options = {"facts": facts, "name": "nuxeo-acme", "location": "/srv/backup", "url": ["http://127.0.0.1:9"]}
    login = {option: password, **({"url_username": "u"} if option == "url_password" else {})}
    answer = ask("es_audit_info", {**options, **login, "retry_timeout": 0.1})
    assert refused(answer, password) == (password != "Ahk3eiGh")


@pytest.mark.parametrize("option", ["login_password", "admin_password"])
def test_what_is_predicted_of_a_database(ask: Ask, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    """Before the target is stopped; after that it is reported as it is."""
    found = {"changed": True, "messages": ["acme is told"], "create": {"name": "acme_restore_1", "owner": "acme"}}
    monkeypatch.setattr(postgresql_restore, "request", lambda *_given: None)
    monkeypatch.setattr(postgresql_restore, "diff", lambda _result: {"before": "acme", "after": ""})
    for name in ("predict", "restore"):
        monkeypatch.setattr(postgresql_restore, name, lambda *_given: dict(found))
    assert refused(ask("postgresql_restore", {"src": "/set", option: "acme"}), "acme")
    assert not ask("postgresql_restore", {"src": "/set", option: "acme"}, check=False).get("failed")
    found["create"] = {}
    assert not ask("postgresql_restore", {"src": "/set", option: "acme"}).get("failed"), "words may be hidden"


@pytest.mark.parametrize("password", ["audit", "Ahk3eiGh"])
def test_what_a_snapshot_holds(ask: Ask, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    """It is compared with what the set says."""
    engine = types.SimpleNamespace(distribution="opensearch", version="2.19.1", cluster_name="c", cluster_uuid="u")
    monkeypatch.setattr(es_snapshot_info, "client_for", lambda _params: None)
    monkeypatch.setattr(es_snapshot_info, "read_engine", lambda _client: engine)
    listed = [{"name": "s", "indices": ["n-audit"]}]
    for name in ("listing", "select"):
        monkeypatch.setattr(es_snapshot_info.snapshot, name, lambda *_: listed)
    monkeypatch.setattr(es_snapshot_info.repository, "must", lambda *_: {"type": "fs", "settings": {}})
    options = {"repository": "r", "url": ["http://127.0.0.1:1"], "url_username": "u", "url_password": password}
    assert refused(ask("es_snapshot_info", options), password) == (password == "audit")
