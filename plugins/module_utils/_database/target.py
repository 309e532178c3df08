# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the database that a restore is meant for: what is there, and may this login change it?"""

from __future__ import annotations

import dataclasses
import typing as t

from .error import DatabaseError
from .login import PostgresLogin
from .postgresql import Database, Server, server

EXISTING = """
SELECT r.rolname, pg_has_role(current_user, d.datdba, 'USAGE'), pg_encoding_to_char(d.encoding), d.datcollate,
  d.datctype, s.spcname, coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
  coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), d.datconnlimit
FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba JOIN pg_tablespace s ON s.oid = d.dattablespace
WHERE d.datname = %s
"""

SESSIONS = """
SELECT coalesce(nullif(application_name, ''), 'unnamed'),
  coalesce(host(client_addr), CASE client_port WHEN -1 THEN 'this host' ELSE 'somewhere' END), usename, pid,
  coalesce(nullif(to_jsonb(a) ->> 'backend_type', 'client backend'), '')
FROM pg_stat_activity a WHERE datname = %s AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
  AND coalesce(to_jsonb(a) ->> 'backend_type', '') NOT IN ('autovacuum worker', 'parallel worker')
  AND NOT (coalesce(query, '') LIKE 'autovacuum: %%' AND client_port IS NULL) ORDER BY pid
"""
"""Whatever keeps a database from being renamed: who reads its changes (walsender) and workers of extensions, too.
Of another role's session only a superuser sees kind and address: one that may be a client's is one. 9.6 knows no
kind, and lists autovacuum as a session of the superuser's."""

PREPARED = """
SELECT gid, owner, prepared < clock_timestamp() - interval '1 minute' FROM pg_prepared_xacts WHERE database = %s
ORDER BY prepared
"""
"""Transactions that were prepared to be committed on several servers, and that a crash has left so."""

CONTENT = """
SELECT what FROM (
  SELECT 'relation ' || c.oid::regclass::text AS what FROM pg_class c
  WHERE c.relnamespace NOT IN (SELECT oid FROM system) AND NOT EXISTS (
    SELECT 1 FROM pg_depend p WHERE p.classid = 'pg_class'::regclass AND p.objid = c.oid AND p.deptype = 'e')
  UNION ALL SELECT 'function ' || f.proname FROM pg_proc f
  WHERE f.pronamespace NOT IN (SELECT oid FROM system) AND NOT EXISTS (
    SELECT 1 FROM pg_depend p WHERE p.classid = 'pg_proc'::regclass AND p.objid = f.oid AND p.deptype = 'e')
  UNION ALL SELECT 'type ' || y.typname FROM pg_type y
  WHERE y.typnamespace NOT IN (SELECT oid FROM system) AND y.typrelid = 0 AND y.typelem = 0 AND NOT EXISTS (
    SELECT 1 FROM pg_depend p WHERE p.classid = 'pg_type'::regclass AND p.objid = y.oid AND p.deptype = 'e')
  UNION ALL SELECT 'schema ' || n.nspname FROM pg_namespace n
  WHERE n.oid NOT IN (SELECT oid FROM system) AND n.nspname <> 'public'
  AND n.oid NOT IN (SELECT extnamespace FROM pg_extension) AND NOT EXISTS (
    SELECT 1 FROM pg_depend p WHERE p.classid = 'pg_namespace'::regclass AND p.objid = n.oid AND p.deptype = 'e')
  UNION ALL SELECT 'large object ' || oid FROM pg_largeobject_metadata
) AS s LIMIT """
SYSTEM = "WITH system AS (SELECT oid FROM pg_namespace WHERE nspname = 'information_schema' OR nspname LIKE 'pg\\_%')"

ACCESS = """
SELECT coalesce(r.rolname, ''), lower(a.privilege_type), a.is_grantable
FROM pg_database d, aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.datname = %s AND a.grantee <> d.datdba ORDER BY 1, 2
"""

SUBSCRIPTIONS = """
SELECT s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = %s
"""

MAINTENANCE = ("postgres", "template1")
"""Databases that every server has."""

CASTS = """
SELECT format('CAST (%s AS %s)', format_type(c.castsource, NULL), format_type(c.casttarget, NULL)),
  CASE WHEN p.oid >= 16384 THEN pg_get_functiondef(p.oid) END
FROM pg_cast c JOIN pg_type s ON s.oid = c.castsource JOIN pg_type g ON g.oid = c.casttarget
LEFT JOIN pg_proc p ON p.oid = c.castfunc
WHERE c.oid >= 16384 AND 'pg_catalog'::regnamespace = ALL (ARRAY[s.typnamespace, g.typnamespace])
  AND coalesce(p.pronamespace, s.typnamespace) = s.typnamespace
  AND NOT EXISTS (
    SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_cast'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
"""
"""Casts between the server's own types, as Nuxeo up to 7.10 wants them: only a superuser makes them. A dump has them
without their functions, which are in pg_catalog."""

RIGHTS = "SELECT rolsuper, rolcreatedb OR rolsuper, rolname FROM pg_roles WHERE rolname = current_user"


@dataclasses.dataclass(frozen=True)
class Existing:
    """A database of the target's name."""

    owner: str
    ours: bool
    """Whether the login is its owner, or has the rights of it."""
    encoding: str
    collate: str
    ctype: str
    tablespace: str
    provider: str
    locale: t.Optional[str]
    limit: int
    content: t.Tuple[str, ...] = ()
    """Some of what is in it; nothing when it is empty."""
    extensions: t.FrozenSet[str] = frozenset()
    casts: t.FrozenSet[str] = frozenset()
    """Those between the server's own types."""


class Session(t.NamedTuple):
    """What uses a database."""

    text: str
    stays: bool
    """Whether it certainly does not end with Nuxeo."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a restore goes, as it was found."""

    login: PostgresLogin
    """How to log in to change it."""
    server: Server
    existing: t.Optional[Existing]
    sessions: t.Tuple[Session, ...]
    superuser: bool
    creates: bool
    """Whether the login may create and rename databases, and is not in the one that would be renamed."""
    user: str

    @property
    def swaps(self) -> bool:
        """Whether the restored database can be made under another name and renamed when it is whole."""
        return self.creates and (self.existing is None or self.existing.ours or self.superuser)


def administer(login: PostgresLogin) -> Database:
    """A session on the same server in a database that is there whatever becomes of the target.

    Where the login gets into no such one it is in the target itself, which then can be filled but not renamed. Which
    failure means that is not looked at: the server tells it in its own language, and a pooler in its own words.
    """
    failures = []
    for name in [name for name in MAINTENANCE if name != login.name] + [login.name]:
        try:
            return Database(login.to(name))
        except DatabaseError as error:
            failures.append(error)
    raise failures[0]


def sessions(admin: Database, name: str) -> tuple[Session, ...]:
    """Who is connected to a database, and the transactions that are left in it."""
    found = [
        Session(f"{a} from {c} as {u} ({kind}{', ' if kind else ''}pid {p})", bool(kind))
        for a, c, u, p, kind in admin.rows(SESSIONS, name)
    ]
    left = admin.rows(PREPARED, name)
    return (*found, *(Session(f"the prepared transaction '{gid}' of {who}", old) for gid, who, old in left))


def content(database: Database, schemas: t.Collection[str] = ()) -> tuple[str, ...]:
    """Up to three things that somebody has put into a database; none when it is empty.

    :param schemas: those that count only with what is in them
    """
    found = [str(row[0]) for row in database.rows(f"{SYSTEM}{CONTENT}{3 + len(schemas)}")]
    return tuple(what for what in found if what not in {f"schema {schema}" for schema in schemas})[:3]


def look(admin: Database, login: PostgresLogin, schemas: t.Collection[str]) -> Target:
    """Look at the target without changing anything.

    :param schemas: those of the dump's extensions, which a run that was killed may have made where it would fill
    """
    superuser, creates, user = admin.rows(RIGHTS)[0]
    rows = admin.rows(EXISTING, login.name)
    existing = Existing(*rows[0]) if rows else None
    busy = sessions(admin, login.name)
    renames = bool(creates) and admin.login.name != login.name
    target = Target(login, server(admin), existing, busy, bool(superuser), renames, user)
    if existing:
        with Database(login) as database:
            extensions = frozenset(name for (name,) in database.rows("SELECT extname FROM pg_extension"))
            casts = frozenset(name for name, _function in database.rows(CASTS))
            found = content(database, () if target.swaps else schemas)
        there = dataclasses.replace(existing, content=found, extensions=extensions, casts=casts)
        target = dataclasses.replace(target, existing=there)
    return target


def drop(admin: Database, name: str) -> None:
    """Remove a database with whoever is connected to it. Only ever one of our own making, or an empty one.

    Its subscriptions keep it from going. They go without a word to where they subscribed: that is another's slot.
    """
    subscribed = admin.rows(SUBSCRIPTIONS, name) if server(admin).major >= 10 else []
    if subscribed:
        with Database(admin.login.to(name)) as database:
            for (subscription,) in subscribed:
                for sql in ("ALTER SUBSCRIPTION %I DISABLE", "ALTER SUBSCRIPTION %I SET (slot_name = NONE)"):
                    database.run(sql, subscription)
                database.run("DROP SUBSCRIPTION %I", subscription)
    admin.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
    force = " WITH (FORCE)" if server(admin).major >= 13 else ""
    admin.run("DROP DATABASE IF EXISTS %I" + force, name)


def access(database: Database, name: str) -> list[dict[str, t.Any]] | None:
    """Who has which privilege on a database beside its owner: ``role``, empty for everybody, and ``privilege``.

    None where nobody has changed what the server gives everybody.
    """
    if database.value("SELECT datacl IS NULL FROM pg_database WHERE datname = %s", name) is not False:
        return None
    return [dict(zip(("role", "privilege", "grantable"), row)) for row in database.rows(ACCESS, name)]


def give_access(admin: Database, name: str, given: t.Iterable[t.Mapping[str, t.Any]]) -> None:
    """Let those into a new database whom :func:`access` told, and nobody else."""
    admin.run("REVOKE ALL ON DATABASE %I FROM PUBLIC", name)
    for one in given:
        role, option = one["role"], " WITH GRANT OPTION" if one["grantable"] else ""
        whom = ("%I", [role]) if role else ("PUBLIC", [])
        admin.run(f"GRANT %I ON DATABASE %I TO {whom[0]}{option}", one["privilege"], name, *whom[1])
