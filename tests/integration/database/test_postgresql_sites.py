# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers as administrators have set them up: in another language, closed to most, read by others, with schemas."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import guard
from servers.postgresql import Server, bin_dir

from .conftest import Run, as_admin, as_owner, databases, login, node_of, sums

TRANSLATED = pytest.mark.skipif(
    not Path("/usr/share/locale/fr/LC_MESSAGES/postgres-15.mo").exists(),
    reason="this Debian was installed without translations",
)


@pytest.fixture(scope="module")
def french(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Server]:
    """It speaks French, as those do that were installed where French is spoken."""
    options = {"wal_level": "logical", "max_prepared_transactions": "4"}
    with Server(tmp_path_factory.mktemp("french"), version="15", options=options, language="fr") as server:
        yield server


@pytest.fixture
def postgresql_of(postgresql_of: t.Any, french: Server) -> t.Callable[[str], Server]:
    """``french`` beside the versions."""
    return lambda version: french if version == "french" else postgresql_of(version)


def of_icu(database: t.Any) -> None:
    """Make an empty database anew with a locale that has a version, and one that has changed since."""
    server = database.server
    server.drop_database(database.name)
    server.psql(
        f'CREATE DATABASE "{database.name}" OWNER "{database.user}" TEMPLATE template0'
        " LOCALE_PROVIDER icu ICU_LOCALE 'en'"
    )
    server.psql(f"UPDATE pg_database SET datcollversion = '0.0' WHERE datname = '{database.name}'")


@pytest.mark.parametrize(
    ("version", "word"), [("15", "WARNING"), pytest.param("french", "ATTENTION", marks=TRANSLATED)]
)
def test_changed_library_of_the_system_is_a_warning(
    postgresql_of: t.Any, make_database: t.Any, run_module: Run, tmp_path: Path, version: str, word: str
) -> None:
    database = make_database(postgresql_of(version))
    of_icu(database)
    result = run_module("postgresql_dump", dest=tmp_path / "out", require_blob_keys=False, **login(database))
    assert result.get("changed"), result
    (message,) = result["messages"]
    assert message.startswith(word) and "REFRESH COLLATION VERSION" in message


def test_a_library_of_the_system_that_has_no_versions_is_a_warning(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run, tmp_path: Path
) -> None:
    """As where the image of the server was changed for one with another library."""
    dumped, target = dump_of("15"), target_on("15")
    without = "UPDATE pg_database SET datcollate = 'C', datctype = 'C', datcollversion = '2.36' WHERE datname = "
    target.server.psql(f"{without}'{target.name}'")
    result = restore(src=dumped.src, **login(target))
    assert result.get("changed"), result
    result = run_module("postgresql_dump", dest=tmp_path / "out", **login(target))
    assert result.get("changed"), result
    assert "has no actual collation version" in result["messages"][0]


@TRANSLATED
def test_a_newer_client_restores_to_a_server_that_speaks_another_language(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    dumped, target = dump_of("french"), target_on("french")
    result = restore(src=dumped.src, **as_admin(target, bin_dir=bin_dir("18")))
    assert result.get("changed"), result
    assert sums(target.server, target.name) == sums(dumped.source.server, dumped.source.name)


@pytest.fixture
def let_in(french: Server) -> t.Iterator[t.Callable[[str], None]]:
    """Lets in what these lines say, and the superuser."""
    path = french.data / "pg_hba.conf"
    before = path.read_text()

    def write(lines: str) -> None:
        path.write_text(lines)
        french.psql("SELECT pg_reload_conf()")
        time.sleep(0.2)

    yield lambda lines: write(f"host all {french.user} 127.0.0.1/32 scram-sha-256\n{lines}\n")
    write(before)


def test_a_login_that_is_let_into_its_own_database_only_restores_there(
    dump_of: t.Any, target_on: t.Any, restore: Run, let_in: t.Callable[[str], None]
) -> None:
    dumped, target = dump_of("french"), target_on("french")
    let_in(f"host {target.name} {target.user} 127.0.0.1/32 scram-sha-256")
    target.server.psql(f'ALTER ROLE "{target.user}" CREATEDB')
    result = restore(src=dumped.src, **login(target))
    assert result.get("changed") and result["in_place"], result
    assert sums(target.server, target.name) == sums(dumped.source.server, dumped.source.name)
    again = restore(src=dumped.src, **login(target, overwrite=True))
    assert "may not rename it" in again["msg"]


def test_a_login_that_is_let_into_named_databases_only_is_told_before(
    dump_of: t.Any, target_on: t.Any, run_module: Run, let_in: t.Callable[[str], None]
) -> None:
    """The database is made under a temporary name."""
    dumped, target = dump_of("french"), target_on("french")
    let_in(f"host postgres,{target.name} {target.user} 127.0.0.1/32 scram-sha-256")
    target.server.psql(f'ALTER ROLE "{target.user}" CREATEDB')
    found = run_module("postgresql_restore", check=True, src=dumped.src, **login(target))
    assert f"first, into which pg_hba.conf does not let '{target.user}'" in found["msg"]


def test_a_database_that_is_called_postgres_is_replaced(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("french"), target_on("french")
    server = target.server
    server.psql("CREATE TABLE there (a int)")
    options = login(target, name="postgres", login_user=server.user, login_password=server.password)
    result = restore(src=dumped.src, overwrite=True, **options)
    assert result.get("changed"), result
    assert sums(server, "postgres") == sums(dumped.source.server, dumped.source.name)
    assert server.psql("SELECT count(*) FROM there", result["kept_aside"]) == "0"


def test_who_reads_the_changes_of_a_database_keeps_it_from_being_restored_and_is_told_before(
    dump_of: t.Any, target_on: t.Any, run_module: Run
) -> None:
    dumped, target = dump_of("french"), target_on("french")
    server = target.server
    words = ["--slot=reader", "--plugin=test_decoding", "--dbname", target.name]
    environment = server.environment(target.name)
    program = server.program("pg_recvlogical")
    subprocess.run([program, *words, "--create-slot"], check=True, env=environment)
    reader = subprocess.Popen([program, *words, "--start", "--file=/dev/null"], env=environment)
    try:
        while not server.psql("SELECT 1 FROM pg_replication_slots WHERE active"):
            time.sleep(0.1)
        found = run_module("postgresql_restore", check=True, src=dumped.src, in_use="accept", **as_admin(target))
        assert "it is in use by pg_recvlogical from 127.0.0.1 as postgres (walsender, pid " in found["msg"]
    finally:
        reader.kill()
        reader.wait()
        while server.psql("SELECT 1 FROM pg_replication_slots WHERE active"):
            time.sleep(0.1)
        server.psql("SELECT pg_drop_replication_slot('reader')")


def test_a_prepared_transaction_keeps_a_database_from_being_restored(
    dump_of: t.Any, target_on: t.Any, run_module: Run
) -> None:
    dumped, target = dump_of("french"), target_on("french")
    server = target.server
    server.psql("BEGIN; CREATE TABLE half (a int); PREPARE TRANSACTION 'left'", target.name)
    try:
        found = run_module("postgresql_restore", check=True, src=dumped.src, **as_admin(target))
        assert "it is in use by the prepared transaction 'left' of postgres" in found["msg"]
        young = run_module("postgresql_restore", check=True, src=dumped.src, in_use="accept", **as_admin(target))
        assert young.get("changed"), "Nuxeo's own end at once"
    finally:
        server.psql("ROLLBACK PREPARED 'left'", target.name)


def test_a_subscription_that_the_login_may_not_read_is_told(
    postgresql_of: t.Any, make_database: t.Any, run_module: Run, tmp_path: Path
) -> None:
    database = make_database(postgresql_of("french"))
    database.psql(
        "CREATE SUBSCRIPTION elsewhere CONNECTION 'host=nowhere' PUBLICATION p"
        " WITH (connect = false, slot_name = NONE, enabled = false)"
    )
    try:
        result = run_module("postgresql_dump", dest=tmp_path / "out", require_blob_keys=False, **login(database))
    finally:
        database.psql("DROP SUBSCRIPTION elsewhere")
    assert result.get("changed"), result
    assert "subscriptions not dumped" in result["messages"][0]


IN_A_SCHEMA = """
CREATE SCHEMA "{user}" AUTHORIZATION "{user}"; ALTER TABLE content SET SCHEMA "{user}";
"""
IN_ANOTHER = """
CREATE SCHEMA nx AUTHORIZATION "{user}"; ALTER TABLE content SET SCHEMA nx;
ALTER ROLE "{user}" SET search_path = nx, public;
"""


@pytest.mark.parametrize("more", [IN_A_SCHEMA, IN_ANOTHER])
def test_another_login_finds_the_tables_too(dump_of: t.Any, target_on: t.Any, restore: Run, more: str) -> None:
    """Else its Nuxeo makes empty ones."""
    dumped, target = dump_of("15", more), target_on("15")
    for database, told in ((target, [True]), (dumped.source, [])):
        result = restore(src=dumped.src, **as_admin(database, overwrite=True))
        assert result.get("changed"), result
        assert as_owner(database, "SELECT count(*) FROM content") == "2002"
        assert [f"The search_path of '{database.user}'" in message for message in result["messages"]] == told


@pytest.mark.parametrize("of_admin", ["", "public"])
def test_a_login_finds_the_tables_also_where_the_server_looks_elsewhere(
    dump_of: t.Any, target_on: t.Any, restore: Run, of_admin: str
) -> None:
    """As in PostgreSQL's manual, against functions that others have put into the schema public."""
    dumped, target = dump_of("15"), target_on("15")
    server = target.server
    server.create_user("cares", "secret", "SUPERUSER")
    if of_admin:
        server.psql(f"ALTER ROLE cares SET search_path = {of_admin}")
    path = server.data / "postgresql.auto.conf"
    before = path.read_text()
    path.write_text(before + "search_path = '$user'\n")
    try:
        server.psql("SELECT pg_reload_conf(), pg_sleep(0.2)")
        result = restore(src=dumped.src, **login(target, admin_user="cares", admin_password="secret"))
        assert result.get("changed"), result
        assert as_owner(target, "SELECT count(*) FROM content") == "2002"
        assert f"The search_path of '{target.user}' in the database is \"public\"" in result["messages"][0]
    finally:
        path.write_text(before)
        server.psql("SELECT pg_reload_conf()")
        server.psql("DROP ROLE cares")


def test_a_login_that_would_find_no_table_gets_no_database(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    dumped, target = dump_of("15", IN_ANOTHER), target_on("15")
    server = target.server
    server.create_user("makes", "secret", "CREATEDB")
    server.psql(f'GRANT "{target.user}" TO makes')
    options = login(target, admin_user="makes", admin_password="secret")
    try:
        result = restore(src=dumped.src, **options)
        assert "would not find nx.content by its search_path" in result["msg"]
        assert databases(target) == [target.name]
        server.psql(f'ALTER ROLE "{target.user}" SET search_path TO nx, public')
        assert restore(src=dumped.src, **options).get("changed")
    finally:
        server.psql("DROP ROLE makes")


@pytest.fixture
def in_nx(target_on: t.Any, fill_database: t.Any, run_module: Run, tmp_path: Path) -> str:
    """A dump in ``out`` whose table of contents is in a schema of its own; the server's host and port."""
    source = target_on("15")
    fill_database(source)
    as_owner(source, "CREATE SCHEMA nx; ALTER TABLE content SET SCHEMA nx")
    place = f"{source.host}:{source.port}"
    node = node_of(tmp_path / "source", source, f"{place}/{source.name}?currentSchema=nx,public")
    assert run_module("postgresql_dump", dest=tmp_path / "out", **node).get("changed")
    return place


@pytest.mark.parametrize(
    ("query", "failed", "told"),
    [
        ("", False, 'in the database is "nx", "public", as that of'),
        ("?currentSchema=public,nx", False, ""),
        ("?currentSchema=%22Other%22", True, 'not find nx.content by currentSchema="Other" of its JDBC URL. Set it to'),
    ],
)
def test_what_the_driver_finds_by_its_url_is_found_after_the_restore(
    target_on: t.Any, in_nx: str, run_module: Run, tmp_path: Path, query: str, failed: bool, told: str
) -> None:
    target, place = target_on("15"), in_nx
    node = node_of(tmp_path / "target", target, f"{place}/{target.name}{query}")
    result = run_module("postgresql_restore", src=tmp_path / "out", **node)
    assert bool(result.get("failed")) == failed, result
    assert told in result["msg"] if failed else [told in one for one in result["messages"]] == [True] * bool(told)
    if not query:
        assert as_owner(target, "SELECT count(*) FROM content") == "2002"


@pytest.mark.parametrize(("now", "then", "failed"), [("nx,public", "other", True), ("other", "nx,public", False)])
def test_what_counts_is_the_url_that_will_be_set(
    target_on: t.Any, in_nx: str, run_module: Run, tmp_path: Path, now: str, then: str, failed: bool
) -> None:
    target, place = target_on("15"), in_nx
    node = node_of(tmp_path / "target", target, f"{place}/{target.name}?currentSchema={now}")
    node["nuxeo_conf"].write_text(guard.armed(node["nuxeo_conf"].read_bytes(), "s").decode())
    wanted = {"nuxeo.db.jdbc.url": f"jdbc:postgresql://{place}/{target.name}?currentSchema={then}"}
    result = run_module("postgresql_restore", src=tmp_path / "out", nuxeo_properties=wanted, **node)
    assert bool(result.get("failed")) == failed, result
    if failed:
        assert "not find nx.content by currentSchema=other of its JDBC URL" in result["msg"]
        assert as_owner(target, "SELECT count(*) FROM pg_namespace WHERE nspname = 'nx'") == "0", "nothing was changed"
        again = run_module("postgresql_restore", src=tmp_path / "out", **node)
        assert again.get("changed"), again


def test_who_cannot_set_aside_what_was_filled_in_place_is_told_what_to_do(
    dump_of: t.Any, target_on: t.Any, restore: Run
) -> None:
    dumped, target = dump_of("15"), target_on("15")
    path = dumped.src / "dump.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "large_objects": 7}))
    result = restore(src=dumped.src, **login(target))
    assert "these differ: large objects. " in result["msg"], result
    assert f"'{target.name}' is filled by now: have it made anew, empty, before you run again" in result["msg"]


def test_a_schema_that_was_made_for_an_extension_keeps_no_login_from_filling_where_it_is(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run
) -> None:
    """As when the run was killed between the two."""
    dumped, target = dump_of("15", "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext"), target_on("15")
    foreseen = run_module("postgresql_restore", check=True, src=dumped.src, **login(target))
    assert (foreseen["in_place"], foreseen["schemas"]) == (True, ["ext"])
    as_owner(target, "CREATE SCHEMA ext")
    result = restore(src=dumped.src, **login(target))
    assert (result.get("changed"), result.get("kept_aside")) == (True, ""), result
    empty = target_on("15")
    as_owner(empty, "CREATE SCHEMA ext; CREATE SCHEMA mine")
    assert "it is not empty: schema mine. " in restore(src=dumped.src, **login(empty))["msg"]


def test_an_extension_that_was_made_by_hand_needs_no_superuser(
    dump_of: t.Any, target_on: t.Any, restore: Run, run_module: Run
) -> None:
    dumped, target = dump_of("15", "CREATE EXTENSION pageinspect; CREATE EXTENSION citext"), target_on("15")
    known = json.loads((dumped.src / "dump.json").read_text())
    assert [one["name"] for one in known["database"]["extensions"]] == ["plpgsql", "pageinspect", "citext"]
    refused = run_module("postgresql_restore", check=True, src=dumped.src, **login(target))
    assert "may not create the extension 'pageinspect'" in refused["msg"]
    target.server.psql("CREATE EXTENSION pageinspect", target.name)
    result = restore(src=dumped.src, **login(target))
    assert result.get("changed"), result


@pytest.mark.parametrize("provider", ["libc", "icu"])
def test_the_system_is_asked_for_a_locale(dump_of: t.Any, target_on: t.Any, run_module: Run, provider: str) -> None:
    """pg_collation tells what there was when the cluster was made."""
    dumped, target = dump_of("french"), target_on("french")
    server = target.server
    server.drop_database(target.name)
    path = dumped.src / "dump.json"
    known = json.loads(path.read_text())
    known["database"].update(collate="tlh_XX.UTF-8", locale_provider=provider, locale="en")
    path.write_text(json.dumps(known))
    server.psql("UPDATE pg_collation SET collcollate = 'tlh_XX.UTF-8' WHERE collname = 'ucs_basic'", "postgres")
    try:
        found = run_module("postgresql_restore", check=True, src=dumped.src, **as_admin(target))
    finally:
        server.psql("UPDATE pg_collation SET collcollate = 'C' WHERE collname = 'ucs_basic'", "postgres")
    assert "the server does not know the locale 'tlh_XX.UTF-8'" in found["msg"]


def test_idle_jobs_are_not_ended(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    """While one job of pg_restore fills a large table, the others wait for it before they make its indexes."""
    more = """
    CREATE TABLE large AS SELECT i AS a, -i AS b FROM generate_series(1, 2000000) i;
    ALTER TABLE large OWNER TO "{user}"; CREATE INDEX large_a ON large (a); CREATE INDEX large_b ON large (b);
    """
    dumped, target = dump_of("15", more), target_on("15")
    target.server.psql(f'ALTER ROLE "{target.user}" CREATEDB')
    target.server.psql(f'ALTER ROLE "{target.user}" SET idle_session_timeout = 700')
    result = restore(src=dumped.src, **login(target, jobs=4))
    assert result.get("changed"), result


def test_a_role_that_a_policy_is_for_is_missed_before(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    more = """
    CREATE ROLE ruled; CREATE POLICY few ON content TO ruled USING (length > 0);
    ALTER TABLE content ENABLE ROW LEVEL SECURITY;
    """
    dumped, target = dump_of("15", more), target_on("18")
    result = restore(src=dumped.src, **as_admin(target))
    assert "have policies for rows in the dump and are not on the server: ruled. Create them" in result["msg"]
    target.server.psql("CREATE ROLE ruled")
    assert restore(src=dumped.src, **as_admin(target)).get("changed")


def test_another_version_quotes_other_names(dump_of: t.Any, target_on: t.Any, restore: Run) -> None:
    """``public.json`` of PostgreSQL 15 is ``public."json"`` of 17 and newer."""
    more = 'CREATE TABLE json AS SELECT 1 AS a; ALTER TABLE json OWNER TO "{user}"'
    dumped, target = dump_of("15", more), target_on("18")
    result = restore(src=dumped.src, **as_admin(target))
    assert result.get("changed"), result


@pytest.fixture
def place() -> t.Iterator[str]:
    """A folder of the servers' user, below folders through which that may pass."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody", "nogroup")
        yield folder


def test_room_is_looked_for_where_the_database_will_be(
    place: str, dump_of: t.Any, target_on: t.Any, run_module: Run
) -> None:
    dumped, target = dump_of("french"), target_on("french")
    target.server.psql(f"CREATE TABLESPACE large LOCATION '{place}'")
    target.server.psql(f'ALTER DATABASE "{target.name}" SET TABLESPACE large')
    path = dumped.src / "dump.json"
    known = json.loads(path.read_text())
    known["database"]["size"] = 2**60
    path.write_text(json.dumps(known))
    found = run_module("postgresql_restore", check=True, src=dumped.src, **as_admin(target))
    assert f"the volume of '{place}' has" in found["msg"]
    target.server.drop_database(target.name)
    target.server.psql("DROP TABLESPACE large")


def test_a_table_in_the_schema_of_an_extension_is_dumped(
    place: str, tmp_path: Path, make_database: t.Any, run_module: Run
) -> None:
    extension = Path(place) / "extension"
    extension.mkdir()
    (extension / "lays.control").write_text("default_version = '1'\n")
    (extension / "lays--1.sql").write_text("CREATE SCHEMA lays; CREATE TABLE lays.own (a int);")
    more = {"extension_control_path": f"{place}:$system"}
    with Server(tmp_path / "server", version="18", options=more) as server:
        database = make_database(server)
        database.psql("CREATE EXTENSION lays; CREATE TABLE lays.ours AS SELECT 1 AS a")
        options = login(database, login_user=server.user, login_password=server.password)
        result = run_module("postgresql_dump", dest=tmp_path / "out", require_blob_keys=False, **options)
    assert (result.get("changed"), result.get("tables")) == (True, 1), result


def test_tables_with_oids_which_no_newer_client_knows_are_told_with_what_to_do(
    postgresql_of: t.Any, make_database: t.Any, run_module: Run, tmp_path: Path
) -> None:
    database = make_database(postgresql_of("11"))
    as_owner(database, "CREATE TABLE old (a int) WITH OIDS")
    result = run_module("postgresql_dump", dest=tmp_path / "out", require_blob_keys=False, **login(database))
    assert 'WITH OIDS is not supported anymore (table "old"). ALTER TABLE ... SET WITHOUT OIDS' in result["msg"]
