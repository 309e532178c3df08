# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup copies as trees of files, and what stands in the way of that."""

from __future__ import annotations

import itertools
import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import mounts, preflight, trees
from ansible_collections.nuxeo.platform.plugins.module_utils._files import tree
from ansible_collections.nuxeo.platform.plugins.module_utils._files.entry import FilesError


def plan(
    facts: dict[str, t.Any], further: t.Sequence[dict[str, t.Any]] = (), exclude: t.Sequence[str] = ()
) -> dict[str, t.Any]:
    return preflight.plan({"n1": {"facts": facts}}, "n1", (), further, exclude)


def test_an_embedded_engine_is_saved_with_the_data_folder_of_a_stopped_server(facts: dict[str, t.Any]) -> None:
    data = Path(facts["data_dir"])
    (data / "h2").mkdir()
    (data / "h2" / "nuxeo.mv.db").touch()
    facts["database"] = {"kind": "h2", "path": str(data / "h2" / "nuxeo")}
    facts["search"] = {"embedded": True}
    facts["audit"] = {"kept": "elasticsearch", "index": "nuxeo-audit"}
    (problem,) = plan(facts)["problems"]
    assert "there is no folder" in problem and "elasticsearch" in problem
    (data / "elasticsearch").mkdir()
    assert plan(facts)["problems"] == []
    facts["search"]["path"] = None
    facts["audit"].update(embedded=True, path=str(data / "opensearch"))  # 2025
    (problem,) = plan(facts)["problems"]
    assert f"there is no folder '{data}/opensearch'" in problem
    (data / "opensearch").mkdir()
    found = plan(facts)
    assert found["problems"] == []
    assert "opensearch" not in found["trees"][0]["exclude"]
    (data.parent / "opensearch").mkdir()
    facts["audit"]["path"] = str(data.parent / "opensearch")
    (problem,) = plan(facts)["problems"]
    assert f"its folder '{data.parent}/opensearch' is not in the data folder" in problem
    facts["audit"] = facts["sequences"] = {"kept": "sql"}
    facts["database"] = {"kind": "postgresql", "host": "db", "port": 5432, "name": "nuxeo"}
    facts["search"] = {"embedded": True, "path": str(data / "opensearch")}
    assert "opensearch" in plan(facts)["trees"][0]["exclude"], "its index can be made again"


def test_an_h2_database_is_found_in_the_copy_however_it_is_named(facts: dict[str, t.Any]) -> None:
    """The data folder is a link, and the database is named by where that leads, or the reverse."""
    real = Path(facts["data_dir"])
    (link := real.parent / "nxserver").symlink_to(real)
    (real / "h2").mkdir()
    (real / "h2" / "nuxeo.mv.db").touch()
    for data, folder in itertools.product((real, link), repeat=2):
        facts.update(data_dir=str(data), database={"kind": "h2", "path": str(folder / "h2" / "nuxeo")})
        found = plan(facts)
        assert (found["problems"], found["h2"]) == ([], "h2/nuxeo"), (data, folder)
    facts["database"] = {"kind": "postgresql", "host": "db", "port": 5432, "name": "nuxeo"}
    assert plan(facts)["h2"] == ""


def test_a_file_of_the_other_format_of_h2_is_not_its_database(facts: dict[str, t.Any]) -> None:
    data = Path(facts["data_dir"])
    (data / "h2").mkdir()
    (data / "h2" / "nuxeo.mv.db").touch()
    facts["database"] = {"kind": "h2", "path": str(data / "h2" / "nuxeo.h2.db")}  # its URL has MV_STORE=FALSE
    (problem,) = plan(facts)["problems"]
    assert f"Backup of H2 database '{data}/h2/nuxeo.h2.db': there is no such file" in problem
    (data / "h2" / "nuxeo.h2.db").touch()
    assert plan(facts)["problems"] == []


def test_missing_and_empty_folders_are_taken_for_unmounted(facts: dict[str, t.Any], tmp_path: Path) -> None:
    (tmp_path / "data" / "binaries" / "data").rmdir()
    assert [p for p in plan(facts)["problems"] if "it is empty" in p and "binaries" in p]
    facts["data_dir"] = str(tmp_path / "absent")
    assert [p for p in plan(facts)["problems"] if p.startswith("Data folder") and "mounted" in p]


def test_a_volume_of_fstab_that_is_not_mounted_is_told(
    facts: dict[str, t.Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the folder below it holds something."""
    (tmp_path / "fstab").write_text(f"UUID=1 {facts['data_dir']}/binaries xfs defaults 0 0\n")
    monkeypatch.setattr(mounts, "FSTAB", str(tmp_path / "fstab"))
    (problem,) = plan(facts)["problems"]
    assert problem.startswith("Blob store 'default'") and "nothing is mounted on" in problem


def test_what_another_node_sees_is_told_with_its_name(facts: dict[str, t.Any], tmp_path: Path) -> None:
    shutil.copytree(facts["data_dir"], tmp_path / "other")
    other = {**facts, "data_dir": str(tmp_path / "other")}  # at the same place in truth, seen by another node
    (tmp_path / "other/binaries/data").rmdir()
    (tmp_path / "other/binaries").rmdir()

    def problems(further: t.Sequence[dict[str, t.Any]] = ()) -> list[str]:
        seen = preflight.look(other, further, ["own"])
        assert "own" in seen["trees"][0]["exclude"]
        nodes = {"n1": {"facts": facts, "problems": ["told by itself"], "trees": []}, "n2": {"facts": facts, **seen}}
        return list(preflight.plan(nodes, "n1", (), (), ())["problems"])

    assert problems() == [f"Node 'n2': Data folder '{other['data_dir']}': it is empty. Is its volume mounted?"]
    more = {"provider": "more", "path": str(tmp_path / "more"), "kind": "file"}
    told = problems([more])
    assert len(told) == 2 and told[1].startswith(f"Node 'n2': Blob store 'more' '{more['path']}': No such file")
    (tmp_path / "other" / "stream").mkdir()
    assert problems() == []


def test_the_folder_of_big_works_is_of_all_nodes_or_of_none(facts: dict[str, t.Any], tmp_path: Path) -> None:
    far = tmp_path / "shared/binaries_transient_default"
    facts["streams"]["big_works"] = str(far)

    def problems(*has: str) -> list[str]:
        trees = {name: [{"name": each} for each in ("data", *(["big-works"] if name in has else []))] for name in "ab"}
        nodes = {name: {"facts": facts, "problems": [], "trees": trees[name]} for name in trees}
        if "a" in has:
            far.mkdir(parents=True, exist_ok=True)
        elif far.exists():
            far.rmdir()
        return list(preflight.plan(nodes, "a", (), (), ())["problems"])

    assert problems() == problems("a", "b") == []
    for has, lacks in ("ab", "ba"):
        (problem,) = problems(has)
        assert problem.startswith(f"Node '{lacks}': it has no folder '{far}', where node '{has}' has")


def test_blobs_and_disposable_parts_are_left_out_of_the_files(facts: dict[str, t.Any]) -> None:
    (tree,) = plan(facts)["trees"]
    assert {"binaries/data", "binaries/tmp", "convertcache", "binaries_transient_*", "elasticsearch"} <= set(
        tree["exclude"]
    )
    facts["database"] = {"kind": "h2", "path": facts["data_dir"] + "/h2/nuxeo"}
    (cold,) = plan(facts)["trees"]
    assert "elasticsearch" not in cold["exclude"]  # embedded, and still while it is copied


def test_the_bodies_of_queued_works_come_with_their_queue(facts: dict[str, t.Any], tmp_path: Path) -> None:
    data, far = Path(facts["data_dir"]), tmp_path / "shared/binaries_transient_default"
    for folder in (data / "binaries_transient_default", data / "binaries_transient_automation", far):
        folder.mkdir(parents=True)
    facts["streams"] = {"kind": "kafka", "prefix": "nuxeo-"}
    (tree,) = plan(facts)["trees"]
    assert "binaries_transient_*" in tree["exclude"]
    facts["streams"]["big_works"] = str(data / "binaries_transient_default")
    (tree,) = plan(facts)["trees"]
    transient = [name for name in tree["exclude"] if "transient_" in name]
    assert transient == ["binaries_transient_automation", "binaries_transient_default/tmp"]
    facts["streams"]["big_works"] = str(far)
    tree, works = plan(facts)["trees"]
    assert "binaries_transient_*" in tree["exclude"]
    assert (works["name"], works["src"]) == ("big-works", str(far))
    far.rmdir()  # nothing has been too big yet
    assert len(plan(facts)["trees"]) == 1


def test_a_store_outside_the_data_folder_keeps_its_layout_file(facts: dict[str, t.Any], tmp_path: Path) -> None:
    store = tmp_path / "blobs"
    (store / "data").mkdir(parents=True)
    facts["blobs"][0]["path"] = str(store)
    found = plan(facts)["trees"]
    exclude = ["data", "tmp", "binaries_transient_*", *trees.NEVER]
    assert {"name": "store-default", "src": str(store), "exclude": exclude} in found
    (store / "records" / "data").mkdir(parents=True)
    records = {"provider": "records", "path": str(store / "records"), "kind": "record", "digest": None, "depth": None}
    found = plan(facts, further=[records])["trees"]
    assert {"name": "store-default", "src": str(store), "exclude": [*exclude, "records"]} in found
    assert {"name": "store-records", "src": str(store / "records"), "exclude": exclude} in found


@pytest.mark.parametrize("name", ["blobs[1]", "blobs[prod-acc]", "blobs*", "blobs?"])
def test_a_store_is_left_out_of_the_files_whatever_its_name(facts: dict[str, t.Any], name: str) -> None:
    data = Path(facts["data_dir"])
    (data / "binaries").rename(data / name)
    (data / name / "data/blob").touch()
    for other in ("blobs1", "blobs-2"):
        (data / other / "data").mkdir(parents=True)
    facts["blobs"][0]["path"] = str(data / name)
    found = plan(facts)
    assert found["problems"] == []
    copied = tree.copy_tree(str(data), str(data.parent / "copy"), found["trees"][0]["exclude"])
    assert {each.path for each in copied.entries} == {".", "blobs-2", "blobs-2/data", "blobs1", "blobs1/data", name}


def test_a_pattern_that_is_none_is_told(facts: dict[str, t.Any]) -> None:
    with pytest.raises(FilesError, match=r"^Reading of the pattern 'logs\[z-a\]': bad character range z-a"):
        plan(facts, exclude=["logs[z-a]"])
    assert plan(facts, exclude=["a[]", "b[!]", "c["])["problems"] == []


def test_what_the_copy_of_the_files_would_refuse_is_told_before(facts: dict[str, t.Any], tmp_path: Path) -> None:
    data = Path(facts["data_dir"])
    (tmp_path / "volume").mkdir()
    for name in ("avro", "convertcache"):
        (data / name).symlink_to(tmp_path / "volume")
    (problem,) = plan(facts)["problems"]
    assert "links lead out of it, to what would be missing: avro. " in problem
    template = tmp_path / "home" / "templates" / "own"
    template.mkdir(parents=True)
    (template / "driver.jar").symlink_to(tmp_path / "volume")
    os.mkfifo(template / os.fsdecode(b"pipe\xff"))
    facts.update(home=str(tmp_path / "home"), templates=["own", "default"])
    (_data, outside, special) = plan(facts)["problems"]
    assert f"'{template}': links lead out of it, to what would be missing: driver.jar. " in outside
    assert f"'{template}': it holds what is no file: pipe\\udcff. " in special
    (template / "driver.jar").unlink()
    (template / os.fsdecode(b"pipe\xff")).unlink()
    assert plan(facts, exclude=["avro"])["problems"] == []


def test_a_volume_that_nobody_has_written_to_is_empty(facts: dict[str, t.Any]) -> None:
    data = Path(facts["data_dir"])
    (data / "binaries" / "data").rmdir()
    (data / "binaries" / "lost+found").mkdir(mode=0)
    (problem,) = plan(facts)["problems"]
    assert problem.startswith("Blob store 'default'") and "it is empty" in problem
    (data / "binaries" / "data").mkdir()
    assert plan(facts)["problems"] == [], "not that it cannot be read"
