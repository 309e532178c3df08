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
from ansible_collections.nuxeo.platform.plugins.module_utils._database import making
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql import Database, fingerprint
from ansible_collections.nuxeo.platform.plugins.module_utils._database.target import administer
from servers.tiers import engines_only

from .conftest import Run, alive, as_admin, as_owner, databases, login, sums


def others(*versions: str) -> list[t.Any]:
    """To themselves again."""
    left = engines_only("the oldest version and the newest are tried")
    return [pytest.param(version, version, marks=left) for version in versions]


IN_ONE_TRANSACTION = [
    *[("15", "15"), ("15", "18"), ("18", "18"), ("9.6", "9.6"), ("9.6", "18")],
    *others("10", "11", "12", "13", "14", "17"),
]
WAYS = [*IN_ONE_TRANSACTION, *others("16")]
"""Of 16 there is no client here: that of 18 fills a database of 17 or newer in one transaction, and no older one."""


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


@pytest.mark.parametrize(("old", "new"), IN_ONE_TRANSACTION)
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


def test_what_is_asked_for_otherwise_is_not_taken_for_unchanged(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run
) -> None:
    dumped, target = dump_of("15"), target_on("15")
    server, other = target.server, f"{target.user}_other"
    server.psql(f'CREATE ROLE "{other}"; GRANT "{other}" TO "{target.user}"')
    first = restore(src=dumped.src, **as_admin(target, owner=target.user))
    same = {"unchanged_since": first["fingerprint"], "overwrite": True}
    for options, changes in (
        ({}, False),
        ({"owner": target.user, "privileges": False}, False),
        ({"privileges": True}, True),
        ({"owner": other}, True),
    ):
        foreseen = run_module("postgresql_restore", check=True, src=dumped.src, **as_admin(target, **same, **options))
        assert foreseen.get("changed") is changes, (options, foreseen)
    again = restore(src=dumped.src, **as_admin(target, owner=other, **same))
    assert (again["owner"], owners(target)) == (other, {other})
    # the owner is that of the database from now on
    same["unchanged_since"] = again["fingerprint"]
    assert not run_module("postgresql_restore", src=dumped.src, **as_admin(target, **same))["changed"]


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
OWNERS = ["ALTER TABLE hierarchy OWNER TO CURRENT_USER", "ALTER DATABASE {name} OWNER TO CURRENT_USER"]
"""By the superuser."""


@pytest.mark.parametrize("version", ["9.6", "15", "18"])
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
        for sql in OWNERS:
            target.psql(sql.format(name=target.name))
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
    named = f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{target.name}'"
    assert target.server.psql(named) == "", "it is unfinished no more"
    rights = "SELECT datconnlimit, has_database_privilege('public', oid, 'CONNECT') FROM pg_database WHERE datname = "
    assert target.server.psql(f"{rights}'{target.name}'") == "17|f"


def test_clone_leaves_the_source_alone(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("15"), target_on("15")
    before = sums(dumped.source.server, dumped.source.name)
    restore(src=dumped.src, **as_admin(target))
    as_owner(target, "DELETE FROM content")
    assert sums(dumped.source.server, dumped.source.name) == before


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


def test_a_standby_is_refused_before(dump_of: t.Any, standby15: t.Any, run_module: Run) -> None:
    dumped = dump_of("15")
    there = dumped.source._replace(server=standby15, port=standby15.port, name="made_anew")
    result = run_module("postgresql_restore", check=True, src=dumped.src, **as_admin(there))
    assert "it is a standby" in result["msg"] and len(result["problems"]) == 1


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


def test_a_session_of_which_the_owner_may_see_nothing_is_a_session(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    dumped, target = dump_of("15"), target_on("15")
    server = target.server
    with psycopg2.connect(
        host=target.host, port=target.port, dbname=target.name, user=server.user, password=server.password
    ):
        result = restore(src=dumped.src, **login(target))
    assert f"it is in use by unnamed from somewhere as {server.user}" in result["msg"]


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
    for wrong in ({"tables": known["tables"] + 1}, {"client_version": known["client_version"] + "1"}):
        path.write_text(json.dumps({**known, **wrong}))
        assert "dump.json speaks of" in restore(src=dumped.src, **as_admin(target))["msg"]
    known["with_rows"].append("public.nothing_in_it")
    more = {key: known[key] + 1 for key in ("own_tables", "large_objects")}
    path.write_text(json.dumps({**known, **more, "with_rows": sorted(known["with_rows"])}))
    result = restore(src=dumped.src, **as_admin(target))
    assert "these differ: tables, large objects, tables with rows, blob keys" in result["msg"]
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


def test_only_what_a_killed_restore_of_the_same_target_has_left_goes(target_on: t.Any) -> None:
    """Whatever else is called so is somebody's own, or that of a restore which is on."""
    target = target_on("15")
    name, other = f"{target.name}_.", f"{target.name}_x"
    ours, stamp = making.UNFINISHED, "20200101T000000Z"
    left = {
        f"{name}_restore_{stamp}": (ours, True, False),
        f"{name}_restore_1{stamp[1:]}": (None, False, False),
        f"{name}_restore_3{stamp[1:]}": (None, True, True),
        f"{name}_restore_4{stamp[1:]}": ("kept by hand", True, True),
        f"{name}_restore_5{stamp[1:]}": (ours, False, True),  # the one that is made now
        f"{other}_restore_{stamp}": (ours, False, True),
    }
    for database, (comment, full, _stays) in left.items():
        target.server.psql(f'CREATE DATABASE "{database}"')
        if comment:
            target.server.psql(f"COMMENT ON DATABASE \"{database}\" IS '{comment}'")
        if full:
            target.server.psql("CREATE TABLE precious (a text)", database)
    login = PostgresLogin(target.host, str(target.port), name, target.server.user, target.server.password)
    with administer(login) as admin:
        making.remove_unfinished(admin, login, but=f"{name}_restore_5{stamp[1:]}")
    stay = [database for database, (_comment, _full, stays) in left.items() if stays]
    assert sorted(databases(target)) == sorted([target.name, *stay])


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
