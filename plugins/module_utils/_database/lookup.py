# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: whether Nuxeo's login finds the restored tables without the name of their schema.

In which schemas it looks may be set for the role, which no dump of a database holds, and may hang on the role's name
("$user"). A server that finds no tables makes empty ones and runs.
"""

from __future__ import annotations

import contextlib
import re
import typing as t

from . import blob_keys
from .error import DatabaseError
from .postgresql import Database

LOOKS = """
SELECT coalesce(nullif(%s, ''), (
  SELECT substr(c, length('search_path=') + 1) FROM pg_db_role_setting s, unnest(s.setconfig) c
  WHERE left(c, length('search_path=')) = 'search_path='
    AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = %s))
  ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1
), (
  SELECT reset_val FROM pg_settings WHERE name = 'search_path' AND NOT EXISTS (
    SELECT 1 FROM pg_db_role_setting s, unnest(s.setconfig) c
    WHERE left(c, length('search_path=')) = 'search_path='
      AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND s.setrole = (SELECT oid FROM pg_roles WHERE rolname = session_user))
))
"""
"""As the server does when the role logs in: what its client says, what is set for the role in the database, the role,
the database, all, the server. The latter is not known to a session whose own role has another."""


ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\s",]+))\s*(?:,|\Z)')
"""Of a search_path: what stands without quotes is taken in lower case."""


def problems(known: t.Mapping[str, t.Any], subject: str, role: str, own: str) -> t.Iterator[str]:
    """What :func:`let_find` could not mend, before anything is filled. Of what was dumped nothing else is known then.

    :param known: what was recorded of the dumped database
    """
    dumped = known.get("search_path") or []
    first = [_first(known.get("contents", []), path) for path in (dumped, _schemas(own, role) if own else dumped)]
    missed = [f"{schema}.{name}" for name, schema in first[0].items() if first[1].get(name) != schema]
    if missed:
        yield str(_unfound(subject, missed, own, joined(dumped)))


def _first(tables: t.Sequence[t.Mapping[str, str]], path: t.Sequence[str]) -> dict[str, str]:
    """The names that are found, each with the first schema that has it."""
    return {one["name"]: schema for schema in reversed(path) for one in tables if one["schema"] == schema}


def _schemas(path: str, role: str) -> list[str]:
    found = [quoted.replace('""', '"') or bare.lower() for quoted, bare in ELEMENT.findall(path)]
    return [role if schema == "$user" else schema for schema in found]


def _unfound(subject: str, missed: t.Iterable[str], own: str, path: str) -> DatabaseError:
    return DatabaseError(
        f"Restore to {subject}",
        f"Nuxeo would not find {', '.join(sorted(missed))} by currentSchema={own} of its JDBC URL",
        f"Set it to {path} in nuxeo.conf or by restore_properties, nuxeo.db.jdbc.url, then run again",
    )


def let_find(database: Database, role: str, schemas: t.Sequence[str], own: str) -> str:
    """Let a role find the tables of repositories that the login of the dump found; what was set for that, if anything.

    :param schemas: in which the login of the dump looked
    :param own: what Nuxeo's driver sets itself, in vain of which is what is set for the role
    """
    names = [table.name for table in blob_keys.tables(database)]
    path = joined(schemas)
    looks = database.value(LOOKS, own, role)
    found: set[str] = set() if looks is None else _found(database, joined(_schemas(looks, role)), names)
    missed = _found(database, path, names) - found
    if not missed:
        return ""
    if own:
        raise _unfound(database.subject, missed, own, path)
    database.rows("BEGIN READ WRITE")
    try:
        database.rows("SELECT set_config('search_path', %s, true)", path)
        database.run("ALTER ROLE %I IN DATABASE %I SET search_path FROM CURRENT", role, database.login.name)
        database.rows("COMMIT")
    except DatabaseError as error:
        with contextlib.suppress(DatabaseError):
            database.rows("ROLLBACK")
        raise DatabaseError(
            f"Restore to {database.subject}",
            f"'{role}' would not find {', '.join(sorted(missed))} by its search_path, and it could not be set: "
            + error.why,
            f'As a superuser: ALTER ROLE "{role}" SET search_path TO {path}. Then run again',
        ) from None
    return f"The search_path of '{role}' in the database is {path}, as that of the login in the dump"


def joined(schemas: t.Iterable[str]) -> str:
    """Schemas as the server takes them for a search_path."""
    return ", ".join('"' + schema.replace('"', '""') + '"' for schema in schemas)


def _found(database: Database, path: str, names: t.Iterable[str]) -> set[str]:
    """The tables that are found by their bare names."""
    database.rows("BEGIN")
    try:
        database.rows("SELECT set_config('search_path', %s, true)", path)
        return {name for name in names if database.value("SELECT pg_table_is_visible(%s::regclass)", name)}
    finally:
        database.rows("ROLLBACK")
