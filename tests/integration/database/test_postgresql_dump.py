# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgresql_dump on real servers; what it wrote is read by psql, pg_restore and sort."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import psycopg2
import pytest

from .conftest import CONTENT, Run, alive, as_owner, login, sums


@pytest.fixture
def database(postgresql: t.Any, make_database: t.Any, fill_database: t.Any) -> t.Any:
    """A filled database on either version."""
    made = make_database(postgresql)
    fill_database(made)
    return made


@pytest.fixture
def database15(postgresql15: t.Any, make_database: t.Any, fill_database: t.Any) -> t.Any:
    """A filled database on PostgreSQL 15."""
    made = make_database(postgresql15)
    fill_database(made)
    return made


@pytest.fixture
def database18(postgresql18: t.Any, make_database: t.Any, fill_database: t.Any) -> t.Any:
    """A filled database on PostgreSQL 18."""
    made = make_database(postgresql18)
    fill_database(made)
    return made


def connect(database: t.Any) -> t.Any:
    """A session of the owner."""
    connection = psycopg2.connect(
        host=database.host,
        port=database.port,
        dbname=database.name,
        user=database.user,
        password=database.password,
        application_name="a test",
    )
    connection.autocommit = True
    return connection


def restored(server: t.Any, dump: Path, name: str) -> None:
    """Restore by pg_restore alone."""
    server.psql(f'DROP DATABASE IF EXISTS "{name}"')
    server.psql(f'CREATE DATABASE "{name}" TEMPLATE template0')
    words = [server.program("pg_restore"), "--no-owner", "--exit-on-error", "--dbname", name, str(dump)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=server.environment(name))
    assert (done.returncode, done.stderr) == (0, "")


class Writer(threading.Thread):
    """Commits rows all the time; remembers by the server's clock when each commit was known to be done."""

    def __init__(self, database: t.Any) -> None:
        super().__init__(daemon=True)
        self.connection = connect(database)
        self.done: list[tuple[str, str]] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        """Insert a row, and ask the time afterwards."""
        with self.connection.cursor() as cursor:
            number = 0
            while not self.stopped.is_set():
                number += 1
                cursor.execute("INSERT INTO hierarchy (id) VALUES (%s)", (f"w{number}",))
                cursor.execute(
                    "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
                )
                self.done.append((f"w{number}", cursor.fetchone()[0]))

    def stop(self) -> None:
        """End it."""
        self.stopped.set()
        self.join()
        self.connection.close()


def test_what_was_committed_by_the_backup_date_is_in_and_nothing_later(
    database: t.Any, run_module: Run, tmp_path: Path
) -> None:
    writer = Writer(database)
    writer.start()
    try:
        result = run_module("postgresql_dump", dest=tmp_path / "out", jobs=2, **login(database))
    finally:
        writer.stop()
    assert result.get("changed"), result
    copy = f"{database.name}_copy"
    restored(database.server, tmp_path / "out" / "dump", copy)
    try:
        there = set(database.server.psql("SELECT id FROM hierarchy WHERE id LIKE 'w%'", copy).splitlines())
        moment = f"timestamptz '{result['backup_date']}' + interval '{result['snapshot_window']} s'"
        later = database.server.psql(f"SELECT count(*) FROM hierarchy WHERE made > {moment}", copy)
    finally:
        database.server.drop_database(copy)
    before = {name for name, moment in writer.done if moment <= result["backup_date"]}
    assert before, "the writer was too slow to prove anything"
    assert before <= there
    assert len(there) < len(writer.done), "nothing was written after the snapshot"
    assert 0 < result["snapshot_window"] < 5
    assert later == "0"


def test_dump_is_the_database_at_that_moment(database: t.Any, run_module: Run, tmp_path: Path) -> None:
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database))
    assert result.get("changed"), result
    copy = f"{database.name}_copy"
    restored(database.server, tmp_path / "out" / "dump", copy)
    try:
        assert sums(database.server, copy) == sums(database.server, database.name)
    finally:
        database.server.drop_database(copy)
    assert (result["tables"], result["large_objects"], result["blob_keys"]) == (9, 1, 701)
    assert result["blob_providers"] == ["", "other"]
    assert result["server"]["version"].startswith(database.server.version)
    assert result["server"]["system_identifier"] == database.server.psql(
        "SELECT system_identifier FROM pg_control_system()"
    )
    assert result["database"]["owner"] == database.user
    written = json.loads((tmp_path / "out" / "dump.json").read_text())
    assert {key: result[key] for key in written if key in result} == {
        key: value for key, value in written.items() if key in result
    }
    assert result["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out" / "dump").iterdir())
    assert result["id"] == result["backup_date"][:19].replace("-", "").replace(":", "") + "Z"


def test_everything_written_is_owner_only(database15: t.Any, run_module: Run, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        run_module("postgresql_dump", dest=tmp_path / "out", progress=tmp_path / "beat.json", **login(database15))
    finally:
        os.umask(old)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in (tmp_path / "out", tmp_path / "out" / "dump")}
    assert (modes, folders) == ({0o600}, {0o700})
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert json.loads((tmp_path / "beat.json").read_text())["phase"]


def test_blob_keys_are_those_of_every_repository_in_byte_order(
    database: t.Any, run_module: Run, tmp_path: Path
) -> None:
    as_owner(database, 'CREATE SCHEMA "Sec%ond";' + CONTENT.format(schema='"Sec%ond".'))
    as_owner(
        database,
        'CREATE SCHEMA up; CREATE TABLE up."CONTENT" ("ID" varchar, "NAME" varchar, "MIME-TYPE" varchar,'
        ' "DATA" varchar, "DIGEST" varchar, "LENGTH" bigint)',
    )
    as_owner(database, """INSERT INTO up."CONTENT" ("ID", "DATA") VALUES ('1', 'UPPER'), ('2', 'zz'), ('3', 'é-key')""")
    as_owner(
        database,
        """INSERT INTO "Sec%ond".content (id, data) VALUES ('1', 'Zz'), ('2', 'a b'), ('3', 'zz'),
        ('4', 'fs:a\u3000b')""",
    )
    as_owner(
        database,
        "CREATE SCHEMA no; CREATE TABLE no.content (id int, data text); INSERT INTO no.content VALUES (1, 'no')",
    )
    wide = CONTENT.format(schema="wide.").replace(");", ") PARTITION BY HASH (id);")
    as_owner(
        database,
        f"CREATE SCHEMA wide; {wide}; CREATE TABLE wide.one PARTITION OF wide.content"
        " FOR VALUES WITH (MODULUS 1, REMAINDER 0); INSERT INTO wide.content (id, data) VALUES ('1', 'in a part')",
    )
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database))
    assert result.get("changed"), result
    path = tmp_path / "out" / "blob-keys.txt"
    subprocess.run(["sort", "-c", "-u", str(path)], check=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
    wanted = database.server.psql(
        'SELECT data FROM content WHERE data IS NOT NULL UNION SELECT data FROM "Sec%ond".content'
        ' UNION SELECT "DATA" FROM up."CONTENT" UNION SELECT data FROM wide.content',
        database.name,
    )
    assert path.read_text().splitlines() == sorted(wanted.splitlines())
    assert result["blob_keys"] == 708


def test_digests_of_blobs_whose_key_is_none_are_written_beside_the_keys(
    database: t.Any, run_module: Run, tmp_path: Path
) -> None:
    """Other bytes can be under these keys later. One key in two repositories has both."""
    as_owner(database, 'CREATE SCHEMA "Sec%ond";' + CONTENT.format(schema='"Sec%ond".'))
    md5, sha = "ab" * 16, "cd" * 32
    rows = [
        ("doc-1", md5),
        ("records:doc-2", sha),
        (f"other:{md5}", md5),
        ("Zoë", md5),
        ("doc-3", None),
        ("doc-4", "x"),
    ]
    for number, (key, digest) in enumerate([*rows, ("12345", md5)]):
        value = f"'{digest}'" if digest else "NULL"
        as_owner(database, f"INSERT INTO content (id, data, digest) VALUES ('r{number}', '{key}', {value})")
    as_owner(database, f"""INSERT INTO "Sec%ond".content (id, data, digest) VALUES ('1', 'doc-1', '{sha}')""")
    assert run_module("postgresql_dump", dest=tmp_path / "out", **login(database)).get("changed")
    path = tmp_path / "out" / "record-digests.txt"
    wanted = [("12345", md5), ("Zoë", md5), ("doc-1", md5), ("doc-1", sha), ("records:doc-2", sha)]
    assert path.read_text(encoding="utf-8") == "".join(f"{key}\t{digest}\n" for key, digest in wanted)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key", ["a\nb", "", "tab\there", "esc\x1b"])
def test_key_that_is_no_line_is_refused_by_name(database15: t.Any, run_module: Run, tmp_path: Path, key: str) -> None:
    with connect(database15).cursor() as cursor:
        cursor.execute("INSERT INTO content (id, data) VALUES ('the-row', %s)", (key,))
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database15))
    assert result["failed"]
    assert "the-row" in result["msg"] and repr(key) in result["msg"]
    assert not list((tmp_path / "out").iterdir())


def test_database_without_repository(
    postgresql15: t.Any, make_database: t.Any, run_module: Run, tmp_path: Path
) -> None:
    database = make_database(postgresql15)
    as_owner(database, "CREATE TABLE users (name text); INSERT INTO users VALUES ('a')")
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database))
    assert "no Nuxeo repository" in result["msg"]
    assert not (tmp_path / "out").exists()
    result = run_module("postgresql_dump", dest=tmp_path / "out", require_blob_keys=False, **login(database))
    assert (result["tables"], result["blob_keys"]) == (1, 0)
    assert (tmp_path / "out" / "blob-keys.txt").read_bytes() == b""


def test_check_mode_predicts_and_writes_nothing(database: t.Any, run_module: Run, tmp_path: Path) -> None:
    foreseen = run_module("postgresql_dump", check=True, dest=tmp_path / "out", **login(database))
    assert not (tmp_path / "out").exists()
    done = run_module("postgresql_dump", dest=tmp_path / "out", **login(database))
    assert set(foreseen) == set(done)
    assert foreseen["changed"] is True
    assert done["changed"] is True
    for key in ("tables", "server", "client_version", "compression", "jobs"):
        assert foreseen[key] == done[key], key


def test_second_dump_into_the_same_place_is_refused(database15: t.Any, run_module: Run, tmp_path: Path) -> None:
    run_module("postgresql_dump", dest=tmp_path / "out", **login(database15))
    before = (tmp_path / "out" / "dump.json").read_bytes()
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database15))
    assert "there is one already" in result["msg"]
    assert (tmp_path / "out" / "dump.json").read_bytes() == before
    assert (tmp_path / "out" / "dump" / "toc.dat").exists()


@pytest.mark.parametrize("name", ["toc.dat", "README"])
def test_a_dump_folder_of_somebodys_own_is_not_touched(
    database15: t.Any, run_module: Run, tmp_path: Path, name: str
) -> None:
    mine = tmp_path / "out" / "dump" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database15))
    assert "there is one already" in result["msg"]
    assert mine.read_text() == "precious"


# -- bad input --------------------------------------------------------------------------------------------------------


def house_form(message: str) -> bool:
    """``<what>: <why>. <what to do>.``"""
    what, colon, rest = message.partition(": ")
    return bool(what and colon and ". " in rest and message.endswith("."))


def test_wrong_password(database: t.Any, run_module: Run, tmp_path: Path) -> None:
    wrong = login(database, login_password="not-the-canary")
    result = run_module("postgresql_dump", dest=tmp_path / "out", **wrong)
    assert "password authentication failed" in result["msg"] and "nuxeo.db.password" in result["msg"]
    assert house_form(result["msg"]) and "not-the-canary" not in json.dumps(result)
    assert not (tmp_path / "out").exists()


def test_missing_database(database15: t.Any, run_module: Run, tmp_path: Path) -> None:
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database15, name="nowhere"))
    assert 'database "nowhere" does not exist' in result["msg"] and house_form(result["msg"])


def test_nobody_listens(database15: t.Any, run_module: Run, tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database15, login_port=port))
    assert "refused" in result["msg"].lower() and f":{port}" in result["msg"] and house_form(result["msg"])


def test_server_that_never_answers(database15: t.Any, run_module: Run, tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        begun = time.monotonic()
        options = login(database15, login_port=port, connect_timeout=2)
        result = run_module("postgresql_dump", dest=tmp_path / "out", **options)
    assert "timeout" in result["msg"] and house_form(result["msg"])
    assert time.monotonic() - begun < 15


def test_client_older_than_the_server(database18: t.Any, postgresql15: t.Any, run_module: Run, tmp_path: Path) -> None:
    database = database18
    options = login(database, bin_dir=str(postgresql15.bin_dir))
    result = run_module("postgresql_dump", dest=tmp_path / "out", **options)
    assert "PostgreSQL 18 or newer" in result["msg"] and "15." in result["msg"] and house_form(result["msg"])
    assert not (tmp_path / "out").exists()


def test_newer_client_dumps_an_older_server(
    database15: t.Any, postgresql18: t.Any, run_module: Run, tmp_path: Path
) -> None:
    options = login(database15, bin_dir=str(postgresql18.bin_dir))
    result = run_module("postgresql_dump", dest=tmp_path / "out", **options)
    assert result.get("changed"), result
    assert (result["client_version"][:2], result["large_objects"]) == ("18", 1)


def test_client_of_the_servers_own_version_is_taken(database: t.Any, run_module: Run, tmp_path: Path) -> None:
    """An archive of 18 could not go back into 15 by the client of 15, though that of 18 is the first on the path."""
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database))
    assert result["client_version"].split(".")[0] == database.server.version


@pytest.mark.parametrize(
    ("wanted", "word"), [("zstd:19", "can't do it"), ("zip", "is none"), ("gzip:1 --x", "is none")]
)
def test_compression_that_cannot_be(database15: t.Any, run_module: Run, tmp_path: Path, wanted: str, word: str) -> None:
    result = run_module("postgresql_dump", dest=tmp_path / "out", compression=wanted, **login(database15))
    assert word in result["msg"] and house_form(result["msg"])


@pytest.mark.parametrize("wanted", ["none", "gzip:9", "gzip"])
def test_compressions_that_both_clients_have(database: t.Any, run_module: Run, tmp_path: Path, wanted: str) -> None:
    result = run_module("postgresql_dump", dest=tmp_path / "out", compression=wanted, **login(database))
    assert result.get("changed"), result


def test_full_disk(database: t.Any, start_module: t.Any, tmp_path: Path) -> None:
    """A volume of 256 KiB in a mount namespace of the module's own."""
    (tmp_path / "small").mkdir()
    as_owner(
        database,
        "INSERT INTO dublincore (title) SELECT md5(i::text) || md5((-i)::text) FROM generate_series(1, 20000) i",
    )
    mount = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "sh", "-c"]
    line = 'mount -t tmpfs -o size=256k none "$0" && exec "$@"'
    result = start_module(
        "postgresql_dump",
        prefix=[*mount, line, str(tmp_path / "small")],
        dest=tmp_path / "small" / "out",
        **login(database),
    ).wait()
    assert "No space left on device" in result["msg"] and "Free space" in result["msg"] and house_form(result["msg"])


def test_dest_that_cannot_be_made(database15: t.Any, run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run_module("postgresql_dump", dest=tmp_path / "file" / "out", **login(database15))
    assert "Not a directory" in result["msg"]


class Held:
    """A table that is locked exclusively. Of a partitioned one that is left to pg_dump, so that it waits in its middle
    for as long as a test wants."""

    def __init__(self, database: t.Any, statement: str = "LOCK TABLE ONLY parts IN ACCESS EXCLUSIVE MODE") -> None:
        self.connection = connect(database)
        self.connection.autocommit = False
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_error: object) -> None:
        self.connection.close()


def waits(server: t.Any, number: int = 1) -> None:
    """Until pg_dump, or whoever else, stands at a lock."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if int(server.psql("SELECT count(*) FROM pg_locks WHERE NOT granted")) >= number:
            return
        time.sleep(0.05)
    raise AssertionError("pg_dump did not come to the lock")


def test_killed_pg_dump(database: t.Any, start_module: t.Any, tmp_path: Path) -> None:
    with Held(database):
        module = start_module("postgresql_dump", dest=tmp_path / "out", **login(database))
        pid = module.child("/pg_dump\0--dbname=")
        waits(database.server)
        os.kill(pid, signal.SIGKILL)
        result = module.wait()
    assert "was ended by signal 9" in result["msg"] and house_form(result["msg"])
    assert not list((tmp_path / "out").iterdir())


def test_lost_session_ends_pg_dump(database: t.Any, start_module: t.Any, tmp_path: Path) -> None:
    with Held(database):
        module = start_module("postgresql_dump", dest=tmp_path / "out", **login(database))
        pid = module.child("/pg_dump\0--dbname=")
        waits(database.server)
        database.server.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nuxeo.platform'"
        )
        result = module.wait()
    assert "the session that holds the snapshot was lost" in result["msg"] and house_form(result["msg"])
    assert not alive(pid)
    assert not list((tmp_path / "out").iterdir())


def test_limits_of_the_role_do_not_end_the_dump(database: t.Any, start_module: t.Any, tmp_path: Path) -> None:
    with Held(database) as held:
        for limit in ("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"):
            database.server.psql(f"ALTER ROLE {database.user} SET {limit} = '300ms'")
        module = start_module("postgresql_dump", dest=tmp_path / "out", **login(database))
        module.child("/pg_dump\0--dbname=")
        waits(database.server)
        time.sleep(1.5)
        held.connection.rollback()
        result = module.wait()
    assert result.get("changed"), result


def test_password_is_nowhere_to_be_seen(database: t.Any, start_module: t.Any, tmp_path: Path) -> None:
    with Held(database) as held:
        module = start_module("postgresql_dump", dest=tmp_path / "out", progress=tmp_path / "beat", **login(database))
        pid = module.child("/pg_dump\0--dbname=")
        waits(database.server)
        seen = b"".join(
            Path(f"/proc/{one}/{what}").read_bytes()
            for one in (pid, module.process.pid)
            for what in ("cmdline", "environ")
        )
        held.connection.rollback()
        result = module.wait()
    assert b"pg_dump" in seen and database.password.encode() not in seen
    assert result.get("changed"), result
    assert database.password not in json.dumps(result)
    assert not [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and path.parent.name != "arguments" and database.password.encode() in path.read_bytes()
    ]


def test_killed_module_leaves_no_pg_dump_and_no_hand_work(
    database: t.Any, start_module: t.Any, run_module: Run, tmp_path: Path
) -> None:
    with Held(database):
        module = start_module("postgresql_dump", dest=tmp_path / "out", **login(database))
        pid = module.child("/pg_dump\0--dbname=")
        waits(database.server)
        module.process.kill()
        module.process.communicate()
        until = time.monotonic() + 10
        while alive(pid) and time.monotonic() < until:
            time.sleep(0.05)
        assert not alive(pid)
    assert not (tmp_path / "out" / "dump.json").exists()
    assert run_module("postgresql_dump", dest=tmp_path / "out", **login(database)).get("changed")


def test_standby_is_refused(database15: t.Any, standby15: t.Any, run_module: Run, tmp_path: Path) -> None:
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(database15, login_port=standby15.port))
    assert "is a standby" in result["msg"] and house_form(result["msg"])
