# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a dump of postgresql_dump goes back into a PostgreSQL server.

A database made under a temporary name (see making) is filled, compared and analyzed, and gets the target's name only
then, in the same transaction in which what had that name gets another. Where the login may not do that, the target must
be empty, and is filled in one transaction. So the target's name never belongs to a half restored database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import typing as t

from .._progress import Progress
from . import archive, checks, lookup, making
from .clients import Client, Run, choose
from .error import DatabaseError
from .filling import Filling, analyze, compare, fill
from .login import PostgresLogin
from .postgresql import Database, fingerprint
from .target import Target, access, administer, content, drop, give_access, look, sessions

WITHOUT_OIDS = 12
"""A pg_restore before it sets a parameter that servers from it on do not know."""

IN_USE = "55006"
"""What the server says in any language: others are connected to the database."""

UNSET = {
    "22023": "the server takes no such value",
    "42501": "the login may not set it",
    "42704": "the server does not know it, or what it names",
}
"""Why a parameter was not set, by what the server says in any language."""


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
    temporary: t.Optional[str] = None
    """The database that was made to be filled and then renamed, by what a prediction said in ``create``."""
    in_use: bool = False
    """Whether sessions in the target are no problem yet: for a prediction, before Nuxeo is stopped."""

    @property
    def worker(self) -> PostgresLogin:
        """The login that does the work."""
        return self.admin.to(self.login.name) if self.admin else self.login


def predict(request: RestoreRequest, run: Run) -> dict[str, t.Any]:
    """What :func:`restore` would do, with the same keys; raises for the problems that it would raise for."""
    with administer(request.worker) as admin:
        result, what = _begin(admin, request, run)
        return {**result, **_to_make(admin, request, what)} if what else result


def restore(request: RestoreRequest, run: Run, progress: Progress) -> dict[str, t.Any]:
    """Restore; ``changed`` is False when ``unchanged_since`` says that the target already is what it would become."""
    begun = time.monotonic()
    with administer(request.worker) as admin:
        result, what = _begin(admin, request, run)
    if what is None:
        return result
    name = request.login.name
    if what.target.swaps:
        result["kept_aside"], result["messages"] = _swap(request, what, run, progress)
    else:
        with _filled_in_place(what):
            result["messages"] = fill(what, name, run, progress, at_once=True)
            _settings(what, request, name, result["messages"])
            compare(what, name)
            analyze(what, name, progress)
    result["fingerprint"] = {**_settled(what.target.login), "owner": what.owner, "privileges": what.privileges}
    result["duration"] = round(time.monotonic() - begun, 3)
    return result


def _schemas(known: checks.Recorded) -> set[str]:
    """Those that are made for extensions before the database is filled."""
    return {extension["schema"] for extension in known["database"]["extensions"]}


def _begin(admin: Database, request: RestoreRequest, run: Run) -> tuple[dict[str, t.Any], t.Optional[Filling]]:
    known = checks.recorded(request.src)
    target = look(admin, request.worker, _schemas(known))
    owner = _owner(admin, request, known, target)
    privileges = _privileges(request, known, owner)
    result: dict[str, t.Any] = {
        "changed": True,
        "name": request.login.name,
        "owner": owner,
        "kept_aside": _aside(request.login.name) if target.existing and target.existing.content else "",
        "tables": known["tables"],
        "large_objects": known["large_objects"],
        "in_place": not target.swaps,
        "server": {"version": target.server.version, "system_identifier": target.server.system_identifier},
        "create": {},
        "schemas": [],
        "extensions": [],
        "messages": [],
        "fingerprint": {},
        "duration": 0.0,
    }
    if request.unchanged_since and target.existing:
        now = {**_settled(request.worker, busy=request.in_use), "owner": owner, "privileges": privileges}
        if _text(now) == _text(request.unchanged_since):
            return {**result, "changed": False, "kept_aside": "", "fingerprint": now}, None
    found, what = _problems(admin, request, run, target, owner, privileges)
    if found or what is None:
        raise DatabaseError(
            f"Restore of '{request.src}' to {request.login.subject}",
            f"{len(found)} problem{'s' * (len(found) > 1)} found, nothing was changed",
            " ".join(found),
            {"problems": found},
        )
    return result, what


def _to_make(admin: Database, request: RestoreRequest, what: Filling) -> dict[str, t.Any]:
    """What has to be there before the dump is filled in, for community.postgresql."""
    if what.target.swaps:
        create = making.creation(admin, what.known, what.target, what.owner, request.locale)
        return {"create": create, **making.extensions(what.known, None)}
    with Database(what.target.login) as database:
        return making.extensions(what.known, database)


def _problems(
    admin: Database, request: RestoreRequest, run: Run, target: Target, owner: str, privileges: bool
) -> tuple[list[str], t.Optional[Filling]]:
    known = checks.recorded(request.src)
    found: list[str] = []
    client, made = _client(request, run, known, target.server.major, found)
    found += checks.of_version(known, target)
    found += checks.of_locale(admin, known, target, request.locale)
    found += checks.of_extensions(admin, known, target)
    found += checks.of_roles(admin, known, target, owner, privileges, made)
    found += checks.of_role_settings(admin, known, target, owner, privileges)
    found += checks.of_login(admin, known, target, _login(request, target), owner, privileges)
    found += checks.of_place(known, target, owner)
    found += checks.of_target(target, request.overwrite, request.in_use)
    own = request.login.search_path
    found += lookup.problems(known["database"], target.login.subject, _login(request, target), own)
    found += checks.of_door(target, making.temporary_name(request.login.name))
    found += checks.of_space(admin, known, target, making.unfinished_size(admin, target.login))
    if client is None or made is None:
        return found, None
    found += checks.of_client(client, target)
    found += checks.of_archive(request.src, known, made)
    found += checks.of_superusers(admin, known, target, owner, privileges, made)
    return found, Filling(request.src, known, made, client, target, owner, request.jobs, privileges)


def _client(
    request: RestoreRequest, run: Run, known: checks.Recorded, server: int, found: list[str]
) -> tuple[t.Optional[Client], t.Optional[archive.Archive]]:
    """The client that can read the archive, and what it reads; a failure is one problem of several."""
    try:
        at_least = int(str(known["client_version"]).split(".", maxsplit=1)[0])
        if server >= WITHOUT_OIDS:
            at_least = max(at_least, WITHOUT_OIDS)
        client = choose(run, at_least, request.bin_dir, f"Restore of '{request.src}'", server)
        return client, archive.read(run, client, os.path.join(request.src, "dump"))
    except DatabaseError as error:
        found.append(str(error))
        return None, None


def _login(request: RestoreRequest, target: Target) -> str:
    """The role as which Nuxeo logs in."""
    return request.login.user or target.user


def _owner(admin: Database, request: RestoreRequest, known: checks.Recorded, target: Target) -> str:
    """The option, else whoever owns the target now, if Nuxeo has that one's rights, else the login of the instance.

    An administrator who has made the database for Nuxeo need not own its tables.
    """
    login, there = _login(request, target), target.existing.owner if target.existing else ""
    if request.owner or not there:
        return request.owner or login
    return there if checks.has_rights(admin, known, target, login, there, _privileges(request, known, there)) else login


def _privileges(request: RestoreRequest, known: checks.Recorded, owner: str) -> bool:
    return request.privileges if request.privileges is not None else bool(owner == known["database"]["owner"])


def _text(value: t.Mapping[str, t.Any]) -> dict[str, str]:
    """A fingerprint in a form in which one that went through JSON and templates still is equal."""
    return {key: "" if one in (None, "None") else str(one) for key, one in value.items()}


def _aside(name: str) -> str:
    return making.named(name, f"_before_{making.now()}")


def _swap(request: RestoreRequest, what: Filling, run: Run, progress: Progress) -> tuple[str, list[str]]:
    """Fill the database that was made under a temporary name, and give it its own when it is whole.

    No session waits for that: a proxy before the server may end one that is silent for half an hour.
    """
    name, temporary = request.login.name, request.temporary
    if not temporary:
        raise DatabaseError(
            f"Restore of '{request.src}' to {request.login.subject}",
            "no database is named that was made to be filled",
            "Make one with what check mode returns in create, and name it in temporary",
        )
    with administer(request.worker) as admin:
        making.remove_unfinished(admin, what.target.login, but=temporary)
        making.check_made(admin, what.target.login, temporary)
    try:
        messages = fill(what, temporary, run, progress, at_once=False)
        _settings(what, request, temporary, messages)
        compare(what, temporary)
        analyze(what, temporary, progress)
        with administer(request.worker) as admin:
            _access(admin, request, what, temporary, messages)
            return _rename(admin, what, temporary, name), messages
    except BaseException:
        with contextlib.suppress(DatabaseError), administer(request.worker) as admin:
            drop(admin, temporary)
        raise


@contextlib.contextmanager
def _filled_in_place(what: Filling) -> t.Iterator[None]:
    """Of a failure after the transaction: the next run can neither fill the database again nor set it aside."""
    login = what.target.login
    try:
        yield
    except DatabaseError as error:
        filled: tuple[str, ...] = ()
        with contextlib.suppress(DatabaseError), Database(login) as database:
            filled = content(database, _schemas(what.known))
        if not filled:
            raise
        todo = f"'{login.name}' is filled by now: have it made anew, empty, before you run again"
        raise DatabaseError(error.what, error.why, f"{error.todo.rstrip('.')}. {todo}") from None


def _access(admin: Database, request: RestoreRequest, what: Filling, temporary: str, messages: list[str]) -> None:
    """Who may connect: as to the database that is replaced, else as to the one that was dumped."""
    if what.target.existing:
        given = access(admin, request.login.name)
        former = what.target.existing.owner
        if what.owner != former and not request.owner:
            why = f"which has no rights of '{former}', its former owner"
            messages.append(f"It belongs to '{what.owner}', Nuxeo's login, {why}")
    else:
        given = what.known["database"].get("access")
        if given is not None and not what.privileges:
            given = [one for one in given if not one["role"]]
            let_in = any(one["privilege"].upper() == "CONNECT" for one in given)
            if not let_in and request.login.user not in ("", what.owner):  # it would be kept out with all others
                messages.append("Everybody may connect to the database, unlike in the dump")
                return
    if given is not None:
        give_access(admin, temporary, given)


def _settings(what: Filling, request: RestoreRequest, name: str, messages: list[str]) -> None:
    """The parameters that were set for the database, and for roles in it; one that may not be set is told.

    Each is taken from its own transaction, so that none has an effect on how the next is set. A role alone is not: what
    is set next would be set by it. The server's words are not told: a value, which they may quote, may be a secret.
    """
    with Database(what.target.login.to(name)) as database:
        for role, key, value in checks.settings(what.known, what.owner, what.privileges):
            whose, names = ("ROLE %I IN DATABASE %I", (role, name)) if role else ("DATABASE %I", (name,))
            database.rows("BEGIN")
            try:
                if key == "role":
                    database.run(f"ALTER {whose} SET role TO %L", *names, value)
                else:
                    database.rows("SELECT set_config(%s, %s, true)", key, value)
                    database.run(f"ALTER {whose} SET {_parameter(key)} FROM CURRENT", *names)
                database.rows("COMMIT")
            except DatabaseError as error:
                database.rows("ROLLBACK")
                of = f"role {role} in the database" if role else "the database"
                why = UNSET.get(error.state, f"the server refused it with the code {error.state}")
                messages.append(f"The parameter {key} of {of} could not be set: {why}")
        schemas = what.known["database"].get("search_path") or []
        told = lookup.let_find(database, _login(request, what.target), schemas, request.login.search_path)
        messages.extend([told] if told else [])


def _parameter(key: str) -> str:
    return ".".join('"' + part.replace('"', '""').replace("%", "%%") + '"' for part in key.split("."))


def _rename(admin: Database, what: Filling, temporary: str, name: str) -> str:
    """Give the names in one transaction. Returns what the former one is called now, nothing when it was empty."""
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
    except DatabaseError as error:
        with contextlib.suppress(DatabaseError):
            admin.rows("ROLLBACK")
        # the server itself has waited for some seconds for those who only look in, as monitors do
        busy = [session.text for session in sessions(admin, name)] if error.state == IN_USE else []
        if not busy:
            raise
        raise DatabaseError(
            f"Restore of '{what.src}' to {what.target.login.subject}",
            f"it was opened meanwhile by {'; '.join(busy[:5])}",
            checks.MAKE_FREE,
        ) from None
    return _without_empty(admin, what.target.login.to(aside)) if there else ""


def _without_empty(admin: Database, old: PostgresLogin) -> str:
    """Drop the former database when nothing is in it; else, and where that can't be done, it is kept."""
    with contextlib.suppress(DatabaseError):
        with Database(old) as database:
            full = content(database)
        if not full:
            drop(admin, old.name)
            return ""
    return old.name


def _settled(login: PostgresLogin, busy: bool = False) -> dict[str, t.Any]:
    """The fingerprint, as soon as the counts of sessions that have ended are all in it; at once where it is busy."""
    last: dict[str, t.Any] = {}
    for _attempt in range(20):
        with Database(login) as database:
            found = fingerprint(database)
            others = sessions(database, login.name)
        if busy or (found == last and not others):
            break
        last = found
        time.sleep(0.6)
    return found
