# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the database that a restore fills: what is to be made first, and whether it is so.

community.postgresql makes it, under a temporary name and with a comment that marks it, so that one of a killed restore
is known by the next.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import typing as t

from . import catalogue
from .checks import Recorded
from .error import DatabaseError
from .login import PostgresLogin
from .postgresql import Database
from .target import Target, content, drop

UNFINISHED = "nuxeo.platform: unfinished restore, to be removed by the next one"
"""The comment that marks a database of ours that did not get its name yet."""

LONGEST_NAME = 63
_STAMP = "_restore_00000000T000000Z"

TEMPLATE = """
SELECT coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), datcollate, datctype,
  coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') FROM pg_database d WHERE datname = 'template0'
"""

LEFT = """
SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database d
WHERE datname ~ %s AND datname <> %s
  AND pg_has_role(current_user, datdba, 'USAGE') ORDER BY 1
"""

PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def now() -> str:
    """The time as it stands in names."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def named(name: str, suffix: str) -> str:
    """``name`` + ``suffix``, cut so that the server takes it whole."""
    raw = name.encode()[: LONGEST_NAME - len(suffix)]
    return raw.decode(errors="ignore") + suffix


def temporary_prefix(name: str) -> str:
    """How the temporary names for a target begin; without what community.postgresql does not quote."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    if plain != name or len(name) + len(_STAMP) > LONGEST_NAME:
        plain = plain[:20] + "_" + hashlib.sha256(name.encode()).hexdigest()[:12]
    return plain + "_restore_"


def temporary_name(name: str) -> str:
    """The name under which a target is made, if it is made now."""
    return temporary_prefix(name) + now()


def _quoted(value: str) -> str:
    """A name for postgresql_db, which puts it between quotes into a statement with parameters as it is."""
    return value.replace('"', '""').replace("%", "%%")


def creation(admin: Database, known: Recorded, target: Target, owner: str, locale: str | None) -> dict[str, str]:
    """The options of postgresql_db that make the temporary database.

    It gets the locale of the database that it will replace, else that of the dump.
    """
    space = target.existing.tablespace if target.existing else ""
    return {
        "name": temporary_name(target.login.name),
        "maintenance_db": admin.login.name,
        "comment": UNFINISHED,
        "owner": _quoted(owner),
        "encoding": known["database"]["encoding"],
        "tablespace": "" if space == "pg_default" else _quoted(space),
        **_locale(admin, known, target, locale),
    }


def _locale(admin: Database, known: Recorded, target: Target, locale: str | None) -> dict[str, str]:
    about, there = known["database"], target.existing
    if there:
        provider = PROVIDERS[there.provider]
        collate, ctype, named_locale = there.collate, there.ctype, there.locale
    elif locale:
        provider, collate, ctype, named_locale = "libc", locale, locale, None
    else:
        provider, named_locale = about.get("locale_provider", "libc"), about.get("locale")
        collate, ctype = about["collate"], about["ctype"]
    if provider == "builtin":
        _is_of_template(admin, target, collate, ctype, named_locale)
        return {"lc_collate": "", "lc_ctype": "", "locale_provider": "", "icu_locale": ""}
    return {
        "lc_collate": collate,
        "lc_ctype": ctype,
        "locale_provider": provider,
        "icu_locale": (named_locale or "") if provider == "icu" else "",
    }


def _is_of_template(admin: Database, target: Target, collate: str, ctype: str, locale: str | None) -> None:
    """The server's own locales have no option in postgresql_db; a database gets that of its template."""
    if admin.rows(TEMPLATE)[0] != ("b", collate, ctype, locale):
        raise DatabaseError(
            f"Making of {target.login.subject}",
            f"its locale '{locale}' is one of the provider builtin, and not that of this server's template0",
            "Name another one by locale, or restore as a role without CREATEDB into an empty database made by hand",
        )


def extensions(known: Recorded, database: Database | None) -> dict[str, list[t.Any]]:
    """The extensions of the dump that are to be made, and schemas for them.

    :param database: the database that is filled where it is; None for one that is yet to be made
    """
    wanted = [extension for extension in known["database"]["extensions"] if extension["name"] != "plpgsql"]
    there, schemas = set(), {"public", "pg_catalog"}
    if database:
        there = {row[0] for row in database.rows(catalogue.EXTENSIONS)}
        schemas |= {name for (name,) in database.rows("SELECT nspname FROM pg_namespace")}
    missing = [extension for extension in wanted if extension["name"] not in there]
    return {
        "schemas": sorted({extension["schema"] for extension in missing} - schemas),
        "extensions": [{"name": extension["name"], "schema": extension["schema"]} for extension in missing],
    }


def _unfinished(admin: Database, login: PostgresLogin, but: str) -> list[tuple[str, str | None]]:
    pattern = "^" + temporary_prefix(login.name).replace(".", "[.]") + "[0-9]{8}T[0-9]{6}Z$"
    return list(admin.rows(LEFT, pattern, but))


def unfinished_size(admin: Database, login: PostgresLogin) -> int:
    """The bytes that killed restores of the same target left, which go before the next one is filled."""
    names = [name for name, comment in _unfinished(admin, login, "") if comment == UNFINISHED]
    return sum(int(admin.value("SELECT pg_database_size(%s::name)", name)) for name in names)


def remove_unfinished(admin: Database, login: PostgresLogin, but: str) -> None:
    """Remove what killed restores of the same target left; one that has no comment yet only when it is empty."""
    for name, comment in _unfinished(admin, login, but):
        if comment is None:
            with Database(login.to(name)) as database:
                ours = not content(database)
        else:
            ours = comment == UNFINISHED
        if ours:
            drop(admin, name)


def check_made(admin: Database, login: PostgresLogin, name: str) -> None:
    """The temporary database is there, is marked as ours, and nothing is in it but extensions."""
    rows = admin.rows("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", name)
    if rows and rows[0][0] == UNFINISHED:
        with Database(login.to(name)) as database:
            found = content(database)
        if not found:
            return
        why = "it is not empty: " + ", ".join(found)
    else:
        why = "it was not made for a restore" if rows else "there is no such database"
    raise DatabaseError(
        f"Restore to {login.subject} by database '{name}'",
        why,
        "Make it by community.postgresql.postgresql_db with the options that check mode returns",
    )
