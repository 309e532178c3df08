# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a database is made of, read from its catalogue, to be written beside its dump."""

from __future__ import annotations

import typing as t

from . import blob_keys
from .postgresql import Database
from .target import CASTS, access

ABOUT = """
SELECT d.datname, pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, r.rolname, pg_database_size(d.oid),
  coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
  coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')
FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = current_database()
"""

SETTINGS = """
SELECT coalesce(r.rolname, ''), unnest(s.setconfig) FROM pg_db_role_setting s
JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = current_database()
LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setrole = 0 OR r.oid IS NOT NULL ORDER BY 1, 2
"""
"""Of no role where it is for the database."""

EXTENSIONS = """
SELECT e.extname, e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
ORDER BY e.oid
"""
"""In the order in which they were made: one may need another."""

_GRANTS = """
SELECT DISTINCT g.rolname FROM (
  SELECT relacl AS acl, relowner AS owner FROM pg_class
  UNION ALL SELECT a.attacl, c.relowner FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  UNION ALL SELECT nspacl, nspowner FROM pg_namespace
  UNION ALL SELECT proacl, proowner FROM pg_proc
  UNION ALL SELECT typacl, typowner FROM pg_type
  UNION ALL SELECT lanacl, lanowner FROM pg_language
  UNION ALL SELECT fdwacl, fdwowner FROM pg_foreign_data_wrapper
  UNION ALL SELECT srvacl, srvowner FROM pg_foreign_server
  UNION ALL SELECT lomacl, lomowner FROM pg_largeobject_metadata
  UNION ALL SELECT defaclacl, defaclrole FROM pg_default_acl
) AS s CROSS JOIN aclexplode(s.acl) AS a
JOIN pg_roles g ON g.oid {}
WHERE s.acl IS NOT NULL AND g.oid >= 16384 ORDER BY 1
"""

GRANTEES = _GRANTS.format("IN (a.grantee, CASE WHEN a.grantor <> s.owner THEN a.grantor END)")
"""Roles of the cluster's own that privileges were given to, or by. Predefined roles are there in every cluster."""

GRANTORS = _GRANTS.format("= a.grantor AND a.grantor <> s.owner")
"""Who gave privileges on to others: to restore that is to act as these."""

PUBLIC = """
SELECT n.nspacl IS DISTINCT FROM i.initprivs FROM pg_namespace n
LEFT JOIN pg_init_privs i ON i.classoid = 'pg_namespace'::regclass AND i.objoid = n.oid WHERE n.nspname = 'public'
"""
"""Whether somebody has changed who may use the schema. Up to PostgreSQL 14 it is the superuser's: whoever else grants
or revokes is not heard, and not refused."""

POLICIES = """
SELECT DISTINCT r.rolname FROM pg_policy p CROSS JOIN unnest(p.polroles) AS o JOIN pg_roles r ON r.oid = o
WHERE r.oid >= 16384 ORDER BY 1
"""
"""Roles that rules about rows are for; whatever becomes of privileges, these have to be there."""

FUNCTIONS = """
SELECT p.oid::bigint, p.oid::regprocedure::text, pg_get_userbyid(p.proowner) = current_user
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND NOT l.lanpltrusted
  AND NOT EXISTS (SELECT 1 FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
  AND NOT EXISTS (
    SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1
"""
"""Those in languages that are for superusers: C, internal, untrusted ones. An aggregate says so and is none."""

TABLESPACES = """
SELECT DISTINCT s.spcname FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace
WHERE s.spcname NOT LIKE 'pg\\_%' ORDER BY 1
"""

TABLES = """
SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname),
  EXISTS (SELECT 1 FROM pg_depend p WHERE p.classid = 'pg_class'::regclass AND p.objid = c.oid AND p.deptype = 'e')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence IN ('p', 'u')
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY 2
"""


_HOLDS_ROW = "SELECT {} WHERE EXISTS (SELECT FROM {})"


class Tables(t.NamedTuple):
    """Ordinary tables: object id to name as the server quotes it."""

    own: t.Dict[int, str]
    of_extensions: t.Dict[int, str]


def about(database: Database) -> dict[str, t.Any]:
    """Name, encoding, locale, owner, size, extensions and more of the database; of its parameters only the names."""
    row = database.rows(ABOUT)[0]
    names = [(one["role"], one["setting"].partition("=")[0]) for one in settings(database)]
    extensions = [dict(zip(("name", "version", "schema"), found)) for found in database.rows(EXTENSIONS)]
    return {
        "name": row[0],
        "encoding": row[1],
        "collate": row[2],
        "ctype": row[3],
        "owner": row[4],
        "size": int(row[5]),
        "locale_provider": {"c": "libc", "i": "icu", "b": "builtin"}.get(row[6], row[6]),
        "locale": row[7],
        "settings": [name for role, name in names if not role],
        "role_settings": [{"role": role, "setting": name} for role, name in names if role],
        "access": access(database, row[0]),
        "extensions": extensions,
        "casts": [dict(zip(("name", "function"), found)) for found in database.rows(CASTS)],
        "functions": [oid for oid, _name, _mine in database.rows(FUNCTIONS)],
        "tablespaces": [name for (name,) in database.rows(TABLESPACES)],
        "grantees": [name for (name,) in database.rows(GRANTEES)],
        "grantors": [name for (name,) in database.rows(GRANTORS)],
        "public_changed": bool(database.value(PUBLIC)),
        "policies": [name for (name,) in database.rows(POLICIES)],
        "contents": [{"schema": table.schema, "name": table.bare} for table in blob_keys.tables(database)],
        "search_path": [name for (name,) in database.rows("SELECT unnest(current_schemas(false))::text")],
    }


def settings(database: Database) -> list[dict[str, str]]:
    """The parameters that are set for the database and for roles in it, with values, of which one may be a secret."""
    return [dict(zip(("role", "setting"), found)) for found in database.rows(SETTINGS)]


def tables(database: Database) -> Tables:
    """The tables that a dump must hold with their data, and those of extensions, which decide for themselves."""
    found = Tables({}, {})
    for oid, name, extension in database.rows(TABLES):
        (found.of_extensions if extension else found.own)[int(oid)] = name
    return found


def with_rows(database: Database, names: t.Iterable[str]) -> list[str]:
    """Which of these tables hold at least one row."""
    names = list(names)
    found = []
    for start in range(0, len(names), 100):
        part = names[start : start + 100]
        asked = " UNION ALL ".join(_HOLDS_ROW.format(i, name) for i, name in enumerate(part))
        found += [part[row[0]] for row in database.rows(asked)]
    return sorted(found)


def large_objects(database: Database) -> int:
    """How many large objects the database holds."""
    return int(database.value("SELECT count(*) FROM pg_largeobject_metadata"))
