# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job: an instance on PostgreSQL is backed up while it writes, damaged, and restored."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import guard
from servers.deployment import Site, tree_hash
from servers.nuxeo import proof
from servers.nuxeo.ports import free_port
from servers.playbook import wait_for


def removals(ledger: Path) -> set[str]:
    """The documents that the writer has begun to remove, before the cut or after it."""
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    return {line["id"] for line in lines if line["what"] != "created"}


@pytest.mark.parametrize(("version", "nuxeo"), [("9.6", "10.10"), ("18", "2023.31")])
def test_hot_backup_and_restore_keep_every_document_and_blob(
    postgresql_of: t.Any,
    site: Site,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    version: str,
    nuxeo: str,
) -> None:
    server = postgresql_of(version)
    database = make_database(server)
    instance = make_nuxeo(database, nuxeo).start()
    clients = str(Path(server.program("pg_dump")).parent)
    site.add("acme", instance, backup_database_bin_dir=clients, restore_database_bin_dir=clients)
    instance.create_documents(30)
    before = proof.documents(server, database.name)
    instance.write(40)
    site.backup()
    instance.write(0)
    cut = site.manifest("acme")["backup_date"]
    server.psql("drop table content cascade; delete from hierarchy", database.name)
    for folder in list((instance.store / "data").iterdir())[::2]:
        shutil.rmtree(folder)
    site.restore(server, restore_overwrite=True)
    assert instance.running
    must, may = proof.expected(instance.ledger, cut)
    removed = removals(instance.ledger)
    there = proof.documents(server, database.name)
    assert (before | must) - removed - there == set(), "documents from before the cut are lost"
    assert there - before - may == set(), "documents from after the cut are there"
    assert len(must - before - removed) >= 10
    found = proof.check_blobs(server, database.name, instance.store)
    assert found.good, found
    site.backup()  # what was restored can be saved as well
    assert len(site.sets("acme")) == 2
    site.assert_all_verify("acme")
    verified = site.run("verify").check()
    assert "OK (verified)" in verified.stdout


def test_a_second_restore_changes_nothing(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    database = make_database(postgresql15)
    instance = make_nuxeo(database).start()
    instance.create_documents(10)
    site.add("acme", instance)
    postgresql15.psql(f'alter database "{database.name}" set temp_tablespaces = nowhere')
    site.backup()
    site.backup()
    url = {"restore_properties": {"nuxeo.url": "http://one.example.com/nuxeo"}}
    first = site.restore(postgresql15, restore_overwrite=True, **url)
    assert "NOT as in the set: The parameter temp_tablespaces of the database could not be set" in first.stdout
    oid = postgresql15.psql(f"select oid from pg_database where datname = '{database.name}'")
    before = tree_hash(instance.data_dir, skip=("stream",))
    assert not (instance.data_dir / ".nuxeo-platform-run" / "lease.json").exists(), "it was given back"
    again = site.restore(postgresql15, **url)
    assert again.changed == []
    assert postgresql15.psql(f"select oid from pg_database where datname = '{database.name}'") == oid
    conf, elsewhere = instance.conf.read_bytes(), {"repository.binary.store": str(site.root.parent / "new")}
    refused = site.run("restore", **site.admin(postgresql15), restore_properties=elsewhere)
    assert "would not see that repository.binary.store" in " ".join(refused.failures), "it runs"
    assert (refused.rc, instance.conf.read_bytes()) == (2, conf)
    assert tree_hash(instance.data_dir, skip=("stream",)) == before
    clid = next(path for path in instance.data_dir.iterdir() if path.is_file() and not path.name.startswith("."))
    clid.unlink()
    site.restore(postgresql15, restore_overwrite=True)
    assert clid.exists(), "what is no blob is put back on request"
    assert postgresql15.psql(f"select oid from pg_database where datname = '{database.name}'") == oid
    other = f"{database.user}_other"
    postgresql15.psql(f'create role "{other}"; grant "{other}" to "{database.user}"')
    site.restore(postgresql15, restore_overwrite=True, restore_database_owner=other)
    owners = "select distinct tableowner from pg_tables where schemaname = 'public'"
    assert postgresql15.psql(owners, database.name) == other, "it was asked for otherwise"
    assert site.restore(postgresql15, restore_database_owner=other).changed == []
    earlier = site.run("restore", "--check", restore_set=site.sets("acme")[0].name, **site.admin(postgresql15))
    assert "it is not empty: relation" in " ".join(earlier.failures), "it is unchanged since that of another set"
    # but a row that somebody has changed since is never taken for the set, nor overwritten unasked
    instance.create_documents(1)
    refused = site.run("restore", **site.admin(postgresql15))
    assert refused.rc != 0
    assert "not empty" in " ".join(refused.failures)


def test_what_is_written_while_the_server_stops_is_no_half_restore(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    tmp_path: Path,
) -> None:
    """As a server takes itself off the list of a cluster's."""
    database = make_database(postgresql15)
    instance = make_nuxeo(database).start()
    instance.create_documents(3)
    site.add("acme", instance)
    site.backup()
    site.restore(postgresql15, restore_overwrite=True)
    control = tmp_path / "nuxeoctl"
    control.write_text(
        f"""#!/bin/sh
        case "$*" in *stop*)
          export PGHOST={postgresql15.host} PGPORT={postgresql15.port} PGUSER={database.user}
          PGPASSWORD={shlex.quote(database.password)} {postgresql15.program("psql")} -q -d {database.name} \\
            -c "insert into hierarchy (id) values ('last words $$')"
        esac
        exec {instance.home}/bin/nuxeoctl "$@"
        """
    )
    control.chmod(0o755)
    marker = instance.data_dir / ".nuxeo-platform-restore.json"
    before = marker.read_text()
    options = {**site.admin(postgresql15), "restore_overwrite": True, "restore_service": str(control)}
    refused = site.run("restore", **options)
    assert refused.rc, refused.stdout
    assert "has changed its database since it was planned to keep it" in " ".join(refused.failures)
    assert instance.running, "nothing was changed"
    assert guard.BEGIN not in instance.conf.read_text()
    assert marker.read_text() == before
    site.run("restore", **options).check()
    left = "select count(*) from hierarchy where id like 'last words%'"
    assert postgresql15.psql(left, database.name) == "0"


def test_what_was_there_before_a_killed_restore_is_told_by_the_one_of_another_set(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    """Besides what that one replaces, which nobody misses."""
    database = make_database(postgresql15)
    instance = make_nuxeo(database).start()
    site.add("acme", instance)
    instance.create_documents(2)
    half = proof.documents(postgresql15, database.name)
    site.backup()
    instance.create_documents(2)
    site.backup()
    instance.create_documents(2)
    before, marker = proof.documents(postgresql15, database.name), instance.data_dir / ".nuxeo-platform-restore.json"
    one, other = (path.name for path in site.sets("acme"))
    run = site.start("restore", restore_overwrite=True, restore_set=one, **site.admin(postgresql15))
    wait_for(lambda: marker.exists() and json.loads(marker.read_text()).get("filled"))
    run.kill()
    done = site.restore(postgresql15, restore_set=other)
    (told,) = (task.result["msg"] for task in done.of("What was restored"))
    names = [word.rstrip(",") for word in told.partition("kept aside: ")[2].split() if word.startswith(database.name)]
    assert [proof.documents(postgresql15, name) for name in names] == [before, half], told


def test_check_mode_changes_nothing_and_predicts(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    database = make_database(postgresql15)
    instance = make_nuxeo(database).start()
    instance.create_documents(5)
    site.add("acme", instance)
    before = tree_hash(site.root), tree_hash(instance.home, skip=("stream", "log", "standin"))
    told = site.backup("--check")
    assert "WOULD BACK UP acme · 5 blobs, of which the pool lacks 5 with " in told.stdout
    assert (tree_hash(site.root), tree_hash(instance.home, skip=("stream", "log", "standin"))) == before
    site.backup()
    site.backup("--check")
    before = tree_hash(site.root), tree_hash(instance.home, skip=("stream", "log", "standin"))
    rows = postgresql15.psql("select count(*) from hierarchy", database.name)
    told = site.restore(postgresql15, "--check", restore_overwrite=True)
    assert "WOULD RESTORE" in told.stdout
    assert instance.running
    assert postgresql15.psql("select count(*) from hierarchy", database.name) == rows
    assert (tree_hash(site.root), tree_hash(instance.home, skip=("stream", "log", "standin"))) == before


def test_a_clone_has_its_own_database_folder_and_owner(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    source_database, other = make_database(postgresql15), make_database(postgresql15)
    source = make_nuxeo(source_database).start()
    source.create_documents(12)
    postgresql15.psql('create schema "ext s"; create extension pg_trgm schema "ext s"', source_database.name)
    site.add("acme", source)
    site.backup()
    source_rows = proof.documents(postgresql15, source_database.name)
    before = tree_hash(source.data_dir, skip=("stream",))
    clone = make_nuxeo(other)
    site.hosts.clear()
    site.add("staging", clone, restore_from_instance="acme")
    data_dir = clone.home / "elsewhere" / "data"
    before_conf = clone.conf.read_text().replace(f"nuxeo.db.user={other.user}", "nuxeo.db.user=of_nobody")
    before_conf = before_conf.replace("nuxeo.templates=postgresql", "nuxeo.templates=default")  # H2, as it comes
    before_conf += "nuxeo.db.password=outdated\n"
    clone.conf.write_text(before_conf)
    done = site.restore(
        postgresql15,
        restore_database_name="acme_clone",
        restore_database_user=other.user,
        restore_database_password=other.password,
        restore_database_owner=other.user,
        restore_data_dir=str(data_dir),
        restore_properties={"nuxeo.url": "http://staging.example.com/nuxeo", "nuxeo.templates": "postgresql"},
    )
    try:
        assert proof.documents(postgresql15, "acme_clone") == source_rows
        assert proof.check_blobs(postgresql15, "acme_clone", data_dir / "binaries").good
        conf = clone.conf.read_text()
        assert "nuxeo.db.name=acme_clone" in conf
        assert f"nuxeo.data.dir={data_dir}" in conf
        assert "## Of this instance" in conf  # its comments are still there
        (kept,) = (word for word in done.stdout.replace('"', " ").split() if word.startswith(f"{clone.conf}."))
        assert Path(kept).read_text() == before_conf, "for a way back"
        owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'acme_clone'"
        assert postgresql15.psql(owner) == other.user
        where = "select nspname from pg_extension join pg_namespace n on n.oid = extnamespace where extname = 'pg_trgm'"
        assert postgresql15.psql(where, "acme_clone") == "ext s"
        assert [len(done.of(f"community.postgresql.postgresql_{what}")) for what in ("db", "schema", "ext")] == [
            1,
            1,
            1,
        ]
        assert tree_hash(source.data_dir, skip=("stream",)) == before
        assert proof.documents(postgresql15, source_database.name) == source_rows
        assert postgresql15.psql("select count(*) from pg_tables where schemaname = 'public'", other.name) == "0"
    finally:
        clone.nuxeoctl("stop")
        postgresql15.drop_database("acme_clone")


def test_a_clone_never_goes_into_its_own_source(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    database = make_database(postgresql15)
    source = make_nuxeo(database).start()
    site.add("acme", source)
    site.backup()
    site.hosts.clear()
    site.add("staging", make_nuxeo(database), restore_from_instance="acme")
    refused = site.run("restore", **site.admin(postgresql15), restore_overwrite=True)
    assert refused.rc != 0
    assert "source's own database" in " ".join(refused.failures)
    assert source.running


def test_all_problems_of_a_target_are_told_at_once_and_nothing_is_changed(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    database = make_database(postgresql15)
    instance = make_nuxeo(database).start()
    instance.create_documents(3)
    site.add("acme", instance)
    site.backup()
    before = tree_hash(instance.home, skip=("stream", "log", "standin"))
    subprocess.run(["mount", "--bind", instance.conf, instance.conf], check=True)
    refused = site.run("restore", **site.admin(postgresql15), restore_owner="no-such-user")
    subprocess.run(["umount", "-l", instance.conf], check=True)
    message = " ".join(refused.failures)
    assert refused.rc != 0
    assert "4 problems, nothing was changed" in message
    assert "nuxeo.conf': it is mounted by itself" in message
    assert "there is no user 'no-such-user' on this host" in message
    assert "data folder" in message
    assert "not empty: relation" in message
    assert instance.running
    assert tree_hash(instance.home, skip=("stream", "log", "standin")) == before
    # the unfinished restore of another database is no consent for this one, nor one whose guard somebody has taken out
    begun = {"status": "begun", "set": "", "instance": "acme", "run": "", "kept_aside": None, "database": None}
    marker = instance.data_dir / ".nuxeo-platform-restore.json"
    conf = instance.conf.read_bytes()
    own = database.name
    for name, held, problems in (("other", True, "1 problem,"), (own, True, ""), (own, False, "2 problems,")):
        replaces = {"database": f"127.0.0.1:{postgresql15.port}/{name}"}
        marker.write_text(json.dumps({**begun, "replaces": replaces}))
        instance.conf.write_bytes(guard.armed(conf, site.sets("acme")[0].name) if held else conf)
        tried = site.run("restore", "--check", **site.admin(postgresql15))
        assert (problems in " ".join(tried.failures)) if problems else tried.rc == 0, tried.failures
    marker.unlink()
    instance.conf.with_name(".nuxeo.conf.lock").mkdir()  # what nobody foresees
    failed = site.run("restore", **site.admin(postgresql15), restore_overwrite=True)
    assert "Is a directory" in " ".join(failed.failures)
    assert "keeps the server from being started" not in " ".join(failed.failures)
    assert instance.running and not marker.exists()
    instance.stop()
    assert site.run("restore", **site.admin(postgresql15), restore_overwrite=True).rc != 0
    assert not instance.running, "somebody else has stopped it, who may be at work on it"
    unknown = site.run("restore", **site.admin(postgresql15), restore_set="20200101T000000Z")
    assert unknown.rc != 0
    assert "no such set" in " ".join(unknown.failures)


def test_a_lost_server_gets_its_configuration_and_its_data_back(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    database = make_database(postgresql15)
    instance = make_nuxeo(database).start()
    made = set(instance.create_documents(8))
    site.add("acme", instance)
    site.backup()
    conf = instance.conf.read_text()
    refused = site.run("restore", restore_overwrite=True)
    assert "may not rename it to keep it aside" in " ".join(refused.failures)
    assert "restore_database_admin_user" in " ".join(refused.failures)
    instance.stop()
    shutil.rmtree(instance.data_dir)
    postgresql15.drop_database(database.name)
    postgresql15.psql(f'create database "{database.name}" owner "{database.user}"')
    instance.conf.write_text("nuxeo.templates=default\n")
    told = site.run("restore_configuration", "--check").check()
    assert f"WOULD PUT BACK acme configuration of 'acme' from set {site.sets('acme')[0].name}" in told.stdout
    assert instance.conf.read_text() == "nuxeo.templates=default\n"
    kept = site.sets("acme")[0] / "conf" / "acme" / "nuxeo.conf"
    whole = kept.read_text()
    kept.write_text(whole + "nuxeo.templates=other\n")
    refused = site.run("restore_configuration")
    assert "conf/acme/nuxeo.conf" in " ".join(refused.failures)
    assert instance.conf.read_text() == "nuxeo.templates=default\n", "nothing of a damaged set is put back"
    kept.write_text(whole)
    site.run("restore_configuration").check()
    assert instance.conf.read_text() == conf
    aside = list(instance.conf.parent.glob("nuxeo.conf.before-*"))
    assert [path.read_text() for path in aside] == ["nuxeo.templates=default\n"]
    assert site.run("restore_configuration").check().changed == []
    unknown = site.run("restore_configuration", restore_configuration_node="b1")
    assert "none of a node 'b1'" in " ".join(unknown.failures)
    site.restore(None)  # as the database's owner, who may not make one
    assert instance.running
    assert made <= proof.documents(postgresql15, database.name)
    assert proof.check_blobs(postgresql15, database.name, instance.store).good


def test_the_server_behind_what_nuxeo_conf_names_is_dumped(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    """As where a pooler is between, from which no dump may be taken; here nothing answers at all."""
    database = make_database(postgresql15)
    instance = make_nuxeo(database).start()
    instance.create_documents(3)
    instance.stop()
    conf, port = instance.conf.read_text(), f"nuxeo.db.port={postgresql15.port}\n"
    assert port in conf
    instance.conf.write_text(conf.replace(port, f"nuxeo.db.port={free_port()}\n"))
    site.add("acme", instance)
    there = {"backup_database_host": "127.0.0.1", "backup_database_port": str(postgresql15.port)}
    assert site.run("backup").rc != 0
    site.backup("--check", **there)
    site.backup(**there)
    site.assert_all_verify("acme")
    assert site.manifest("acme")["database"]["server"]["system_identifier"]


def test_a_nuxeo_conf_that_waits_for_a_restart_is_not_what_the_server_works_with(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    """The database that it names would be saved and called the server's."""
    instance = make_nuxeo(make_database(postgresql15)).start()
    instance.create_documents(2)
    site.add("acme", instance)
    other = make_database(postgresql15)
    make_nuxeo(other).start().stop()
    with instance.conf.open("a", encoding="utf-8") as conf:
        conf.write(f"nuxeo.db.name={other.name}\nnuxeo.db.user={other.user}\n")
    (told,) = site.run("backup").failures
    assert f"runs with nuxeo.db.name, nuxeo.db.user otherwise than '{instance.conf}'" in told
    assert site.sets("acme") == site.partial("acme") == []
    instance.stop()
    made = set(instance.start().create_documents(2))
    site.backup()
    assert site.manifest("acme")["nuxeo"]["database"]["name"] == other.name
    assert proof.documents(postgresql15, other.name) == made


def test_what_a_set_holds_is_owner_only_and_without_secrets(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    secret = "c4n4ry'se cret"
    database = make_database(postgresql15, password=secret)
    instance = make_nuxeo(database).start()
    instance.create_documents(2)
    site.add("acme", instance, **site.admin(postgresql15))  # not by -e, which Ansible itself prints
    done = site.backup("-vvvv")
    restored = site.restore(None, "-vvvv", restore_overwrite=True)
    for run in (done, restored):
        assert secret not in run.stdout + run.stderr
        assert postgresql15.password not in run.stdout + run.stderr
    for path in Path("/dev/shm").glob("pgpass-*/*"):  # of others, who run now
        assert secret not in path.read_text()
    for path in [site.root / "acme", *(site.root / "acme").rglob("*")]:
        assert path.lstat().st_mode & 0o077 == 0, path
        if path.is_file() and "conf" not in path.parts:
            assert secret.encode() not in path.read_bytes(), path
