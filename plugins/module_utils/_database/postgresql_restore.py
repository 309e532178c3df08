# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a dump of postgresql_dump goes back into a PostgreSQL server.

The database is made under a temporary name, filled, compared and analyzed there, and gets the target's name only then,
in the same transaction in which what had that name gets another. Where the login may not do that, the target must be
empty, and is filled in one transaction. So the target's name never belongs to a half restored database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import time
import typing as t

from .._progress import Progress
from . import archive, checks
from .clients import Client, Run, choose
from .error import DatabaseError
from .filling import Filling, analyze, compare, fill
from .login import PostgresLogin
from .postgresql import Database, fingerprint
from .target import Target, administer, content, copy_privileges, drop, look, sessions

UNFINISHED = "nuxeo.platform: unfinished restore, to be removed by the next one"
"""The comment that marks a database of ours that did not get its name yet."""

LONGEST_NAME = 63


@dataclasses.dataclass(frozen=True)
class RestoreRequest:
    """What is wanted."""

    src: str
    """The ``database`` folder of a set."""
    login: PostgresLogin
    """The target, and the login of the instance that will use it."""
    admin: t.Optional[PostgresLogin] = None
    """Who makes and fills the database, when not the same."""
    owner: t.Optional[str] = None
    jobs: int = 2
    overwrite: bool = False
    privileges: t.Optional[bool] = None
    locale: t.Optional[str] = None
    bin_dir: t.Optional[str] = None
    unchanged_since: t.Optional[t.Mapping[str, t.Any]] = None
    in_use: bool = False
    """Whether sessions in the target are no problem yet: for a prediction, before Nuxeo is stopped."""

    @property
    def worker(self) -> PostgresLogin:
        """The login that does the work."""
        return self.admin.to(self.login.name) if self.admin else self.login


def problems(request: RestoreRequest, run: Run) -> list[str]:
    """All that stands in the way, each with what to do about it; nothing is changed."""
    with administer(request.worker) as admin:
        return _problems(admin, request, run, look(admin, request.worker))[0]


def predict(request: RestoreRequest, run: Run) -> dict[str, t.Any]:
    """What :func:`restore` would do, with the same keys; raises for the problems that it would raise for."""
    with administer(request.worker) as admin:
        return _begin(admin, request, run)[0]


def restore(request: RestoreRequest, run: Run, progress: Progress) -> dict[str, t.Any]:
    """Restore; ``changed`` is False when ``unchanged_since`` says that the target already is what it would become."""
    begun = time.monotonic()
    with administer(request.worker) as admin:
        result, what = _begin(admin, request, run)
        if what is None:
            return result
        name = request.login.name
        if what.target.swaps:
            result["kept_aside"], result["messages"] = _swap(admin, request, what, run, progress)
        else:
            result["messages"] = fill(what, name, run, progress, at_once=True)
            _settings(what, name, result["messages"])
            compare(what, name)
            analyze(what, name, progress)
        result["fingerprint"] = _settled(admin, what.target.login)
    result["duration"] = round(time.monotonic() - begun, 3)
    return result


def _begin(admin: Database, request: RestoreRequest, run: Run) -> tuple[dict[str, t.Any], t.Optional[Filling]]:
    target = look(admin, request.worker)
    known = checks.recorded(request.src)
    result: dict[str, t.Any] = {
        "changed": True,
        "name": request.login.name,
        "owner": _owner(request, target),
        "kept_aside": _aside(request.login.name) if target.existing and target.existing.content else "",
        "tables": known["tables"],
        "large_objects": known["large_objects"],
        "in_place": not target.swaps,
        "server": {"version": target.server.version, "system_identifier": target.server.system_identifier},
        "messages": [],
        "fingerprint": {},
        "duration": 0.0,
    }
    if request.unchanged_since and target.existing:
        with Database(request.worker) as database:
            now = fingerprint(database)
        if _text(now) == _text(request.unchanged_since):
            return {**result, "changed": False, "kept_aside": "", "fingerprint": now}, None
    found, what = _problems(admin, request, run, target)
    if found or what is None:
        raise DatabaseError(
            f"Restore of '{request.src}' to {request.login.subject}",
            f"{len(found)} problem{'s' * (len(found) > 1)} found, nothing was changed",
            " ".join(found),
            {"problems": found},
        )
    return result, what


def _problems(
    admin: Database, request: RestoreRequest, run: Run, target: Target
) -> tuple[list[str], t.Optional[Filling]]:
    known = checks.recorded(request.src)
    owner = _owner(request, target)
    privileges = request.privileges if request.privileges is not None else owner == known["database"]["owner"]
    found: list[str] = []
    client, made = _client(request, run, known, found)
    found += checks.of_version(known, target)
    found += checks.of_locale(admin, known, target, request.locale)
    found += checks.of_extensions(admin, known, target)
    found += checks.of_roles(admin, known, target, owner, privileges)
    found += checks.of_target(target, request.overwrite, request.in_use)
    found += checks.of_space(admin, known, target)
    if client is None or made is None:
        return found, None
    found += checks.of_client(client, target)
    found += checks.of_archive(request.src, known, made)
    return found, Filling(request.src, known, made, client, target, owner, request.jobs, privileges)


def _client(
    request: RestoreRequest, run: Run, known: checks.Recorded, found: list[str]
) -> tuple[t.Optional[Client], t.Optional[archive.Archive]]:
    """The client that can read the archive, and what it reads; a failure is one problem of several."""
    try:
        at_least = int(str(known["client_version"]).split(".", maxsplit=1)[0])
        client = choose(run, at_least, request.bin_dir, f"Restore of '{request.src}'")
        return client, archive.read(run, client, os.path.join(request.src, "dump"))
    except DatabaseError as error:
        found.append(str(error))
        return None, None


def _owner(request: RestoreRequest, target: Target) -> str:
    """The option, else whoever owns the target now, else the login of the instance."""
    return request.owner or (target.existing.owner if target.existing else "") or request.login.user or target.user


def _text(value: t.Mapping[str, t.Any]) -> dict[str, str]:
    """A fingerprint in a form in which one that went through JSON and templates still is equal."""
    return {key: "" if one in (None, "None") else str(one) for key, one in value.items()}


def _named(name: str, suffix: str) -> str:
    """``name`` + ``suffix``, cut so that the server takes it whole."""
    raw = name.encode()[: LONGEST_NAME - len(suffix)]
    return raw.decode(errors="ignore") + suffix


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def _aside(name: str) -> str:
    return _named(name, f"_before_{_now()}")


def _swap(
    admin: Database, request: RestoreRequest, what: Filling, run: Run, progress: Progress
) -> tuple[str, list[str]]:
    """Make the database under a temporary name, and give it its own when it is whole."""
    name = request.login.name
    _remove_unfinished(admin, name)
    temporary = _named(name, f"_restore_{_now()}")
    _create(admin, request, what, temporary)
    try:
        admin.run("COMMENT ON DATABASE %I IS %L", temporary, UNFINISHED)
        messages = fill(what, temporary, run, progress, at_once=False)
        _settings(what, temporary, messages)
        compare(what, temporary)
        analyze(what, temporary, progress)
        if what.target.existing:
            copy_privileges(admin, name, temporary)
        return _rename(admin, what, temporary, name), messages
    except BaseException:
        with contextlib.suppress(DatabaseError):
            drop(admin, temporary)
        raise


def _remove_unfinished(admin: Database, name: str) -> None:
    """What a killed restore of the same target left."""
    start = _named(name, "_restore_00000000T000000Z")[: -len("00000000T000000Z")]
    for (found,) in admin.rows(
        "SELECT datname FROM pg_database d WHERE shobj_description(d.oid, 'pg_database') = %s"
        " AND left(datname, %s) = %s AND pg_has_role(current_user, datdba, 'MEMBER') ORDER BY 1",
        UNFINISHED,
        len(start),
        start,
    ):
        drop(admin, found)


def _create(admin: Database, request: RestoreRequest, what: Filling, name: str) -> None:
    """An empty database with the locale of the one it replaces, else with that of the dump."""
    about, there = what.known["database"], what.target.existing
    if there:
        provider = {"c": "libc", "i": "icu", "b": "builtin"}[there.provider]
        collate, ctype, locale, space = there.collate, there.ctype, there.locale, there.tablespace
    else:
        provider, locale, space = about.get("locale_provider", "libc"), about.get("locale"), ""
        collate, ctype = about["collate"], about["ctype"]
        if request.locale:
            provider, collate, ctype = "libc", request.locale, request.locale
    words = "CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L"
    values: list[t.Optional[str]] = [name, what.owner, about["encoding"], collate, ctype]
    if provider != "libc":
        words += f" LOCALE_PROVIDER {'icu' if provider == 'icu' else 'builtin'}"
        words += " ICU_LOCALE %L" if provider == "icu" else " BUILTIN_LOCALE %L"
        values.append(locale)
    if space not in ("", "pg_default"):
        words += " TABLESPACE %I"
        values.append(space)
    admin.run(words, *values)


def _settings(what: Filling, name: str, messages: list[str]) -> None:
    """The parameters that were set for the database; one that may not be set is told."""
    with Database(what.target.login.to(name)) as database:
        for setting in what.known["database"].get("settings", []):
            key, _equals, value = setting.partition("=")
            try:
                database.rows("SELECT set_config(%s, %s, false)", key, value)
                database.run(f"ALTER DATABASE %I SET {_parameter(key)} FROM CURRENT", name)
            except DatabaseError as error:
                messages.append(f"The parameter {key} of the database could not be set: {error.why}")


def _parameter(key: str) -> str:
    return ".".join('"' + part.replace('"', '""').replace("%", "%%") + '"' for part in key.split("."))


def _rename(admin: Database, what: Filling, temporary: str, name: str) -> str:
    """Give the names in one transaction. Returns what the former one is called now, nothing when it was empty."""
    busy = sessions(admin, name)
    if busy:
        raise DatabaseError(
            f"Restore of '{what.src}' to {what.target.login.subject}",
            f"it was opened meanwhile by {'; '.join(busy[:5])}",
            "Stop Nuxeo on all its nodes, then run again",
        )
    aside = _aside(name)
    there = what.target.existing
    admin.rows("BEGIN")
    try:
        if there:
            admin.run("ALTER DATABASE %I RENAME TO %I", name, aside)
        admin.run("ALTER DATABASE %I RENAME TO %I", temporary, name)
        admin.run("COMMENT ON DATABASE %I IS NULL", name)
        if there and there.limit >= 0:
            admin.run(f"ALTER DATABASE %I CONNECTION LIMIT {int(there.limit)}", name)
        admin.rows("COMMIT")
    except BaseException:
        with contextlib.suppress(DatabaseError):
            admin.rows("ROLLBACK")
        raise
    return _without_empty(admin, what.target.login.to(aside)) if there else ""


def _without_empty(admin: Database, old: PostgresLogin) -> str:
    """Drop the former database when nothing is in it."""
    with Database(old) as database:
        full = content(database)
    if full:
        return old.name
    drop(admin, old.name)
    return ""


def _settled(admin: Database, login: PostgresLogin) -> dict[str, t.Any]:
    """The fingerprint, as soon as the counts of the sessions that have ended are all in it."""
    last: dict[str, t.Any] = {}
    for _attempt in range(20):
        with Database(login) as database:
            found = fingerprint(database)
            others = len(sessions(database, login.name))
        if found == last and not others:
            break
        last = found
        time.sleep(0.6)
    return found
