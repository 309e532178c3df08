# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clone has nothing in common with a source that goes on working: neither nuxeo.conf, nor indices, nor Redis."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import clones
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.copy import PARTS
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.host import this_host
from ansible_collections.nuxeo.platform.plugins.module_utils._io import write_json

DATABASE = {"kind": "postgresql", "host": "db1", "port": 5432, "name": "nuxeo", "path": None}
SOURCE: dict[str, t.Any] = {"data_dir": "/var/lib/nuxeo/data", "database": DATABASE}


def manifest(**facts: t.Any) -> dict[str, t.Any]:
    return {"instance": "acme", "leader": "n1", "nodes": {"n1": True, "n2": False}, "nuxeo": {**SOURCE, **facts}}


def problems(
    source: dict[str, t.Any], target: dict[str, t.Any], leader: str = "s1", instance: str = "staging", path: str = "/no"
) -> list[str]:
    return clones.shared_problems(source, instance, leader, path, {**SOURCE, **target}, [], False)


@pytest.mark.parametrize(
    ("saved_on", "changed", "refused"),
    [
        (this_host(), {"data_dir": "/srv/staging/data"}, True),
        (this_host(), {"database": {**DATABASE, "name": "nuxeo_staging"}}, True),
        (this_host(), {}, False),  # the source by another name
        ("another", {"data_dir": "/srv/staging/data"}, False),
        ("", {"data_dir": "/srv/staging/data"}, False),
    ],
)
def test_the_source_never_becomes_its_own_clone(
    tmp_path: Path, saved_on: str, changed: dict[str, t.Any], refused: bool
) -> None:
    """As where the source runs, the clone on its host does not yet, and nobody has said where its nuxeo.conf is."""
    conf = tmp_path / "nuxeo.conf"
    conf.touch()
    (tmp_path / "conf" / "n1").mkdir(parents=True)
    write_json(str(tmp_path / "conf" / "n1" / PARTS), {"conf": str(conf), "host": saved_on, "parts": []})
    found = problems(manifest(), {"conf": str(conf), **changed}, path=str(tmp_path))
    assert ["the source would become the clone" in problem for problem in found] == [True] * refused
    other = tmp_path / "clone.conf"
    other.touch()
    assert problems(manifest(), {"conf": str(other), **changed}, path=str(tmp_path)) == []
    assert problems(manifest(), {"conf": str(conf), **changed}, path=str(tmp_path), instance="acme") == []


def engine(*urls: str, client: str = "rest", index: str = "nuxeo") -> dict[str, t.Any]:
    return {"url": list(urls), "client": client, "index": index}


@pytest.mark.parametrize(
    ("source", "target", "leader", "refused"),
    [
        (engine("http://es1:9200", "http://es2:9200"), engine("https://u@es2"), "s1", "nuxeo at es2:9200"),
        (engine("es1:9300", client="transport"), engine("http://es1:9200"), "s1", "nuxeo at es1"),
        (engine("http://es1:9200"), engine("http://es1:9201"), "s1", ""),
        (engine("http://es1:9200"), engine("http://es1:9200", index="staging"), "s1", ""),
        (engine("http://localhost:9200"), engine("http://localhost:9200"), "s1", ""),
        (engine("http://localhost:9200"), engine("http://localhost:9200"), "n1", "nuxeo at localhost:9200"),
        (engine("http://es1:port"), engine("http://es3:port"), "s1", ""),
        ({"index": None, "url": []}, engine("http://es1:9200"), "s1", ""),
    ],
)
def test_a_clone_never_writes_to_the_index_of_its_source(
    source: dict[str, t.Any], target: dict[str, t.Any], leader: str, refused: str
) -> None:
    found = problems(manifest(search=source), {"search": target}, leader)
    assert [f"write to the source's own index {refused}. Give" in problem for problem in found] == [True] * bool(
        refused
    )
    assert problems(manifest(search=source), {"search": target}, leader, "acme") == []


def test_audit_and_sequences_that_no_set_holds_are_the_sources_too() -> None:
    """Those in the set are asked for in the engine itself."""
    facts = {
        "search": engine("http://es1:9200", index="a"),
        "audit": {"kept": "elasticsearch", "index": "nuxeo-audit"},
        "sequences": {"kept": "elasticsearch", "index": "nuxeo-uidgen", "url": ["http://es2:9200"]},
    }
    target = {**facts, "search": engine("http://es1:9200", index="b")}
    (problem,) = problems(manifest(**facts), target)
    assert "nuxeo-audit at es1:9200, nuxeo-uidgen at es2:9200" in problem
    held = {**manifest(**facts), "audit": {"names": {"audit": "nuxeo-audit", "sequences": "nuxeo-uidgen"}}}
    assert problems(held, target) == []


@pytest.mark.parametrize(
    ("changed", "leader", "refused"),
    [
        ({}, "s1", True),
        ({"prefix": "staging:"}, "s1", False),
        ({"database": 1}, "s1", False),
        ({"sentinel": "other"}, "s1", False),
        ({"port": 6380}, "s1", False),
        ({"host": "r3"}, "s1", False),
    ],
)
def test_a_clone_never_works_off_the_works_of_its_source(changed: dict[str, t.Any], leader: str, refused: bool) -> None:
    redis = {"host": "r1,r2", "port": 6379, "database": 0, "prefix": "nuxeo:", "sentinel": None}
    source, target = ({"cluster": {"redis": value}} for value in (redis, {**redis, "host": "r2", **changed}))
    found = problems(manifest(**source), target, leader)
    assert ["own works in Redis at r2:6379" in problem for problem in found] == [True] * refused
    assert problems(manifest(**source), target, leader, "acme") == []
    assert problems(manifest(), target, leader) == problems(manifest(**source), {}, leader) == []
