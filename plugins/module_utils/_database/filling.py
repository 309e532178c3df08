# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a dump is filled into a database by pg_restore, and compared with what was dumped."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import re
import tempfile
import time
import typing as t

from .._process import Finished
from .._progress import Progress
from . import archive, blob_keys, catalogue, lookup
from .archive import Archive
from .checks import Recorded, keys_digest
from .clients import Client, Run
from .error import DatabaseError, hint, told
from .login import PostgresLogin, passfile
from .postgresql import Database
from .postgresql_dump import COLLATION
from .shares import Shares, cast, shares
from .target import CASTS, Target

UNKNOWN_SETTING = r"could not execute query: .*\btransaction_timeout\b.*\n"
"""What a pg_restore of 17 or newer says of every server before 17, once for each connection. It changes nothing.

The server says it in its own language.
"""

COUNTED = re.compile(r"^pg_restore: warning: errors ignored on restore: (\d+)\n", re.MULTILINE)

PIECES = re.compile(
    r"while [A-Z ]+:\n|from TOC entry .*\n"
    rf"|{UNKNOWN_SETTING}"
    r"|Command was: SET transaction_timeout = 0;\n"
    r"|pg_restore:|error:"
)
"""What is written at once for it: the pieces of jobs that run at the same time come out among each other."""

IDLE_LIMIT = "SELECT reset_val FROM pg_settings WHERE name = 'idle_session_timeout'"
"""Of the limits the only one that pg_restore does not lift: a job waits while another fills a large table."""

MISSED = "does not exist"

UNFOUND = (
    "If a function asks for it without its schema: that is found for no CHECK and no generated column, and from "
    "PostgreSQL 17 on for no index and no materialized view. Restore to an older server, or have the function say the "
    "schema where the dump is made (if it is IMMUTABLE, by ALTER FUNCTION ... SET search_path)"
)
"""What to do when something does not exist. Database and roles have been seen by then."""

LOOK = 2.0


@dataclasses.dataclass(frozen=True)
class Filling:
    """What is filled in, and how."""

    src: str
    known: Recorded
    made: Archive
    client: Client
    target: Target
    owner: str
    jobs: int
    privileges: bool

    @property
    def old_server(self) -> bool:
        """Whether the client speaks of a setting that the server does not know."""
        return self.client.major >= 17 > self.target.server.major

    @property
    def keeps_tablespaces(self) -> bool:
        """Whether tables go to the tablespaces they came from."""
        return not self.known["database"].get("tablespaces")

    @property
    def functions(self) -> set[int]:
        """Those in languages for superusers, by their object ids in the dump."""
        return set(self.known["database"].get("functions", []))

    @property
    def path(self) -> str:
        """Where the login of the dump looked. The server's own comes first, as when pg_dump wrote what it wrote."""
        schemas = self.known["database"].get("search_path") or []
        return lookup.joined(schema for schema in schemas if schema != "pg_catalog")


def fill(what: Filling, name: str, run: Run, progress: Progress, at_once: bool) -> list[str]:
    """Restore into the database ``name``; returns messages.

    A superuser restores what the owner to be may not make, and all else as that owner.

    :param at_once: in one transaction, so that the database is as before when anything fails; in two where what comes
        after the rows is found only where the login of the dump looked
    """
    login = what.target.login.to(name)
    casts = {one["name"]: one["function"] for one in what.known["database"].get("casts", [])}
    messages: list[str] = []
    with Database(login) as database:
        numbers = _wanted(what, _extension_schemas(database, what), _make_functions(database, casts))
        limited = database.value(IDLE_LIMIT) not in (None, "0")
        patient = {"PGOPTIONS": "-c idle_session_timeout=0"} if limited else {}
        watch = _Watch(database, progress, int(what.known["database"].get("size", 0)))
        with tempfile.TemporaryDirectory() as folder, passfile(login) as secret:
            wanted = os.path.join(folder, "list")
            argv = [
                what.client.program("pg_restore"),
                f"--dbname={login.conninfo()}",
                "--no-password",
                "--no-owner",
                f"--use-list={wanted}",
                *([] if what.privileges else ["--no-privileges"]),
                *([] if what.keeps_tablespaces else ["--no-tablespaces"]),
                *(["--single-transaction"] if at_once else [f"--jobs={what.jobs}"]),
                *([] if what.old_server else ["--exit-on-error"]),
            ]

            def restore(share: list[int], *words: str) -> None:
                with open(wanted, "w", encoding="utf-8") as stream:
                    stream.writelines(f"{number}\n" for number in share)
                done = run([*argv, *words], env={**secret, **patient}, progress=progress, watch=watch.step)
                messages.extend(_judge(what, login, done))

            _restore_all(what, database, numbers, _ways(what, folder, restore, at_once), casts)
    return sorted(set(messages))


Restore = t.Callable[..., None]


def _ways(what: Filling, folder: str, restore: Restore, at_once: bool) -> Restore:
    """Restores some entries: what comes after the rows is looked for where the login of the dump looked."""
    dump = os.path.join(what.src, "dump")

    def apart(share: list[int], *words: str) -> None:
        restore(share, *words, "--section=pre-data", "--section=data", dump)
        restore(share, *words, "--section=post-data", archive.looking(dump, folder, what.path))

    def together(share: list[int], *words: str) -> None:
        try:
            restore(share, *words, dump)
        except DatabaseError as error:
            if MISSED not in error.why:
                raise
            apart(share, *words)

    return together if at_once else apart


def _restore_all(
    what: Filling, database: Database, numbers: list[int], restore: Restore, casts: t.Mapping[str, str | None]
) -> None:
    """All entries, some as another role."""
    for_owner = what.target.user != what.owner
    shared = shares(what.made, casts, what.functions) if for_owner and what.target.superuser else Shares()
    as_owner = [f"--role={what.owner}"] if for_owner else []
    early = [number for number in numbers if number not in shared.after]
    for among, share in itertools.groupby(early, shared.among.__contains__):
        restore(list(share), *([] if among else as_owner))
        if among:
            _give(database, what)
    late = [number for number in numbers if number in shared.after]
    if late:
        restore(late)


def _extension_schemas(database: Database, what: Filling) -> set[str]:
    """The schemas that were made for extensions. An extension that nobody has made is an error before anything else.

    They are made before the rest by the login itself, since the owner may not be allowed to.
    """
    wanted = {extension["name"]: extension["schema"] for extension in what.known["database"]["extensions"]}
    lacking = sorted(set(wanted) - {row[0] for row in database.rows(catalogue.EXTENSIONS)})
    if lacking:
        raise DatabaseError(
            f"Restore of '{what.src}' to {database.subject}",
            f"these extensions are not in it: {', '.join(lacking)}",
            "Make them by community.postgresql.postgresql_ext, as check mode says in extensions",
        )
    there = {name for (name,) in database.rows("SELECT nspname FROM pg_namespace")}
    return (set(wanted.values()) & there) - {"public"}


def _make_functions(database: Database, casts: t.Mapping[str, str | None]) -> set[str]:
    """Make the functions of casts, which no dump has; returns the casts that are there already."""
    there = {name for name, _function in database.rows(CASTS)}
    for name, function in casts.items():
        if function and name not in there:
            database.rows(function)
    return there


def _wanted(what: Filling, schemas: t.Collection[str], casts: t.Container[str]) -> list[int]:
    """The table of contents without what is there already or is made otherwise.

    That are extensions, their comments and their schemas, and casts.
    """
    # after the schema's name stands its owner's, and both may have blanks: the least that may be the owner's is
    entries = [entry for _number, _oid, entry in what.made.entries]
    named = [[entry for entry in entries if entry.startswith(f"SCHEMA - {schema} ")] for schema in schemas]
    made = {min(found, key=len) for found in named if found}
    return [
        number
        for number, _oid, entry in what.made.entries
        if not entry.startswith(("EXTENSION - ", "COMMENT - EXTENSION "))
        and entry not in made
        and cast(entry) not in casts
    ]


def _look_in(database: Database, what: Filling) -> None:
    """Look where the login of the dump looked: functions that are called by indexes may rely on it."""
    if what.path:
        database.rows("SELECT set_config('search_path', %s, false)", what.path)


def _give(database: Database, what: Filling) -> None:
    """Foreign servers to the owner of the tables that are on them, and functions; a superuser had to make them."""
    kind = "ROUTINE" if what.target.server.major >= 11 else "FUNCTION"
    for _oid, name, mine in database.rows(catalogue.FUNCTIONS):
        if mine:
            database.run(f"ALTER {kind} %s OWNER TO %I", name, what.owner)
    for (name,) in database.rows(
        "SELECT srvname FROM pg_foreign_server WHERE pg_get_userbyid(srvowner) = current_user"
    ):
        database.run("ALTER SERVER %I OWNER TO %I", name, what.owner)


def _judge(what: Filling, login: PostgresLogin, done: Finished) -> list[str]:
    """Success is an exit code of 0 and not a word, but for what is known to be harmless."""
    messages = [told(match.group(0)) for match in COLLATION.finditer(done.stderr)]
    rest = COLLATION.sub("", done.stderr)
    code = done.rc
    if what.old_server and code == 1:
        counted = sum(int(count) for count in COUNTED.findall(rest))
        other = PIECES.sub("", COUNTED.sub("", rest)).strip()
        if 1 <= counted <= len(re.findall(UNKNOWN_SETTING, rest)) and not other:
            code, rest = 0, ""
    if code == 0 and not rest.strip():
        if not what.keeps_tablespaces:
            messages.append("The tables are in the default tablespace; the dump has " + _spaces(what))
        return sorted(set(messages))
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    why = f"pg_restore {what.client.version} {how}" + (f": {told(rest)}" if rest.strip() else "")
    todo = hint(rest.replace(MISSED, ""), UNFOUND if MISSED in rest else "Remove the cause, then run again")
    raise DatabaseError(f"Restore of '{what.src}' to {login.subject}", why, todo)


def _spaces(what: Filling) -> str:
    return ", ".join(what.known["database"]["tablespaces"])


def compare(what: Filling, name: str) -> None:
    """Compare what is there now with what there was at the snapshot: tables, rows, large objects, every blob key."""
    known = what.known
    with Database(what.target.login.to(name)) as database:
        there = catalogue.tables(database)
        rows = set(map(_bare, catalogue.with_rows(database, there.own.values())))
        found = {
            "tables": len(there.own),
            "large objects": catalogue.large_objects(database),
            "tables with rows": sorted(rows),
            "blob keys": _keys(database),
        }
    wanted = {
        "tables": int(known["own_tables"]),
        "large objects": int(known["large_objects"]),
        "tables with rows": sorted(map(_bare, known["with_rows"])),
        "blob keys": keys_digest(what.src) or found["blob keys"],
    }
    wrong = [key for key, value in wanted.items() if found[key] != value]
    if wrong:
        lost = sorted(set(map(_bare, known["with_rows"])) - rows)[:10]
        raise DatabaseError(
            f"Comparison of database '{name}' with the dump '{what.src}'",
            f"these differ: {', '.join(wrong)}" + (f"; without rows: {', '.join(lost)}" if lost else ""),
            "Look into the server's log, then run again",
        )


def _bare(name: str) -> str:
    """A name without quotes: each version of the server has words of its own that it quotes."""
    return name.replace('"', "")


def _keys(database: Database) -> str:
    digest = hashlib.sha256()
    database.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    for batch in blob_keys.batches(database, blob_keys.tables(database)):
        digest.update(batch.lines)
    database.rows("ROLLBACK")
    return digest.hexdigest()


def analyze(what: Filling, name: str, progress: Progress) -> None:
    """Gather the planner's statistics: a dump has none, and without them the first start takes very long."""
    with Database(what.target.login.to(name)) as database:
        names = list(catalogue.tables(database).own.values())
        _look_in(database, what)
        for number, table in enumerate(names):
            progress.update(number, len(names), phase="analyze")
            progress.check()
            database.rows(f"ANALYZE {table}")


class _Watch:
    """Tells how far pg_restore is by the size of the database."""

    def __init__(self, database: Database, progress: Progress, total: int) -> None:
        self._database = database
        self._progress = progress
        self._total = total
        self._looked = time.monotonic()

    def step(self) -> None:
        """Look from time to time; a server that is gone ends the restore."""
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            size = int(self._database.value("SELECT pg_database_size(current_database())"))
            self._progress.update(size, self._total, phase="restore")
