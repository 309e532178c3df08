# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded H2: stopped, copied, started again whatever happens; opened by real H2 afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import guard
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import BOOTSTRAP, environment_of, running
from servers import h2
from servers.deployment import Site, tree_hash
from servers.nuxeo import proof
from servers.playbook import wait_for
from servers.tiers import engines_only

TITLES = "SELECT ID FROM HIERARCHY WHERE PRIMARYTYPE = 'File'"


@pytest.mark.parametrize(
    ("nuxeo", "line"),
    [
        ("2023.31", "2.2.224"),
        pytest.param("10.10", "1.4.200", marks=engines_only("Molecule's scenario has both")),
    ],
)
def test_cold_backup_and_restore(
    site: Site, make_nuxeo: t.Callable[..., t.Any], h2_jar: t.Callable[[str], Path], nuxeo: str, line: str
) -> None:
    jar = h2_jar(line)
    instance = make_nuxeo(None, nuxeo, h2_jar=jar).start()
    made = set(instance.create_documents(25))
    site.add("acme", instance)
    done = site.backup()
    assert instance.running, "it ran before"
    assert site.manifest("acme")["kind"] == "cold"
    assert len(done.of("nuxeo_service")) >= 3
    assert [task.result.get("server_started") for task in done.of("The watch of the node has ended")] == [False]
    copy = site.sets("acme")[0] / "files" / "acme" / "data" / "h2"
    names = [path.name for path in copy.iterdir()]
    assert names == ["nuxeo.mv.db"]
    later = set(instance.create_documents(5))
    instance.stop()
    with (instance.data_dir / "h2" / "nuxeo.mv.db").open("r+b") as stream:
        stream.write(b"damaged" * 2000)
    for path in list((instance.store / "data").rglob("*"))[::3]:
        if path.is_file():
            path.unlink()
    told = site.run("restore", "--check", restore_overwrite=True, restore_database_password="not the set's")
    assert "Wrong user name or password" in " ".join(told.failures), "Nuxeo could not open what was restored"
    site.restore(None, restore_overwrite=True)
    assert instance.running
    os.utime(instance.data_dir / "h2" / "nuxeo.mv.db")  # as H2 does by itself for a minute to what a server has opened
    again = site.run("restore").check()
    assert again.changed == [] and instance.running
    instance.create_documents(1)
    refused = site.run("restore")
    assert refused.rc != 0 and "it is not empty" in " ".join(refused.failures)
    site.restore(None, restore_overwrite=True)
    instance.stop()
    there = set(h2.column(jar, instance.data_dir / "h2" / "nuxeo", TITLES))
    assert made <= there
    assert not later & there
    keys = h2.column(jar, instance.data_dir / "h2" / "nuxeo", "SELECT DATA FROM CONTENT WHERE DATA IS NOT NULL")
    assert proof.check_keys(keys, instance.store).good


def test_a_database_that_is_named_by_where_the_data_folder_really_is(
    site: Site, make_nuxeo: t.Callable[..., t.Any], tmp_path: Path
) -> None:
    """The data folder is a link. It comes back to a server that names both alike."""
    instance, real = make_nuxeo(None), tmp_path / "bigdisk"
    instance.data_dir.rename(real)
    instance.data_dir.symlink_to(real)
    conf = instance.conf.read_text()
    instance.conf.write_text(f"{conf}nuxeo.db.jdbc.url=jdbc:h2:{real}/h2/nuxeo\n")
    made = len(instance.start().create_documents(3))
    site.add("acme", instance)
    site.backup()
    instance.create_documents(2)
    instance.stop()
    instance.conf.write_text(conf)
    site.restore(None, restore_overwrite=True)
    assert instance.counts()["documents"] == made


def test_check_mode_stops_no_server(site: Site, make_nuxeo: t.Callable[..., t.Any]) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    (process,) = running(str(instance.conf))
    (site.root / "acme").mkdir()
    (site.root / "acme" / "stopped-acme").write_text(Path("/proc/sys/kernel/random/boot_id").read_text())

    before = tree_hash(site.root), tree_hash(instance.home, skip=("h2", "stream", "log", "standin"))
    assert "WOULD BACK UP acme" in site.backup("--check").stdout
    assert running(str(instance.conf)) == [process]
    assert (tree_hash(site.root), tree_hash(instance.home, skip=("h2", "stream", "log", "standin"))) == before


def test_a_stopped_server_stays_stopped_whatever_kind_of_value_is_given(
    site: Site, make_nuxeo: t.Callable[..., t.Any]
) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    instance.stop()
    site.add("acme", instance)
    times = "{0}_service_timeout=600 {0}_lease_timeout=900 {0}_blob_jobs=0"  # strings, as -e and inventories give them
    site.backup("-e", times.format("backup"), "-e", "backup_streams_archive=false backup_folder_times=true")
    assert not instance.running
    assert len(site.sets("acme")) == 1
    ctl = instance.home / "bin" / "starts-nothing"
    ctl.write_text(f'#!/bin/sh\n[ "$2" = startbg ] && exit 1\nexec {instance.ctl} "$@"\n')
    ctl.chmod(0o755)
    words = [
        "-e",
        times.format("restore"),
        "-e",
        "restore_overwrite=true restore_database_port=0 restore_streams=false",
    ]
    failed = site.run("restore", *words, restore_service=str(ctl))
    assert failed.rc != 0
    assert "All of the set is in its place, and the server may be started" in failed.failures[-1]
    instance.start().create_documents(1)
    refused = site.run("restore")
    assert refused.rc != 0 and "it is not empty" in " ".join(refused.failures)
    assert instance.running, "what was written since is no unfinished work of a restore"


def test_a_step_is_waited_for(
    site: Site,
    make_nuxeo: t.Callable[..., t.Any],
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    tmp_path: Path,
) -> None:
    """0 would start each long step and go on: it is refused first of all. A step that was only started is not done."""
    instance = make_nuxeo(None)
    site.add("acme", instance)
    before = tree_hash(instance.home), tree_hash(site.root)
    for playbook in ("backup", "verify", "restore", "restore_configuration"):
        role = playbook.partition("_")[0].replace("verify", "backup")
        refused = site.run(playbook, "-e", f"{role}_poll=0")
        assert refused.rc != 0
        assert f"{role}_poll: it is 0" in refused.failures[0]
        asked = {task.action for task in refused.tasks if task.action.startswith("nuxeo.platform.")}
        assert asked == {"nuxeo.platform.known_variables"}, "before all else on the node"
    assert (tree_hash(instance.home), tree_hash(site.root)) == before
    job = {"ansible_job_id": "j1", "started": 1, "finished": 0}
    known = {
        "__restore_leader": "acme",
        "__restore_members": ["acme"],
        "__restore_set_id": "20261123T020004Z",
        "__restore_run": {"who": "run r1"},
        "__restore_already": False,
        "__restore_has_folder": False,
        "__restore_node": {"facts": {"conf": str(instance.conf), "home": str(instance.home)}},
        "restore_start": False,
        "nuxeo_backup_root": str(site.root),
    }
    include = {"ansible.builtin.include_role": {"name": "nuxeo.platform.restore", "tasks_from": "start"}}
    play = tmp_path / "start.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [include]}]))
    plain = instance.conf.read_bytes()
    for finished in (0, 1):
        instance.conf.write_bytes(guard.armed(plain, "20261123T020004Z", "run r1"))
        steps = {"__restore_files": {"results": []}, "__restore_blobs": {"results": [{**job, "finished": finished}]}}
        done = run_playbook(play, local_inventory(acme={**known, **steps})).check()
        assert len(done.of("the node may be started")) == finished
    taken = {"__restore_run": {"run_id": "r1", "progress": str(tmp_path / ".partial-r1" / "progress.json")}}
    refused = run_playbook(play, local_inventory(acme={**known, **steps, **taken}))
    assert refused.rc != 0 and "another run has taken this one's place" in " ".join(refused.failures)
    instance.conf.write_bytes(guard.armed(instance.conf.read_bytes(), "20261123T020004Z"))
    run_playbook(play, local_inventory(acme={**known, **steps, "__restore_already": True})).check()
    assert not guard.is_armed(str(instance.conf)), "an earlier run has not come to it"
    assert refused.of("the node may be started") == []


def test_a_server_that_its_manager_starts_again_is_no_target(
    site: Site, make_nuxeo: t.Callable[..., t.Any], tmp_path: Path
) -> None:
    """A unit with Restart=always, whose server is stopped by nuxeoctl: what it starts has read nuxeo.conf already."""
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    site.backup()
    instance.create_documents(2)
    kept, conf = instance.counts(), instance.conf.read_text()
    words = [sys.executable, "-c", "import time; time.sleep(15)", f"-Dnuxeo.conf={instance.conf}", BOOTSTRAP, "start"]
    again = f"(sleep 0.1; exec setsid {shlex.join(words)}) > /dev/null 2>&1 &"
    manager = tmp_path / "nuxeoctl"
    manager.write_text(f'#!/bin/sh\n{instance.ctl} "$@"\ncase $2 in stop) {again}\nesac\n')
    manager.chmod(0o755)
    refused = site.run("restore", restore_overwrite=True, restore_service=str(manager))
    told = " ".join(refused.failures)
    assert refused.rc != 0 and "somebody has started it again" in told and "The restore had begun" not in told
    assert instance.running and instance.counts() == kept and instance.conf.read_text() == conf
    assert refused.of("mark it as unfinished") == []


def test_it_is_started_again_though_the_backup_fails(site: Site, make_nuxeo: t.Callable[..., t.Any]) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    next(path for path in (instance.store / "data").glob("*/*/*")).unlink()
    site.add("acme", instance)
    failed = site.run("backup")
    assert failed.rc != 0
    assert "nor in the pool" in " ".join(failed.failures)
    assert instance.running
    assert site.sets("acme") == []
    assert site.partial("acme") == []
    assert not list((site.root / "acme").glob("stopped-*"))


def ctl_that(site: Site, instance: t.Any, at_start: str) -> Path:
    """A nuxeoctl that does something before each start: a line of shell, in which $sets are the sets that there are."""
    ctl = instance.home / "bin" / "another-ctl"
    sets = shlex.quote(str(site.root / "acme" / "sets"))
    ctl.write_text(
        f'#!/bin/sh\nif [ "$2" = startbg ]; then sets=$(ls {sets}); {at_start}\nfi\nexec {instance.ctl} "$@"\n'
    )
    ctl.chmod(0o755)
    return ctl


def test_it_is_started_before_the_copy_is_proven(
    site: Site, make_nuxeo: t.Callable[..., t.Any], tmp_path: Path
) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    seen = tmp_path / "seen"
    site.backup(backup_service=str(ctl_that(site, instance, f'echo "[$sets]" >> {seen}')))
    assert seen.read_text() == "[]\n", "started once, and no set was there"
    assert instance.running and len(site.sets("acme")) == 1
    assert not list((site.root / "acme").glob("stopped-*"))
    site.assert_all_verify("acme")


@pytest.mark.parametrize("heals", [True, False])
def test_a_server_that_does_not_start_costs_no_set(site: Site, make_nuxeo: t.Callable[..., t.Any], heals: bool) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    note, seen = site.root / "acme" / "stopped-acme", site.root / "seen"
    heal = f'ls {note} >> {seen}; [ -n "$sets" ] && {"true" if heals else "false"} || exit 1'
    broken = ctl_that(site, instance, heal)
    done = site.run("backup", backup_service=str(broken))
    assert "The set is finished first; then it is tried once more." in done.stdout
    assert (done.rc == 0, instance.running) == (heals, heals)
    assert heals or "nuxeoctl" in done.failures[-1] or str(broken) in done.failures[-1]
    assert len(site.sets("acme")) == 1 and site.partial("acme") == []
    assert seen.read_text() == f"{note}\n" * 2, "a run that is killed between leaves it to others"
    assert not note.exists(), "nothing starts it behind the operator's back"
    site.assert_all_verify("acme")


def test_who_stops_a_server_may_be_silent_for_as_long(site: Site, make_nuxeo: t.Callable[..., t.Any]) -> None:
    """It gives no sign of life meanwhile, and nobody on this host sees whether it is on still."""
    instance = make_nuxeo(None).start()
    site.add("acme", instance)
    held = json.dumps({"run_id": "0123456789abcdef", "controller": {"host": "elsewhere", "user": "other"}})
    for role, place in (("restore", instance.data_dir / ".nuxeo-platform-run"), ("backup", site.root / "acme")):
        place.mkdir()
        (place / "lease.json").write_text(held)
        os.utime(place / "lease.json", (time.time() - 1200,) * 2)
        refused = site.run(role, "--check", **{f"{role}_service_timeout": 1200})
        assert "Without a sign of life for 1500 s it is taken to be gone." in " ".join(refused.failures)


def test_what_cannot_open_the_copy_stops_no_server(site: Site, make_nuxeo: t.Callable[..., t.Any]) -> None:
    instance = make_nuxeo(None).start()
    site.add("acme", instance)
    failed = site.run("backup", backup_h2_jar="/nowhere/h2.jar")
    assert failed.rc != 0
    assert "/nowhere/h2.jar" in " ".join(failed.failures)
    assert not failed.of("Stop the node")


def test_it_is_started_again_though_the_backup_root_went_away(site: Site, make_nuxeo: t.Callable[..., t.Any]) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    run = site.start("backup")
    wait_for(lambda: (site.root / "acme" / "stopped-acme").exists() and not instance.running)
    away = site.root.rename(site.root.with_name("away"))
    failed = run.wait()
    away.rename(site.root)
    assert failed.rc != 0
    assert instance.running
    assert f"{site.root}/acme/sets/.partial-" in failed.failures[0] and "is not there any more" in failed.failures[0]


def killed_while_stopped(site: Site, instance: t.Any, **variables: t.Any) -> Path:
    """A run that was killed when it had stopped the server; the note that it has left."""
    run = site.start("backup", **variables)
    note = site.root / "acme" / "stopped-acme"
    wait_for(lambda: note.exists() and not instance.running)
    run.kill()
    return note


def test_it_is_started_again_though_the_run_was_killed(site: Site, make_nuxeo: t.Callable[..., t.Any]) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    note = killed_while_stopped(site, instance, backup_environment={"WANTED": "by-nuxeoctl"}, __backup_silence=60)
    refused = site.run("backup", backup_blob_stores=[{"provider": "more", "path": "/nowhere", "kind": "file"}])
    assert refused.rc != 0
    assert note.exists() and not instance.running, "a run that never had the place has no say"
    lease = site.root / "acme" / "lease.json"
    wait_for(lambda: instance.running and not note.exists())
    assert environment_of(running(str(instance.conf))[0].pid)["WANTED"] == "by-nuxeoctl"
    wait_for(lambda: not lease.exists())
    wait_for(lambda: "it was started again" in (site.root / "acme" / "failed.json").read_text())
    site.backup()
    assert instance.running
    assert len(site.sets("acme")) == 1
    assert site.partial("acme") == []


def test_the_run_after_a_killed_one_starts_it_though_it_fails_itself(
    site: Site, make_nuxeo: t.Callable[..., t.Any]
) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    note = killed_while_stopped(site, instance)
    blob = next(path for path in (instance.store / "data").rglob("*") if path.is_file())
    rotten = blob.with_name(blob.name[:4] + "0" * 28)
    rotten.write_bytes(b"rotten")  # so that it ends before it would stop anything
    failed = site.run("backup")
    assert failed.rc != 0
    assert rotten.name in " ".join(failed.failures)
    assert instance.running and not note.exists()
    instance.stop()
    note.write_text("of another boot")
    assert site.run("backup").rc != 0
    assert not instance.running, "since then the node was booted: it is stopped for a reason of its own"
    assert not note.exists()


def test_the_run_after_a_killed_one_may_be_killed_as_well(site: Site, make_nuxeo: t.Callable[..., t.Any]) -> None:
    """The watch of the first has ended then, and the second has not come to its own."""
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    note = killed_while_stopped(site, instance)
    run = site.start("backup")
    wait_for(lambda: instance.running and not note.exists())
    assert site.sets("acme") == []
    run.kill()
    assert instance.running
    site.backup()
    assert instance.running and len(site.sets("acme")) == 1


def test_who_has_the_care_of_a_stopped_server_starts_it(
    make_nuxeo: t.Callable[..., t.Any],
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    tmp_path: Path,
) -> None:
    """The end of a cold backup alone: not what the run that took its place has stopped, nor what nobody can tell."""
    cases = {
        "own": ({"lease": {"run_id": "r1"}}, True, True),
        "left-by-a-killed-one": ({"lease": {"run_id": "r1"}}, False, True),
        "taken": ({"lease": {"run_id": "r2"}}, True, False),
        "unknown": ({}, True, True),
        "unknown-of-another": ({}, False, False),
    }
    instances = {name: make_nuxeo(None) for name in cases}
    boot, hosts = Path("/proc/sys/kernel/random/boot_id").read_text(), {}
    for name, (after, ran, _started) in cases.items():
        instance = instances[name]
        note = tmp_path / "backup" / name / f"stopped-{name}"
        note.parent.mkdir(parents=True)
        note.write_text(boot)
        where = {"conf": str(instance.conf), "home": str(instance.home), "version": "10.10"}
        hosts[name] = {
            "nuxeo_backup_root": str(tmp_path / "backup"),
            "__backup_leader": name,
            "__backup_node": {"facts": where},
            "__backup_begun": {"run_id": "r1"},
            "__backup_after": after,
            "__backup_running": {"running_before": ran},
            "__backup_watch": {},
        }
    include = {"ansible.builtin.include_role": {"name": "nuxeo.platform.backup", "tasks_from": "start"}}
    play = tmp_path / "start.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [include]}]))
    run_playbook(play, local_inventory(**hosts)).check()
    started = {name: instance.running for name, instance in instances.items()}
    assert started == {name: case[2] for name, case in cases.items()}
    left = {path.parent.name for path in (tmp_path / "backup").glob("*/stopped-*")}
    assert left == {name for name, there in started.items() if not there}, "who has the care of it sees the note"


def watches(folder: Path) -> list[int]:
    """The processes of the watch of runs from that folder, without the one that keeps its result."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            command = b" ".join(words)
            if all(part in command for part in (b"Z_nuxeo_service_watch", bytes(folder))) and b"async_w" not in command:
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("after", ["Stop the node", "Open the copy of H2"])
def test_a_copy_during_which_it_was_started_is_no_backup(
    site: Site, make_nuxeo: t.Callable[..., t.Any], tmp_path: Path, after: str
) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    run = site.start("backup")
    wait_for(lambda: any(after in task.task and task.status == "changed" for task in run.tasks()))
    run.process.send_signal(signal.SIGSTOP)
    victims = watches(tmp_path)
    assert victims, "the watch is on"
    for process in victims:
        os.kill(process, signal.SIGKILL)
    instance.start()
    run.process.send_signal(signal.SIGCONT)
    failed = run.wait()
    assert "Watch of 'acme': " in failed.stdout and "Mend that before the next backup" in failed.stdout
    assert failed.rc != 0
    assert "node acme was started while its files were copied" in " ".join(failed.failures)
    assert len(failed.of("with the proof that none is missing")) == (after != "Stop the node")
    assert site.sets("acme") == []
    assert instance.running


def test_a_copy_of_files_that_are_written_to_is_no_backup(site: Site, make_nuxeo: t.Callable[..., t.Any]) -> None:
    """By something else than the server, which is stopped."""
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    site.add("acme", instance)
    written = instance.data_dir / "written"
    written.write_bytes(b"x" * (1 << 27))  # so that reading it takes a while, as a hole does not
    words = ["sh", "-c", 'while :; do echo x >> "$0"; done', str(written)]
    with subprocess.Popen(words) as writer:
        failed = site.run("backup")
        writer.kill()
    assert failed.rc != 0
    assert "files of its data folder were written to or removed while its files were copied" in " ".join(
        failed.failures
    )
    assert site.sets("acme") == [] and instance.running


def test_an_old_h2_does_not_get_a_new_file(
    site: Site, make_nuxeo: t.Callable[..., t.Any], h2_jar: t.Callable[[str], Path]
) -> None:
    source = make_nuxeo(None, "2021.48", h2_jar=h2_jar("2.2.224")).start()
    source.create_documents(2)
    site.add("acme", source)
    site.backup()
    engine = ["http://elastic:hidden-word/1@localhost:9200"]
    refused = site.run("backup", "-vvv", backup_search_url=engine)
    assert refused.rc != 0 and "backup_search_url: it has a login in it" in " ".join(refused.failures)
    assert "hidden-word" not in refused.stdout
    target = make_nuxeo(None, "2021.30", h2_jar=h2_jar("1.4.200"))
    site.hosts.clear()
    site.add("old", target, restore_from_instance="acme")
    urls = {
        "restore_nuxeo_url": "http://Administrator:hidden-word/1@localhost:8080/nuxeo",
        "restore_search_url": engine,
    }
    refused = site.run("restore", "-vvv", restore_overwrite=True, restore_reindex=True, restore_drop_index=True, **urls)
    assert refused.rc != 0
    assert "nothing was changed" in " ".join(refused.failures)
    assert "restore_reindex needs a password" in " ".join(refused.failures)
    assert "restore_nuxeo_url has a login in it" in " ".join(refused.failures)
    assert "restore_search_url: it has a login in it" in " ".join(refused.failures)
    assert "hidden-word" not in refused.stdout


def test_retention_is_not_released_before_the_restore_has_ended(site: Site, make_nuxeo: t.Callable[..., t.Any]) -> None:
    """Kafka could delete what is still to be copied, or to be done."""
    instance = make_nuxeo(None)
    site.add("acme", instance, nuxeo_client_python=sys.executable)
    begun = {"status": "begun", "set": "", "instance": "acme", "run": "", "kept_aside": None, "database": None}
    streams = {"prefix": "new-", "source": "old-", "state": str(instance.data_dir / "state.json")}
    (instance.data_dir / ".nuxeo-platform-restore.json").write_text(json.dumps({**begun, "streams": streams}))
    (refused,) = site.run("streams_release").failures
    assert "no finished restore has brought streams back" in refused
