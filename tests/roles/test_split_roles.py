# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that leaves nodes of an instance out, by --limit, serial or an earlier failure, says so or does nothing."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from servers.deployment import Site

Play = dict[str, t.Any]


def play_of(role: str, **more: t.Any) -> Play:
    roles = [{"role": f"nuxeo.platform.{role}", "vars": more.pop("given", {})}]
    return {"hosts": "all", "gather_facts": False, "any_errors_fatal": False, "roles": roles, **more}


@pytest.fixture
def instance(make_nuxeo: t.Callable[..., t.Any]) -> t.Any:
    """On H2, so that it is stopped for its copy."""
    made = make_nuxeo(None).start()
    made.create_documents(1)
    return made


@pytest.fixture
def run_plays(
    site: Site,
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    tmp_path: Path,
) -> t.Callable[..., t.Any]:
    def run(*plays: Play, words: t.Sequence[str] = ()) -> t.Any:
        path = tmp_path / "plays.yml"
        path.write_text(json.dumps(plays))
        return run_playbook(path, local_inventory(**site.hosts), {}, *words)

    return run


@pytest.mark.parametrize("role", ["backup", "restore"])
@pytest.mark.parametrize("split", ["limit", "serial"])
def test_an_instance_that_the_play_alone_names_is_not_split(
    site: Site, instance: t.Any, run_plays: t.Callable[..., t.Any], role: str, split: str
) -> None:
    """Nobody would know of the node that is left out; its server may have the data folder open."""
    for name in ("a1", "a2"):
        site.add(name, instance)
    given = {"nuxeo_instance": "acme"}
    if role == "restore":
        run_plays(play_of("backup", given=given)).check()
        assert instance.running
    more = {"serial": 1} if split == "serial" else {}
    run = run_plays(play_of(role, given=given, **more), words=["--limit", "a1"] if split == "limit" else [])
    assert run.rc != 0
    told = f"{role.capitalize()} of instance 'acme': the play names it so, and not the inventory"
    assert all(failure.startswith(told) for failure in run.failures), run.stdout
    assert len(site.sets("acme")) == (role == "restore")
    assert instance.running and not list(instance.data_dir.glob(".nuxeo-platform-before-*"))


def test_nodes_that_the_inventory_names_by_a_variable_of_the_role_are_known(site: Site, instance: t.Any) -> None:
    for name in ("a1", "a2"):
        site.add(name, instance, backup_instance="acme", restore_instance="acme")
    site.run("backup").check()
    assert site.manifest("acme")["nodes"] == {"a1": True, "a2": True}
    for playbook in ("backup", "restore"):
        run = site.run(playbook, "--limit", "a1", restore_overwrite=True)
        assert run.rc != 0 and "Node 'a2': " in " ".join(run.failures), run.stdout
        assert instance.running and len(site.sets("acme")) == 1


def test_what_an_earlier_play_knew_of_a_node_says_nothing(
    site: Site, instance: t.Any, run_plays: t.Callable[..., t.Any]
) -> None:
    """As in a rolling upgrade: back up, upgrade, which fails on one node, back up again."""
    for name in ("a1", "a2"):
        site.add(name, instance, nuxeo_instance="acme")
    upgrade = {"ansible.builtin.fail": {"msg": "not upgraded"}, "when": "inventory_hostname == 'a2'"}
    between = {"hosts": "all", "gather_facts": False, "any_errors_fatal": False, "tasks": [upgrade]}
    run = run_plays(play_of("backup"), between, play_of("backup"))
    assert "Node 'a2': " in " ".join(run.failures), run.stdout
    assert len(site.sets("acme")) == 1 and site.manifest("acme")["nodes"] == {"a1": True, "a2": True}
    run = run_plays(play_of("restore", given={"restore_overwrite": True}), between, play_of("restore"))
    assert "Node 'a2': " in " ".join(run.failures), run.stdout
    assert instance.running
