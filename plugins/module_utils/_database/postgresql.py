# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a session with a PostgreSQL server, through psycopg 3 or psycopg2, whichever is there."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import types
import typing as t

from .._deps import require
from .error import DatabaseError, hint, told
from .login import PostgresLogin

APPLICATION = "nuxeo.platform"

PID = "SELECT pg_backend_pid()"

KEEPS = "SELECT set_config('nuxeo_platform.session', '1', false)"
"""Some poolers (RDS Proxy) leave a client its session as soon as something is set in it. Nobody else asks for this."""

LOOKS = 5
"""So often it is looked whether two clients share a session: in a busy pool others may come between."""

UNLIMITED = """
SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN (
  'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
  'transaction_timeout')
"""
"""Limits that an administrator set for the role or the database would end a long dump in its middle."""

SERVER = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int,
  (SELECT system_identifier::text FROM pg_control_system()), pg_is_in_recovery()
"""

FINGERPRINT = """
SELECT (SELECT system_identifier::text FROM pg_control_system()), d.oid::bigint,
  (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_all_tables
   WHERE schemaname NOT LIKE 'pg\\_%' OR relname IN ('pg_largeobject', 'pg_largeobject_metadata')),
  to_char(s.stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid WHERE d.datname = current_database()
"""

RELATIONS = """
WITH relations AS (
  SELECT c.oid, c.relfilenode, c.relkind, c.relnamespace, c.relname, c.relowner
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%')
"""

SHAPE = """
SELECT string_agg(what, E'\\n' ORDER BY what) FROM (
  SELECT format('%s %s %s %s %s %s', oid, relfilenode, relkind, relnamespace, relname, relowner) AS what FROM relations
  UNION ALL SELECT format('%s', datdba) FROM pg_database WHERE datname = current_database()
  UNION ALL SELECT format('%s %s %s %s', a.attrelid, a.attnum, a.atttypid, a.attname)
  FROM pg_attribute a JOIN relations r ON r.oid = a.attrelid WHERE a.attnum > 0
  UNION ALL SELECT format('%s %s', o.oid, o.conname) FROM pg_constraint o JOIN relations r ON r.oid = o.conrelid
) AS s
"""
"""What no count of rows tells of. A dropped column changes its name, a table that is emptied or written anew its file.

Functions and triggers are left out: Nuxeo makes them anew whenever it starts.
"""

SEQUENCES = """
SELECT format('SELECT %s::bigint, last_value, is_called FROM %I.%I', r.oid, n.nspname, r.relname)
FROM relations r JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE CASE WHEN r.relkind = 'S'
  THEN has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(r.oid, 'SELECT') END ORDER BY r.oid
"""
"""How each is asked where it stands. PostgreSQL 9.6 has no view of all. What is no sequence must not be asked for."""


class Database:
    """One connection in autocommit mode, a context manager. Every error is a :class:`DatabaseError`."""

    def __init__(self, login: PostgresLogin, application: str = APPLICATION) -> None:
        self.library = require(
            ("psycopg", "psycopg2"), "psycopg", "3.1", "to hold the snapshot and to ask the PostgreSQL server"
        )
        self.subject = login.subject
        self._secret = login.password
        words = {**login.keywords(), "application_name": application, "client_encoding": "UTF8"}
        if login.password:
            words["password"] = login.password
        try:
            self.connection = self.library.connect(**words)
            self.connection.autocommit = True
            if hasattr(self.connection, "prepare_threshold"):
                self.connection.prepare_threshold = None
        except self.library.Error as error:
            why = self._clean(error)
            raise DatabaseError(f"Login to {self.subject} as '{login.user}'", why, hint(why)) from None
        info = self.connection.info
        if self.value(PID) != info.backend_pid:  # a pooler answers in the server's place
            self._refuse_shared(words)
        self.login = dataclasses.replace(login, host=str(info.host or login.host), port=str(info.port or login.port))
        self.rows(UNLIMITED)
        if login.search_path:
            self.rows("SELECT set_config('search_path', %s, false)", login.search_path)

    def _refuse_shared(self, words: dict[str, str]) -> None:
        """A pooler that gives each transaction any session would give what is set here, and by pg_dump, to others."""
        what, shared = f"Login to {self.subject}", False
        self.rows(KEEPS)
        mine = self.value(PID)
        try:
            with contextlib.closing(self.library.connect(**words)) as other:
                for _attempt in range(LOOKS):
                    with contextlib.closing(other.cursor()) as cursor:
                        cursor.execute(PID)  # begins a transaction, which holds its session
                        shared = shared or cursor.fetchone()[0] == mine or self.value(PID) != mine
                    other.rollback()
        except self.library.Error as error:
            why = self._clean(error)
            raise DatabaseError(what, why, hint(why)) from None
        if shared:
            raise DatabaseError(
                what,
                "a pooler there gives each transaction any session, and what pg_dump and pg_restore set would stay in "
                "sessions that Nuxeo gets, which then finds no table",
                "Name the server itself, by backup_database_host or restore_database_host (login_host), or a pool that "
                "gives each client a session (pool_mode=session)",
            )

    def _clean(self, error: BaseException) -> str:
        text = told(str(error)) or type(error).__name__
        return text.replace(self._secret, "********") if len(self._secret) > 3 else text

    def rows(self, sql: str, *parameters: object) -> list[tuple[t.Any, ...]]:
        """Run one statement; its rows, none for a statement that has none."""
        try:
            with contextlib.closing(self.connection.cursor()) as cursor:
                cursor.execute(sql, parameters or None)
                return list(cursor.fetchall()) if cursor.description else []
        except (self.library.Error, UnicodeError) as error:
            why = self._clean(error)
            failure = DatabaseError(f"Statement in {self.subject}", why, hint(why))
            failure.state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
            raise failure from None

    def value(self, sql: str, *parameters: object) -> t.Any:
        """The first column of the first row, None when there is no row."""
        rows = self.rows(sql, *parameters)
        return rows[0][0] if rows else None

    def run(self, template: str, *names: object) -> None:
        """Run a statement that takes no parameters; the server itself quotes: ``%I`` a name, ``%L`` a literal."""
        slots = "".join(", %s::text" for _name in names)
        self.rows(self.value(f"SELECT format(%s::text{slots})", template, *names))

    def close(self) -> None:
        """End the session, and with it what it held."""
        with contextlib.suppress(self.library.Error):
            self.connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: types.TracebackType | None) -> None:
        self.close()


@dataclasses.dataclass(frozen=True)
class Server:
    """What a server says of itself."""

    version: str
    number: int
    system_identifier: str
    standby: bool

    @property
    def major(self) -> int:
        """15 of 15.4."""
        return self.number // 10000

    def facts(self) -> dict[str, t.Any]:
        """For results and dump.json."""
        return {"version": self.version.split(" ")[0], "major": self.major, "system_identifier": self.system_identifier}


def server(database: Database) -> Server:
    """Ask the server what it is."""
    return Server(*database.rows(SERVER)[0])


def fingerprint(database: Database) -> dict[str, t.Any]:
    """What changes when anybody changes a row, a table, a sequence or an owner: equal means that nobody did.

    ``changes`` is the server's own count of rows inserted, updated and deleted. A reset or a crash of the statistics
    changes it too, and so does a table that is only written anew (VACUUM FULL, REINDEX), which is the safe side.
    """
    identifier, oid, changes, reset = database.rows(FINGERPRINT)[0]
    shape = hashlib.sha256((database.value(RELATIONS + SHAPE) or "").encode())
    asked = [sql for (sql,) in database.rows(RELATIONS + SEQUENCES)]
    for start in range(0, len(asked), 100):
        shape.update(repr(sorted(database.rows(" UNION ALL ".join(asked[start : start + 100])))).encode())
    return {
        "system_identifier": identifier,
        "database_oid": oid,
        "changes": changes,
        "stats_reset": reset,
        "shape": shape.hexdigest(),
    }
