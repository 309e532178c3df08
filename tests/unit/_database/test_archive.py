# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found missing in an archive, and which words of pg_restore are harmless."""

from __future__ import annotations

import os
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database import archive, filling, postgresql_dump
from ansible_collections.nuxeo.platform.plugins.module_utils._database.archive import Archive, problems
from ansible_collections.nuxeo.platform.plugins.module_utils._database.clients import Client
from ansible_collections.nuxeo.platform.plugins.module_utils._database.error import DatabaseError, told
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql_dump import COLLATION
from ansible_collections.nuxeo.platform.plugins.module_utils._process import Finished

LISTED = """;
; Archive created at 2026-11-23 09:02:40 UTC
;     dbname: nuxeo
;     TOC Entries: 10
;     Dumped from database version: 15.18 (Debian 15.18-0+deb12u1)
;     Dumped by pg_dump version: 15.18 (Debian 15.18-0+deb12u1)
;
215; 1259 16391 TABLE public Con tent nuxeo
3343; 0 16391 TABLE DATA public Con tent nuxeo
3342; 0 16386 TABLE DATA public t nuxeo
3345; 0 0 BLOBS - BLOBS
"""


@pytest.fixture
def made(tmp_path: Path) -> Archive:
    """A whole archive of two tables and one large object."""
    for name, content in (("3343.dat.gz", "x"), ("3342.dat.zst", "x"), ("blobs.toc", "16396 blob_16396.dat.gz\n")):
        (tmp_path / name).write_text(content)
    return archive.read(lambda _argv: Finished(0, LISTED, ""), Client("/b", "15.18"), str(tmp_path))


OWN = {16391: 'public."Con tent"', 16386: "public.t"}


def test_whole_archive(made: Archive) -> None:
    assert problems(made, OWN, (), 1) == []
    assert made.dumped_by == "15.18"
    assert len(made.of_kind("TABLE DATA")) == 2


def test_table_without_data(made: Archive) -> None:
    assert problems(made, {**OWN, 7: "public.lost"}, (), 1) == ["the data of these tables is not in it: public.lost"]


def test_data_of_an_unknown_table(made: Archive) -> None:
    assert problems(made, {16386: "public.t"}, (), 1) == ["it has data of tables that were not there: 16391"]
    assert problems(made, {16386: "public.t"}, {16391: "of an extension"}, 1) == []


@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_file_that_is_not_there(made: Archive, damage: str) -> None:
    path = Path(made.folder) / "3342.dat.zst"
    path.unlink() if damage == "gone" else path.write_text("")
    assert problems(made, OWN, (), 1) == ["these tables have no file: public.t"]


def test_large_objects_are_counted(made: Archive) -> None:
    assert problems(made, OWN, (), 2) == ["it has 1 large objects of 2"]
    (Path(made.folder) / "blobs.toc").unlink()
    (Path(made.folder) / "blobs_3345.toc").write_text("1 a\n2 b\n")
    assert problems(made, OWN, (), 2) == []


@pytest.mark.parametrize(
    ("done", "todo"),
    [
        (Finished(1, "", "input file is too short"), "If the client is older"),
        (Finished(0, LISTED, "warning: x"), "If the client is older"),
        (Finished(0, LISTED, "restoring tables WITH OIDS is not supported anymore"), "ALTER TABLE"),
    ],
)
def test_archive_that_pg_restore_does_not_like(done: Finished, todo: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=f"Reading of the archive.*[.] {todo}"):
        archive.read(lambda _argv: done, Client("/b", "15.18"), str(tmp_path))


def test_made_durable_is_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    folder.mkdir(mode=0o755)
    (folder / "a").write_text("")
    os.chmod(folder / "a", 0o644)
    archive.make_durable(str(folder))
    assert (folder.stat().st_mode & 0o777, (folder / "a").stat().st_mode & 0o777) == (0o700, 0o600)


MISMATCH = """WARNING:  database "nuxeo" has a collation version mismatch
DETAIL:  The database was created using collation version 2.31, but the operating system provides version 2.36.
HINT:  Rebuild all objects in this database that use the default collation and run \
ALTER DATABASE nuxeo REFRESH COLLATION VERSION, or build PostgreSQL with the right library version.
"""
GERMAN = """WARNUNG:  Version von Sortierfolge für Datenbank »nuxeo« stimmt nicht überein
DETAIL:  Die Datenbank wurde mit Sortierfolgenversion 2.31 erzeugt, aber das Betriebssystem hat Version 2.36.
HINT:  Bauen Sie alle Objekte in dieser Datenbank, die die Standardsortierfolge verwenden, neu und führen Sie \
ALTER DATABASE nuxeo REFRESH COLLATION VERSION aus, oder bauen Sie PostgreSQL mit der richtigen Bibliotheksversion.
"""


def test_only_the_collation_warning_is_taken_out() -> None:
    assert COLLATION.sub("", MISMATCH + GERMAN + MISMATCH) == ""
    assert COLLATION.sub("", MISMATCH + "pg_dump: warning: other\n" + GERMAN) == "pg_dump: warning: other\n"


@pytest.mark.parametrize("err", ["pg_dump: warning: other\n", MISMATCH + "pg_dump: warning: other\n"])
def test_a_dump_that_is_not_silent_is_none(err: str) -> None:
    request = postgresql_dump.DumpRequest(PostgresLogin("h", "", "n", "u"), "/nowhere")
    plan: t.Any = types.SimpleNamespace(client=Client("/b", "15.18"))
    assert postgresql_dump._judge(request, plan, Finished(0, "", MISMATCH)) == [told(MISMATCH)]
    with pytest.raises(DatabaseError, match=r"ended with code 0: .*other"):
        postgresql_dump._judge(request, plan, Finished(0, "", err))


def filled(client: str, server: int) -> t.Any:
    """What _judge must know."""
    return types.SimpleNamespace(
        old_server=int(client.split(".", maxsplit=1)[0]) >= 17 > server,
        client=Client("/b", client),
        src="/src",
        keeps_tablespaces=True,
    )


UNKNOWN = """pg_restore: while INITIALIZING:
pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"
Command was: SET transaction_timeout = 0;
"""
TORN = """pg_restore: while INITIALIZING:
pg_restore:pg_restore:  error: error: could not execute query: ERROR: \
 unrecognized configuration parameter "transaction_timeout"
Command was: SET transaction_timeout = 0;
could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"
Command was: SET transaction_timeout = 0;
"""
"""As two jobs of pg_restore 18.6 wrote it at the same time."""
FRENCH = UNKNOWN.replace(
    'ERROR:  unrecognized configuration parameter "transaction_timeout"',
    "ERREUR:  paramètre de configuration « transaction_timeout » non reconnu",
)
IGNORED = "pg_restore: warning: errors ignored on restore: {}\n"
LOGIN = PostgresLogin("h", "1", "d", "u")


@pytest.mark.parametrize(
    ("client", "server", "done"),
    [
        ("15.1", 15, Finished(0, "", "")),
        ("18.1", 15, Finished(1, "", UNKNOWN + IGNORED.format(1))),
        ("18.1", 15, Finished(1, "", UNKNOWN + UNKNOWN + IGNORED.format(2))),
        ("18.1", 15, Finished(1, "", TORN + IGNORED.format(2))),
        ("18.1", 15, Finished(1, "", FRENCH + FRENCH + IGNORED.format(2))),
        ("15.1", 15, Finished(0, "", MISMATCH)),
    ],
)
def test_restores_that_are_good(client: str, server: int, done: Finished) -> None:
    filling._judge(filled(client, server), LOGIN, done)


@pytest.mark.parametrize(
    ("client", "server", "done"),
    [
        ("15.1", 15, Finished(1, "", "")),
        ("15.1", 15, Finished(0, "", "pg_restore: warning: something\n")),
        ("15.1", 15, Finished(-9, "", "")),
        ("18.1", 18, Finished(1, "", UNKNOWN + IGNORED.format(1))),
        ("18.1", 15, Finished(1, "", UNKNOWN + "pg_restore: error: other\n" + IGNORED.format(2))),
        ("18.1", 15, Finished(1, "", UNKNOWN + IGNORED.format(2))),
        ("18.1", 15, Finished(1, "", TORN + IGNORED.format(3))),
        ("18.1", 15, Finished(1, "", TORN + "could not execute query: ERROR:  other\n" + IGNORED.format(2))),
        ("18.1", 15, Finished(1, "", UNKNOWN)),
        ("18.1", 15, Finished(-9, "", UNKNOWN)),
    ],
)
def test_restores_that_are_not(client: str, server: int, done: Finished) -> None:
    with pytest.raises(DatabaseError, match="Restore of '/src' to database 'd' on h:1: pg_restore"):
        filling._judge(filled(client, server), LOGIN, done)


def test_messages_are_bounded_and_keep_their_end() -> None:
    assert told("a\n\n b \n") == "a; b"
    assert len(told("x" * 5000 + "end")) < 1100 and told("x" * 5000 + "end").endswith("end")


MAPPING = """pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 3331; 0 0 USER MAPPING USER MAPPING me SERVER far postgres
pg_restore: error: could not execute query: ERREUR:  le rôle « me » n'existe pas
LINE 2: ...canary', "user" 'u'
            ^
Command was: CREATE USER MAPPING FOR me SERVER far OPTIONS (
    password 'can''ary',
    "user" 'canary'
);

pg_restore: error: COPY failed for table "users": ERROR:  invalid byte sequence
CONTEXT:  COPY users, line 3, column password: "canary
Command was: SET x = 0;
pg_restore: error: COPY failed for table "users": ERROR:  a domain forbids it
CONTEXT:  SQL function "small" statement 1
COPY users, line 3, column password: "canary
pg_restore: error: COPY failed for table "users": ERROR:  it violates a constraint
DETAIL:  Failing row contains (1, me, can
ary).
HINT:  none
pg_restore: error: it's the end
"""


def test_what_a_statement_that_failed_holds_is_not_told() -> None:
    assert told(MAPPING).split("; ")[3:] == [
        "pg_restore: error: could not execute query: ERREUR:  le rôle « me » n'existe pas",
        *("LINE 2: ...", "Command was: CREATE USER MAPPING FOR me SERVER far OPTIONS (", "password ..."),
        'pg_restore: error: COPY failed for table "users": ERROR:  invalid byte sequence',
        *("CONTEXT:  COPY users, line 3, column password: ...", "Command was: SET x = 0;"),
        'pg_restore: error: COPY failed for table "users": ERROR:  a domain forbids it',
        *('CONTEXT:  SQL function "small" statement 1', "COPY users, line 3, column password: ..."),
        'pg_restore: error: COPY failed for table "users": ERROR:  it violates a constraint',
        *("DETAIL:  Failing row contains ( ...", "HINT:  none"),
        "pg_restore: error: it's the end",
    ]
