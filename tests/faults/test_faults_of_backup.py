# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong at real sites: a clear error, nothing published, older sets whole, the next run needs no hand."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from servers.deployment import Site
from servers.nuxeo import proof


@pytest.fixture
def acme(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> t.Any:
    """A running instance with some documents and one good set."""
    instance = make_nuxeo(make_database(postgresql15)).start()
    instance.create_documents(20)
    site.add("acme", instance)
    site.backup()
    return instance


def assert_clean(site: Site, sets: int = 1) -> None:
    """Nothing partial, no lease, and every set is whole."""
    assert len(site.sets("acme")) == sets
    assert site.partial("acme") == []
    assert not (site.root / "acme" / "lease.json").exists()
    site.assert_all_verify("acme")


def assert_refused(site: Site, *words: str, **variables: t.Any) -> str:
    """A backup that fails, says the words, and leaves nothing."""
    run = site.run("backup", **variables)
    message = " ".join(run.failures)
    assert run.rc != 0
    for word in words:
        assert word in message, message
    assert_clean(site)
    return message


def test_a_configuration_that_does_not_lead_to_the_database(site: Site, acme: t.Any) -> None:
    text = acme.conf.read_text()
    acme.conf.write_text(text + "\nnuxeo.db.password=wrong-one\n")
    message = assert_refused(site, "password authentication failed", "nothing was changed")
    assert "wrong-one" not in message
    acme.conf.write_text(text + "\nnuxeo.db.port=1\n")
    assert_refused(site, "127.0.0.1:1", "its server runs with nuxeo.db.port otherwise")
    acme.conf.rename(acme.conf.with_suffix(".away"))
    assert_refused(site, str(acme.conf), "no such file")


def test_folders_that_are_missing_or_an_empty_mount(site: Site, acme: t.Any) -> None:
    shutil.move(acme.store / "data", acme.home / "away")
    (acme.store / "data").mkdir()
    assert_refused(site, "accept_shrink")
    run = site.run("backup", backup_root=str(acme.home / "absent"))
    assert "no such folder" in " ".join(run.failures)
    acme.stop()
    acme.data_dir.rename(acme.data_dir.with_name("away-too"))
    assert_refused(site, "Data folder", "mounted")
    acme.data_dir.mkdir()
    assert_refused(site, "it is empty", "mounted")


def test_a_backup_root_inside_the_data_folder(site: Site, acme: t.Any) -> None:
    inside = acme.data_dir / "backup"
    inside.mkdir()
    run = site.run("backup", backup_root=str(inside))
    assert run.rc != 0
    assert "inside" in " ".join(run.failures)
    assert list(inside.iterdir()) == []


def test_a_blob_that_the_database_refers_to_is_rotten_or_missing(site: Site, acme: t.Any) -> None:
    acme.create_documents(1)
    made = max(
        (path for path in (acme.store / "data").rglob("*") if path.is_file()), key=lambda p: p.stat().st_mtime_ns
    )
    made.write_bytes(b"rotten")
    assert_refused(site, made.name)
    made.unlink()
    message = assert_refused(site, made.name)
    assert "missing" in message or "neither" in message


def _mounted(folder: Path, size: str) -> t.Any:
    @contextlib.contextmanager
    def mounted() -> t.Iterator[None]:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)

    return mounted()


@pytest.mark.skipif(os.geteuid() != 0, reason="a volume of a fixed size needs root")
@pytest.mark.parametrize("full_of", ["rows", "blobs"])
def test_a_full_disk_while_dumping_and_while_copying(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    full_of: str,
) -> None:
    database = make_database(postgresql15)
    instance = make_nuxeo(database).start()
    instance.create_documents(5)
    site.add("acme", instance)
    with _mounted(site.root, "14m"):
        site.backup()
        if full_of == "rows":
            random = "md5(i::text || random()) || md5(random()::text)"
            noise = f"create table noise as select i, {random} as a from generate_series(1, 500000) i"
            postgresql15.psql(f'set role "{database.user}"; {noise}', database.name)
        else:
            instance.create_documents(20, size=1_000_000)
        assert_refused(site, "No space left on device")
        if full_of == "rows":
            postgresql15.psql("drop table noise", database.name)
            site.backup()
            assert_clean(site, 2)


def _wait(what: t.Callable[[], t.Any], seconds: float = 120) -> t.Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


def _dumping(site: Site, program: str = "pg_dump", word: str = "--file=") -> list[int]:
    """The pg_dump processes of this site; others end while one looks."""
    done = subprocess.run(["pgrep", "-x", program], capture_output=True, text=True, check=False)
    found = []
    for pid in done.stdout.split():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if str(site.root).encode() in words and word.encode() in words:
                found.append(int(pid))
    return found


def _slow(postgresql: t.Any, instance: t.Any) -> None:
    """Enough rows that the dump takes a while."""
    login = {key: instance.conf.read_text().split(f"nuxeo.db.{key}=")[1].split()[0] for key in ("name", "user")}
    rows = "select i, md5(i::text) || md5(random()::text) as a from generate_series(1, 700000) i"
    postgresql.psql(f'set role "{login["user"]}"; create table noise as {rows}', login["name"])


def test_a_dump_that_is_killed(site: Site, acme: t.Any, postgresql15: t.Any) -> None:
    _slow(postgresql15, acme)
    run = site.start("backup")
    os.kill(_wait(lambda: _dumping(site))[0], signal.SIGKILL)
    result = run.wait(300)
    assert result.rc != 0
    assert "pg_dump" in " ".join(result.failures)
    assert_clean(site)


def _ancestors(pid: int) -> t.Iterator[tuple[int, list[str]]]:
    """A process and those above it, with their arguments, up to what init has taken."""
    while pid > 1:
        yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_step_that_is_killed_is_not_waited_for(site: Site, acme: t.Any, postgresql15: t.Any) -> None:
    """A step that ends without a word leaves the note that it works, for which Ansible waits a week."""
    _slow(postgresql15, acme)
    run = site.start("backup")
    above = list(_ancestors(_wait(lambda: _dumping(site))[0]))
    for pid, _words in reversed([one for one in above if "ansible" in " ".join(one[1]) or "pg_dump" in one[1][0]]):
        os.kill(pid, signal.SIGKILL)
    result = run.wait(120)
    assert result.rc != 0
    assert "postgresql_dump on acme: its process has ended without a result" in result.failures[-1]
    assert_clean(site)


def test_the_second_of_two_runs_names_the_holder_and_the_first_goes_on(
    site: Site, acme: t.Any, postgresql15: t.Any
) -> None:
    first = site.start("backup")
    _wait((site.root / "acme" / "lease.json").exists)
    os.killpg(first.process.pid, signal.SIGSTOP)  # so that it is on for as long as we look
    try:
        second = site.run("backup")
        restore = site.run("restore", **site.admin(postgresql15), restore_overwrite=True)
        seen = site.run("list").check().stdout
    finally:
        os.killpg(first.process.pid, signal.SIGCONT)
    for run in (second, restore):
        message = " ".join(run.failures)
        assert run.rc != 0
        assert "is on since" in message
        assert f"process {first.process.pid}" in message
    assert "a backup of 'acme'" in " ".join(restore.failures)
    assert re.search(r"RUNNING since \S+ · .*last sign of life \d+ s ago", seen), seen
    first.wait(300).check()
    assert_clean(site, 2)


def test_the_second_of_two_restores_and_a_backup_name_the_holder_and_the_first_goes_on(
    site: Site, acme: t.Any, postgresql15: t.Any
) -> None:
    database = acme.conf.read_text().split("nuxeo.db.name=")[1].split()[0]
    before = proof.documents(postgresql15, database)
    first = site.start("restore", **site.admin(postgresql15), restore_overwrite=True)
    _wait((acme.data_dir / ".nuxeo-platform-run" / "lease.json").exists)
    os.killpg(first.process.pid, signal.SIGSTOP)  # so that it is on for as long as we look
    try:
        second = site.run("restore", **site.admin(postgresql15), restore_overwrite=True)
        backup = site.run("backup")
    finally:
        os.killpg(first.process.pid, signal.SIGCONT)
    for run in (second, backup):
        assert run.rc != 0
    message = " ".join(second.failures)
    assert "is on since" in message and f"process {first.process.pid}" in message
    assert "restore into" in " ".join(backup.failures)
    first.wait(300).check()
    assert acme.running
    assert proof.documents(postgresql15, database) == before
    assert_clean(site)


def test_two_instances_of_one_name_are_saved_and_restored_side_by_side(
    site: Site,
    tmp_path: Path,
    local_inventory: t.Callable[..., Path],
    start_playbook: t.Callable[..., t.Any],
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
) -> None:
    sites = [site, Site(tmp_path / "backup2", local_inventory, start_playbook)]
    databases = [make_database(postgresql15, password=f"of {number}") for number in range(2)]
    instances = [make_nuxeo(database).start() for database in databases]
    for number, (each, instance) in enumerate(zip(sites, instances)):
        instance.create_documents(10 + number)
        each.add("acme", instance)
    before = [proof.documents(postgresql15, database.name) for database in databases]
    for run in [each.start("backup") for each in sites]:
        run.wait(600).check()
    for database in databases:
        postgresql15.drop_database(database.name)
    variables = {**site.admin(postgresql15), "restore_overwrite": True}
    for run in [each.start("restore", **variables) for each in sites]:
        run.wait(600).check()
    assert before[0] != before[1]
    assert [proof.documents(postgresql15, database.name) for database in databases] == before
    assert all(instance.running for instance in instances)
    for each in sites:
        assert_clean(each)


def test_killed_runs_need_no_hand(site: Site, acme: t.Any, postgresql15: t.Any) -> None:
    """One after the other is killed, each a step later than the one before; the last goes to its end."""
    _slow(postgresql15, acme)
    sets = site.root / "acme" / "sets"

    def kill_at(sign: str, modules: bool = True) -> None:
        earlier = site.partial("acme")
        run = site.start("backup")
        _wait(lambda: [path for path in sets.glob(sign) if path.relative_to(sets).parts[0] not in earlier])
        run.kill(modules=modules)
        listed = site.run("list").check()
        assert all(path.name in listed.stdout for path in site.sets("acme"))

    kill_at(".partial-*")
    kill_at(".partial-*/database/dump/*")
    kill_at(".partial-*/database/dump/*", modules=False)  # the dump goes on as an orphan
    kill_at(".partial-*/files/*/*")
    assert len(site.sets("acme")) == 1
    site.run("restore", "--check", **site.admin(postgresql15), restore_overwrite=True).check()
    kill_at(".partial-*/conf/*/nuxeo.conf")
    done = len(site.sets("acme"))
    assert done in (1, 2)
    site.backup()
    assert_clean(site, done + 1)


def _reached(acme: t.Any, run: t.Any, step: str) -> bool:
    """Whether a restore has come to a step."""
    done = (task.task.split(" : ")[-1] for task in run.tasks() if task.status == "changed")
    marked = (acme.data_dir / ".nuxeo-platform-restore.json").exists()
    return marked if step == "Marked" else any(name.startswith(step) for name in done)


def test_a_killed_restore_cannot_be_started_and_is_finished_by_the_next(
    site: Site, acme: t.Any, postgresql15: t.Any
) -> None:
    database = acme.conf.read_text().split("nuxeo.db.name=")[1].split()[0]
    before = proof.documents(postgresql15, database)
    for step in ("Marked", "Files | The data", "Start | All"):
        run = site.start("restore", **site.admin(postgresql15), restore_overwrite=True)
        _wait(functools.partial(_reached, acme, run, step))
        run.kill()
        armed = "restore guard" in acme.conf.read_text()
        assert armed == (step != "Start | All")
        if armed:
            started = acme.nuxeoctl("start")
            assert started.returncode != 0, "a half restored instance was started"
            assert not acme.running
        site.restore(postgresql15, restore_overwrite=not armed)
        assert acme.running
        assert proof.documents(postgresql15, database) == before
        assert proof.check_blobs(postgresql15, database, acme.store).good
        assert "restore guard" not in acme.conf.read_text()


def test_a_login_that_may_not_rename_a_database_finishes_what_it_has_filled(
    site: Site, acme: t.Any, postgresql15: t.Any
) -> None:
    words = dict(line.split("=", 1) for line in acme.conf.read_text().splitlines() if line.startswith("nuxeo.db."))
    name, owner = words["nuxeo.db.name"], words["nuxeo.db.user"]
    before = proof.documents(postgresql15, name)
    acme.stop()
    postgresql15.drop_database(name)
    postgresql15.psql(f'create database "{name}" owner "{owner}"')
    run = site.start("restore", restore_overwrite=True)
    _wait(functools.partial(_reached, acme, run, "Files | The data"))
    run.kill()
    done = site.run("restore").check()
    assert not done.of("community.postgresql.postgresql_db")
    assert acme.running
    assert proof.documents(postgresql15, name) == before
    assert proof.check_blobs(postgresql15, name, acme.store).good


def test_a_database_that_is_filled_when_its_run_is_gone_is_not_filled_again(
    site: Site, acme: t.Any, postgresql15: t.Any
) -> None:
    """The controller is lost and the node goes on to the end of the step, for hours maybe."""
    name = acme.conf.read_text().split("nuxeo.db.name=")[1].split()[0]
    before = proof.documents(postgresql15, name)
    _slow(postgresql15, acme)
    site.backup()
    run = site.start("restore", **site.admin(postgresql15), restore_overwrite=True)
    _wait(lambda: _dumping(site, "pg_restore", "--use-list"))
    run.kill(modules=False)
    marker = acme.data_dir / ".nuxeo-platform-restore.json"
    (aside,) = _wait(lambda: json.loads(marker.read_text()).get("kept_databases"))
    done = site.restore(postgresql15)
    assert not done.of("community.postgresql.postgresql_db")
    assert f"kept aside: {aside}" in done.stdout
    assert proof.documents(postgresql15, name) == before


def test_a_bit_that_flipped_is_found_named_and_healed(site: Site, acme: t.Any, postgresql15: t.Any) -> None:
    blob = next(
        path
        for path in (site.root / "acme" / "blobs" / "default").rglob("*")
        if path.is_file() and len(path.name) == 32
    )
    blob.chmod(0o600)
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    run = site.run("verify")
    assert run.rc != 0
    assert blob.name in " ".join(run.failures) + run.stdout
    site.backup()
    site.run("verify").check()
    dump = next((site.sets("acme")[-1] / "database" / "dump").glob("*.dat*"))
    dump.chmod(0o600)
    dump.write_bytes(dump.read_bytes()[:-1] + b"x")
    assert site.run("verify").rc != 0
    refused = site.run("restore", **site.admin(postgresql15), restore_overwrite=True)
    assert refused.rc != 0
    assert dump.name in " ".join(refused.failures)
    assert acme.running, "nothing was changed"
