# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a backup that failed, alone: what it removes, and what it leaves."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest

RUN = "0123456789abcdef"
ROLE = {"name": "nuxeo.platform.backup"}


@pytest.mark.parametrize("published", [True, False])
def test_the_snapshot_of_a_set_that_was_published_stays(
    tmp_path: Path,
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    published: bool,
) -> None:
    """A module may be killed after the rename, before it could tell: there is a set then, which names the snapshot."""
    sets = tmp_path / "backup" / "acme" / "sets"
    partial = sets / f".partial-{RUN}"
    (sets / "20261123T020004Z" if published else partial).mkdir(parents=True)
    known = {
        "nuxeo_backup_root": str(tmp_path / "backup"),
        "__backup_leader": "acme",
        "__backup_begun": {"run_id": RUN, "partial": str(partial)},
        "__backup_audit": {"repository": "nuxeo-acme"},
        "__backup_audit_job": {"ansible_job_id": "1.2"},
        "__backup_audit_python": sys.executable,
        "__backup_node": {"facts": {"conf": str(tmp_path / "nuxeo.conf"), "home": str(tmp_path)}},
        "backup_search_url": ["http://127.0.0.1:1"],
    }
    include = {"ansible.builtin.include_role": {**ROLE, "tasks_from": "failed"}}
    block = {"block": [{"ansible.builtin.fail": {"msg": "killed"}}], "rescue": [include]}
    play = tmp_path / "failed.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [block]}]))
    done = run_playbook(play, local_inventory(acme=known)).check()
    assert len(done.of("Remove the snapshot that no set names")) == (not published)
    assert not partial.exists() and len(list(sets.iterdir())) == published


def published(
    tmp_path: Path, local_inventory: t.Callable[..., Path], run_playbook: t.Callable[..., t.Any], **more: t.Any
) -> str:
    """What the end of a backup says that has two nodes; neither has copied its configuration."""
    known = {
        "nuxeo_instance": "acme",
        "nuxeo_backup_root": str(tmp_path),
        "__backup_leader": "a1",
        "__backup_members": ["a1", "a2"],
        "__backup_nodes": {"a1": {"facts": {}}, "a2": {"facts": {}}},
        "__backup_begun": {"run_id": RUN},
        "__backup_plan": {"providers": ["records"], "trees": [], "stores": [], "uncovered": [], "shares": []},
        "__backup_node": {"facts": {}},
        "__backup_dump": {"backup_date": "2026-11-23T02:00:04Z", "blob_providers": ["records"]},
        "__backup_blobs": {"results": []},
        "__backup_cold": False,
        "__backup_ends": {},
        "__backup_audit": {},
    }
    include = {"ansible.builtin.include_role": {**ROLE, "tasks_from": "publish"}}
    play = tmp_path / "publish.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [include]}]))
    inventory = local_inventory(**{name: {**known, **more.get(name, {})} for name in ("a1", "a2")})
    return " ".join(run_playbook(play, inventory).failures)


@pytest.mark.parametrize("copied", [{"a1": {}, "a2": {}}, {"a1": {}, "a2": {"failed": True}}, {"a1": {}}])
def test_a_set_that_a_node_has_not_come_to_is_not_published(
    tmp_path: Path,
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    copied: dict[str, dict[str, bool]],
) -> None:
    """A node that fails on the way leaves the play, and its leader goes on."""
    said = {name: {"__backup_conf_copy": copy} for name, copy in copied.items()}
    told = published(tmp_path, local_inventory, run_playbook, **said)
    whole = copied == {"a1": {}, "a2": {}}
    assert ("of its nodes a1, a2 not every one came this far" in told) != whole, told
    assert ("Publish of run" in told) == whole, told


def test_a_set_without_blobs_that_the_database_names_is_not_published(
    tmp_path: Path, local_inventory: t.Callable[..., Path], run_playbook: t.Callable[..., t.Any]
) -> None:
    """No store is the default one here, whose copy would look at the keys of others."""
    dump = {"backup_date": "2026-11-23T02:00:04Z", "blob_providers": ["", "archive", "records"]}
    said = {name: {"__backup_conf_copy": {}, "__backup_dump": dump} for name in ("a1", "a2")}
    told = published(tmp_path, local_inventory, run_playbook, **said)
    assert "blobs whose keys begin with archive and a colon, and no copied store holds them" in told
    assert "Publish of run" not in told


@pytest.mark.parametrize("playbook", ["backup", "list", "verify", "restore", "restore_configuration"])
def test_a_site_that_names_no_backup_root_is_told_to(
    playbook: str, local_inventory: t.Callable[..., Path], run_playbook: t.Callable[..., t.Any]
) -> None:
    done = run_playbook(f"{playbook}.yml", local_inventory(acme={}))
    assert done.rc != 0
    assert "Nothing says where the sets are. Set nuxeo_backup_root in the inventory" in " ".join(done.failures)


def test_the_list_tells_what_is_no_set(
    tmp_path: Path, local_inventory: t.Callable[..., Path], run_playbook: t.Callable[..., t.Any]
) -> None:
    (tmp_path / "acme" / "sets" / "20261123T020004Z").mkdir(parents=True)
    hosts = {name: {"nuxeo_backup_root": str(tmp_path)} for name in ("acme", "globex")}
    done = run_playbook("list.yml", local_inventory(**hosts)).check()
    told = {task.host: task.result["msg"] for task in done.of("Complete sets")}
    assert told["acme"][0] == "no complete set of acme"
    assert told["acme"][1].startswith("UNREADABLE ") and "20261123T020004Z" in told["acme"][1]
    assert told["globex"] == ["no complete set of globex; the root has sets of acme. See nuxeo_instance of the host"]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"done": 7, "total": 9, "unit": "blobs", "bytes_copied": 3 << 30}, " 7 of 9 blobs, 3.00 GB copied"),
        ({"done": 0, "total": 1, "unit": "folders", "blobs": 0, "bytes_copied": 0}, " 0 of 1 folders"),
        ({"done": 3 << 20, "total": None, "unit": "bytes"}, " 3.00 MB"),
    ],
)
def test_the_list_tells_how_far_a_run_is(
    tmp_path: Path,
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    step: dict[str, t.Any],
    told: str,
) -> None:
    partial = tmp_path / "acme" / "sets" / f".partial-{RUN}"
    partial.mkdir(parents=True)
    (tmp_path / "acme" / "lease.json").write_text(json.dumps({"run_id": RUN, "started": "then"}))
    (partial / "progress.json").write_text(json.dumps({"phase": "blobs default", **step}))
    done = run_playbook("list.yml", local_inventory(acme={"nuxeo_backup_root": str(tmp_path)})).check()
    said = done.of("Complete sets")[0].result["msg"][0]
    assert said.startswith(f"RUNNING since then · blobs default{told} · last sign of life "), said


@pytest.mark.parametrize(
    ("told", "failures"),
    [
        ({"a1": {"__backup_published": {"id": "20261123T020004Z", "backup_date": "x"}}}, {}),
        ({"a1": {"__backup_failure": "the disk is full"}}, dict.fromkeys(("a1", "a2"), "the disk is full")),
        ({}, dict.fromkeys(("a1", "a2"), "its leader a1 did not publish a set")),
    ],
)
def test_no_node_looks_as_if_it_were_backed_up_when_its_leader_made_no_set(
    tmp_path: Path,
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    told: dict[str, dict[str, t.Any]],
    failures: dict[str, str],
) -> None:
    """Whatever has become of it: it may have gone in the middle without a word."""
    known = {
        "nuxeo_instance": "acme",
        "nuxeo_backup_root": str(tmp_path),
        "__backup_leader": "a1",
        "__backup_members": ["a1", "a2"],
        "__backup_plan": {"uncovered": [], "embedded": False, "stores": []},
        "__backup_node": {"facts": {}},
        "__backup_dump": {"blob_providers": []},
        "__backup_audit": {},
        "__backup_sees_root": {"stat": {"exists": True}},
        "__backup_failure": "",
    }
    include = {"ansible.builtin.include_role": {**ROLE, "tasks_from": "report"}}
    play = tmp_path / "report.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [include]}]))
    done = run_playbook(play, local_inventory(**{name: {**known, **told.get(name, {})} for name in ("a1", "a2")}))
    said = {name: 1 for name, stats in done.stats.items() if stats["failures"]}
    assert said == dict.fromkeys(failures, 1), done.stdout
    assert all(f"Backup of instance 'acme': {why}" in " ".join(done.failures) for why in failures.values())
    assert ("OK acme set 20261123T020004Z" in done.stdout) != bool(failures)
