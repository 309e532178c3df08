# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of the roles alone, on nodes whose leader has failed, or whose run has lost its place."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import guard

Vars = t.Dict[str, t.Any]
Play = t.Callable[[t.Mapping[str, Vars], t.Sequence[Vars]], t.Any]


@pytest.fixture
def steps(local_inventory: t.Callable[..., Path], run_playbook: t.Callable[..., t.Any], tmp_path: Path) -> Play:
    """Runs tasks on some hosts, as a role does: who has failed waits for the end."""

    def run(hosts: t.Mapping[str, Vars], tasks: t.Sequence[Vars]) -> t.Any:
        play = tmp_path / "steps.yml"
        block = {"block": tasks, "rescue": [{"ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}]}
        play.write_text(
            json.dumps([{"hosts": "all", "gather_facts": False, "any_errors_fatal": False, "tasks": [block]}])
        )
        return run_playbook(play, local_inventory(**hosts)).check()

    return run


def part(role: str, name: str) -> Vars:
    return {"ansible.builtin.include_role": {"name": f"nuxeo.platform.{role}", "tasks_from": name}}


def test_only_who_has_its_place_starts_a_server_before_the_end(
    steps: Play, make_nuxeo: t.Callable[..., t.Any], tmp_path: Path
) -> None:
    """The rest is left to the end of the run, which every node comes to."""
    cases = {"own": "r1", "taken": "r2", "lost": None, "other": "r1"}
    instances = {name: make_nuxeo(None) for name in cases}
    broken = make_nuxeo(None)
    ctl = broken.home / "bin" / "starts-nothing"
    ctl.write_text("#!/bin/sh\nexit 1\n")
    ctl.chmod(0o755)
    instances["broken"], cases["broken"] = broken, "r1"
    boot, hosts = Path("/proc/sys/kernel/random/boot_id").read_text(), {}
    for name, holder in cases.items():
        instance, leader = instances[name], "failed" if name == "other" else name
        folder = tmp_path / "backup" / name
        (folder / "sets").mkdir(parents=True)
        (folder / f"stopped-{name}").write_text(boot)
        if holder:
            (folder / "lease.json").write_text(json.dumps({"run_id": holder}))
        hosts[name] = {
            "nuxeo_backup_root": str(tmp_path / "backup"),
            "nuxeo_service": str(ctl) if name == "broken" else "nuxeoctl",
            "__backup_leader": leader,
            "__backup_node": {"facts": {"conf": str(instance.conf), "home": str(instance.home), "version": "10.10"}},
            "__backup_begun": {"run_id": "r1"},
            "__backup_running": {"running_before": True},
            "__backup_watch": {},
            "__backup_released": False,
        }
    hosts["failed"] = {"__backup_leader": "failed", "__backup_begun": {"run_id": "r1"}, "__backup_after": {}}
    fail = {"ansible.builtin.fail": {"msg": "as on the way"}, "when": "inventory_hostname == 'failed'"}
    say = {"name": "say", "ansible.builtin.debug": {"var": "__backup_released"}}
    done = steps(hosts, [fail, part("backup", "release"), say])
    assert {task.host for task in done.tasks if task.status == "failed"} == {"failed", "broken"}
    assert {name: instance.running for name, instance in instances.items()} == {name: name == "own" for name in cases}
    told = {task.host: task.result["__backup_released"] for task in done.of("say")}
    assert told == {name: name == "own" for name in cases}
    left = {path.parent.name for path in (tmp_path / "backup").glob("*/stopped-*")}
    assert left == set(cases) - {"own"}, "the watch goes on"


def test_no_node_is_changed_by_a_restore_that_has_lost_its_place(
    steps: Play, make_nuxeo: t.Callable[..., t.Any], tmp_path: Path
) -> None:
    one, two = make_nuxeo(None), make_nuxeo(None)
    known = {
        "nuxeo_instance": "acme",
        "nuxeo_backup_root": str(tmp_path),
        "restore_database_name": "of_the_lost_run",
        "__restore_leader": "n1",
        "__restore_streams_target": {},
        "__restore_turn": {},
        "__restore_run": {"progress": str(tmp_path / "taken" / "progress.json")},
    }
    hosts = {
        name: {**known, "__restore_node": {"facts": {"conf": str(instance.conf), "version": "10.10"}}}
        for name, instance in (("n1", one), ("n2", two))
    }
    before = one.conf.read_bytes(), two.conf.read_bytes()
    lost = steps(hosts, [part("restore", "turn"), part("restore", "conf")])
    assert {task.host for task in lost.tasks if task.status == "failed"} == {"n1", "n2"}
    assert all("another run has taken this one's place" in told for told in lost.failures)
    assert (one.conf.read_bytes(), two.conf.read_bytes()) == before
    fail = {"ansible.builtin.fail": {"msg": "as on the way"}, "when": "inventory_hostname == 'n1'"}
    failed = steps(hosts, [fail, part("restore", "turn"), part("restore", "conf")])
    assert "its leader n1 did not come to the end" in failed.failures[-1]
    assert two.conf.read_bytes() == before[1]


@pytest.mark.parametrize("half_done", [None, "by its marker", "by a guard"])
def test_nodes_that_share_a_nuxeo_conf_run_again_after_a_refused_restore(
    steps: Play, make_nuxeo: t.Callable[..., t.Any], half_done: str | None
) -> None:
    """One of them has armed the guard, and the others find it so. Where one is half restored, none is touched."""
    instance = make_nuxeo(None).start()  # so that two nodes on one host do not race for one port
    before = instance.conf.read_bytes()
    if half_done == "by a guard":
        instance.conf.write_bytes(guard.armed(before, "20261122T020004Z", "another"))
    facts = {"conf": str(instance.conf), "home": str(instance.home), "version": "10.10"}
    known = {
        "nuxeo_instance": "acme",
        "__restore_leader": "n1",
        "__restore_members": ["n1", "n2"],
        "__restore_refused": "not every one of its nodes could be stopped.",
        "__restore_failure": "refused",
        "__restore_target": {},
        "__restore_node": {"facts": facts},
        "__restore_stopped": {"changed": True},
        **{name: {} for name in ("__restore_blobs", "__restore_turn", "__restore_reindexed")},
        "__restore_unguarded": {"skipped": True},
        "__restore_already": False,
    }
    arm = {"path": str(instance.conf), "restore_guard": "armed", "restore_set": "20261123T020004Z", "restore_by": "r"}
    arming = {"name": "arm", "nuxeo.platform.nuxeo_conf": arm, "register": "__restore_guarded"}
    undo = {"block": [part("restore", "begin_undo")], "rescue": [part("restore", "report")]}
    marked = {"__restore_target": {"marker": {"status": "begun" if half_done == "by its marker" else "finished"}}}
    done = steps({"n1": {**known, **marked}, "n2": known}, [arming, undo])
    assert sorted(task.status for task in done.of("arm")) == ["changed", "ok"]
    started = {task.host for task in done.of("Start the node again") if task.status in ("ok", "changed")}
    assert started == (set() if half_done else {"n1", "n2"})
    assert (instance.conf.read_bytes() == before) is (half_done is None)
    verdicts = [task.result["msg"] for task in done.of("The instance was not restored")]
    assert ["The restore had begun" in told for told in verdicts] == [half_done is not None] * 2
