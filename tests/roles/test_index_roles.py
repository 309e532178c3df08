# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine is asked to delete the index of documents, and as whom, where LTS 2025 has the audit in another one."""

from __future__ import annotations

import base64
import http.server
import json
import sys
import threading
import typing as t
from pathlib import Path

import pytest

AUDITOR, NUXEO = "auditor:first-secret", "docs:second-secret"


class Engine:
    """Has an index of the documents' name, and lets one login in."""

    def __init__(self, login: str) -> None:
        self.login = "Basic " + base64.b64encode(login.encode()).decode()
        self.calls: list[str] = []
        engine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                engine.calls.append(f"{self.command} {self.path}")
                known = self.headers.get("authorization") == engine.login
                body: dict[str, t.Any] = {"nuxeo": {"aliases": {}}} if self.command == "GET" else {"acknowledged": True}
                raw = json.dumps(body if known else {"error": {"type": "security_exception"}}).encode()
                self.send_response(200 if known else 401)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_DELETE = _answer

            def log_message(self, *_: t.Any) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def engines() -> t.Iterator[tuple[Engine, Engine]]:
    """That of the audit, and that of the documents."""
    made = Engine(AUDITOR), Engine(NUXEO)
    yield made
    for each in made:
        each.server.shutdown()
        each.server.server_close()


@pytest.fixture
def drop(
    engines: tuple[Engine, Engine],
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    tmp_path: Path,
) -> t.Callable[..., t.Any]:
    """Deletes the index of documents of a target, and nothing else of a restore."""
    conf, home = tmp_path / "nuxeo.conf", tmp_path / "home"
    (home / "templates").mkdir(parents=True)
    (home / "templates/nuxeo.defaults").touch()
    client, (user, password) = "nuxeo.search.client.default.opensearch1", NUXEO.split(":")
    lines = {"index.name": "nuxeo", "client.server": engines[1].url}
    lines.update({"client.username": user, "client.password": password})
    conf.write_text("".join(f"{client}.{key}={value}\n" for key, value in lines.items()))

    def run(audit: dict[str, t.Any], predict: bool = False, **options: t.Any) -> t.Any:
        search = {"kind": "opensearch", "embedded": False, "client": "rest", "url": [engines[1].url], "index": "nuxeo"}
        facts = {"conf": str(conf), "home": str(home), "version": "2025.1", "search": search, "audit": audit}
        known = {
            "restore_root": str(tmp_path),
            "restore_instance": "acme",
            "restore_drop_index": True,
            "__restore_leader": "acme",
            "__restore_already": False,
            "__restore_audit_python": sys.executable,
            "__restore_predict": predict,
            "__restore_node": {"facts": {**facts, "sequences": {"kept": "sql"}}},
        }
        include = {"ansible.builtin.include_role": {"name": "nuxeo.platform.restore", "tasks_from": "index"}}
        play = tmp_path / "index.yml"
        play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [include]}]))
        return run_playbook(play, local_inventory(acme={**known, **options}))

    return run


def of_the_audit(at: str) -> dict[str, t.Any]:
    user, password = AUDITOR.split(":")
    return {"restore_search_url": [at], "restore_search_user": user, "restore_search_password": password}


DELETED = ["GET /nuxeo/_alias", "DELETE /nuxeo"]


@pytest.mark.parametrize("addressed", [True, False])
def test_the_engine_of_the_audit_is_not_asked_for_documents_nor_its_login_told_elsewhere(
    engines: tuple[Engine, Engine], drop: t.Callable[..., t.Any], addressed: bool
) -> None:
    """It may have an index of that name, and would have lost it."""
    audit, documents = engines
    given = of_the_audit(audit.url)
    if not addressed:
        del given["restore_search_url"]
    drop({"kept": "elasticsearch", "embedded": False, "url": [audit.url]}, **given).check()
    assert audit.calls == [] and [call for call in documents.calls if call in DELETED] == DELETED


@pytest.mark.parametrize(
    "kept", [{"kept": "sql"}, {"kept": "elasticsearch", "embedded": False}], ids=["no audit", "one engine"]
)
def test_where_there_is_one_engine_what_is_said_of_it_is_said_of_documents_too(
    engines: tuple[Engine, Engine], drop: t.Callable[..., t.Any], kept: dict[str, t.Any]
) -> None:
    given = of_the_audit(engines[0].url)  # which is here another way to the one engine
    drop(kept, **given).check()
    assert engines[1].calls == [] and [call for call in engines[0].calls if call in DELETED] == DELETED


def test_a_login_that_is_not_let_in_is_told_before_the_first_change(
    engines: tuple[Engine, Engine], drop: t.Callable[..., t.Any]
) -> None:
    audit, documents = engines
    one = {"kept": "elasticsearch", "embedded": False, "url": [documents.url]}
    wrong = drop(one, predict=True, **of_the_audit(documents.url))
    assert wrong.rc != 0 and "does not accept the login (401)" in " ".join(wrong.failures)
    drop(one, predict=True).check()
    assert audit.calls == [] and set(documents.calls) == {"GET /nuxeo/_alias"}
