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
    found = add_both(site, instance, node_apart, tmp_path / "second")
    for name, folder in found.items():
        (folder / "own").write_text(name)
    return found


def add_both(site: Site, instance: t.Any, node_apart: t.Callable[..., Path], second: Path) -> dict[str, Path]:
    shutil.copytree(instance.home, second, symlinks=True)
    apart = str(node_apart({instance.home: second}))
    for name, more in {"a1": {}, "a2": {"ansible_python_interpreter": apart}}.items():
        site.add(name, instance, nuxeo_instance="acme", restore_start=False, **more)
    return {"a1": instance.data_dir, "a2": second / "nxserver" / "data"}


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


def test_a_volume_that_is_away_on_one_node_is_told_before_anything_is_changed(
    site: Site, folders: dict[str, Path], postgresql15: t.Any, node_apart: t.Callable[..., Path], tmp_path: Path
) -> None:
    """Its mount point is an empty folder, which looks like a data folder of the node's own."""
    site.backup()
    path, mount_point = folders["a1"], folders["a2"]
    shutil.rmtree(mount_point)
    mount_point.mkdir()
    empty = site.run("backup")
    assert empty.rc != 0 and empty.changed == [] and len(site.sets("acme")) == 1
    assert f"- Node 'a2': Data folder '{path}': it is empty. Is its volume mounted?" in " ".join(empty.failures)
    site.restore(postgresql15, restore_overwrite=True)  # of a new node nobody expects more
    assert owners(folders) == {"a1": "a1", "a2": "a2"}

    blobs, fstab = tmp_path / "blobs", tmp_path / "fstab"
    fstab.write_text(f"nas:/data {path} nfs defaults 0 0\nnas:/blobs {blobs} nfs defaults 0 0\n")
    apart = node_apart({path.parents[1]: mount_point.parents[1], Path("/etc/fstab"): fstab})
    site.hosts["a2"]["ansible_python_interpreter"] = str(apart)
    (path / "own").write_text("changed")
    for playbook, options in {"backup": {}, "restore": {"restore_overwrite": True, **site.admin(postgresql15)}}.items():
        away = site.run(playbook, **options)
        assert away.rc != 0 and away.changed == []
        told = [line for line in "\n".join(away.failures).splitlines() if line.startswith("- Node 'a2': ")]
        for folder in (path, blobs):
            words = f"'{folder}': nothing is mounted on '{folder}', where /etc/fstab has a volume. Mount it."
            assert any(words in line for line in told), (playbook, folder, told)
    assert (path / "own").read_text() == "changed"


@pytest.mark.parametrize("node", ["a1", "a2"])
def test_the_bodies_of_works_come_with_the_queue_of_their_node(
    site: Site,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
    node_apart: t.Callable[..., Path],
    tmp_path: Path,
    node: str,
) -> None:
    """Also where the other one has had none that is too big for a record."""
    words = "nuxeo.stream.work"
    enabled = {f"{words}.enabled": "true", f"{words}.computation.filter.enabled": "true"}
    instance = make_nuxeo(make_database(postgresql15), properties=enabled)
    instance.start().create_documents(3)
    instance.stop()
    (instance.data_dir / "binaries").rename(tmp_path / "shared")
    (instance.data_dir / "binaries").symlink_to(tmp_path / "shared")
    shutil.rmtree(instance.data_dir / "binaries_transient_default")
    data = add_both(site, instance, node_apart, tmp_path / "second")
    body = "binaries_transient_default/data/body"
    (data[node] / body).parent.mkdir(parents=True)
    (data[node] / body).write_text("a big work")
    site.backup()
    files = site.sets("acme")[0] / "files"
    assert [name for name in data if (files / name / "data" / body).exists()] == [node]
