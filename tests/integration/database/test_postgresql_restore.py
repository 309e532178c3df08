# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgresql_restore on real servers; what it made is read by psql."""

from __future__ import annotations

import json
import shutil
import time
import typing as t
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql import Database, fingerprint

from .conftest import alive, as_owner, login, sums

Run = t.Callable[..., t.Dict[str, t.Any]]

MODULES = "ansible_collections.community.postgresql.plugins.modules"

WAYS = [("15", "15"), ("15", "18"), ("18", "18")]


class Dumped(t.NamedTuple):
    """A database and its dump."""

    source: t.Any
    src: Path


@pytest.fixture
def dump_of(
    request: pytest.FixtureRequest, make_database: t.Any, fill_database: t.Any, run_module: Run, tmp_path: Path
) -> t.Callable[..., Dumped]:
    """Makes a filled database on a version, and dumps it."""

    def make(version: str, more: str = "", **options: t.Any) -> Dumped:
        source = make_database(request.getfixturevalue(f"postgresql{version}"))
        fill_database(source)
        if more:
            source.server.psql(more.format(**source._asdict()), source.name)
        result = run_module("postgresql_dump", dest=tmp_path / f"dump-{source.name}", **login(source, **options))
        assert result.get("changed"), result
        return Dumped(source, tmp_path / f"dump-{source.name}")

    return make


@pytest.fixture
def target_on(request: pytest.FixtureRequest, make_database: t.Any) -> t.Iterator[t.Callable[[str], t.Any]]:
    """Makes an empty database with an owner of its own; it goes afterwards, with those named after it."""
    made: list[t.Any] = []

    def make(version: str) -> t.Any:
        made.append(make_database(request.getfixturevalue(f"postgresql{version}")))
        return made[-1]

    yield make
    for target in made:
        for name in databases(target):
            target.server.drop_database(name)


@pytest.fixture
def make_ready(run_module: Run) -> Run:
    """Asks what a restore needs and lets community.postgresql make it, as the role does. Returns the answer."""

    def make(src: Path, **options: t.Any) -> dict[str, t.Any]:
        foreseen = run_module("postgresql_restore", check=True, src=src, **options)
        if foreseen.get("failed") or not foreseen["changed"]:
            return foreseen
        admin = "admin" if options.get("admin_user") else "login"
        given = {key: options[f"login_{key}"] for key in ("host", "port")}
        given.update({key: options[f"{admin}_{key}"] for key in ("user", "password")})
        login = {f"login_{key}": value for key, value in given.items()}
        create, done = foreseen["create"], []
        inside = {**login, "login_db": create.get("name", options["name"])}
        if create:
            done.append(run_module("postgresql_db", MODULES, template="template0", **login, **create))
        for name in foreseen["schemas"]:
            done.append(run_module("postgresql_schema", MODULES, name=name, owner=foreseen["owner"], **inside))
        for extension in foreseen["extensions"]:
            done.append(run_module("postgresql_ext", MODULES, **extension, **inside))
        assert all(one.get("changed") for one in done), done
        return foreseen

    return make


@pytest.fixture
def restore(run_module: Run, make_ready: Run) -> Run:
    """Restores as the role does; what stood in the way when something did."""

    def run(src: Path, **options: t.Any) -> dict[str, t.Any]:
        foreseen = make_ready(src, **options)
        if foreseen.get("failed") or not foreseen["changed"]:
            return foreseen
        return run_module("postgresql_restore", src=src, temporary=foreseen["create"].get("name"), **options)

    return run


def databases(target: t.Any) -> list[str]:
    """The databases whose names begin like the target's."""
    found = target.server.psql(f"SELECT datname FROM pg_database WHERE datname LIKE '{target.name}\\_%' ORDER BY 1")
    mine = target.server.psql(f"SELECT datname FROM pg_database WHERE datname = '{target.name}'")
    return [name for name in (mine + "\n" + found).splitlines() if name]


def as_admin(target: t.Any, **more: t.Any) -> dict[str, t.Any]:
    """The target's login, and the superuser to do the work."""
    return login(target, admin_user=target.server.user, admin_password=target.server.password, **more)


def owners(target: t.Any) -> set[str]:
    """Who owns what is in a database."""
    return set(
        target.server.psql(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
            " UNION SELECT DISTINCT pg_get_userbyid(lomowner) FROM pg_largeobject_metadata"
            " UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()",
            target.name,
        ).splitlines()
    )


@pytest.mark.parametrize(("old", "new"), WAYS)
def test_restored_rows_are_those_that_were_dumped(
    dump_of: t.Any, target_on: t.Any, restore: Run, old: str, new: str
) -> None:
    dumped, target = dump_of(old), target_on(new)
    result = restore(src=dumped.src, jobs=2, **as_admin(target))
    assert result.get("changed"), result
    assert sums(target.server, target.name) == sums(dumped.source.server, dumped.source.name)
    assert owners(target) == {target.user}
    assert (result["kept_aside"], result["in_place"], databases(target)) == ("", False, [target.name])
    assert as_owner(target, "SELECT nextval('hierarchy_seq')") == "4712"
    # statistics for the planner are there
    assert int(as_owner(target, "SELECT reltuples::int FROM pg_class WHERE relname = 'content'")) == 2002
    comment = "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = "
    assert target.server.psql(f"{comment}'{target.name}'") == ""


@pytest.mark.parametrize(("old", "new"), WAYS)
def test_login_that_may_not_create_databases(
    dump_of: t.Any, target_on: t.Any, restore: Run, old: str, new: str
) -> None:
    dumped, target = dump_of(old), target_on(new)
    oid = target.server.psql(f"SELECT oid FROM pg_database WHERE datname = '{target.name}'")
    result = restore(src=dumped.src, **login(target))
    assert result.get("changed"), result
    assert result["in_place"] is True
    assert sums(target.server, target.name) == sums(dumped.source.server, dumped.source.name)
    assert target.server.psql(f"SELECT oid FROM pg_database WHERE datname = '{target.name}'") == oid
    assert owners(target) == {target.user}


def test_owner_who_may_create_databases_makes_a_new_one(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    target.server.psql(f'ALTER ROLE "{target.user}" CREATEDB')
    target.server.drop_database(target.name)
    result = restore(src=dumped.src, **login(target))
    assert result.get("changed"), result
    assert sums(target.server, target.name) == sums(dumped.source.server, dumped.source.name)


def test_dump_of_a_newer_client_goes_back_into_the_older_server(
    dump_of: t.Any, target_on: t.Any, restore: Run, postgresql18: t.Any
) -> None:
    """pg_restore 18 tells the server of a setting that it does not know; that alone is no failure."""
    dumped, target = dump_of("15", bin_dir=str(postgresql18.bin_dir)), target_on("15")
    result = restore(src=dumped.src, **login(target))
    assert "in one transaction" in result["msg"]
    result = restore(src=dumped.src, jobs=2, **as_admin(target))
    assert result.get("changed"), result
    assert sums(target.server, target.name) == sums(dumped.source.server, dumped.source.name)


def test_second_restore_changes_nothing(dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    first = restore(src=dumped.src, **as_admin(target))
    through_json = {key: str(value) for key, value in first["fingerprint"].items()}
    oid = target.server.psql(f"SELECT oid FROM pg_database WHERE datname = '{target.name}'")
    for check in (True, False):
        options = as_admin(target, unchanged_since=through_json, overwrite=True)
        again = run_module("postgresql_restore", check=check, src=dumped.src, **options)
        assert (again["changed"], again["kept_aside"]) == (False, ""), again
        assert set(again) == set(first)
    assert target.server.psql(f"SELECT oid FROM pg_database WHERE datname = '{target.name}'") == oid
    as_owner(target, "UPDATE dublincore SET title = 'changed' WHERE id = md5('1')")
    time.sleep(1)
    refused = restore(src=dumped.src, **as_admin(target, unchanged_since=through_json))
    assert "is not empty" in refused["msg"]
    options = as_admin(target, unchanged_since=through_json, overwrite=True)
    assert restore(src=dumped.src, **options)["changed"] is True


LOSSES = [
    "TRUNCATE content",
    "TRUNCATE hierarchy CASCADE",
    "DROP TABLE nothing_in_it",
    "DROP INDEX hierarchy_parentid",
    "ALTER TABLE content RENAME COLUMN data TO other",
    "ALTER TABLE content DROP COLUMN other",
    "ALTER TABLE content RENAME TO other",
    "ALTER TABLE dublincore DROP CONSTRAINT dublincore_id_fkey",
    "SELECT setval('hierarchy_seq', 1)",
    "SELECT setval('hierarchy_seq', 4711, false)",
    "SELECT lo_put(oid, 0, 'other') FROM pg_largeobject_metadata",
    "SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
]


@pytest.mark.parametrize("version", ["15", "18"])
def test_a_database_that_lost_something_is_not_taken_for_untouched(
    target_on: t.Any, fill_database: t.Any, version: str
) -> None:
    target = target_on(version)
    fill_database(target, rows=10)
    given = PostgresLogin(target.host, str(target.port), target.name, target.user, target.password)
    with Database(given) as database:
        last = fingerprint(database)
        for sql in LOSSES:
            as_owner(target, sql)
            time.sleep(1.1)
            now = fingerprint(database)
            assert now != last, sql
            last = now
        target.server.psql("VACUUM ANALYZE; CREATE TEMPORARY TABLE mine (); SELECT pg_sleep(1)", target.name)
        assert fingerprint(database) == last, "what the server does by itself is no change"


def test_what_was_there_is_kept_aside(dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    as_owner(target, "CREATE TABLE mine (a text); INSERT INTO mine VALUES ('precious')")
    target.server.psql(f'REVOKE CONNECT ON DATABASE "{target.name}" FROM PUBLIC')
    target.server.psql(f'ALTER DATABASE "{target.name}" CONNECTION LIMIT 17')
    refused = restore(src=dumped.src, **as_admin(target))
    assert "it is not empty: relation mine" in refused["msg"] and "overwrite" in refused["msg"]
    assert len(refused["problems"]) == 1
    options = as_admin(target, overwrite=True, _ansible_diff=True)
    foreseen = run_module("postgresql_restore", check=True, src=dumped.src, **options)
    assert foreseen["changed"] and foreseen["kept_aside"].startswith(f"{target.name}_before_")
    assert as_owner(target, "SELECT a FROM mine") == "precious"
    result = restore(src=dumped.src, **options)
    assert target.server.psql("SELECT a FROM mine", result["kept_aside"]) == "precious"
    assert databases(target) == [target.name, result["kept_aside"]]
    assert sums(target.server, target.name) == sums(dumped.source.server, dumped.source.name)
    assert result["diff"]["after"]["kept_aside"] == result["kept_aside"]
    rights = "SELECT datconnlimit, has_database_privilege('public', oid, 'CONNECT') FROM pg_database WHERE datname = "
    assert target.server.psql(f"{rights}'{target.name}'") == "17|f"


def test_clone_leaves_the_source_alone(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    before = sums(dumped.source.server, dumped.source.name)
    restore(src=dumped.src, **as_admin(target))
    as_owner(target, "DELETE FROM content")
    assert sums(dumped.source.server, dumped.source.name) == before


def test_settings_extensions_and_privileges_come_over(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    more = """
    CREATE SCHEMA "ext schema"; CREATE EXTENSION pgcrypto SCHEMA "ext schema"; CREATE EXTENSION pageinspect;
    ALTER DATABASE "{name}" SET search_path = "$user", public, "ext schema";
    ALTER DATABASE "{name}" SET work_mem = '7MB';
    DO 'BEGIN CREATE ROLE reporting; EXCEPTION WHEN duplicate_object THEN NULL; END';
    GRANT SELECT ON content TO reporting;
    """
    dumped, target = dump_of("15", more), target_on("15")
    unprivileged = restore(src=dumped.src, **login(target))
    assert "may not create the extension 'pageinspect'" in unprivileged["msg"]
    result = restore(src=dumped.src, **as_admin(target, privileges=True))
    assert result.get("changed"), result
    assert as_owner(target, "SHOW search_path") == '"$user", public, "ext schema"'
    assert as_owner(target, "SHOW work_mem") == "7MB"
    found = "SELECT extname, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace ORDER BY 1"
    assert as_owner(target, found) == "pageinspect|public\npgcrypto|ext schema\nplpgsql|pg_catalog"
    granted = "SELECT has_table_privilege('reporting', 'content', 'SELECT')"
    assert as_owner(target, granted) == "t"
    result = restore(src=dumped.src, **as_admin(target, overwrite=True))
    assert as_owner(target, granted) == "f", "another owner gets no privileges of others by default"


ROLE = "DO 'BEGIN CREATE ROLE {0}; EXCEPTION WHEN duplicate_object THEN NULL; END';"


def test_parameters_of_roles_in_the_database_come_over(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run
) -> None:
    """Without its search_path Nuxeo would find no table."""
    more = """
    CREATE SCHEMA nx AUTHORIZATION "{user}"; ALTER TABLE content SET SCHEMA nx;
    ALTER ROLE "{user}" IN DATABASE "{name}" SET search_path = nx, "$user", public;
    ALTER ROLE "{user}" IN DATABASE "{name}" SET default_transaction_read_only = on;
    ALTER ROLE "{user}" IN DATABASE "{name}" SET work_mem = '7MB';
    """
    other = ROLE.format("reports") + "ALTER ROLE reports IN DATABASE \"{name}\" SET work_mem = '8MB';"
    dumped, target = dump_of("15", more + other), target_on("15")
    for database, options in (
        (target, {}),  # another owner
        (dumped.source, {"overwrite": True}),
    ):
        result = restore(src=dumped.src, **as_admin(database, **options))
        assert result.get("changed"), result
        assert result["messages"] == []
        assert as_owner(database, "SHOW search_path") == 'nx, "$user", public'
        assert as_owner(database, "SHOW work_mem") == "7MB"
        assert as_owner(database, "SELECT count(*) FROM content") == "2002"
    of_other = (
        "SELECT datname FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
        " WHERE setrole = 'reports'::regrole AND setconfig = '{{work_mem=8MB}}' AND datname IN ('{}', '{}')"
    )
    assert target.server.psql(of_other.format(target.name, dumped.source.name)) == dumped.source.name
    target = target_on("18")
    missing = run_module("postgresql_restore", check=True, src=dumped.src, **as_admin(target, privileges=True))
    assert "not on the server: reports. Create them, or leave" in missing["msg"]
    target.server.psql(f'CREATE ROLE reports; ALTER ROLE "{target.user}" CREATEDB')
    closed = run_module("postgresql_restore", check=True, src=dumped.src, **login(target, privileges=True))
    assert "may not set the parameters that these roles have in the dump: reports" in closed["msg"]
    assert restore(src=dumped.src, **login(target, privileges=False)).get("changed")
    assert as_owner(target, "SHOW work_mem") == "7MB"
    target.server.psql("DROP ROLE reports")


def test_no_parameter_of_the_database_keeps_another_from_being_set(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    more = """
    ALTER DATABASE "{name}" SET default_transaction_read_only = on; ALTER DATABASE "{name}" SET work_mem = '7MB';
    ALTER DATABASE "{name}" SET search_path = 'a b', public;
    """
    dumped, target = dump_of("15", more), target_on("15")
    result = restore(src=dumped.src, **as_admin(target))
    assert (result.get("changed"), result["messages"]) == (True, []), result
    assert as_owner(target, "SHOW default_transaction_read_only; SHOW work_mem; SHOW search_path") == (
        'on\n7MB\n"a b", public'
    )


SUPERUSERS = """
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reporting;
CREATE PUBLICATION everything FOR ALL TABLES; COMMENT ON PUBLICATION everything IS 'all';
CREATE PUBLICATION few FOR TABLE content; ALTER PUBLICATION few OWNER TO "{user}";
CREATE FUNCTION public.told() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER telling ON ddl_command_end EXECUTE FUNCTION told();
CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere OPTIONS (a 'b');
CREATE USER MAPPING FOR PUBLIC SERVER far;
GRANT USAGE ON FOREIGN SERVER far TO "{user}";
CREATE FOREIGN TABLE public.there (a int) SERVER far; ALTER TABLE there OWNER TO "{user}";
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO reporting;
"""
MADE = """
SELECT pg_get_userbyid(defaclrole), defaclacl FROM pg_default_acl;
SELECT pubname, puballtables, CASE WHEN NOT puballtables THEN pg_get_userbyid(pubowner) = '{user}' END,
  obj_description(oid, 'pg_publication') FROM pg_publication ORDER BY 1;
SELECT pubname, count(*) FROM pg_publication_tables GROUP BY 1 ORDER BY 1;
SELECT evtname, evtenabled FROM pg_event_trigger;
SELECT s.srvname, srvoptions, usename FROM pg_user_mappings JOIN pg_foreign_server s ON s.oid = srvid;
SELECT pg_get_userbyid(relowner) = '{user}' FROM pg_class WHERE relname = 'there';
SELECT lanacl FROM pg_language WHERE lanname = 'plpgsql';
SELECT has_function_privilege('reporting', 'pg_ls_dir(text)', 'EXECUTE');
"""


@pytest.mark.parametrize("version", ["15", "18"])
def test_what_only_a_superuser_may_make_comes_over(
    dump_of: t.Any, target_on: t.Any, restore: Run, version: str
) -> None:
    dumped, target = dump_of(version, ROLE.format("reporting") + SUPERUSERS), target_on(version)
    wanted = dumped.source.server.psql(MADE.format(user=dumped.source.user), dumped.source.name)
    result = restore(src=dumped.src, **as_admin(target, privileges=True))
    assert (result.get("changed"), result["messages"]) == (True, []), result
    made = target.server.psql(MADE.format(user=target.user), target.name)
    assert made.replace(target.user, "") == wanted.replace(dumped.source.user, "")
    target = target_on(version)
    target.server.psql(f'ALTER ROLE "{target.user}" CREATEDB')
    told = restore(src=dumped.src, **login(target, privileges=True))["msg"]
    assert "only a superuser may restore these of the dump: " in told
    for what in (
        "ACL - LANGUAGE plpgsql",
        "EVENT TRIGGER - telling",
        "PUBLICATION - everything",
        "SERVER - far",
        "USER MAPPING - ",
    ):
        assert what in told
    assert "PUBLICATION - few" not in told
    assert f"'{target.user}' may not set the default privileges of these roles: postgres" in told


def test_a_subscription_comes_over_asleep_and_keeps_no_failed_restore_from_being_removed(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    more = (
        "CREATE SUBSCRIPTION heard CONNECTION 'host=nowhere.invalid dbname=x' PUBLICATION p"
        " WITH (connect = false, slot_name = 'other')"
    )
    target = target_on("15")
    dumped = dump_of("15", more, login_user=target.server.user, login_password=target.server.password)
    remove = "ALTER SUBSCRIPTION heard SET (slot_name = NONE); DROP SUBSCRIPTION heard"
    dumped.source.server.psql(remove, dumped.source.name)
    path = dumped.src / "dump.json"
    known = path.read_text()
    path.write_text(json.dumps({**json.loads(known), "large_objects": 7}))
    assert "these differ: large objects" in restore(src=dumped.src, **as_admin(target))["msg"]
    assert databases(target) == [target.name]
    path.write_text(known)
    assert restore(src=dumped.src, **as_admin(target)).get("changed")
    assert target.server.psql("SELECT subname, subenabled, subslotname FROM pg_subscription") == "heard|f|other"
    target.server.psql(remove, target.name)


def test_a_role_with_a_privilege_on_a_column_or_by_default_is_missed_before(
    dump_of: t.Any, target_on: t.Any, run_module: Run
) -> None:
    roles = ("of_column", "of_default", "of_type", "of_function")
    more = (
        "".join(map(ROLE.format, roles))
        + """
    GRANT SELECT (id) ON content TO of_column; GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO of_function;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO of_default;
    CREATE DOMAIN public.short AS text; GRANT USAGE ON TYPE public.short TO of_type;
    """
    )
    dumped, target = dump_of("15", more), target_on("18")
    foreseen = run_module("postgresql_restore", check=True, src=dumped.src, **as_admin(target, privileges=True))
    assert "not on the server: of_column, of_default, of_function, of_type. Create them" in foreseen["msg"]


def test_who_may_connect_comes_over_to_a_new_database(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    more = (
        ROLE.format("guests")
        + """
    REVOKE ALL ON DATABASE "{name}" FROM PUBLIC; GRANT TEMPORARY ON DATABASE "{name}" TO PUBLIC;
    GRANT CONNECT, CREATE ON DATABASE "{name}" TO guests WITH GRANT OPTION;
    """
    )
    dumped, target = dump_of("15", more), target_on("15")
    acl = "SELECT datacl, has_database_privilege('public', oid, 'CONNECT') FROM pg_database WHERE datname = "
    target.server.drop_database(target.name)
    result = restore(src=dumped.src, **as_admin(target, privileges=True))
    assert (result.get("changed"), result["messages"]) == (True, []), result
    wanted = target.server.psql(f"{acl}'{dumped.source.name}'").replace(dumped.source.user, target.user)
    assert target.server.psql(f"{acl}'{target.name}'") == wanted
    target.server.drop_database(target.name)
    assert restore(src=dumped.src, **as_admin(target)).get("changed")
    found = target.server.psql(f"{acl}'{target.name}'")
    assert found.endswith("|f") and "guests" not in found, "another owner gets no privileges of others by default"
    target.server.drop_database(target.name)
    result = restore(src=dumped.src, **as_admin(target, owner=dumped.source.user, privileges=False))
    assert result["messages"] == ["Everybody may connect to the database, unlike in the dump"]
    assert as_owner(target, "SELECT 1") == "1", "Nuxeo itself would have been kept out"
    away = target_on("18")
    away.server.drop_database(away.name)
    assert "not on the server: guests." in restore(src=dumped.src, **as_admin(away, privileges=True))["msg"]


# -- bad input --------------------------------------------------------------------------------------------------------


def test_all_problems_are_told_at_once_and_nothing_changes(dump_of: t.Any, target_on: t.Any, run_module: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    as_owner(target, "CREATE TABLE mine (a text)")
    path = dumped.src / "dump.json"
    known = json.loads(path.read_text())
    known["database"]["extensions"].append({"name": "no_such_extension", "version": "1", "schema": "public"})
    known["database"]["size"] = 1 << 62
    known["database"]["grantees"] = ["no_such_role"]
    path.write_text(json.dumps(known))
    before = (databases(target), sums(target.server, target.name))
    for check in (True, False):
        options = as_admin(target, owner="nobody_at_all", privileges=True)
        result = run_module("postgresql_restore", check=check, src=dumped.src, **options)
        assert result["failed"]
        for word in (
            "lacks the extension 'no_such_extension'",
            "no role 'nobody_at_all'",
            "no_such_role",
            "bytes free",
            "it is not empty",
        ):
            assert word in result["msg"], word
        assert len(result["problems"]) == 5
    assert (databases(target), sums(target.server, target.name)) == before


def test_older_server_is_refused(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("18"), target_on("15")
    result = restore(src=dumped.src, **as_admin(target))
    assert "older than the 18." in result["msg"]


def test_client_that_cannot_read_the_archive(
    dump_of: t.Any, target_on: t.Any, restore: Run, postgresql15: t.Any
) -> None:
    dumped, target = dump_of("18"), target_on("18")
    options = as_admin(target, bin_dir=str(postgresql15.bin_dir))
    result = restore(src=dumped.src, **options)
    assert "PostgreSQL 18 or newer" in result["msg"]


def test_database_in_use_is_refused_and_the_user_is_named(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    connection = psycopg2.connect(
        host=target.host,
        port=target.port,
        dbname=target.name,
        user=target.user,
        password=target.password,
        application_name="Nuxeo VCS",
    )
    try:
        result = restore(src=dumped.src, **as_admin(target))
    finally:
        connection.close()
    assert "it is in use by Nuxeo VCS from 127.0.0.1" in result["msg"] and "Stop Nuxeo" in result["msg"]


def test_locale_that_the_server_lacks(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    target.server.drop_database(target.name)
    path = dumped.src / "dump.json"
    known = json.loads(path.read_text())
    known["database"]["collate"] = "tlh_XX.UTF-8"
    path.write_text(json.dumps(known))
    result = restore(src=dumped.src, **as_admin(target))
    assert "'tlh_XX.UTF-8'" in result["msg"]
    result = restore(src=dumped.src, **as_admin(target, locale="C"))
    assert result.get("changed"), result
    assert target.server.psql(f"SELECT datcollate FROM pg_database WHERE datname = '{target.name}'") == "C"


def damaged(src: Path) -> None:
    """Cut the largest file of a dump in its middle."""
    largest = max((src / "dump").glob("*.dat.gz"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])


@pytest.mark.parametrize("version", ["15", "18"])
def test_damaged_dump_leaves_the_target_as_it_was(dump_of: t.Any, target_on: t.Any, restore: Run, version: str) -> None:
    dumped, target = dump_of(version), target_on(version)
    as_owner(target, "CREATE TABLE mine (a text); INSERT INTO mine VALUES ('precious')")
    damaged(dumped.src)
    result = restore(src=dumped.src, **as_admin(target, overwrite=True))
    assert result["failed"] and "pg_restore" in result["msg"]
    assert databases(target) == [target.name]
    assert as_owner(target, "SELECT a FROM mine") == "precious"


def test_damaged_dump_in_place_leaves_it_empty(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    damaged(dumped.src)
    result = restore(src=dumped.src, **login(target))
    assert result["failed"] and "pg_restore" in result["msg"]
    assert sums(target.server, target.name) == {"large objects": ""}


def test_dump_that_restores_to_less_is_found(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    """pg_restore is content with it; the comparison is not."""
    dumped, target = dump_of("15"), target_on("15")
    keys = dumped.src / "blob-keys.txt"
    keys.write_text(keys.read_text() + "zz-one-more\n")
    result = restore(src=dumped.src, **as_admin(target))
    assert "these differ: blob keys" in result["msg"]
    path = dumped.src / "dump.json"
    known = json.loads(path.read_text())
    known["with_rows"].append("public.nothing_in_it")
    path.write_text(json.dumps({**known, "with_rows": sorted(known["with_rows"])}))
    result = restore(src=dumped.src, **as_admin(target))
    assert "without rows: public.nothing_in_it" in result["msg"]
    assert databases(target) == [target.name]


def test_src_without_a_dump(target_on: t.Any, run_module: Run, tmp_path: Path) -> None:
    result = run_module("postgresql_restore", src=tmp_path, **as_admin(target_on("15")))
    assert "dump.json" in result["msg"] and "No such file" in result["msg"]


def test_dump_of_another_folder(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    shutil.rmtree(dumped.src / "dump")
    result = restore(src=dumped.src, **as_admin(target))
    assert "Reading of the archive" in result["msg"]


def test_killed_restore_leaves_no_hand_work(
    dump_of: t.Any, target_on: t.Any, start_module: t.Any, make_ready: Run, restore: Run
) -> None:
    dumped, target = (
        dump_of("15", "INSERT INTO dublincore SELECT null, md5(i::text) FROM generate_series(1, 400000) i"),
        target_on("15"),
    )
    as_owner(target, "CREATE TABLE mine (a text); INSERT INTO mine VALUES ('precious')")
    options = as_admin(target, overwrite=True)
    temporary = make_ready(dumped.src, **options)["create"]["name"]
    module = start_module("postgresql_restore", src=dumped.src, temporary=temporary, **options)
    pid = module.child("\0--no-owner")
    time.sleep(0.2)
    module.process.kill()
    module.process.communicate()
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(databases(target)) == 2, "the restore was faster than the kill"
    assert as_owner(target, "SELECT a FROM mine") == "precious"
    result = restore(src=dumped.src, **as_admin(target, overwrite=True))
    assert result.get("changed"), result
    assert databases(target) == [target.name, result["kept_aside"]]


def test_database_that_was_not_made_for_it_is_not_filled(dump_of: t.Any, target_on: t.Any, run_module: Run) -> None:
    dumped, target, other = dump_of("15"), target_on("15"), target_on("15")
    for temporary, why in ((other.name, "it was not made for a restore"), ("absent", "there is no such database")):
        result = run_module("postgresql_restore", src=dumped.src, temporary=temporary, **as_admin(target))
        assert why in result["msg"]
    result = run_module("postgresql_restore", src=dumped.src, **as_admin(target))
    assert "name it in temporary" in result["msg"]
    assert databases(other) == [other.name]


def test_passwords_are_nowhere_to_be_seen(
    dump_of: t.Any, target_on: t.Any, start_module: t.Any, make_ready: Run
) -> None:
    dumped, target = dump_of("15"), target_on("15")
    temporary = make_ready(dumped.src, **as_admin(target))["create"]["name"]
    module = start_module("postgresql_restore", src=dumped.src, temporary=temporary, **as_admin(target))
    seen = b""
    while module.process.poll() is None:
        for pid in [module.process.pid, *module.children()]:
            for what in ("cmdline", "environ"):
                try:
                    seen += Path(f"/proc/{pid}/{what}").read_bytes()
                except OSError:
                    continue
    result = module.wait()
    assert result.get("changed"), result
    assert b"--role=" in seen
    for secret in (target.password, target.server.password):
        assert secret.encode() not in seen
        assert secret not in json.dumps(result)
