# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an H2 database holds, while its server has it open: H2 writes to the file by itself, and that is no change."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import fingerprint
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.fingerprint import is_same_h2, of_h2
from ansible_collections.nuxeo.platform.plugins.module_utils._database import h2
from ansible_collections.nuxeo.platform.plugins.module_utils._database.error import DatabaseError
from ansible_collections.nuxeo.platform.plugins.module_utils._database.h2 import H2Request, content

MADE = """
CREATE TABLE HIERARCHY (ID VARCHAR(36) PRIMARY KEY, TITLE VARCHAR, TEXT CLOB);
CREATE SEQUENCE NUMBERS;
INSERT INTO HIERARCHY SELECT 'doc' || X, 'a"b,c', REPEAT('lorem ', 5000) FROM SYSTEM_RANGE(1, 300);
"""


def shell(argv: list[str], lines: str, folder: str) -> tuple[int, str, str]:
    done = subprocess.run(argv, input=lines, capture_output=True, text=True, check=False, cwd=folder)
    return done.returncode, done.stdout, done.stderr


class Server:
    """Who has a database open, and changes it."""

    def __init__(self, jar: Path, folder: Path, options: str) -> None:
        self.file = folder / "nuxeo"
        words = ["-url", f"jdbc:h2:{self.file}{options}", "-user", "sa", "-password", "secret word"]
        self.process = subprocess.Popen(
            ["java", "-cp", str(jar), "org.h2.tools.Shell", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.request = H2Request(str(self.file), jar=str(jar), password="secret word")

    def do(self, sql: str) -> None:
        pipe = t.cast(t.IO[str], self.process.stdin)
        pipe.write(" ".join(sql.split("\n")) + "\n")
        pipe.flush()

    def holds(self) -> str:
        """What it holds, as soon as a copy can be opened."""
        with contextlib.suppress(DatabaseError):
            return content(self.request, shell)
        return ""

    def until(self, condition: t.Callable[[str], bool]) -> str:
        deadline = time.monotonic() + 60
        while not condition(held := self.holds()):
            assert time.monotonic() < deadline, held
            time.sleep(0.3)
        return held

    def end(self) -> None:
        with self.process:
            self.do("quit")


@pytest.fixture
def serve(tmp_path: Path, h2_jar: t.Callable[[str], Path]) -> t.Iterator[t.Callable[..., Server]]:
    servers: list[Server] = []

    def start(version: str, options: str = "") -> Server:
        servers.append(Server(h2_jar(version), tmp_path, options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.mark.parametrize(
    ("version", "options"), [("1.4.177", ";MV_STORE=FALSE"), ("1.4.200", ""), ("2.2.224", ""), ("2.4.240", "")]
)
def test_what_it_holds_is_told_while_its_server_has_it_open(
    serve: t.Callable[..., Server], tmp_path: Path, version: str, options: str
) -> None:
    server = serve(version, options)
    server.do(MADE)
    server.end()
    held = content(server.request, shell)
    server = serve(version, options)
    server.do("INSERT INTO HIERARCHY VALUES ('new', 'one', NULL);")
    more = server.until(lambda now: now not in ("", held))
    server.do("UPDATE HIERARCHY SET TEXT = TEXT || '.' WHERE ID = 'doc77';")
    changed = server.until(lambda now: now not in ("", more))
    server.end()
    (file,) = tmp_path.glob("nuxeo.*.db")
    before = file.read_bytes()
    assert content(server.request, shell) == changed, "closed, it holds the same"
    assert file.read_bytes() == before, "it was read in a copy"
    again = serve(version, options)
    again.do("CHECKPOINT SYNC;")
    assert again.until(bool) == changed, "opened once more as well"
    again.do("SHUTDOWN COMPACT;")
    again.end()
    assert file.read_bytes() != before
    assert content(server.request, shell) == changed, "the file is another, what it holds is not"


def test_only_a_change_of_what_it_holds_is_one(
    serve: t.Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "_H2_QUIET", 1.0)
    server = serve("2.2.224")
    server.do(MADE)
    server.end()
    told: list[str] = []
    noted = of_h2(server.request, shell, told.append)
    assert noted["file"] == str(tmp_path / "nuxeo.mv.db") and len(noted["content"]) == 64

    def forbidden(*_words: t.Any) -> t.NoReturn:
        raise AssertionError("nothing is opened for a file that is the same")

    assert is_same_h2(noted, server.request, forbidden, told.append)
    os.utime(tmp_path / "nuxeo.mv.db")
    assert is_same_h2(noted, server.request, shell, told.append)
    assert not is_same_h2({**noted, "file": "/elsewhere"}, server.request, shell, told.append)
    assert not is_same_h2(None, server.request, shell, told.append)
    assert not is_same_h2({**noted, "content": None}, server.request, shell, told.append)
    assert told == []
    wrong = H2Request(server.request.path, jar=server.request.jar, password="another")
    assert not is_same_h2(noted, wrong, shell, told.append)
    assert len(told) == 1 and "Wrong user name or password" in told[0] and "another" not in told[0]
    unread = of_h2(wrong, shell, told.append)
    assert unread["content"] is None and len(told) == 2
    assert is_same_h2(unread, wrong, forbidden, told.append), "its file is the same still"
    other = serve("2.2.224")
    other.do("DELETE FROM HIERARCHY WHERE ID = 'doc1';")
    other.end()
    assert not is_same_h2(noted, server.request, shell, told.append)


def test_of_two_formats_the_one_of_the_url_is_the_database(
    serve: t.Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has once opened it with a plain URL has left an empty one beside it."""
    monkeypatch.setattr(fingerprint, "_H2_QUIET", 0.1)
    other = serve("1.4.177")
    other.do("CREATE TABLE OTHER (ID VARCHAR);")
    other.end()
    server = serve("1.4.177", ";MV_STORE=FALSE")
    server.do(MADE)
    server.end()
    assert sorted(path.name for path in tmp_path.glob("nuxeo.*.db")) == ["nuxeo.h2.db", "nuxeo.mv.db"]
    told: list[str] = []
    older = dataclasses.replace(server.request, path=f"{server.request.path}.h2.db")
    noted = of_h2(older, shell, told.append)
    assert noted["file"] == older.path and len(noted["content"]) == 64
    assert is_same_h2(noted, older, shell, told.append)
    again = serve("1.4.177", ";MV_STORE=FALSE")
    again.do("DELETE FROM HIERARCHY;")
    again.end()
    assert not is_same_h2(noted, older, shell, told.append)
    assert h2.read(dataclasses.replace(older, require_blob_keys=False), shell, None)["file"] == older.path
    os.unlink(older.path)
    with pytest.raises(DatabaseError, match="there is no such file"):
        h2.read(older, shell, None)
    assert of_h2(older, shell, told.append) == {} and told == []


def test_a_file_that_is_written_to_while_it_is_copied_is_copied_again(
    serve: t.Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve("2.2.224")
    server.do(MADE)
    server.end()
    held = content(server.request, shell)
    copy, times = h2.shutil.copyfile, iter(range(100))

    def copied(source: str, target: str) -> None:
        copy(source, target)
        if next(times) < writes:
            os.utime(source)
            Path(target).write_bytes(b"torn")

    monkeypatch.setattr(h2.shutil, "copyfile", copied)
    monkeypatch.setattr(h2.time, "sleep", lambda seconds: None)
    writes = 3
    assert content(server.request, shell) == held
    writes = 100
    with pytest.raises(DatabaseError, match="it is written to again and again"):
        content(server.request, shell)
