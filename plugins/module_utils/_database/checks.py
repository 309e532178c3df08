# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: everything that would make a restore fail, found before the first change."""

from __future__ import annotations

import json
import os
import typing as t

from .._deps import numbers
from .._io import sha256_file
from .archive import Archive
from .clients import Client
from .error import DatabaseError
from .postgresql import Database
from .shares import default_roles, mapped_roles, superusers
from .target import Target

AVAILABLE = """
SELECT v.name, bool_or(NOT v.superuser OR coalesce((to_jsonb(v) ->> 'trusted')::boolean, false))
FROM pg_available_extension_versions v GROUP BY v.name
"""

LOCALE = "SELECT set_config('lc_monetary', %s, true)"
"""Whoever may log in may set it, and it is the system that is asked. pg_collation knows what was there at initdb."""

DISK = """
SELECT coalesce(nullif((SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = %s), ''),
    (SELECT setting FROM pg_settings WHERE name = 'data_directory')),
  coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)
"""
"""The place of a tablespace, else the data folder, which is only shown to whoever may read all settings."""

ACTS = "SELECT r.rolname, pg_has_role(o.oid, r.oid, 'USAGE') FROM pg_roles r, pg_roles o WHERE o.rolname = %s"

SERVES = """
SELECT pg_has_role(l.oid, o.oid, 'USAGE') OR pg_has_role(l.oid, o.oid, %s) AND (%s OR EXISTS (SELECT
  FROM pg_db_role_setting WHERE setrole = l.oid AND setdatabase = 0 AND 'role=' || o.rolname = ANY (setconfig)))
FROM pg_roles l, pg_roles o WHERE l.rolname = %s AND o.rolname = %s
"""

LOGS_IN = "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s"

FILLS = """
SELECT has_schema_privilege(r.oid, n.oid, 'CREATE') FROM pg_roles r, pg_namespace n
WHERE r.rolname = %s AND n.nspname = 'public'
"""

SETTABLE = """
SELECT r.rolname FROM pg_roles r, pg_roles u WHERE u.rolname = current_user AND (u.rolsuper OR r.oid = u.oid
  OR u.rolcreaterole AND NOT r.rolsuper
    AND (current_setting('server_version_num')::int < 160000 OR pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')))
"""
"""The roles for which the login may set parameters. Up to PostgreSQL 15 CREATEROLE is enough."""

ADMIN = "Give restore_database_admin_user and restore_database_admin_password (admin_user and admin_password)"
"""What to do where the login may not: the variables of the role, and the module's options."""

WITHOUT_OTHERS = "leave what was granted to and set for others out by restore_database_privileges=false (privileges)"

MAKE_FREE = (
    "Stop Nuxeo on all its nodes and whatever else is connected, and end prepared transactions (ROLLBACK PREPARED), "
    "first"
)

Recorded = t.Dict[str, t.Any]


def recorded(src: str) -> Recorded:
    """What was written beside the dump."""
    path = os.path.join(src, "dump.json")
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
        if not isinstance(found, dict) or not {"database", "server", "with_rows", "tables"} <= set(found):
            raise ValueError("it is not what postgresql_dump writes")
    except (OSError, ValueError) as error:
        why = str(getattr(error, "strerror", None) or error)
        raise DatabaseError(f"Reading of '{path}'", why, "Name a set's database folder that is complete") from None
    return found


def _knows(admin: Database, locale: str) -> bool:
    """Whether the system of the server has a locale."""
    try:
        admin.rows(LOCALE, locale)
    except DatabaseError:
        return False
    return True


def of_version(known: Recorded, target: Target) -> t.Iterator[str]:
    """A server older than the one that was dumped can't be expected to know all that is in the dump."""
    if target.server.major < int(known["server"]["major"]):
        yield _problem(
            f"Restore to the server {target.login.where}",
            f"it is PostgreSQL {target.server.version}, older than the {known['server']['version']} that was dumped",
            f"Restore to PostgreSQL {known['server']['major']} or newer",
        )
    if target.server.standby:
        yield _problem(f"Restore to the server {target.login.where}", "it is a standby", "Name the primary server")


def of_locale(admin: Database, known: Recorded, target: Target, locale: str | None) -> t.Iterator[str]:
    """Encoding and locale of the new database."""
    about, there = known["database"], target.existing
    if there and there.encoding != about["encoding"]:
        yield _problem(
            f"Restore to {target.login.subject}",
            f"its encoding is {there.encoding}, that of the dump is {about['encoding']}",
            "Drop the empty database, so that it is made anew, or name another",
        )
    if there or (about.get("locale_provider") == "builtin" and not locale):
        return
    # of an ICU database too the system has to know both
    for wanted in sorted({locale} if locale else {about["collate"], about["ctype"]}):
        if not _knows(admin, wanted):
            yield _problem(
                f"Making of {target.login.subject}",
                f"the server does not know the locale '{wanted}'",
                "Generate it on the server's host and start the server again, or create an empty database with another "
                "one (locale)",
            )


def of_extensions(admin: Database, known: Recorded, target: Target) -> t.Iterator[str]:
    """Extensions that the server lacks, or that this login may not create."""
    available = dict(admin.rows(AVAILABLE))
    made = target.existing.extensions if target.existing and not target.swaps else frozenset()
    for extension in known["database"]["extensions"]:
        name = extension["name"]
        if name in made:  # by hand, in the database that is filled where it is
            continue
        if name not in available:
            yield _problem(
                f"Restore to the server {target.login.where}",
                f"it lacks the extension '{name}' {extension['version']}",
                "Install the package that holds it on the server's host",
            )
        elif name != "plpgsql" and not available[name] and not target.superuser:
            yield _problem(
                f"Restore to the server {target.login.where}",
                f"'{target.user}' may not create the extension '{name}'",
                f"{ADMIN} of a superuser, or make it in an empty database and restore as a role without CREATEDB",
            )


def may_act(admin: Database, owner: str, major: int) -> bool:
    """Whether the login has the rights of a role (what it owns is read, renamed, dropped) and may become it.

    A member need not have either: NOINHERIT; from 16 on whoever has made a role with CREATEROLE has neither by default.
    """
    rights = ["USAGE", "SET"] if major >= 16 else ["USAGE"]
    return all(admin.value("SELECT pg_has_role(current_user, %s, %s)", owner, right) for right in rights)


def has_rights(admin: Database, known: Recorded, target: Target, login: str, owner: str, privileges: bool) -> bool:
    """Whether Nuxeo's login will have rights on what belongs to a role, by itself, as it becomes it, or by grants.

    Of a role that is not there that is told by itself.
    """
    become = {role for role, key, value in settings(known, owner, privileges) if (key, value) == ("role", owner)}
    right = "SET" if target.server.major >= 16 else "MEMBER"
    return admin.value(SERVES, right, bool(become & {"", login}), login, owner) is not False or (
        privileges and login in known["database"].get("grantees", [])
    )


def of_login(
    admin: Database, known: Recorded, target: Target, login: str, owner: str, privileges: bool
) -> t.Iterator[str]:
    """Whether Nuxeo can work with what it gets."""
    if not admin.value(LOGS_IN, login):
        yield _problem(
            f"Restore to {target.login.subject}",
            f"Nuxeo logs in as '{login}', and the server has no role of that name that may log in",
            "Make it by CREATE ROLE with LOGIN, or give Nuxeo another user",
        )
    elif not has_rights(admin, known, target, login, owner, privileges):
        yield _problem(
            f"Restore to {target.login.subject}",
            f"Nuxeo logs in as '{login}', which has no rights of its owner '{owner}'",
            "Name another role by restore_database_owner (owner), or make the login a member of it by GRANT",
        )


def of_place(known: Recorded, target: Target, owner: str) -> t.Iterator[str]:
    """Whether the owner to be may make tables in a database that is filled where it is, and may be somebody else's."""
    if not target.existing or target.swaps:
        return
    if "public" in {one["schema"] for one in known["database"].get("contents", [])}:
        with Database(target.login) as database:
            may = database.value(FILLS, owner)
        if may is False:
            yield _problem(
                f"Restore to {target.login.subject}",
                f"'{owner}' may make no tables in its schema public",
                f'As who owns it: GRANT CREATE ON SCHEMA public TO "{owner}"',
            )


def of_roles(
    admin: Database, known: Recorded, target: Target, owner: str, privileges: bool, made: Archive | None
) -> t.Iterator[str]:
    """The owner to be, and the roles that have privileges in the dump."""
    there = {name for (name,) in admin.rows("SELECT rolname FROM pg_roles")}
    if owner not in there:
        yield _problem(
            f"Restore to {target.login.subject}",
            f"there is no role '{owner}' to own it",
            "Create the role, or name another one by owner",
        )
    elif not may_act(admin, owner, target.server.major):
        yield _problem(
            f"Restore to {target.login.subject}",
            f"'{target.user}' may not act for its owner '{owner}'",
            f"Log in as the owner. {ADMIN}. Or let it: GRANT, from PostgreSQL 16 on WITH INHERIT TRUE, SET TRUE",
        )
    granted = set(known["database"].get("grantees", [])) | (default_roles(made) if made else set())
    if target.existing is None:
        granted |= {one["role"] for one in known["database"].get("access") or []} - {""}
    # whatever becomes of privileges, these have to be there
    for what, roles in (
        ("policies for rows", set(known["database"].get("policies", []))),
        ("user mappings for foreign servers", mapped_roles(made) if made else set()),
    ):
        if roles - there:
            yield _problem(
                f"Restore to {target.login.subject}",
                f"these roles have {what} in the dump and are not on the server: {', '.join(sorted(roles - there))}",
                "Create them",
            )
    lacking = sorted(granted - there) if privileges else []
    if lacking:
        yield _problem(
            f"Restore to {target.login.subject}",
            f"these roles have privileges in the dump and are not on the server: {', '.join(lacking)}",
            f"Create them, or {WITHOUT_OTHERS}",
        )


def of_superusers(
    admin: Database, known: Recorded, target: Target, owner: str, privileges: bool, made: Archive
) -> t.Iterator[str]:
    """What the owner to be may not restore, and neither may a login that is no superuser."""
    if target.superuser:
        return
    what = f"Restore to {target.login.subject}"
    there = target.existing.casts if target.existing and not target.swaps else frozenset()
    casts = {one["name"] for one in known["database"].get("casts", [])}
    parts = superusers(made, privileges, set(known["database"].get("functions", []))) + sorted(casts - there)
    if privileges and known["database"].get("public_changed") and target.server.major < 15:
        parts.append("ACL - SCHEMA public")
    if parts:
        some = ", ".join(parts[:10]) + (" ..." if len(parts) > 10 else "")
        or_less = f", or {WITHOUT_OTHERS}" if all(part.startswith("ACL ") for part in parts) else ""
        why = f"only a superuser may restore these of the dump: {some}"
        yield _problem(what, why, f"{ADMIN} of a superuser{or_less}")
    grantors = known["database"].get("grantors", []) if privileges else []
    if grantors:
        yield _problem(
            what,
            f"only a superuser may restore what these roles have granted on: {', '.join(grantors)}",
            f"{ADMIN} of a superuser, or {WITHOUT_OTHERS}",
        )
    others = {name for name, may in admin.rows(ACTS, owner) if not may} & default_roles(made) if privileges else set()
    if others:
        yield _problem(
            what,
            f"'{owner}' may not set the default privileges of these roles: {', '.join(sorted(others))}",
            f"{ADMIN} of a superuser, or {WITHOUT_OTHERS}",
        )


def settings(known: Recorded, owner: str, privileges: bool) -> list[tuple[str, str, str]]:
    """Role (none: the database), name, value of parameters: the owner is whoever that is now; others' are at will."""
    former = known["database"]["owner"]
    found = [(one["role"], *one["setting"].partition("=")[::2]) for one in known.get("_settings", [])]
    return [
        (owner if role == former else role, key, owner if (key, value) == ("role", former) else value)
        for role, key, value in found
        if privileges or role in ("", former)
    ]


def of_role_settings(admin: Database, known: Recorded, target: Target, owner: str, privileges: bool) -> t.Iterator[str]:
    """Roles that have parameters of their own in the dumped database."""
    there = {name for (name,) in admin.rows("SELECT rolname FROM pg_roles")}
    settable = {name for (name,) in admin.rows(SETTABLE)}
    roles = {role for role, _key, _value in settings(known, owner, privileges)} - {""}
    lacking, closed = sorted(roles - there - {owner}), sorted((roles & there) - settable)
    if lacking:
        yield _problem(
            f"Restore to {target.login.subject}",
            f"these roles have parameters of their own in the dump and are not on the server: {', '.join(lacking)}",
            f"Create them, or {WITHOUT_OTHERS}",
        )
    if closed:
        yield _problem(
            f"Restore to {target.login.subject}",
            f"'{target.user}' may not set the parameters that these roles have in the dump: {', '.join(closed)}",
            f"{ADMIN} of a superuser" + ("" if closed == [owner] else f", or {WITHOUT_OTHERS}"),
        )


def of_target(target: Target, overwrite: bool, in_use: bool = False) -> t.Iterator[str]:
    """What is in the way under the target's name."""
    what = f"Restore to {target.login.subject}"
    if target.existing is None and not target.creates:
        yield _problem(
            what,
            f"there is no such database, and '{target.user}' may not create one",
            f"{ADMIN}, or create an empty one",
        )
    if target.existing and target.existing.content:
        some = ", ".join(target.existing.content)
        if not overwrite:
            yield _problem(what, f"it is not empty: {some}", "Set restore_overwrite to true: it is then kept aside")
        elif not target.swaps:
            yield _problem(
                what,
                f"it is not empty, and '{target.user}' may not rename it to keep it aside",
                ADMIN,
            )
    busy = [session.text for session in target.sessions if session.stays or not in_use]
    if busy:
        yield _problem(what, f"it is in use by {'; '.join(busy[:5])}", MAKE_FREE)


def of_door(target: Target, name: str) -> t.Iterator[str]:
    """Whether the login would be let into the database that is made first. That is looked at before its existence.

    :param name: such as that one will have
    """
    if not target.swaps:
        return
    try:
        Database(target.login.to(name)).close()
    except DatabaseError as error:
        if "pg_hba.conf" in error.why:  # in whatever language
            yield _problem(
                f"Restore to {target.login.subject}",
                f"it is made as '{name}' first, into which pg_hba.conf does not let '{target.user}'",
                f"Let '{target.user}' into all databases there, or log in as a role without CREATEDB: then an empty "
                "database is filled where it is",
            )


def of_client(client: Client, target: Target) -> t.Iterator[str]:
    """A client of 17 or newer tells older servers a setting that they don't know, which ends a single transaction."""
    if not target.swaps and client.major >= 17 > target.server.major:
        yield _problem(
            f"Restore to {target.login.subject}",
            f"pg_restore {client.version} can't restore into PostgreSQL {target.server.version} in one transaction",
            f"{ADMIN}, so that the database can be made under another name first",
        )


def of_space(admin: Database, known: Recorded, target: Target, left: int) -> t.Iterator[str]:
    """Room for the database, where the server's disk can be seen from here.

    :param left: bytes that killed restores left there, and that the restore gives back first
    """
    folder, local = admin.rows(DISK, target.existing.tablespace if target.existing else "")[0]
    size = int(known["database"].get("size", 0))
    if folder and local and os.path.isdir(folder):
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize + left
        if free < size:
            yield _problem(
                f"Restore to {target.login.subject}",
                f"the volume of '{folder}' has {free} bytes free, the database took {size}",
                "Free space there",
            )


def of_archive(src: str, known: Recorded, made: Archive) -> t.Iterator[str]:
    """The dump beside what was written about it."""
    data = made.of_kind("TABLE DATA")
    if len(data) != int(known["tables"]) or numbers(made.dumped_by) != numbers(known["client_version"]):
        yield _problem(
            f"Restore of '{src}'",
            f"dump.json speaks of {known['tables']} tables dumped by {known['client_version']}, the archive holds "
            f"{len(data)} dumped by {made.dumped_by}",
            "Take another set",
        )


def keys_digest(src: str) -> str | None:
    """The digest of the list of blob keys, None where the set has none."""
    path = os.path.join(src, "blob-keys.txt")
    return sha256_file(path) if os.path.exists(path) else None


def _problem(what: str, why: str, todo: str) -> str:
    return str(DatabaseError(what, why, todo))
