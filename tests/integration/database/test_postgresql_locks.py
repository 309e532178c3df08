# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgresql_dump while others empty tables, write them anew or drop them: no snapshot sees their rows any more."""

from __future__ import annotations

import contextlib
import threading
import typing as t
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql_dump import DumpRequest, dump
from ansible_collections.nuxeo.platform.plugins.module_utils._process import run
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress

from .conftest import Run, login, sums
from .test_postgresql_dump import Held, connect, database, database15, house_form, restored, waits

__all__ = ["database", "database15"]


def copied(database: t.Any, dump: Path) -> dict[str, str]:
    """What is in a dump, by pg_restore and psql alone."""
    name = f"{database.name}_copy"
    restored(database.server, dump, name)
    try:
        return sums(database.server, name)
    finally:
        database.server.drop_database(name)


@pytest.mark.parametrize(
    "change",
    [
        "TRUNCATE dublincore; INSERT INTO dublincore (title) VALUES ('new')",
        "ALTER TABLE dublincore ALTER title TYPE varchar(4000)",
    ],
)
def test_table_that_is_emptied_or_written_anew_while_the_dump_begins_is_whole(
    database: t.Any, start_module: t.Any, tmp_path: Path, change: str
) -> None:
    """In a snapshot from before the commit it would have no row, none of the old ones and none of the new."""
    with Held(database, change) as held:
        module = start_module("postgresql_dump", dest=tmp_path / "out", **login(database))
        waits(database.server)
        held.connection.commit()
        result = module.wait()
    assert result.get("changed"), result
    assert copied(database, tmp_path / "out" / "dump") == sums(database.server, database.name)


def test_nobody_empties_a_table_between_the_snapshot_and_the_locks_of_pg_dump(database: t.Any, tmp_path: Path) -> None:
    refused = []

    def meanwhile(_taken: object) -> None:
        with contextlib.closing(connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                cursor.execute("TRUNCATE dublincore")
            refused.append(True)

    there = PostgresLogin(database.host, str(database.port), database.name, database.user, database.password)
    dump(DumpRequest(there, str(tmp_path / "out")), run, Progress(None, "dump"), meanwhile)
    assert refused
    assert copied(database, tmp_path / "out" / "dump") == sums(database.server, database.name)


def test_table_that_is_dropped_while_it_is_waited_for_is_no_fault(
    database: t.Any, start_module: t.Any, tmp_path: Path
) -> None:
    with Held(database, "DROP TABLE nothing_in_it") as held:
        module = start_module("postgresql_dump", dest=tmp_path / "out", **login(database))
        waits(database.server)
        held.connection.commit()
        result = module.wait()
    assert result.get("changed") and result["tables"] == 8, result


def test_who_empties_a_table_before_the_dump_has_come_to_it_waits_and_ends_the_dump(
    database: t.Any, start_module: t.Any, tmp_path: Path
) -> None:
    with Held(database) as held, contextlib.closing(connect(database)) as other:
        module = start_module("postgresql_dump", dest=tmp_path / "out", jobs=2, **login(database))
        waits(database.server)
        emptying = threading.Thread(target=other.cursor().execute, args=("TRUNCATE dublincore",))
        emptying.start()
        waits(database.server, 2)
        held.connection.rollback()
        result = module.wait()
        emptying.join(20)
    assert not emptying.is_alive()
    assert "dublincore" in result["msg"] and house_form(result["msg"]), result
    assert not list((tmp_path / "out").iterdir())


def test_table_that_stays_locked_is_named(database15: t.Any, run_module: Run, tmp_path: Path) -> None:
    with Held(database15, "LOCK TABLE dublincore IN ACCESS EXCLUSIVE MODE"):
        result = run_module("postgresql_dump", dest=tmp_path / "out", lock_timeout=1, **login(database15))
    assert "timeout" in result["msg"] and "dublincore" in result["msg"] and "pg_locks" in result["msg"]
    assert house_form(result["msg"]) and not list((tmp_path / "out").iterdir())


def test_who_waits_for_no_table_does_not_wait_in_pg_dump_for_ever(
    database15: t.Any, run_module: Run, tmp_path: Path
) -> None:
    with Held(database15):
        result = run_module("postgresql_dump", dest=tmp_path / "out", lock_timeout=0, **login(database15))
    assert "timeout" in result["msg"] and house_form(result["msg"])
