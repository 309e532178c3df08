# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of one instance with a data folder each: what one keeps there for itself comes back to no other."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest
from servers.deployment import Site


@pytest.fixture
def folders(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    node_apart: t.Callable[..., Path],
    tmp_path: Path,
) -> dict[str, Path]:
    """The data folders of two stopped nodes; in each a file says whose it is."""
    instance = make_nuxeo(make_database(postgresql15), properties={"repository.binary.store": str(tmp_path / "blobs")})
    instance.start().create_documents(3)
    instance.stop()
    second = tmp_path / "second"
    shutil.copytree(instance.home, second)
    apart = str(node_apart({instance.home: second}))
    for name, more in {"a1": {}, "a2": {"ansible_python_interpreter": apart}}.items():
        site.add(name, instance, nuxeo_instance="acme", restore_start=False, **more)
    found = {"a1": instance.data_dir, "a2": second / "nxserver" / "data"}
    for name, folder in found.items():
        (folder / "own").write_text(name)
    return found


def owners(folders: dict[str, Path]) -> dict[str, str | None]:
    return {
        name: (folder / "own").read_text() if (folder / "own").exists() else None for name, folder in folders.items()
    }


def test_each_gets_its_own_files_whichever_leads(site: Site, folders: dict[str, Path], postgresql15: t.Any) -> None:
    site.backup()
    assert site.manifest("acme")["leader"] == "a1"
    site.hosts = dict(reversed(site.hosts.items()))
    done = site.restore(postgresql15, restore_overwrite=True)
    assert [task.host for task in done.of("restore_plan")] == ["a2"]
    assert owners(folders) == {"a1": "a1", "a2": "a2"}


def test_a_leader_that_was_down_takes_nothing_of_another(
    site: Site, folders: dict[str, Path], postgresql15: t.Any
) -> None:
    site.backup("--limit", "a2")
    assert site.manifest("acme")["nodes"].get("a1", False) is False
    done = site.restore(postgresql15, restore_overwrite=True)
    (plan,) = done.of("restore_plan")
    assert plan.host == "a1"
    told = "a1: the set has none of it, it begins empty, unless it has one data folder with a2"
    assert [told in line for line in plan.result["lines"] if line.startswith("node     a1")] == [True]
    assert owners(folders) == {"a1": None, "a2": "a2"}


def test_what_comes_back_to_nobody_is_told(site: Site, folders: dict[str, Path], postgresql15: t.Any) -> None:
    """Of a cluster that is restored onto one server."""
    site.backup()
    del site.hosts["a2"]
    done = site.restore(postgresql15, restore_overwrite=True)
    (verdict,) = (task.result["msg"] for task in done.of("What was restored"))
    assert "NOT as in the set: 1 files of node a2, which is none of the target, stay in the set: 'own'" in verdict


def test_a_leader_that_was_down_takes_what_all_have_together(
    site: Site, folders: dict[str, Path], postgresql15: t.Any
) -> None:
    del site.hosts["a2"]["ansible_python_interpreter"]
    site.backup("--limit", "a2")
    (folders["a1"] / "own").unlink()
    done = site.restore(postgresql15, restore_overwrite=True)
    assert [task.host for task in done.of("restore_plan")] == ["a1"]
    assert owners(folders) == {"a1": "a1", "a2": "a2"}
