# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a restore onto several nodes, whose data folder is one or one each."""

from __future__ import annotations

import dataclasses
import os
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.folders import inner_problems
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.plan import (
    Wish,
    audit_problems,
    blind_problems,
    emptied,
    kept_in_place,
    kind_problems,
    plan,
    store_plan,
    store_problems,
    tree_plan,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.plan_words import set_lines
from ansible_collections.nuxeo.platform.plugins.module_utils._files.entry import Entry, write_tree_list

SET = "20261123T020004Z"
DATABASE = {"kind": "postgresql", "host": "db", "port": 5432, "name": "nuxeo", "user": "nuxeo"}
FINISHED = {"status": "finished", "set": SET, "instance": "acme"}
UNCHANGED = types.MappingProxyType({"changed": False})
NOTHING: t.Mapping[str, t.Any] = types.MappingProxyType({})


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, t.Any]:
    (tmp_path / "data").mkdir()
    return {
        "version": "2023.31",
        "conf": "/etc/nuxeo/nuxeo.conf",
        "home": "/opt/nuxeo",
        "data_dir": str(tmp_path / "data"),
        "database": DATABASE,
        "blobs": [],
        "streams": {"kind": "memory"},
    }


def manifest_of(facts: dict[str, t.Any]) -> dict[str, t.Any]:
    return {
        "id": SET,
        "instance": "acme",
        "backup_date": "2026-11-23T02:00:04.512345Z",
        "leader": "n1",
        "nodes": {"n1": True, "n2": True},
        "nuxeo": facts,
        "blobs": {},
        "trees": ["data"],
    }


def planned(
    facts: dict[str, t.Any],
    overwrite: bool = False,
    database: t.Mapping[str, t.Any] = UNCHANGED,
    audit: t.Mapping[str, t.Any] = NOTHING,
    streams: t.Mapping[str, t.Any] = NOTHING,
    entries: t.Sequence[Entry] = (Entry(".", "dir", 0o750, "root", "root", 0),),
    **nodes: dict[str, t.Any],
) -> dict[str, t.Any]:
    folder = Path(facts["data_dir"]).with_name("set")
    for name in ("n1", "n2"):
        (folder / "files" / name).mkdir(parents=True, exist_ok=True)
        listed = folder / "files" / name / "data.jsonl"
        if name == "n1" or not listed.exists():
            write_tree_list(str(listed), entries)
    known = {name: {"facts": facts, **node} for name, node in nodes.items()}
    wish = Wish("acme", manifest_of(facts), known, "n1", facts, str(folder), {}, overwrite=overwrite)
    return plan(dataclasses.replace(wish, database=dict(database), audit=dict(audit), **streams))


def test_a_folder_of_another_node_that_holds_anything_is_refused(facts: dict[str, t.Any]) -> None:
    full = {"occupied": ["instance.clid", "stream"]}
    assert planned(facts, n1={}, n2={})["problems"] == []
    for nodes in ({"n1": {}, "n2": full}, {"n1": full, "n2": full}):
        assert ["it is not empty" in problem for problem in planned(facts, **nodes)["problems"]] == [True]
        assert planned(facts, overwrite=True, **nodes)["problems"] == []
    assert planned(facts, n1={}, n2={**full, "marker": {**FINISHED, "status": "begun"}})["problems"] == []
    other = {**full, "marker": {**FINISHED, "set": "20261122T020004Z"}}
    assert ["it is not empty" in problem for problem in planned(facts, n1={}, n2=other)["problems"]] == [True]


@pytest.mark.parametrize(
    ("user", "given", "owner"), [(0, None, "of-set"), (0, "me", "me"), (7, None, None), (7, "me", "me")]
)
def test_whose_a_data_folder_becomes_of_which_the_set_has_nothing(
    facts: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch, user: int, given: str | None, owner: str | None
) -> None:
    """As the files that are put back: without root their owner stays the one who does it."""
    entries = [Entry(path, "dir", 0o751, "of-set", "of-set", 0) for path in (".", "stream")]
    monkeypatch.setattr(os, "geteuid", lambda: user)
    found = planned(facts, entries=entries, streams={"owner": given}, n1={})
    assert found["folder"] == {"owner": owner, "group": None if user else "of-set", "mode": "0751"}


def test_it_is_there_already_only_when_it_is_on_every_node(facts: dict[str, t.Any]) -> None:
    there = {"marker": FINISHED, "occupied": ["instance.clid"]}
    found = planned(facts, n1=there, n2=there)
    assert found["already"] and found["problems"] == []
    assert "other files were not looked at" in " ".join(found["lines"])
    assert not planned(facts, overwrite=True, n1=there, n2=there)["already"], "files may have changed"
    for other in ({"status": "begun"}, {"set": "20261122T020004Z"}, {"instance": "clone"}, {"status": None}):
        assert not planned(facts, n1=there, n2={"marker": {**FINISHED, **other}})["already"]
    assert not planned(facts, n1=there, n2={})["already"]


def test_it_is_there_already_only_when_nothing_of_it_has_changed(facts: dict[str, t.Any]) -> None:
    there = {"marker": FINISHED, "occupied": ["instance.clid"]}
    for database in ({"changed": True}, {}):
        assert not planned(facts, database=database, n1=there)["already"], "it was changed, or the check has failed"
    names = {"names": {"audit": "nuxeo-audit"}}
    assert planned(facts, audit={**names, "changed": False}, n1=there)["already"]
    for audit in ({**names, "changed": True}, names):
        assert not planned(facts, audit=audit, n1=there)["already"]


def test_it_is_not_there_already_where_nuxeo_conf_would_change_under_a_server_that_runs(
    facts: dict[str, t.Any],
) -> None:
    there = {"marker": FINISHED, "occupied": ["instance.clid"]}
    changes = {**there, "facts": {**facts, "unset": ["nuxeo.url", "repository.binary.store"]}}
    guarded = {**there, "facts": {**changes["facts"], "guarded": True}}
    assert planned(facts, n1=there, n2=guarded)["already"], "an earlier run has not come to it, and nothing runs"
    for nodes in ({"n1": changes, "n2": there}, {"n1": there, "n2": changes}):
        found = planned(facts, **nodes)
        assert not found["already"]
        (told,) = (problem for problem in found["problems"] if "nuxeo.url, repository.binary.store" in problem)
        assert "would not see" in told and "restore_overwrite" in told
        assert planned(facts, overwrite=True, **nodes)["problems"] == []
    assert planned(facts, n1={"facts": changes["facts"]})["problems"] == [], "nothing was restored yet"


@pytest.mark.parametrize(("prefix", "wanted"), [("nuxeo-", True), ("nuxeo-", False), (f"nuxeo-{SET}-", True)])
def test_it_is_not_there_already_where_the_restored_streams_would_take_the_place_of_others(
    facts: dict[str, t.Any], prefix: str, wanted: bool
) -> None:
    """Configuration management may have set the prefix back, and the server worked with the old streams since."""
    there = {"marker": {**FINISHED, "streams": {"prefix": f"nuxeo-{SET}-"}}, "occupied": ["instance.clid"]}
    node = {**there, "facts": {**facts, "streams": {"kind": "kafka", "prefix": prefix, "bootstrap_servers": []}}}
    manifest = {**manifest_of(facts), "streams": {"prefix": "nuxeo-", "topics": 3}}
    found = planned(facts, streams={"manifest": manifest, "streams": wanted}, n1=node)
    assert found["already"] is (not wanted or prefix != "nuxeo-")
    told = [problem for problem in found["problems"] if "kafka.topicPrefix" in problem]
    assert bool(told) is not found["already"]


def test_a_store_that_nuxeo_conf_names_since_then_is_not_the_one_that_was_restored(
    facts: dict[str, t.Any], tmp_path: Path
) -> None:
    """What lies there is not overwritten unasked."""
    store = {"provider": "default", "path": str(tmp_path / "blobs"), "kind": "file", "digest": "MD5", "depth": 2}
    saved = {"kind": "digest", "digest": "MD5", "depth": 2, "keys": 1, "config_xml": None}
    known = {**facts, "blobs": [store]}
    (tmp_path / "blobs/data").mkdir(parents=True)
    for then, refused in ((store["path"], False), (str(tmp_path / "before"), True)):
        node = {"marker": {**FINISHED, "replaces": {"stores": [then]}}, "occupied": ["instance.clid"]}
        wish = {"manifest": {**manifest_of(known), "blobs": {"default": saved}}}
        found = planned(known, streams=wish, n1=node)
        assert ["blobs': it is not empty" in problem for problem in found["problems"]] == [True] * refused


def test_an_index_that_stays_is_not_said_to_be_deleted(facts: dict[str, t.Any]) -> None:
    told = {
        **facts,
        "search": {"kind": "elasticsearch", "index": "nuxeo", "url": ["http://es:9200"], "embedded": False},
    }
    for node, says in (({"marker": FINISHED}, False), ({}, True)):
        lines = planned(told, streams={"instance": "clone", "drop_index": ["http://es:9200"]}, n1=node)["lines"]
        assert any("of documents will be deleted" in line for line in lines) is says


def test_streams_that_a_restore_has_left_out_are_not_there_already(facts: dict[str, t.Any]) -> None:
    """They would come back under a server that runs, and goes on with its own."""
    there = {"marker": FINISHED, "occupied": ["instance.clid"]}
    with_them = {**there, "marker": {**FINISHED, "streams": {"prefix": f"nuxeo-{SET}-"}}}
    manifest = {**manifest_of(facts), "streams": {"prefix": "nuxeo-", "topics": 3}}
    wanted, left = ({"manifest": manifest, "streams": streams} for streams in (True, False))
    found = planned(facts, streams=wanted, n1=there)
    assert not found["already"]
    assert any("onto 'n1' without them" in problem and "restore_overwrite" in problem for problem in found["problems"])
    for leader, wish in ((with_them, wanted), (there, left), (there, {"streams": True})):
        found = planned(facts, streams=wish, n1=leader, n2=there)
        assert found["already"] and found["problems"] == []
    assert not planned(facts, streams=wanted, n1=there, n2=with_them)["already"], "only the leader's mark is read"
    assert planned(facts, overwrite=True, streams=wanted, n1=there)["problems"] == []
    assert planned(facts, streams=wanted, n1={})["problems"] == []


@pytest.mark.parametrize(
    ("kind", "place", "expected"),
    [
        ("digest", "data/binaries", "stays"),
        ("record", "data/records", "goes with the folder"),
        ("encrypted", "data/binaries", "goes with the folder"),
        ("digest", "data", "goes with the folder"),
        ("digest", "elsewhere", "stays"),
        ("encrypted", "elsewhere", "stays"),
        ("record", "elsewhere", "emptied"),
        ("record", "data/link", "emptied"),
    ],
)
def test_what_becomes_of_the_blobs_that_a_store_has(tmp_path: Path, kind: str, place: str, expected: str) -> None:
    """Under the key of a record the set may have other bytes: those that are there would be lost."""
    for name in ("data/binaries", "data/records", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    path = str(tmp_path / place)
    stores: list[dict[str, t.Any]] = [{"path": path, "kind": kind}, {"path": None, "kind": kind}]
    keep = kept_in_place(stores, str(tmp_path / "data"))
    assert (keep, emptied(stores, keep)) == {
        "stays": ([path], []),
        "emptied": ([path], [path]),
        "goes with the folder": ([], []),
    }[expected]


def test_what_becomes_of_each_node_is_told(facts: dict[str, t.Any]) -> None:
    lines = planned(facts, n1={}, n2={}, n3={})["lines"]
    assert [line.split(":")[1] for line in lines if line.startswith("node ")] == [
        " gets its files of the set",
        " the set has none of it, it begins empty",
    ]


def test_files_that_come_back_to_nobody_are_told(facts: dict[str, t.Any]) -> None:
    """Of a node that is none of the target: not those that the leader gets as well."""

    def listed(**files: str) -> list[Entry]:
        return [Entry(".", "dir", 0o750, "root", "root", 0)] + [
            Entry(name, "file", 0o640, "root", "root", 0, 1, sha256) for name, sha256 in files.items()
        ]

    folder = Path(facts["data_dir"]).with_name("set") / "files" / "n2"
    folder.mkdir(parents=True)
    for own, expected in (
        ({"both": "1"}, []),
        ({"both": "1", "\udce9": "2"}, ["1 files of node n2, which is none of the target, stay in the set: '\\udce9'"]),
        (
            {"both": "2", "c": "1", "b": "1", "a": "1"},
            ["4 files of node n2, which is none of the target, stay in the set: 'a', 'b', 'both', ..."],
        ),
    ):
        write_tree_list(str(folder / "data.jsonl"), listed(**own))
        entries = listed(both="1")
        assert planned(facts, entries=entries, n1={})["left_out"] == expected
        assert planned(facts, entries=entries, n1={}, n2={})["left_out"] == []


def test_that_encrypted_blobs_need_the_key_of_the_source_is_told(facts: dict[str, t.Any]) -> None:
    stores = [{"provider": name, "path": f"/srv/{name}", "kind": name, "keys": 7} for name in ("digest", "encrypted")]
    lines = set_lines("acme", manifest_of(facts), facts, stores, False, False)
    assert [line.split()[1] for line in lines if "is encrypted: " in line] == ["encrypted"]


def test_what_a_restore_needs_is_not_moved_aside(tmp_path: Path) -> None:
    data, backup = tmp_path / "nuxeo", tmp_path / "backup"
    inner = data / "backup" / "acme" / "sets" / SET
    inner.mkdir(parents=True)
    backup.symlink_to(data / "backup")
    target = {"data_dir": str(data), "conf": "/etc/nuxeo/nuxeo.conf", "home": "/opt/nuxeo"}
    assert inner_problems("/srv/backup/acme/sets/" + SET, target) == []
    for path in (inner, backup / "acme" / "sets" / SET):
        (problem,) = inner_problems(str(path), target)
        assert f"the set is in it, at '{path}'" in problem
    (problem,) = inner_problems("/srv/backup", {**target, "conf": str(data / "conf" / "nuxeo.conf")})
    assert "nuxeo.conf is in it" in problem
    home = {**target, "home": str(tmp_path)}
    assert inner_problems("/srv/backup", home) == [], "a data folder in the server's is as Nuxeo has it"


def test_a_node_that_does_not_see_its_files_is_a_problem() -> None:
    problems = blind_problems({"nodes": {"n1": True, "n2": True, "n3": False}}, f"/srv/{SET}", ["n2", "n3"])
    assert [problem.split("'")[1] for problem in problems] == ["n2"]
    assert "Mount the backup root" in problems[0]


@pytest.mark.parametrize(
    ("versions", "kinds", "told"),
    [
        (("10.10-HF45", "10.10"), ("postgresql", "postgresql"), ""),
        (("2023.6", "2023.31"), ("postgresql", "postgresql"), ""),
        (("2021.48", "2023.31"), ("postgresql", "postgresql"), "Restore onto a server of the same line"),
        (("10.10", "9.10"), ("postgresql", "postgresql"), "Restore onto a server of the same line"),
        (("2023.6", "2023.6"), ("postgresql", "h2"), "nuxeo.conf of the target says h2"),
        (("2023.6", "2023.6"), ("h2", "postgresql"), "nuxeo.conf of the target says postgresql"),
    ],
)
def test_a_set_goes_onto_a_server_of_its_own_kind(versions: tuple[str, str], kinds: tuple[str, str], told: str) -> None:
    source, target = (
        {"version": version, "database": {"kind": kind, "path": "/d/h2/nuxeo"}, "data_dir": "/d"}
        for version, kind in zip(versions, kinds)
    )
    problems = kind_problems({"nuxeo": source}, target)
    assert len(problems) == bool(told) and all(told in problem for problem in problems)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"digest": None}, ""),
        ({"provider": "other"}, "the target has no store of that name"),
        ({"kind": "encrypted"}, "the set has digest MD5, the target encrypted MD5"),
        ({"digest": "SHA-256"}, "the set has digest MD5, the target digest SHA-256"),
        ({"digest": "SHA-256", "config_xml": "<b><digest>MD5</digest></b>"}, ""),
        ({"digest": "SHA-256", "config_xml": "<b><digest>SHA-1</digest></b>"}, "the set has digest MD5"),
    ],
)
def test_blobs_go_into_a_store_that_finds_them(change: dict[str, t.Any], told: str) -> None:
    """Without its encryption Nuxeo would not; under the digests of another algorithm only where the set brings that."""
    saved = {"kind": "digest", "digest": "MD5", "depth": 2, "keys": 7, "config_xml": change.get("config_xml")}
    store = {"provider": "default", "path": "/b", "kind": "file", "digest": "MD5", "depth": 2, **change}
    manifest = {"blobs": {"default": saved}, "nuxeo": {"blobs": [{"provider": "default"}]}}
    stores, problems = store_plan(manifest, {"blobs": [store]}, ())
    assert len(problems) == bool(told) and all(told in problem for problem in problems)
    assert [each["default"] for each in stores] == [True] * (change.get("provider") is None)


def test_an_h2_database_is_opened_where_it_comes_back(tmp_path: Path) -> None:
    def at(data_dir: str, name: str) -> dict[str, t.Any]:
        path = f"{data_dir}/h2/{name}"
        return {"version": "10.10", "data_dir": data_dir, "database": {"kind": "h2", "path": path}}

    manifest = {"nuxeo": at("/var/lib/nuxeo/data", "nuxeo")}
    assert kind_problems(manifest, at("/srv/data", "nuxeo")) == []
    (problem,) = kind_problems(manifest, at("/srv/data", "staging"))
    assert "'h2/nuxeo'" in problem and "'h2/staging'" in problem
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to("real")
    linked = {**at(str(tmp_path / "real"), "nuxeo"), "data_dir": str(tmp_path / "data")}
    assert kind_problems(manifest, linked) == []


def test_the_bodies_of_queued_works_go_where_the_target_looks_for_them() -> None:
    manifest = {"trees": ["data", "big-works"]}
    target: dict[str, t.Any] = {"data_dir": "/d", "streams": {"kind": "kafka", "big_works": "/w"}}
    assert tree_plan(manifest, target, []) == (
        [{"name": "data", "dest": "/d"}, {"name": "big-works", "dest": "/w"}],
        [],
    )
    target["streams"] = {"kind": "memory"}
    assert tree_plan(manifest, target, []) == ([{"name": "data", "dest": "/d"}], [])


XML = "<binary-store><digest>{}</digest><depth>{}</depth></binary-store>"


def test_a_store_elsewhere_that_holds_anything_is_refused(tmp_path: Path) -> None:
    data, store = tmp_path / "data", tmp_path / "blobs"
    (data / "binaries").mkdir(parents=True)
    store.mkdir()

    def told(path: Path, marker: dict[str, t.Any], kind: str = "digest", accepted: bool = False) -> str:
        stores = [{"provider": "default", "path": str(path), "kind": kind}]
        manifest = {"blobs": {"default": {"config_xml": XML.format("SHA-1", 2)}}}
        return " ".join(store_problems(manifest, str(data), stores, marker, accepted))

    assert told(store, {}) == ""
    (store / "data").mkdir()
    assert told(store, {}).endswith("set restore_overwrite to true: its blobs then stay.")
    assert told(store, {}, "record").endswith("to true: what it holds is then kept aside in it.")
    (tmp_path / "file").write_text("")
    assert "it cannot be looked at: Not a directory. Is its volume mounted?" in told(tmp_path / "file", {})
    assert "it is not empty, it holds data." in told(store, {})
    assert told(store, {}, accepted=True) == ""
    assert told(store, {"status": "begun", "replaces": {"stores": [str(store)]}}) == ""
    for marker in (
        {"status": "begun", "replaces": {"stores": ["/other"]}},
        {"status": "finished"},
        {"status": "finished", "replaces": {"stores": [str(store)]}},
        {"status": "begun"},
    ):
        assert "not empty" in told(store, marker)
    for path in (store, data / "binaries"):
        (path / "config.xml").write_text(XML.format("sha1", 2))
        assert "config.xml" not in told(path, {}).replace("holds config.xml", "")
        (path / "config.xml").write_text(XML.format("SHA-1", 3))
        assert "its config.xml says SHA-1, depth 3, and that of the set SHA-1, 2" in told(path, {})
        assert "depth" not in told(path, {}, "record"), "which are flat"
    assert told(data / "binaries", {"status": "begun"}) == "", "an unfinished restore has replaced it"


@pytest.mark.parametrize("name", ["audit", "sequences"])
def test_an_engine_in_the_data_folder_has_to_be_looked_for_where_the_set_has_it(tmp_path: Path, name: str) -> None:
    """Of 2025: its folder is not below nuxeo.data.dir unless it is set so."""

    def facts(home: Path, place: str) -> dict[str, t.Any]:
        kept = {"kept": "elasticsearch", "embedded": True, "path": str(home / place)}
        return {"data_dir": str(home / "data"), "audit": kept, name: kept, "search": {"embedded": True}}

    manifest = {"nuxeo": facts(tmp_path / "a", "data/opensearch")}
    assert audit_problems(manifest, facts(tmp_path / "b", "data/opensearch")) == []
    found = audit_problems(manifest, facts(tmp_path / "b", "nxserver/data/opensearch"))
    assert found and f"'{tmp_path}/b/nxserver/data/opensearch'" in found[0]
