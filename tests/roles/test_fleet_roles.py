# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several instances, several nodes: the work once for each instance, and no failure hides behind another's success."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import BOOTSTRAP
from servers.deployment import Site
from servers.playbook import REPO, wait_for


def test_two_nodes_are_one_backup_and_a_failing_neighbour_harms_nobody(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    instance = make_nuxeo(make_database(postgresql15)).start()
    instance.create_documents(4)
    other_database = make_database(postgresql15)
    other = make_nuxeo(other_database).start()
    site.add("a1", instance, nuxeo_instance="acme")
    site.add("a2", instance, nuxeo_instance="acme", restore_start=False)  # here both would have one port
    site.add("b1", other, nuxeo_instance="beta")
    postgresql15.create_user(other_database.user, "changed behind its back")
    run = site.run("backup")
    assert run.rc != 0
    assert len(site.sets("acme")) == 1
    assert site.manifest("acme")["nodes"] == {"a1": True, "a2": True}
    assert len([task for task in run.of("postgresql_dump") if task.status == "changed" and task.host == "a2"]) == 0
    assert site.sets("beta") == []
    assert run.stats["a1"]["failures"] == 0
    assert run.stats["b1"]["failures"] == 1
    assert "password authentication failed" in " ".join(run.failures)
    assert "pgpass" not in " ".join(run.failures)
    site.assert_all_verify("acme")
    (instance.data_dir / "own").write_text("made after the backup")
    with instance.conf.open("a", encoding="utf-8") as conf:
        conf.write("".join(f"more{number}=x\n" for number in range(3000)))  # so that both read it at the same time
    properties = {"own.property": "new"}
    back = site.restore(postgresql15, nuxeo_hosts="a1:a2", restore_overwrite=True, restore_properties=properties)
    written = {task.result["backup_file"] for task in back.of("nuxeo_conf") if task.result.get("backup_file")}
    assert len(written) == 1, "they have one nuxeo.conf, which is changed once"
    assert back.stdout.count(max(written)) == 1, "and it is told once"
    assert instance.conf.read_text().splitlines().count("own.property=new") == 1
    assert [path.name for path in instance.conf.parent.glob("*nuxeo.conf*~")] == [Path(max(written)).name]
    begun = [task.host for task in back.of("restore_marker") if task.task.endswith("mark it as unfinished")]
    assert begun == ["a1"], "they have one data folder, which is restored once"
    assert not (instance.data_dir / "own").exists()
    assert instance.running
    assert site.run("restore", nuxeo_hosts="a1:a2").check().changed == []


def test_backup_and_restore_see_each_other_whichever_node_leads(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    node_apart: t.Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Two nodes with a data folder each. While a run is on, the other node leads one of the other kind."""
    instance = make_nuxeo(make_database(postgresql15), properties={"repository.binary.store": str(tmp_path / "blobs")})
    second, records = tmp_path / "second", instance.data_dir / "records"
    (records / "data").mkdir(parents=True)
    shutil.copytree(instance.home, second)
    (second / "nxserver" / "data" / "own").write_text("of a2")
    mounted = tmp_path / "mounted"  # in the data folder of a2; a share that both have mounted is a1's to empty
    (mounted / "data").mkdir(parents=True)
    for folder in (records, mounted):
        (folder / "data" / "0f1e2d3c-0000-4000-8000-000000000001").write_bytes(b"record")
    instance.start().create_documents(3)
    stores = [{"provider": "records", "path": str(records), "kind": "record"}]
    more = {"nuxeo_instance": "acme", "backup_blob_stores": stores, "restore_blob_stores": stores}
    site.add("a1", instance, **more)
    site.add("a2", instance, restore_start=False, **more)
    apart = node_apart({instance.home: second, records: mounted})
    site.hosts["a2"]["ansible_python_interpreter"] = str(apart)
    site.backup()
    kept = site.sets("acme")[0] / "files"
    assert [(kept / node / "data" / "own").exists() for node in ("a1", "a2")] == [False, True]

    lease = instance.data_dir / ".nuxeo-platform-run" / "lease.json"
    late = site.start("restore", restore_overwrite=True, **site.admin(postgresql15))
    wait_for(lease.exists)
    late.process.send_signal(signal.SIGSTOP)  # it has seen no backup, and there is no guard yet that one could see
    first = site.start("backup", "--limit", "a2")
    wait_for((site.root / "acme" / "lease.json").exists)
    first.process.send_signal(signal.SIGSTOP)
    late.process.send_signal(signal.SIGCONT)
    for refused in (late.wait(), site.run("restore", restore_overwrite=True, **site.admin(postgresql15))):
        assert refused.rc != 0 and f"(process {first.process.pid}) is on since" in " ".join(refused.failures)
        assert refused.of("mark it as unfinished") == [] and instance.running
        assert not any("restore guard" in (home / "bin" / "nuxeo.conf").read_text() for home in (instance.home, second))
    assert refused.changed == []
    first.process.send_signal(signal.SIGCONT)
    assert first.wait().check() and site.manifest("acme")["leader"] == "a2"
    assert len(site.sets("acme")) == 2

    led = {"restore_set": site.sets("acme")[0].name}  # by a1, as now
    back = site.start("restore", restore_overwrite=True, **led, **site.admin(postgresql15))
    wait_for(lambda: "restore guard" in (second / "bin" / "nuxeo.conf").read_text())
    back.process.send_signal(signal.SIGSTOP)
    refused = site.run("backup", "--limit", "a2")
    holder = json.loads(lease.read_text())
    told = f"has begun by run {holder['run_id']} of user '{holder['controller']['user']}' on"
    assert refused.rc != 0 and told in " ".join(refused.failures)
    assert f"(process {back.process.pid})" in " ".join(refused.failures)
    assert len(site.sets("acme")) == 2 and site.partial("acme") == []
    back.process.send_signal(signal.SIGCONT)
    assert back.wait().check() and instance.running
    assert "restore guard" not in (second / "bin" / "nuxeo.conf").read_text()
    assert [(home / "nxserver" / "data" / "own").exists() for home in (instance.home, second)] == [False, True]
    assert len(list(instance.data_dir.glob(".nuxeo-platform-before-*/records/data/*"))) == 1
    assert [path.name for path in mounted.iterdir()] == ["data"] and len(list((mounted / "data").iterdir())) == 1


@pytest.fixture
def pair(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> tuple[t.Any, t.Any]:
    """Two nodes, a1 and a2, of one instance that have one data folder; both run, and there is a set."""
    database = make_database(postgresql15)
    one = make_nuxeo(database).start()
    two = make_nuxeo(database, properties={"nuxeo.data.dir": str(one.data_dir)}).start()
    one.create_documents(2)
    site.add("a1", one, nuxeo_instance="acme")
    site.add("a2", two, nuxeo_instance="acme")
    site.run("backup").check()
    return one, two


def test_a_node_that_cannot_be_stopped_keeps_no_other_from_running(
    site: Site, postgresql15: t.Any, pair: tuple[t.Any, t.Any]
) -> None:
    one, two = pair
    before = [instance.conf.read_bytes() for instance in (one, two)]
    site.hosts["a2"]["restore_service"] = "/nowhere/nuxeoctl"
    run = site.run("restore", restore_overwrite=True, **site.admin(postgresql15))
    assert "Node 'a2': Start of Nuxeo by '/nowhere/nuxeoctl': '/nowhere/nuxeoctl' is no" in " ".join(run.failures)
    assert run.rc != 0 and run.of("Stop the node") == []
    for broken, ran, why in (
        ("a2", True, "not every one of its nodes (a1, a2) could be stopped"),
        ("a1", True, "its leader a1 did not go on, so nothing of this node was changed"),
        ("a1", False, "its leader a1 did not go on, so nothing of this node was changed"),
    ):
        if not ran:
            two.stop()  # by somebody else, who may be at work on it
        site.hosts[broken]["restore_service"] = "/bin/false"
        run = site.run("restore", restore_overwrite=True, **site.admin(postgresql15))
        del site.hosts[broken]["restore_service"]
        told = " ".join(run.failures)
        assert run.rc != 0 and why in told
        assert "The restore had begun" not in told
        assert (one.running, two.running) == (True, ran)
        assert [instance.conf.read_bytes() for instance in (one, two)] == before
        assert run.of("mark it as unfinished") == []


def restore_that_cannot_change(site: Site, conf: Path, **options: t.Any) -> t.Any:
    """A restore during which a nuxeo.conf becomes fixed when all files of the leader are back."""
    run = site.start("restore", **options)
    wait_for(lambda: any(task.task.endswith("every one the database refers to is there") for task in run.tasks()))
    subprocess.run(["mount", "--bind", str(conf), str(conf)], check=True)
    try:
        return run.wait()
    finally:
        subprocess.run(["umount", "-l", str(conf)], check=True)


def test_no_node_starts_when_its_leader_fails_half_way(
    site: Site, postgresql15: t.Any, pair: tuple[t.Any, t.Any]
) -> None:
    """The leader's files are all back then; the rest of the restore is not."""
    one, two = pair
    options = {"restore_overwrite": True, "restore_properties": {"own.property": "new"}, **site.admin(postgresql15)}
    done = restore_that_cannot_change(site, one.conf, **options)
    told = " ".join(done.failures)
    assert done.rc != 0 and "its leader a1 did not come to the end, so this node is not started" in told
    assert "The restore had begun, so nuxeo.conf keeps the server from being started" in told
    assert (one.running, two.running) == (False, False)
    assert all("restore guard" in instance.conf.read_text() for instance in (one, two))
    words = [sys.executable, "-c", "input()", f"-Dnuxeo.conf={two.conf}", BOOTSTRAP, "start"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as started:  # in spite of all, and nothing stops it
        refused = site.run("restore", **{**options, "restore_service": "/bin/false"})
        started.kill()
    assert refused.rc != 0 and "The restore had begun, so nuxeo.conf keeps" in " ".join(refused.failures)
    assert all("restore guard" in instance.conf.read_text() for instance in (one, two)), "they are half restored still"
    site.run("restore", **options).check()
    assert (one.running, two.running) == (True, True)


def test_a_node_that_fails_alone_is_told_that_the_others_work(
    site: Site, postgresql15: t.Any, pair: tuple[t.Any, t.Any]
) -> None:
    """What it would be told else, to run the restore again, replaces what people do meanwhile."""
    one, two = pair
    options = {"restore_overwrite": True, "restore_properties": {"own.property": "new"}, **site.admin(postgresql15)}
    done = restore_that_cannot_change(site, two.conf, **options)
    told = " ".join(done.failures)
    assert done.rc != 0 and "all of the set is in its place on a1, which may be worked with" in told
    assert (one.running, two.running) == (True, False)
    assert " · NOT on node a2" in done.stdout
    assert "restore guard" in two.conf.read_text() and "restore guard" not in one.conf.read_text()
    site.run("restore", **options).check()
    assert (one.running, two.running) == (True, True)


def test_nodes_that_disagree_are_refused(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    one, two = make_nuxeo(make_database(postgresql15)).start(), make_nuxeo(make_database(postgresql15)).start()
    site.add("a1", one, nuxeo_instance="acme")
    site.add("a2", two, nuxeo_instance="acme")
    run = site.run("backup")
    assert run.rc != 0
    message = " ".join(run.failures)
    assert "their database differs" in message
    assert "their data folder differs" in message
    assert run.stats["a2"]["failures"] == 1, "the other node does not look as if it were backed up"
    assert site.sets("acme") == []


def test_a_node_without_configuration_fails_the_whole_instance(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    instance = make_nuxeo(make_database(postgresql15)).start()
    site.add("a1", instance, nuxeo_instance="acme")
    site.add("a2", instance, nuxeo_instance="acme")
    site.hosts["a2"]["nuxeo_conf_path"] = "/nowhere/nuxeo.conf"
    run = site.run("backup")
    assert run.rc != 0
    assert "/nowhere/nuxeo.conf" in " ".join(run.failures)
    assert [run.stats[node]["failures"] for node in ("a1", "a2")] == [1, 1]
    assert site.sets("acme") == []


def test_an_unreachable_node_does_not_stop_a_hot_backup_but_is_not_hidden(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    instance = make_nuxeo(make_database(postgresql15)).start()
    instance.create_documents(2)
    gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    site.add("a1", instance, nuxeo_instance="acme", **gone)
    site.add("a2", instance, nuxeo_instance="acme")
    site.add("b1", instance, nuxeo_instance="beta", **gone)
    run = site.run("backup")
    assert run.rc != 0, "an unreachable node is never a success"
    assert "Backup of instance 'beta': its node b1 cannot be reached: Failed to" in " ".join(run.failures)
    assert ".. Mend" not in " ".join(run.failures) and "has no attribute" not in run.stdout
    assert [task.result["msg"] for task in run.of("no node could be reached")] == [
        "NOT BACKED UP: beta, of which no node could be reached"
    ]
    assert site.manifest("acme")["leader"] == "a2"
    assert site.manifest("acme")["nodes"] == {"a1": False, "a2": True}
    assert "NOT in the set: files of node a1" in run.stdout
    for playbook, word, what in (("verify", "OK (verified) acme", "Check of a set"), ("list", " · hot · ", "List")):
        found = site.run(playbook)
        assert found.rc != 0 and word in found.stdout, "the first node that can be reached does the work"
        assert f"{what} of" in found.stdout and "its node a1 cannot be reached: " in " ".join(found.failures)
    site.hosts.pop("a2")
    run = site.run("restore", restore_overwrite=True)
    told = " ".join(run.failures)
    assert run.rc != 0 and "Restore of instance 'beta': its node b1 cannot be reached: Failed to" in told
    assert ".. Mend" not in told and "has no attribute" not in run.stdout


def test_a_cold_backup_refuses_when_a_node_is_left_out_or_stays_on(
    site: Site, make_nuxeo: t.Callable[..., t.Any]
) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(1)
    site.add("a1", instance, nuxeo_instance="acme")
    site.add("a2", instance, nuxeo_instance="acme")
    run = site.run("backup", "--limit", "a1")
    assert run.rc != 0
    assert "'a2'" in " ".join(run.failures)
    assert instance.running
    site.hosts["a2"]["backup_service"] = "/nowhere/nuxeoctl"
    run = site.run("backup")
    assert run.rc != 0
    assert "not every one of its nodes (a1, a2) could be stopped" in " ".join(run.failures)
    assert instance.running and site.sets("acme") == [] and site.partial("acme") == []


def test_no_server_is_stopped_while_another_instance_is_copied(
    site: Site, postgresql15: t.Any, make_database: t.Callable[..., t.Any], make_nuxeo: t.Callable[..., t.Any]
) -> None:
    """Hosts wait for each other at each step, and a dump may take hours."""
    for name, instance in (
        ("cold", make_nuxeo(None).start()),
        ("hot", make_nuxeo(make_database(postgresql15)).start()),
    ):
        instance.create_documents(2)
        site.add(name, instance)
    tasks = site.backup().tasks
    stop, start = (
        next(at for at, task in enumerate(tasks) if task.task.endswith(f"{verb} the node") and task.status == "changed")
        for verb in ("Stop", "Start")
    )
    assert stop < start and tasks[stop].host == "cold"
    assert [task.task for task in tasks[stop:start] if task.host == "hot" and task.status != "skipped"] == []
    assert [site.manifest(name)["kind"] for name in ("cold", "hot")] == ["cold", "hot"]


def test_the_second_run_in_a_play_knows_nothing_of_the_first(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    tmp_path: Path,
) -> None:
    """A loop over instances, or another try: what the first has failed for is not held against the second."""
    instance = make_nuxeo(make_database(postgresql15)).start()
    instance.create_documents(2)
    instance.stop()

    def tried(role: str, **given: t.Any) -> dict[str, t.Any]:
        include = {"ansible.builtin.include_role": {"name": f"nuxeo.platform.{role}"}, "vars": given}
        return {"block": [include], "rescue": [{"ansible.builtin.debug": {"msg": f"{role} has failed"}}]}

    nowhere = "/nowhere"
    runs = [
        *(tried("backup", backup_database_bin_dir=nowhere), tried("backup")),
        *(tried("restore", restore_database_bin_dir=nowhere), tried("restore")),
    ]
    play = tmp_path / "two.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": runs}]))
    site.add("acme", instance, restore_overwrite=True, restore_start=False, **site.admin(postgresql15))
    done = run_playbook(play, local_inventory(**site.hosts)).check()
    told = [task.result["msg"] for task in done.of("debug") if isinstance(task.result["msg"], str)]
    assert [line for line in told if "has failed" in line] == ["backup has failed", "restore has failed"]
    assert len(site.sets("acme")) == 1
    assert any(line.startswith(f"OK acme set {site.sets('acme')[0].name} · backup date") for line in told)


def test_instances_may_take_turns(
    site: Site,
    make_nuxeo: t.Callable[..., t.Any],
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    tmp_path: Path,
) -> None:
    """By ``serial`` in a play of one's own; what is still to come is not taken for what could not be reached."""
    for name in ("a1", "b1"):
        instance = make_nuxeo(None).start()
        instance.create_documents(1)
        site.add(name, instance, restore_overwrite=True)
    roles = [{"role": f"nuxeo.platform.{role}"} for role in ("backup", "restore")]
    play = tmp_path / "turns.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "serial": 1, "roles": roles}]))
    run_playbook(play, local_inventory(**site.hosts)).check()
    assert [len(site.sets(name)) for name in ("a1", "b1")] == [1, 1]


@pytest.mark.parametrize("accepted", [False, True])
def test_uncovered_stores_are_named(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    accepted: bool,
) -> None:
    database = make_database(postgresql15)
    instance = make_nuxeo(database).start()
    instance.create_documents(2)
    instance.stop()
    update = "UPDATE content SET data = 'archive:' || data WHERE id = (SELECT min(id) FROM content)"
    postgresql15.psql(update, database.name)  # in a store that nuxeo.conf does not name
    settings = [
        "elasticsearch.enabled=true",
        "audit.elasticsearch.enabled=true",
        "elasticsearch.addressList=http://127.0.0.1:1",
        "elasticsearch.client=RestClient",
        "kafka.enabled=true",
        "nuxeo.redis.enabled=true",
    ]
    with instance.conf.open("a", encoding="utf-8") as conf:
        conf.write("".join(f"{line}\n" for line in settings))
    site.add("acme", instance, nuxeo_client_python=sys.executable)
    stores = ["audit:elasticsearch", "redis", "sequences:elasticsearch", "streams:kafka"]
    some = [stores[0], stores[3]]  # what can be saved is saved unless it is listed, and there is neither engine here
    run = site.run("backup", backup_accept_uncovered=stores if accepted else some)
    if accepted:
        told = " ".join(run.failures)
        assert run.rc != 0 and "blobs whose keys begin with archive and a colon" in told
        assert "as blobs:<name> in backup_accept_uncovered" in told
        run = site.run(
            "backup", backup_accept_uncovered=[*stores, "blobs:archive", "blobs:of-another-instance"]
        ).check()
        assert site.manifest("acme")["uncovered"] == [stores[0], "blobs:archive", *stores[1:]]
        assert "NOT in the set: audit:elasticsearch, blobs:archive, redis" in run.stdout
        with instance.conf.open("a", encoding="utf-8") as conf:
            conf.write("elasticsearch.client=TransportClient\nelasticsearch.addressList=127.0.0.1:9300\n")
        refused = site.run("restore", restore_overwrite=True, restore_drop_index=True)
        assert "no REST address of its search engine. Set restore_search_url" in " ".join(refused.failures)
        at = {"restore_search_url": ["http://127.0.0.1:1"]}
        refused = site.run("restore", restore_overwrite=True, restore_drop_index=True, **at)
        told = refused.failures[-1]
        assert "nothing was changed" in told and "Deletion of the index of documents: " in told
        assert "on http://127.0.0.1:1: no answer" in told
        return
    message = " ".join(run.failures)
    assert run.rc != 0
    assert "store 'redis'" in message
    assert "127.0.0.1:1" in message, "the engine that holds the sequences could not be asked"
    assert "store 'audit:elasticsearch'" not in message
    assert site.sets("acme") == []


@pytest.mark.parametrize("playbook", sorted(path.stem for path in (REPO / "playbooks").glob("*.yml")))
def test_a_run_on_no_host_is_no_success(site: Site, playbook: str) -> None:
    """As by a wrong name, or from where there is no inventory: Ansible ends such a run as a good one."""
    empty = site.run(playbook)
    assert empty.rc != 0
    assert [failure.partition(".")[0] for failure in empty.failures] == [
        "Choice of hosts 'nuxeo': the inventory has none of them"
    ]
    site.hosts.update({"a1": {}, "b1": {}})
    apart = site.run(playbook, "--limit", "b1,c1", nuxeo_hosts="a1")
    assert apart.rc != 0 and apart.stats["b1"]["failures"] == 1
    told = "Choice of hosts 'a1' within the limit 'b1,c1': the inventory has none of them"
    assert [failure.partition(".")[0] for failure in apart.failures] == [told]


@pytest.mark.parametrize("playbook", sorted(path.stem for path in (REPO / "playbooks").glob("*.yml")))
def test_a_misspelt_variable_of_the_command_is_refused(site: Site, playbook: str) -> None:
    """Else the restore that was meant for one instance would replace the data of all."""
    site.hosts.update(dict.fromkeys(("acme", "globex"), {"nuxeo_backup_roots": "a variable of the site's own"}))
    found = site.run(playbook, nuxeo_host="acme", restore_overwrite=True, ticket="4711")
    (told,) = found.failures
    assert found.rc != 0
    assert "nothing reads 'nuxeo_host' (is it nuxeo_hosts?), so a default would be taken. Correct it" in told
