# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a dump of a PostgreSQL database and its blob keys, both of one snapshot.

The order: a session opens a repeatable-read transaction, locks all tables against being emptied or written anew, and
exports its snapshot; pg_dump reads that snapshot with several workers; meanwhile the session, in the same transaction,
reads the blob keys and stays open until pg_dump has ended. When the session dies, the dump fails.

The locks come first, since TRUNCATE and some of ALTER TABLE leave a table empty for every snapshot taken before they
are committed, and pg_dump would take its own locks only after the snapshot.

The backup date is the moment at which the server received the statement that takes the snapshot. The snapshot is taken
directly after it, so whatever was committed by the backup date is in the dump. ``snapshot_window`` says how many
seconds later the snapshot had certainly been taken: what was committed within them may be in the dump too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import time
import typing as t

from .._io import write_json
from .._process import Finished
from .._progress import Progress
from . import archive, blob_keys, catalogue
from .clients import Client, Run, choose, compression
from .error import DatabaseError, hint, told
from .login import PostgresLogin, passfile
from .postgresql import Database, Server, server

SNAPSHOT = """
SELECT to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"'),
  pg_export_snapshot(),
  extract(epoch FROM clock_timestamp() - statement_timestamp())::float8
"""
"""statement_timestamp() is set before the statement takes its snapshot, clock_timestamp() is read after it."""

COLLATION = re.compile(
    r"^.*\nDETAIL: .*\nHINT: .* REFRESH (?:COLLATION )?VERSION.*\n?"
    r"|^.*database .* has no actual collation version, but a version was recorded\n?",
    re.MULTILINE,
)
"""No fault of the dump: the system's C library is newer than the indexes, or another one. Told as a warning.

The first is known by the statement that it names: the server writes it in its own language.
"""

UNSAVED = re.compile(r"^pg_dump: warning: subscriptions not dumped .*\n?", re.MULTILINE | re.IGNORECASE)
"""Only a superuser may read where they subscribe. They are none of Nuxeo's, and all else is in the dump."""

LOOK = 2.0
"""Seconds between two looks at the session that holds the snapshot."""

PATIENCE = 500
"""Milliseconds to wait for one table. After a second the server looks for deadlocks, and might end Nuxeo's session."""

LOCKED = ("55P03", "40P01")
"""What the server says in any language: a lock was not to be had in time, or this session was ended for a deadlock."""

QUEUED = 30
"""Seconds that pg_dump waits for a table: what it waits for waits for the session's own lock, and others behind it."""


LEFT = re.compile(r"\d+\.dat(\.\w+)?|blobs?(_\d+)?\.(dat|toc)(\.\w+)?")
"""The files of a pg_dump that was killed. What has a table of contents, which comes last, is somebody's dump."""


@dataclasses.dataclass(frozen=True)
class DumpRequest:
    """What is wanted."""

    login: PostgresLogin
    dest: str
    """The ``database`` folder of the set."""
    jobs: int = 2
    compression: str = "auto"
    bin_dir: t.Optional[str] = None
    require_blob_keys: bool = True
    lock_timeout: int = 300
    """Seconds to wait for a table that somebody has locked exclusively, before the snapshot."""


RECORD_DIGESTS = "record-digests.txt"

FOR_THE_RESTORE = ("with_rows", "own_tables", "_settings")
"""In dump.json alone. No manifest takes over what begins so: values of parameters may be secrets."""


@dataclasses.dataclass(frozen=True)
class _Plan:
    server: Server
    client: Client
    method: str
    word: str
    about: t.Dict[str, t.Any]


def default_jobs() -> int:
    """As many workers as processors, at most four."""
    return min(4, len(os.sched_getaffinity(0)))


def dump(
    request: DumpRequest,
    run: Run,
    progress: Progress,
    on_snapshot: t.Optional[t.Callable[[t.Dict[str, t.Any]], None]] = None,
) -> dict[str, t.Any]:
    """Dump the database; the result is also written as ``dump.json``.

    :param on_snapshot: called directly after the snapshot, before the bulk is read; what it raises ends the dump
    """
    begun = time.monotonic()
    with Database(request.login) as database:
        plan = _plan(database, request, run)
        folder = _fresh_folder(request.dest)
        try:
            _lock(database, request, progress)
            result = _snapshot(database, plan)
            if on_snapshot:
                on_snapshot(result)
            keys = _Keys(database, request, progress)
            done = _pg_dump(request, plan, run, keys, result["snapshot"])
            result["messages"] = _judge(request, plan, done)
            keys.finish()
            result.update(_compared(database, request, plan, run))
            result.update({"blob_keys": keys.count, "blob_providers": sorted(keys.providers), "jobs": request.jobs})
            database.rows("ROLLBACK")
            archive.make_durable(folder)
            result["bytes"] = archive.size(folder)
            result["duration"] = round(time.monotonic() - begun, 3)
            write_json(os.path.join(request.dest, "dump.json"), result)
        except OSError as error:
            _remove(request.dest)
            why = str(error.strerror or error)
            raise DatabaseError(f"Dump of {request.login.subject} to '{folder}'", why, hint(why)) from None
        except BaseException:
            _remove(request.dest)
            raise
    return {key: value for key, value in result.items() if key not in FOR_THE_RESTORE}


def predict(request: DumpRequest, run: Run) -> dict[str, t.Any]:
    """What :func:`dump` would do, with the same keys; all that can be checked beforehand is checked."""
    with Database(request.login) as database:
        plan = _plan(database, request, run)
        found = catalogue.tables(database)
        nothing = {"snapshot": "", "snapshot_window": 0.0, "backup_date": "", "id": ""}
        counts = {"tables": len(found.own), "blob_keys": 0, "large_objects": 0, "bytes": 0, "duration": 0.0}
        return {**_described(plan), **nothing, **counts, "jobs": request.jobs, "messages": [], "blob_providers": []}


def _plan(database: Database, request: DumpRequest, run: Run) -> _Plan:
    """All that can be known to fail fails here, before anything is written."""
    what = f"Dump of {request.login.subject}"
    known = server(database)
    if known.standby:
        raise DatabaseError(
            what,
            "the server is a standby, whose snapshot is older than its clock says by what it has not replayed yet",
            "Name the primary server",
        )
    client = choose(run, known.major, request.bin_dir, what)
    method, word = compression(run, client, request.compression)
    if request.require_blob_keys:
        blob_keys.required(database, blob_keys.tables(database))
    return _Plan(known, client, method, word, catalogue.about(database))


def _described(plan: _Plan) -> dict[str, t.Any]:
    return {
        "server": plan.server.facts(),
        "client_version": plan.client.version,
        "compression": plan.method,
        "database": plan.about,
    }


def _fresh_folder(dest: str) -> str:
    """A place for the dump. What a killed dump left is removed; a whole one is never touched."""
    folder = os.path.join(dest, "dump")
    os.umask(0o077)
    try:
        os.makedirs(dest, mode=0o700, exist_ok=True)
        there = os.listdir(folder) if os.path.lexists(folder) else []
        if os.path.exists(os.path.join(dest, "dump.json")) or not all(map(LEFT.fullmatch, there)):
            raise DatabaseError(f"Dump to '{folder}'", "there is one already", "Name another folder")
        _remove(dest)
    except OSError as error:
        raise DatabaseError(f"Dump to '{folder}'", str(error.strerror), hint(str(error.strerror))) from None
    return folder


def _remove(dest: str) -> None:
    shutil.rmtree(os.path.join(dest, "dump"), ignore_errors=True)
    for name in ("blob-keys.txt", RECORD_DIGESTS):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(dest, name))


def _lock(database: Database, request: DumpRequest, progress: Progress) -> None:
    """Begin the transaction and lock the tables. None of these statements takes its snapshot.

    While one is waited for, others wait for those that are locked already: so never for long, and from the start again.
    """
    database.rows("SET row_security = off")
    until = time.monotonic() + request.lock_timeout
    while True:
        found = catalogue.tables(database).own
        database.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        name = ""
        try:
            database.rows(f"SET LOCAL lock_timeout = {PATIENCE}")
            for name in (found[oid] for oid in sorted(found)):
                database.rows(f"LOCK TABLE ONLY {name} IN ACCESS SHARE MODE")
            database.rows("SET LOCAL lock_timeout = 0")
            return
        except DatabaseError as error:
            database.rows("ROLLBACK")
            there = name in catalogue.tables(database).own.values()
            if there and (error.state not in LOCKED or time.monotonic() > until):
                raise DatabaseError(
                    f"Dump of {request.login.subject}",
                    f"table {name} could not be locked against being emptied or written anew: {error.why}",
                    hint(error.why, "Find in pg_locks who holds a lock on that table, and let it end first"),
                ) from None
        progress.check()
        time.sleep(PATIENCE / 1000)


def _snapshot(database: Database, plan: _Plan) -> dict[str, t.Any]:
    """Take the snapshot; from here on the session's transaction must stay open."""
    moment, name, snapshot, window = database.rows(SNAPSHOT)[0]
    taken = {"backup_date": moment, "id": name, "snapshot": snapshot, "snapshot_window": round(float(window), 6)}
    return {**_described(plan), **taken}


def _pg_dump(request: DumpRequest, plan: _Plan, run: Run, keys: _Keys, snapshot: str) -> Finished:
    """Run pg_dump on the snapshot while the session reads the keys."""
    login = keys.database.login
    with passfile(login) as secret:
        argv = [
            plan.client.program("pg_dump"),
            f"--dbname={login.conninfo()}",
            "--no-password",
            "--format=directory",
            f"--jobs={request.jobs}",
            f"--snapshot={snapshot}",
            f"--compress={plan.word}",
            f"--lock-wait-timeout={max(1, min(request.lock_timeout, QUEUED)) * 1000}",
            f"--file={keys.folder}",
        ]
        return run(argv, env=secret, progress=keys.progress, watch=keys.step)


def _judge(request: DumpRequest, plan: _Plan, done: Finished) -> list[str]:
    """Success is an exit code of 0 and not a word; the two known messages that are no fault are told on."""
    known = (COLLATION, UNSAVED)
    harmless = [told(match.group(0)) for message in known for match in message.finditer(done.stderr)]
    rest = UNSAVED.sub("", COLLATION.sub("", done.stderr)).strip()
    if done.rc == 0 and not rest:
        return sorted(set(harmless))
    how = f"was ended by signal {-done.rc}" if done.rc < 0 else f"ended with code {done.rc}"
    why = f"pg_dump {plan.client.version} {how}" + (f": {told(rest)}" if rest else "")
    raise DatabaseError(
        f"Dump of {request.login.subject} to '{request.dest}'", why, hint(rest, "Remove the cause, then run again")
    )


def _compared(database: Database, request: DumpRequest, plan: _Plan, run: Run) -> dict[str, t.Any]:
    """Compare the archive with what the catalogue said at the snapshot."""
    folder = os.path.join(request.dest, "dump")
    there = catalogue.tables(database)
    objects = catalogue.large_objects(database)
    made = archive.read(run, plan.client, folder)
    missing = archive.problems(made, there.own, there.of_extensions, objects)
    if missing:
        raise DatabaseError(
            f"Dump of {request.login.subject} to '{folder}'",
            "; ".join(missing),
            "Run again; change no tables meanwhile",
        )
    return {
        "tables": len(made.of_kind("TABLE DATA")),
        "own_tables": len(there.own),
        "large_objects": objects,
        "with_rows": catalogue.with_rows(database, there.own.values()),
        "_settings": catalogue.settings(database),
    }


class _Keys:
    """What the session does while pg_dump works: it reads the blob keys, then shows from time to time that it lives."""

    def __init__(self, database: Database, request: DumpRequest, progress: Progress) -> None:
        self.count = 0
        self.providers: set[str] = set()
        self.database = database
        self.folder = os.path.join(request.dest, "dump")
        self.progress = progress
        self._dest = request.dest
        self._found = blob_keys.tables(database)
        path = os.path.join(request.dest, "blob-keys.txt")
        self._writing = blob_keys.writing(database, self._found, path, self.providers)
        self._more = True
        self._looked = time.monotonic()

    def step(self) -> None:
        """For a second at most read keys; when there are no more, look at the session."""
        until = time.monotonic() + 1.0
        while self._more and time.monotonic() < until:
            self._next()
        if time.monotonic() - self._looked > LOOK:
            self.progress.update(archive.size(self.folder), phase="dump")
            self._look()
            self._looked = time.monotonic()

    def finish(self) -> None:
        """Read what is left of the keys, in the session that must still live then."""
        while self._more:
            self._next()
            self.progress.check()
        blob_keys.write_record_digests(self.database, self._found, os.path.join(self._dest, RECORD_DIGESTS))

    def _next(self) -> None:
        try:
            self.count = next(self._writing)
        except StopIteration:
            self._more = False

    def _look(self) -> None:
        try:
            self.database.rows("SELECT 1")
        except DatabaseError as error:
            raise DatabaseError(
                f"Dump of {self.database.subject}",
                f"the session that holds the snapshot was lost: {error.why}",
                error.todo or "Run again",
            ) from None
