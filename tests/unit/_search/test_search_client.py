# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that may be repeated, and calls that may not."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search import client
from ansible_collections.nuxeo.platform.plugins.module_utils._search.client import Client, Connection, path
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import (
    Lost,
    SearchError,
    error_types,
    reason,
    refused,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._search.wait import Deadline

pytest.importorskip("elastic_transport", reason="the package elasticsearch is not here; make test brings it")


class Canned(http.server.ThreadingHTTPServer):
    """Answers with what is next in :attr:`answers`; keeps the calls."""

    def __init__(self, *answers: tuple[int, t.Any]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str, str]] = []
        canned = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                canned.calls.append((self.command, self.path, body))
                status, answer = canned.answers.pop(0) if canned.answers else (200, {})
                text = answer if isinstance(answer, str) else json.dumps(answer)
                self.send_response(status)
                kind = "text/html" if isinstance(answer, str) else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = do_DELETE = handle_any

            def log_message(self, format: str, *args: t.Any) -> None:
                """Nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def client(self, *more: str, **options: t.Any) -> Client:
        urls = (*more, f"http://127.0.0.1:{self.server_address[1]}")
        return Client(Connection(urls=urls, timeout=2.0, retry_timeout=options.get("retry_timeout", 5.0)))


@pytest.fixture
def canned() -> t.Iterator[t.Callable[..., Canned]]:
    """Servers that are ended after the test."""
    made: list[Canned] = []

    def make(*answers: tuple[int, t.Any]) -> Canned:
        made.append(Canned(*answers))
        return made[-1]

    yield make
    for server in made:
        server.shutdown()
        server.server_close()


Make = t.Callable[..., Canned]


def test_reading_is_repeated(canned: Make) -> None:
    server = canned((503, {}), (429, {}), (200, {"a": 1}))
    assert server.client().call("GET", "/x") == (200, {"a": 1})
    assert len(server.calls) == 3


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_change_is_never_repeated_by_itself(status: int, canned: Make) -> None:
    server = canned((status, "<html>gateway</html>"), (200, {}))
    with pytest.raises(Lost, match=f"HTTP {status}"):
        server.client().call("PUT", "/_snapshot/r/s", {"indices": "a"})
    assert server.calls == [("PUT", "/_snapshot/r/s", '{"indices":"a"}')]


def test_a_dead_node_is_passed_over(canned: Make) -> None:
    server = canned()
    assert server.client("http://127.0.0.1:9").call("GET", "/").status == 200


def test_a_wrong_address_is_told_soon() -> None:
    with pytest.raises(Lost, match="no answer"):
        Client(Connection(urls=("http://127.0.0.1:9",), retry_timeout=600.0)).call("GET", "/")


def test_a_page_is_no_answer(canned: Make) -> None:
    with pytest.raises(Lost, match="not JSON"):
        canned(*[(200, "<html>welcome</html>")] * 9).client(retry_timeout=0.1).call("GET", "/")


def test_names_are_quoted() -> None:
    assert path("_snapshot", "a/b", ["x?", "y"]) == "/_snapshot/a%2Fb/x%3F,y"


@pytest.mark.parametrize(
    "password", ["canary", "can/ary", "1/canary", "can#ary", "can?ary", "c@nary", "can ary", "x,ary"]
)
def test_no_secret_in_an_address(password: str) -> None:
    """Split at the commas, as it comes."""
    with pytest.raises(SearchError, match="holds a user or a password") as error:
        Client(Connection(urls=tuple(f"https://me:{password}@host:9200".split(","))))
    assert not re.search("can|ary|me:", str(error.value))


def test_the_reason_is_the_engines_own() -> None:
    body = {"error": {"type": "a", "reason": "outer", "caused_by": {"type": "b", "reason": "inner"}}}
    assert reason(body) == "a: outer; caused by b: inner" and error_types(body) == {"a", "b"}
    assert reason("<html>x</html>") == "<html>x</html>" and reason(None) == "no reason was given"


@pytest.mark.parametrize(
    "told",
    [
        "action [cluster:admin/snapshot/create] is unauthorized for user [guest]",
        "no permissions for [cluster:admin/snapshot/create] and User [name=guest]",
    ],
)
def test_the_privilege_is_named(told: str) -> None:
    error = refused("Snapshot 's'", 403, {"error": {"type": "security_exception", "reason": told}})
    assert "lacks the privilege for 'cluster:admin/snapshot/create' (403)" in str(error)


def test_looking_costs_little() -> None:
    now, waits = [0.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    deadline = Deadline(1000.0, lambda: now[0], sleep)
    while not deadline.expired:
        deadline.pause()
    assert waits[0] == 0.05 and max(waits) == 5.0 and len(waits) < 600


def test_a_missing_library_is_told_with_its_interpreter(tmp_path: Path) -> None:
    (tmp_path / "elastic_transport.py").write_text("raise ImportError('hidden')\n")
    root = Path(client.__file__).parents[len(client.__name__.split(".")) - 1]
    code = (
        "import importlib\n"
        f"client = importlib.import_module({client.__name__!r})\n"
        "client.Client(client.Connection(urls=('http://h',)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Install elasticsearch>=8.0.0" in done.stderr and sys.executable in done.stderr
