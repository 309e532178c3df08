# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of the stand-in: the tables that Nuxeo's repository, directories and audit make, on PostgreSQL or H2.

A transaction is a list of statements with ``?`` for values; both engines take the same list.
"""

from __future__ import annotations

import base64
import subprocess
import threading
import typing as t
from pathlib import Path

Value = t.Union[str, int, bool, None]
Statement = t.Tuple[str, t.Sequence[Value]]
Rows = t.List[t.Tuple[t.Any, ...]]

CHILD = "child of hierarchy"
TABLES: dict[str, list[tuple[str, str]]] = {
    "repositories": [("id", "id"), ("name", "text")],
    "hierarchy": [
        ("id", "key"),
        ("parentid", "id"),
        ("pos", "integer"),
        ("name", "text"),
        ("isproperty", "boolean"),
        ("primarytype", "string"),
        ("mixintypes", "strings"),
        ("ischeckedin", "boolean"),
        ("baseversionid", "id"),
        ("majorversion", "bigint"),
        ("minorversion", "bigint"),
        ("isversion", "boolean"),
    ],
    "content": [
        ("id", CHILD),
        ("name", "text"),
        ("mime-type", "string"),
        ("encoding", "string"),
        ("data", "string"),
        ("digest", "string"),
        ("length", "bigint"),
    ],
    "dublincore": [
        ("id", CHILD),
        ("title", "text"),
        ("description", "text"),
        ("creator", "string"),
        ("lastcontributor", "string"),
        ("created", "timestamp"),
        ("modified", "timestamp"),
    ],
    "dc_contributors": [("id", "child rows"), ("pos", "integer"), ("item", "text")],
    "file": [("id", CHILD), ("filename", "text")],
    "misc": [("id", CHILD), ("lifecyclepolicy", "string"), ("lifecyclestate", "string")],
    "acls": [
        ("id", "child rows"),
        ("pos", "integer"),
        ("name", "string"),
        ("grant", "boolean"),
        ("permission", "string"),
        ("user", "string"),
    ],
    "versions": [("id", CHILD), ("versionableid", "id"), ("created", "timestamp"), ("label", "text")],
    "proxies": [("id", CHILD), ("targetid", "id"), ("versionableid", "id")],
    "locks": [("id", CHILD), ("owner", "string"), ("created", "timestamp")],
    "fulltext": [("id", CHILD), ("jobid", "string"), ("fulltext", "words"), ("simpletext", "clob")],
    "ancestors": [("id", CHILD), ("ancestors", "ids")],
    "users": [("username", "string key"), ("password", "string"), ("firstname", "string"), ("email", "string")],
    "groups": [("groupname", "string key"), ("grouplabel", "string")],
    "user2group": [("userid", "string"), ("groupid", "string")],
    "group2group": [("parentgroupid", "string"), ("childgroupid", "string")],
    "continent": [("id", "string key"), ("label", "string"), ("obsolete", "bigint"), ("ordering", "bigint")],
    "nxp_logs": [
        ("log_id", "number key"),
        ("log_event_category", "string"),
        ("log_doc_uuid", "string"),
        ("log_event_id", "string"),
        ("log_doc_path", "text"),
        ("log_event_date", "timestamp"),
        ("log_date", "timestamp"),
        ("log_principal_name", "string"),
        ("log_repo_id", "string"),
    ],
    "nxp_logs_extinfo": [("log_extinfo_id", "number key"), ("discriminator", "string"), ("log_extinfo_string", "text")],
    "nxp_logs_mapextinfos": [("log_fk", "bigint"), ("info_fk", "bigint"), ("mapkey", "string")],
    "nxp_uidseq": [("seq_id", "number key"), ("seq_key", "string"), ("seq_index", "bigint")],
}
INDEXES = [("hierarchy", "parentid"), ("hierarchy", "primarytype"), ("content", "data"), ("nxp_logs", "log_doc_uuid")]
_PLAIN = {
    "id": "varchar(36)",
    "key": "varchar(36) not null primary key",
    "string": "varchar(250)",
    "string key": "varchar(250) not null primary key",
    "number key": "bigint not null primary key",
}


class DatabaseError(Exception):
    """The server cannot work with its database."""


class Database:
    """What both engines share."""

    types: t.ClassVar[dict[str, str]] = {}
    next_log_id = ""

    def quote(self, name: str) -> str:
        """A table's or column's name as Nuxeo stores it in this engine."""
        return f'"{name}"'

    def run(self, statements: t.Sequence[Statement]) -> list[Rows]:
        """Run the statements in one transaction; the rows of each."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave the database in good order."""

    def one(self, sql: str, *values: Value) -> t.Any:
        """The first value of the first row."""
        return self.run([(sql, values)])[0][0][0]

    def insert(self, table: str, **values: Value) -> Statement:
        """A statement that adds a row; ``__`` in a name stands for ``-``."""
        columns = ", ".join(self.quote(name.replace("__", "-")) for name in values)
        marks = ", ".join("?" * len(values))
        return f"insert into {self.quote(table)} ({columns}) values ({marks})", list(values.values())

    def _column(self, name: str, kind: str) -> str:
        hierarchy = f"references {self.quote('hierarchy')} ({self.quote('id')}) on delete cascade"
        if kind == CHILD:
            return f"{self.quote(name)} varchar(36) not null primary key {hierarchy}"
        if kind == "child rows" or name == "parentid":
            return f"{self.quote(name)} varchar(36) {hierarchy}"
        return f"{self.quote(name)} {_PLAIN.get(kind) or self.types.get(kind, kind)}"

    def tables(self) -> set[str]:
        """The names of the tables that there are, in lower case."""
        where = "from information_schema.tables where lower(table_schema) = 'public'"
        rows = self.run([(f"select table_name {where}", ())])[0]
        return {str(row[0]).lower() for row in rows}

    def prepare(self) -> bool:
        """Make the tables when there is none of them. Some of them missing is an error. True when they were made."""
        there = self.tables()
        missing = sorted(name for name in TABLES if name not in there)
        if not missing:
            return False
        if len(missing) < len(TABLES):
            raise DatabaseError(f"the schema is incomplete, there is no table {', '.join(missing)}")
        self.run([("create sequence hibernate_sequence", ())])
        for name, columns in TABLES.items():
            body = ", ".join(self._column(*column) for column in columns)
            self.run([(f"create table {self.quote(name)} ({body})", ())])
        for table, column in INDEXES:
            index = self.quote(f"{table}_{column}_idx")
            self.run([(f"create index {index} on {self.quote(table)} ({self.quote(column)})", ())])
        self.finish()
        return True

    def finish(self) -> None:
        """What one engine has beside tables."""


class Postgresql(Database):
    """PostgreSQL through psycopg2, one connection for each thread."""

    types: t.ClassVar[dict[str, str]] = {
        "text": "varchar",
        "clob": "text",
        "words": "tsvector",
        "strings": "varchar(250)[]",
        "ids": "varchar(36)[]",
    }
    next_log_id = "nextval('hibernate_sequence')"

    def __init__(self, host: str, port: str, name: str, user: str, password: str) -> None:
        import psycopg2

        self._driver = psycopg2
        self._login = {"host": host, "port": port, "dbname": name, "user": user, "password": password}
        self._local = threading.local()
        self.run([("select 1", ())])

    def _connection(self) -> t.Any:
        connection = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            connection = self._driver.connect(**self._login, connect_timeout=5, application_name="nuxeo")
            self._local.connection = connection
        return connection

    def run(self, statements: t.Sequence[Statement]) -> list[Rows]:
        try:
            return self._run(statements)
        except self._driver.Error as error:
            raise DatabaseError(str(error).strip()) from error

    def _run(self, statements: t.Sequence[Statement]) -> list[Rows]:
        connection = self._connection()
        with connection, connection.cursor() as cursor:
            if len(statements) > 1:
                parts = [cursor.mogrify(sql.replace("?", "%s"), values) for sql, values in statements]
                cursor.execute(b"; ".join(parts))
                return [[]]
            sql, values = statements[0]
            cursor.execute(sql.replace("?", "%s"), values)
            return [cursor.fetchall() if cursor.description else []]

    def finish(self) -> None:
        self.run([("create index fulltext_fulltext_idx on fulltext using gin (fulltext)", ())])
        body = "select exists (select 1 from ancestors where id = doc and parent = any (ancestors))"
        create = "create function nx_in_tree(doc varchar, parent varchar) returns boolean language sql stable as "
        self.run([(f"{create} $$ {body} $$", ())])


class H2(Database):
    """Embedded H2: the real engine, in a Java process of this server that keeps the file open, as Nuxeo's own does."""

    types: t.ClassVar[dict[str, str]] = {
        "text": "varchar(4000)",
        "clob": "clob",
        "words": "clob",
        "strings": "varchar(4000)",
        "ids": "varchar(4000)",
    }
    next_log_id = "next value for hibernate_sequence"

    def __init__(self, java: str, jar: Path, url: str, user: str, password: str) -> None:
        bridge = Path(__file__).with_name("H2Bridge.java")
        self._lock = threading.Lock()
        self._java = subprocess.Popen(
            [java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", str(jar), str(bridge)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="ascii",
            start_new_session=True,
        )
        self._send(["O", url, user, password])
        self._answer()

    def quote(self, name: str) -> str:
        return f'"{name.upper()}"'

    def _send(self, words: t.Sequence[str]) -> None:
        if self._java.stdin is None:
            raise DatabaseError("H2 is closed")
        self._java.stdin.write("\t".join(base64.b64encode(word.encode()).decode() for word in words) + "\n")

    def _answer(self) -> list[Rows]:
        if self._java.stdin is None or self._java.stdout is None:
            raise DatabaseError("H2 is closed")
        self._java.stdin.flush()
        results: list[Rows] = [[]]
        for line in self._java.stdout:
            kind, *words = [base64.b64decode(word).decode() for word in line.rstrip("\n").split("\t")]
            if kind == ".":
                return results
            if kind == "E":
                raise DatabaseError(words[0])
            if kind == "N":
                results.append([])
            else:
                results[-1].append(tuple(None if word == "n" else word[1:] for word in words))
        raise DatabaseError("H2 has ended")

    def run(self, statements: t.Sequence[Statement]) -> list[Rows]:
        with self._lock:
            for sql, values in statements:
                self._send(["S", sql, *(_tagged(value) for value in values)])
            self._send(["C"])
            return self._answer()

    def close(self) -> None:
        with self._lock:
            if self._java.stdin is not None:
                self._java.stdin.close()
            self._java.wait(60)


def _tagged(value: Value) -> str:
    if value is None:
        return "n"
    if isinstance(value, bool):
        return f"b{str(value).lower()}"
    return f"l{value}" if isinstance(value, int) else f"s{value}"
