# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of a backup is told, all of it, before anything happens."""

from __future__ import annotations

import copy
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import mounts, preflight


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, t.Any]:
    """Of an instance on PostgreSQL with everything in its place."""
    data = tmp_path / "data"
    (data / "binaries" / "data").mkdir(parents=True)
    return {
        "version": "10.10",
        "conf": "/etc/nuxeo/nuxeo.conf",
        "home": "/opt/nuxeo",
        "templates": ["default"],
        "data_dir": str(data),
        "log_dir": "/var/log/nuxeo",
        "properties": {},
        "database": {"kind": "postgresql", "host": "db", "port": 5432, "name": "nuxeo", "user": "nuxeo"},
        "blobs": [{"provider": "default", "path": str(data / "binaries"), "kind": "file", "digest": "MD5", "depth": 2}],
        "audit": {"kept": "sql", "table": "NXP_LOGS"},
        "sequences": {"kept": "sql", "table": "NXP_UIDSEQ"},
        "streams": {"kind": "chronicle", "path": str(data / "stream")},
        "cluster": {"enabled": False, "id": None, "redis": None},
    }


def plan(
    nodes: dict[str, t.Any], accepted: t.Sequence[str] = (), further: t.Sequence[dict[str, t.Any]] = ()
) -> dict[str, t.Any]:
    return preflight.plan(nodes, "n1", accepted, further, ())


def test_a_covered_instance_has_no_problem(facts: dict[str, t.Any]) -> None:
    found = plan({"n1": {"facts": facts}})
    assert found["problems"] == []
    assert found["cold"] is False
    assert [store["kind"] for store in found["stores"]] == ["digest"]


def test_a_nuxeo_conf_that_the_server_does_not_run_with_is_refused(facts: dict[str, t.Any]) -> None:
    """Else the database would be saved that it names, and not the server's."""
    nodes = {"n1": {"facts": facts}, "n2": {"facts": {**facts, "unread": ["nuxeo.db.name"]}}}
    (problem,) = plan(nodes)["problems"]
    assert problem.startswith("Node 'n2': its server has nuxeo.db.name otherwise than '/etc/nuxeo/nuxeo.conf'")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"blobs": [{"provider": "default", "path": None, "kind": "s3"}]}, "blobs:default"),
        ({"audit": {"kept": "elasticsearch"}, "search": {"embedded": True}}, "audit:elasticsearch"),
        ({"audit": {"kept": "mongodb", "collection": "audit"}}, "audit:mongodb"),
        ({"audit": {"kept": "other", "factory": "org.example.Audit"}}, "audit:other"),
        ({"sequences": {"kept": "elasticsearch"}, "search": {"embedded": True}}, "sequences:elasticsearch"),
        ({"cluster": {"redis": {"host": "localhost"}}}, "redis"),
        ({"streams": {"kind": "chronicle", "path": "/srv/streams"}}, "streams:chronicle"),
    ],
)
def test_each_uncovered_store_is_named_unless_accepted(
    facts: dict[str, t.Any], change: dict[str, t.Any], name: str
) -> None:
    facts.update(change)
    problems = plan({"n1": {"facts": facts}})["problems"]
    assert [problem for problem in problems if f"'{name}'" in problem and "backup_accept_uncovered" in problem]
    accepted = plan({"n1": {"facts": facts}}, [name])
    assert [problem for problem in accepted["problems"] if "not covered" in problem] == []
    assert accepted["uncovered"] == [name]


@pytest.mark.parametrize("kind", ["mongodb", "mariadb"])
def test_no_other_means_help_where_the_database_is_not_covered(facts: dict[str, t.Any], kind: str) -> None:
    facts["database"] = {"kind": kind}
    (problem,) = plan({"n1": {"facts": facts}}, [f"database:{kind}"])["problems"]
    assert f"Backup of the database: it is {kind}, and only postgresql and h2 are covered" in problem


def test_streams_of_kafka_are_saved_unless_they_are_saved_by_other_means(facts: dict[str, t.Any]) -> None:
    assert plan({"n1": {"facts": facts}})["streams"] is False
    facts["streams"] = {"kind": "kafka", "prefix": "nuxeo-"}
    found = plan({"n1": {"facts": facts}})
    assert (found["problems"], found["streams"], found["uncovered"]) == ([], True, [])
    found = plan({"n1": {"facts": facts}}, ["streams:kafka"])
    assert (found["problems"], found["streams"], found["uncovered"]) == ([], False, ["streams:kafka"])


def test_a_search_engine_of_its_own_is_covered_unless_left_out(facts: dict[str, t.Any]) -> None:
    facts["search"] = {"embedded": False}
    facts["audit"] = {"kept": "elasticsearch", "index": "nuxeo-audit"}
    assert plan({"n1": {"facts": facts}})["problems"] == []
    assert plan({"n1": {"facts": facts}})["uncovered"] == []
    assert plan({"n1": {"facts": facts}}, ["audit:elasticsearch"])["uncovered"] == ["audit:elasticsearch"]


def test_an_embedded_engine_is_saved_with_the_data_folder_of_a_stopped_server(facts: dict[str, t.Any]) -> None:
    data = Path(facts["data_dir"])
    (data / "h2").mkdir()
    (data / "h2" / "nuxeo.mv.db").touch()
    facts["database"] = {"kind": "h2", "path": str(data / "h2" / "nuxeo")}
    facts["search"] = {"embedded": True}
    facts["audit"] = {"kept": "elasticsearch", "index": "nuxeo-audit"}
    (problem,) = plan({"n1": {"facts": facts}})["problems"]
    assert "there is no folder" in problem and "elasticsearch" in problem
    (data / "elasticsearch").mkdir()
    assert plan({"n1": {"facts": facts}})["problems"] == []
    facts["search"]["path"] = None
    facts["audit"].update(embedded=True, path=str(data / "opensearch"))  # 2025
    (problem,) = plan({"n1": {"facts": facts}})["problems"]
    assert f"there is no folder '{data}/opensearch'" in problem
    (data / "opensearch").mkdir()
    found = plan({"n1": {"facts": facts}})
    assert found["problems"] == []
    assert "opensearch" not in found["trees"][0]["exclude"]
    (data.parent / "opensearch").mkdir()
    facts["audit"]["path"] = str(data.parent / "opensearch")
    (problem,) = plan({"n1": {"facts": facts}})["problems"]
    assert f"its folder '{data.parent}/opensearch' is not in the data folder" in problem
    facts["audit"] = facts["sequences"] = {"kept": "sql"}
    facts["database"] = {"kind": "postgresql", "host": "db", "port": 5432, "name": "nuxeo"}
    facts["search"] = {"embedded": True, "path": str(data / "opensearch")}
    assert "opensearch" in plan({"n1": {"facts": facts}})["trees"][0]["exclude"], "its index can be made again"


def test_what_is_accepted_but_not_there_is_not_in_the_manifest(facts: dict[str, t.Any]) -> None:
    assert plan({"n1": {"facts": facts}}, ["redis"])["uncovered"] == []


def test_two_stores_of_one_name_would_have_one_list(facts: dict[str, t.Any], tmp_path: Path) -> None:
    (tmp_path / "more" / "data").mkdir(parents=True)
    more = {"provider": "more", "path": str(tmp_path / "more"), "kind": "file", "digest": None, "depth": None}
    twice = [more, more]
    (problem,) = plan({"n1": {"facts": facts}}, further=twice)["problems"]
    assert problem.startswith("Backup of blob store 'more': it is named twice")
    assert plan({"n1": {"facts": facts}}, further=twice[:1])["problems"] == []
    for name in ("a/b", "a:b", ".a"):
        (problem,) = plan({"n1": {"facts": facts}}, further=[{**more, "provider": name}])["problems"]
        assert problem.startswith(f"Backup of blob store '{name}': its name")


@pytest.mark.parametrize(("kind", "path"), [("other", None), ("s3", None), ("file", "/elsewhere")])
def test_a_store_is_what_the_operator_says(facts: dict[str, t.Any], kind: str, path: str | None) -> None:
    given = {**facts["blobs"][0]}
    """A contribution may give a provider of nuxeo.conf another class or folder."""
    facts["blobs"][0].update(kind=kind, path=path)
    found = plan({"n1": {"facts": facts}}, further=[given])
    assert (found["problems"], found["uncovered"], found["providers"]) == ([], [], ["default"])
    assert [(store["path"], store["default"]) for store in found["stores"]] == [(given["path"], True)]


def test_blobs_of_a_provider_that_only_xml_names_can_be_saved_by_other_means(facts: dict[str, t.Any]) -> None:
    found = plan({"n1": {"facts": facts}}, ["blobs:archive"])
    assert found["providers"] == ["archive", "default"]
    assert found["uncovered"] == [], "the database tells whether there are any"


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("database", {"kind": "postgresql", "host": "db", "port": 5432, "name": "other"}, "database"),
        ("data_dir", "/elsewhere", "data folder"),
        ("streams", {"kind": "kafka", "prefix": "other-"}, "stream prefix"),
        ("version", "2021.48", "version"),
        ("audit", {"kept": "elasticsearch", "index": "other-audit"}, "audit"),
        ("sequences", {"kept": "elasticsearch", "index": "other-uidgen"}, "sequences"),
    ],
)
def test_nodes_that_disagree_are_an_error_naming_both(
    facts: dict[str, t.Any], key: str, value: t.Any, what: str
) -> None:
    other = copy.deepcopy(facts)
    other[key] = value
    problems = plan({"n1": {"facts": facts}, "n2": {"facts": other}})["problems"]
    assert [problem for problem in problems if f"their {what} differs" in problem and "'n2'" in problem]


def test_a_node_that_was_not_reached_is_a_warning_when_hot_and_a_problem_when_cold(facts: dict[str, t.Any]) -> None:
    hot = plan({"n1": {"facts": facts}, "n2": {}})
    assert hot["problems"] == []
    assert "'n2' cannot be reached, or this run leaves it out" in hot["warnings"][0]
    facts["database"] = {"kind": "h2", "name": "nuxeo", "path": facts["data_dir"] + "/h2/nuxeo"}
    cold = plan({"n1": {"facts": facts}, "n2": {}})
    assert cold["cold"] is True
    assert [problem for problem in cold["problems"] if "'n2': it cannot be reached, or this run leaves it" in problem]


def test_the_reason_of_a_node_that_failed_is_told(facts: dict[str, t.Any]) -> None:
    problems = plan({"n1": {"facts": facts}, "n2": {"error": "no nuxeo.conf"}})["problems"]
    assert problems == ["Node 'n2': no nuxeo.conf"]
    assert plan({"n1": {"error": "bad"}})["problems"] == ["Node 'n1': bad"]


def test_missing_and_empty_folders_are_taken_for_unmounted(facts: dict[str, t.Any], tmp_path: Path) -> None:
    (tmp_path / "data" / "binaries" / "data").rmdir()
    assert [p for p in plan({"n1": {"facts": facts}})["problems"] if "it is empty" in p and "binaries" in p]
    facts["data_dir"] = str(tmp_path / "absent")
    assert [p for p in plan({"n1": {"facts": facts}})["problems"] if p.startswith("Data folder") and "mounted" in p]


def test_a_volume_of_fstab_that_is_not_mounted_is_told(
    facts: dict[str, t.Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the folder below it holds something."""
    (tmp_path / "fstab").write_text(f"UUID=1 {facts['data_dir']}/binaries xfs defaults 0 0\n")
    monkeypatch.setattr(mounts, "FSTAB", str(tmp_path / "fstab"))
    (problem,) = plan({"n1": {"facts": facts}})["problems"]
    assert problem.startswith("Blob store 'default'") and "nothing is mounted on" in problem


def test_blobs_and_disposable_parts_are_left_out_of_the_files(facts: dict[str, t.Any]) -> None:
    (tree,) = plan({"n1": {"facts": facts}})["trees"]
    assert {"binaries/data", "binaries/tmp", "convertcache", "binaries_transient_*", "elasticsearch"} <= set(
        tree["exclude"]
    )
    facts["database"] = {"kind": "h2", "path": facts["data_dir"] + "/h2/nuxeo"}
    (cold,) = plan({"n1": {"facts": facts}})["trees"]
    assert "elasticsearch" not in cold["exclude"]  # embedded, and still while it is copied


def test_the_bodies_of_queued_works_come_with_their_queue(facts: dict[str, t.Any], tmp_path: Path) -> None:
    data, far = Path(facts["data_dir"]), tmp_path / "shared/binaries_transient_default"
    for folder in (data / "binaries_transient_default", data / "binaries_transient_automation", far):
        folder.mkdir(parents=True)
    facts["streams"] = {"kind": "kafka", "prefix": "nuxeo-"}
    (tree,) = plan({"n1": {"facts": facts}})["trees"]
    assert "binaries_transient_*" in tree["exclude"]
    facts["streams"]["big_works"] = str(data / "binaries_transient_default")
    (tree,) = plan({"n1": {"facts": facts}})["trees"]
    transient = [name for name in tree["exclude"] if "transient_" in name]
    assert transient == ["binaries_transient_automation", "binaries_transient_default/tmp"]
    facts["streams"]["big_works"] = str(far)
    tree, works = plan({"n1": {"facts": facts}})["trees"]
    assert "binaries_transient_*" in tree["exclude"]
    assert (works["name"], works["src"]) == ("big-works", str(far))
    far.rmdir()  # nothing has been too big yet
    assert len(plan({"n1": {"facts": facts}})["trees"]) == 1


def test_a_store_outside_the_data_folder_keeps_its_layout_file(facts: dict[str, t.Any], tmp_path: Path) -> None:
    store = tmp_path / "blobs"
    (store / "data").mkdir(parents=True)
    facts["blobs"][0]["path"] = str(store)
    trees = plan({"n1": {"facts": facts}})["trees"]
    exclude = ["data", "tmp", "binaries_transient_*", *preflight.NEVER]
    assert {"name": "store-default", "src": str(store), "exclude": exclude} in trees
    (store / "records" / "data").mkdir(parents=True)
    records = {"provider": "records", "path": str(store / "records"), "kind": "record", "digest": None, "depth": None}
    found = plan({"n1": {"facts": facts}}, further=[records])["trees"]
    assert {"name": "store-default", "src": str(store), "exclude": [*exclude, "records"]} in found
    assert {"name": "store-records", "src": str(store / "records"), "exclude": exclude} in found


def test_what_the_copy_of_the_files_would_refuse_is_told_before(facts: dict[str, t.Any], tmp_path: Path) -> None:
    data = Path(facts["data_dir"])
    (tmp_path / "volume").mkdir()
    for name in ("avro", "convertcache"):
        (data / name).symlink_to(tmp_path / "volume")
    (problem,) = plan({"n1": {"facts": facts}})["problems"]
    assert "links lead out of it, to what would be missing: avro. " in problem
    template = tmp_path / "home" / "templates" / "own"
    template.mkdir(parents=True)
    (template / "driver.jar").symlink_to(tmp_path / "volume")
    os.mkfifo(template / os.fsdecode(b"pipe\xff"))
    facts.update(home=str(tmp_path / "home"), templates=["own", "default"])
    (_data, outside, special) = plan({"n1": {"facts": facts}})["problems"]
    assert f"'{template}': links lead out of it, to what would be missing: driver.jar. " in outside
    assert f"'{template}': it holds what is no file: pipe\\udcff. " in special
    (template / "driver.jar").unlink()
    (template / os.fsdecode(b"pipe\xff")).unlink()
    assert preflight.plan({"n1": {"facts": facts}}, "n1", (), (), ["avro"])["problems"] == []


def test_a_volume_that_nobody_has_written_to_is_empty(facts: dict[str, t.Any]) -> None:
    data = Path(facts["data_dir"])
    (data / "binaries" / "data").rmdir()
    (data / "binaries" / "lost+found").mkdir(mode=0)
    (problem,) = plan({"n1": {"facts": facts}})["problems"]
    assert problem.startswith("Blob store 'default'") and "it is empty" in problem
    (data / "binaries" / "data").mkdir()
    assert plan({"n1": {"facts": facts}})["problems"] == [], "not that it cannot be read"


@pytest.mark.parametrize(
    ("ping", "server", "words"),
    [
        ({}, {}, None),
        ({"is_available": True}, {"in_recovery": False}, None),
        (
            {"is_available": False, "conn_err_msg": "FATAL:  password authentication failed for user 'nuxeo'\n"},
            {"skipped": True},
            ("Login to database 'nuxeo' on db:5432 as 'nuxeo'", "authentication failed", "nuxeo.db.password"),
        ),
        ({"failed": True, "msg": "psycopg2 is not there"}, {}, ("psycopg2 is not there",)),
        ({"is_available": True}, {"in_recovery": True}, ("it is a standby", "primary server")),
    ],
)
def test_what_the_server_says(
    facts: dict[str, t.Any], ping: dict[str, t.Any], server: dict[str, t.Any], words: tuple[str, ...] | None
) -> None:
    found = preflight.server_problems(facts, ping, server)
    assert len(found) == (words is not None)
    assert all(word in found[0] for word in words or ())
    assert preflight.server_problems(None, ping, server) == []
