# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions that call others, or name tables, without their schema: pg_restore itself looks in none."""

from __future__ import annotations

import typing as t

import pytest

from .conftest import Run, as_admin, as_owner, databases, login, sums

FUNCTIONS = """
SET ROLE "{user}"; CREATE SCHEMA "n'x ü"; ALTER DATABASE "{name}" SET search_path = public, "n'x ü";
CREATE FUNCTION "n'x ü".lowered(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower(t)';
SET search_path = public, "n'x ü";
CREATE FUNCTION plain(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN lowered(t); END';
CREATE FUNCTION files() RETURNS bigint STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM content); END';
"""

OF_ROWS = """
CREATE TABLE small_ones (a text CHECK (plain(a) = a)); INSERT INTO small_ones VALUES ('one');
"""

OF_INDEXES = """
CREATE INDEX content_plain ON content (plain(name)); COMMENT ON INDEX content_plain IS 'by small letters';
ALTER TABLE content CLUSTER ON content_plain;
CREATE MATERIALIZED VIEW seen AS SELECT plain(name) AS name, files() AS files FROM content;
CREATE UNIQUE INDEX seen_name ON seen ((plain(name) || 'x')) WHERE name = 'file7';
"""

INDEXES = """
SELECT relname, pg_get_indexdef(c.oid), obj_description(c.oid, 'pg_class'), indisclustered
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE relname IN ('content_plain', 'seen_name') ORDER BY 1
"""


@pytest.mark.parametrize("version", ["12", "15"])
@pytest.mark.parametrize("way", [as_admin, login])
def test_what_functions_name_without_its_schema_is_found(
    dump_of: t.Any, target_on: t.Any, restore: Run, version: str, way: t.Callable[..., t.Any]
) -> None:
    dumped, target = dump_of(version, FUNCTIONS + OF_INDEXES), target_on(version)
    result = restore(src=dumped.src, **way(target))
    assert result.get("changed"), result.get("msg")
    assert sums(target.server, target.name) == sums(dumped.source.server, dumped.source.name)
    made = as_owner(target, INDEXES)
    assert made == as_owner(dumped.source, INDEXES)
    assert "|by small letters|t" in made
    assert as_owner(target, "SELECT files, count(*) FROM seen GROUP BY 1") == "2002|2002"


@pytest.mark.parametrize("way", [as_admin, login])
def test_for_a_row_nothing_is_found_without_its_schema_and_the_error_says_so(
    dump_of: t.Any, target_on: t.Any, restore: Run, way: t.Callable[..., t.Any]
) -> None:
    dumped, target = dump_of("15", FUNCTIONS + OF_ROWS), target_on("15")
    result = restore(src=dumped.src, **way(target))
    assert "function lowered(text) does not exist" in result["msg"]
    assert "found for no CHECK" in result["msg"] and "SET search_path" in result["msg"]
    assert as_owner(target, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"


def test_from_postgresql_17_on_indexes_look_in_no_schema_and_the_error_says_so(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    dumped, target = dump_of("15", FUNCTIONS + OF_INDEXES), target_on("18")
    result = restore(src=dumped.src, **as_admin(target))
    assert "function lowered(text) does not exist" in result["msg"]
    assert "Check the name" not in result["msg"] and "SET search_path" in result["msg"]
    assert databases(target) == [target.name]
