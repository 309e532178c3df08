# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an instance is in the search engine."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search import instance
from ansible_collections.nuxeo.platform.plugins.module_utils._search.audit import (
    Store,
    is_embedded,
    opening_problems,
    store,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._search.client import Client
from ansible_collections.nuxeo.platform.plugins.module_utils._search.engine import Engine
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import SearchError
from ansible_collections.nuxeo.platform.plugins.module_utils._search.preflight import Plan

HERE = {
    "audit": {"kept": "elasticsearch", "index": "acme-audit"},
    "sequences": {"kept": "elasticsearch", "index": "acme-uidgen"},
}


def test_audit_and_sequences() -> None:
    assert store(HERE) == Store("acme-audit", "acme-uidgen")
    assert store(HERE).names == {"audit": "acme-audit", "sequences": "acme-uidgen"}
    assert store(HERE, ["sequences:elasticsearch"]).indices == ["acme-audit"]


@pytest.mark.parametrize("kept", ["sql", "mongodb", "memory", "other"])
def test_elsewhere(kept: str) -> None:
    assert store({"audit": {"kept": kept, "table": "NXP_LOGS"}, "sequences": {"kept": kept}}).indices == []
    assert store({}).indices == []


def test_an_engine_of_the_audit_alone_is_not_that_of_the_documents() -> None:
    assert is_embedded({"search": {"embedded": True}, "audit": {"kept": "elasticsearch"}})
    assert not is_embedded({"search": {"embedded": True}, "audit": {"kept": "elasticsearch", "embedded": False}})
    assert not is_embedded({})


def test_audit_and_sequences_of_two_clusters_are_no_snapshot() -> None:
    def connect() -> Client:
        raise SearchError("Connection", "it was tried")

    facts = {name: {**HERE[name], "url": [f"http://{name}:9200"]} for name in HERE}
    params = {"facts": facts, "left_out": [], "embedded_open": False, "repository": "", "name": "n", "location": "/l"}
    (told,) = instance.look({**params, "url": None}, connect)["problems"]
    assert "the audit at http://audit:9200 and the sequences at http://sequences:9200 are apart" in told
    for same in ({"url": ["http://proxy"]}, {"url": None, "left_out": ["sequences:elasticsearch"]}):
        assert instance.look({**params, **same}, connect)["problems"] == ["Connection: it was tried."]
    (told,) = instance.look({**params, "url": None, "left_out": ["audit:elasticsearch"]}, connect)["problems"]
    assert "the sequences at http://sequences:9200 are apart" in told and "backup_search_url" in told
    inside = {"audit": facts["audit"], "sequences": {**facts["sequences"], "url": [], "embedded": True}}
    (told,) = instance.look({**params, "url": None, "facts": inside}, connect)["problems"]
    assert "the audit at http://audit:9200 and the sequences inside of Nuxeo are apart" in told
    together = {name: {**HERE[name], "url": ["http://a:9200"]} for name in HERE}
    assert instance.look({**params, "url": None, "facts": together}, connect)["problems"] == [
        "Connection: it was tried."
    ]


class Registered(t.NamedTuple):
    """An engine in which the repository of the name is as said."""

    definition: dict[str, t.Any] | None
    where: str = "here"


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> t.Callable[..., dict[str, t.Any]]:
    """What is told of an instance in the folder 'new', all of whose indices are well, and no folder or path.repo."""
    location = tmp_path / "new"
    location.mkdir()
    monkeypatch.setattr(instance.rights, "for_snapshot", lambda *_, **__: [])
    monkeypatch.setattr(instance.preflight, "for_snapshot", lambda *_, **__: Plan({}, [], [], []))
    monkeypatch.setattr(instance, "read_engine", lambda client: Engine("elasticsearch", "8.8.2", "c", "u"))
    monkeypatch.setattr(instance.repository, "definition", lambda client, name: client.definition)
    monkeypatch.setattr(instance.repository, "path_problems", lambda client, settings: ["path.repo of node n1 is not"])

    def look(kind: str = "", named: str = "", **settings: str) -> dict[str, t.Any]:
        given = {"location": str(location), "compress": "true", **settings}
        known = {key: value for key, value in given.items() if value}
        definition = {"type": kind, "settings": known} if kind else None
        params = {"facts": HERE, "left_out": [], "embedded_open": False, "url": ["http://a"], "opened": None}
        place = {"name": "nuxeo-acme", "location": str(location), "repository": named, "owner": ""}
        return instance.look({**params, **place}, lambda: t.cast(Client, Registered(definition)))

    return look


def told(found: dict[str, t.Any]) -> str:
    return "\n".join(found["problems"])


@pytest.mark.parametrize("named", ["", "nuxeo-acme"])
def test_a_repository_that_is_registered_where_the_backup_root_was_is_none_to_go_on_with(
    looked: t.Callable[..., dict[str, t.Any]], named: str
) -> None:
    """Snapshots would go to the old volume, whether it is named or not, and the look for them be left out."""
    assert looked("fs", named)["problems"] == [] and looked("fs", named)["own"]
    moved = looked("fs", named, location="/old/acme/audit")
    assert moved["own"] and len(moved["problems"]) == 2
    first, second = moved["problems"]
    assert "'nuxeo-acme' is registered already, at '/old/acme/audit' instead of '" in first
    assert "copy that folder" in first and "es_repository" in first and "state=absent" in first
    assert "backup_audit_repository" not in first and "path.repo of node n1 is not: set it" in second


@pytest.mark.parametrize("named", ["", "nuxeo-acme"])
def test_a_repository_of_other_settings_at_its_place_is_told_with_what_differs(
    looked: t.Callable[..., dict[str, t.Any]], named: str, tmp_path: pathlib.Path
) -> None:
    other = looked("fs", named, compress="", chunk_size="1gb", location=f"{tmp_path}/new/")
    assert other["own"] and "with other settings (chunk_size, compress): remove" in told(other)
    assert "copy" not in told(other)
    assert looked("fs", named, location=f"{tmp_path}//new/")["problems"] == [], "the same in another spelling"


def test_a_repository_of_another_kind_is_used_when_it_is_named(looked: t.Callable[..., dict[str, t.Any]]) -> None:
    """Nothing of it is in a folder where it could be looked for."""
    store = {"location": "", "bucket": "b"}
    assert "(s3): give this instance another name, or name the repository as" in told(looked("s3", **store))
    for name in ("nuxeo-acme", "mine"):
        assert (looked("s3", name, **store)["own"], told(looked("s3", name, **store))) == (False, "")
        assert f"'{name}' of backup_audit_repository is not registered" in told(looked(named=name))
    assert looked("fs", "mine", location="/old/acme/audit")["own"] is False


@pytest.mark.parametrize(("version", "name"), [("10.10-HF45", "elasticsearch"), ("2023.5", "opensearch")])
def test_a_settings_file_of_somebody_else_is_a_problem(tmp_path: pathlib.Path, version: str, name: str) -> None:
    facts = {"version": version, "search": {"home": str(tmp_path)}}
    path = tmp_path / "config" / f"{name}.yml"
    assert opening_problems(facts) == []
    path.parent.mkdir()
    for content, why in (
        ("of: somebody\n", "is there already, and not of this collection"),
        (None, "cannot be read: "),
    ):
        if content is None:
            path.unlink()
            path.symlink_to(tmp_path / "none")
        else:
            path.write_text(content)
        (problem,) = opening_problems(facts)
        assert f"'{path}' {why}" in problem
    path.unlink()
    path.write_text(
        "# For the time of a snapshot by nuxeo.platform, which takes it away again.\n"
        f'path.repo: ["{tmp_path}/nuxeo-platform"]\n'
    )
    assert opening_problems(facts) == [], "of a backup that was killed"
