# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of a backup is told, all of it, before anything happens."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import preflight


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
    differs = {"unread": ["nuxeo.db.name"]}, {"pending_restart": ["nuxeo.db.name", "nuxeo.data.dir"]}
    never, yet = ({**facts, **each} for each in differs)
    first, second = plan({"n1": {"facts": facts}, "n2": {"facts": never}, "n3": {"facts": yet}})["problems"]
    assert first.startswith("Node 'n2': its server has nuxeo.db.name otherwise than '/etc/nuxeo/nuxeo.conf'")
    assert second.startswith("Node 'n3': its server runs with nuxeo.db.name, nuxeo.data.dir otherwise than '/etc/nuxeo")


def test_a_key_that_is_not_there_is_told_before_a_server_is_stopped(facts: dict[str, t.Any]) -> None:
    without = {**facts, "key_problems": ["Reading of the key file '/secure/aes.jks': it is gone. Bring it back."]}
    (problem,) = plan({"n1": {"facts": facts}, "n2": {"facts": without}})["problems"]
    assert problem == f"Node 'n2': {without['key_problems'][0]}"


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
