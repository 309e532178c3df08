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
    source: dict[str, t.Any],
    target: dict[str, t.Any],
    leader: str = "s1",
    instance: str = "staging",
    *,
    path: str = "/no",
    dropped: t.Sequence[str] = (),
    restored: bool = False,
) -> list[str]:
    found = clones.shared_problems(source, instance, leader, path, {**SOURCE, **target}, dropped, restored)
    hint = "give its host nuxeo_instance 'acme' in the inventory."
    assert all(hint in problem for problem in found), "a new server for a lost one is no clone"
    return found


def test_a_clone_on_the_host_of_its_source_goes_elsewhere(tmp_path: Path) -> None:
    """Whose nuxeo.conf is a copy of the source's, with the one or the other place forgotten."""
    for name in ("source", "clone"):
        (tmp_path / f"{name}.conf").touch()

    def told(conf: str, data: str, store: str, instance: str = "staging", source: str = "source.conf") -> list[str]:
        blobs = [{"provider": "default", "path": "/srv/blobs"}, {"provider": "far", "path": None}]
        facts = {"conf": str(tmp_path / source), "data_dir": "/srv/data", "blobs": blobs}
        target = {"conf": str(tmp_path / conf), "data_dir": data}
        return clones.place_problems({"instance": "acme", "nuxeo": facts}, instance, target, [{"path": store}])

    for data, store, taken in (("/srv/data", "/srv/own", "/srv/data"), ("/srv/own", "/srv/blobs", "/srv/blobs")):
        (problem,) = told("clone.conf", data, store)
        assert f"into the source's own {taken}, which '{tmp_path}/source.conf' on this host names" in problem
        assert told("clone.conf", data, store, source="gone.conf") == [], "another host"
        assert told("source.conf", data, store) == [], "another name for the same server"
        assert told("clone.conf", data, store, instance="acme") == []
    assert told("clone.conf", "/srv/own", "/srv/own") == []


@pytest.mark.parametrize(
    ("instance", "cluster", "names", "refused"),
    [
        ("staging", "c1", {"acme-audit": "acme-audit", "acme-uidgen": "acme-uidgen"}, "acme-audit, acme-uidgen"),
        ("staging", "c1", {"acme-audit": "staging-audit", "acme-uidgen": "acme-uidgen"}, "own index acme-uidgen of"),
        ("staging", "c1", {"acme-audit": "staging-audit"}, ""),
        ("staging", "c2", {"acme-audit": "acme-audit"}, ""),
        ("acme", "c1", {"acme-audit": "acme-audit"}, ""),
    ],
)
def test_a_clone_never_takes_the_audit_or_the_sequences_of_its_source(
    instance: str, cluster: str, names: dict[str, str], refused: str
) -> None:
    kept = {"cluster": "c1", "names": {"audit": "acme-audit", "sequences": "acme-uidgen"}}
    there = {"names": names, "cluster": cluster}
    found = clones.clone_problems({**manifest(), "audit": kept}, instance, {"name": "other"}, there)
    assert [refused in problem and "elasticsearch.indexName" in problem for problem in found] == [True] * bool(refused)


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


@pytest.mark.parametrize(
    ("instance", "leader", "index", "source", "dropped", "refused"),
    [
        ("staging", "s1", "nuxeo", ["http://es1:9200", "http://es2:9200"], ["https://u@es2.:9201,es2:9200"], True),
        ("staging", "s1", "nuxeo", ["es1:9300"], ["http://es1:9200"], True),
        ("staging", "n1", "nuxeo", ["http://localhost:9200"], ["http://localhost:9200"], True),
        ("staging", "s1", "nuxeo", ["http://localhost:9200"], ["http://localhost:9200"], False),
        ("staging", "s1", "staging", ["http://es1:9200"], ["http://es1:9200"], False),
        ("staging", "s1", "nuxeo", ["http://es1:9200"], ["http://es3:9200"], False),
        ("staging", "s1", "nuxeo", ["http://es1:9200"], [], False),
        ("acme", "n1", "nuxeo", ["http://es1:9200"], ["http://es1:9200"], False),
    ],
)
def test_a_clone_never_drops_the_index_of_its_source(
    instance: str, leader: str, index: str, source: list[str], dropped: list[str], refused: bool
) -> None:
    saved = manifest(search={"url": source, "index": "nuxeo"})
    found = problems(saved, {"search": {"index": index}}, leader, instance, dropped=dropped)
    assert ["restore_drop_index would delete" in problem for problem in found] == [True] * refused


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


@pytest.mark.parametrize(
    ("instance", "leader", "servers", "prefix", "restored", "refused"),
    [
        ("staging", "s1", ["kafka2:9093"], "nuxeo-", False, True),
        ("staging", "s1", ["kafka2:9093"], "nuxeo-", True, False),
        ("staging", "s1", ["kafka2:9093"], "staging-", False, False),
        ("staging", "s1", ["kafka3:9092"], "nuxeo-", False, False),
        ("staging", "s1", ["localhost:9092"], "nuxeo-", False, False),
        ("staging", "n1", ["localhost:9092"], "nuxeo-", False, True),
        ("acme", "n1", ["kafka2:9092"], "nuxeo-", False, False),
    ],
)
def test_a_clone_never_works_off_the_streams_of_its_source(
    instance: str, leader: str, servers: list[str], prefix: str, restored: bool, refused: bool
) -> None:
    source = ["kafka1:9092", "kafka2:9092", "localhost:9092"]
    kafka = {"kind": "kafka", "bootstrap_servers": source, "prefix": "nuxeo-"}
    target = {"streams": {**kafka, "bootstrap_servers": servers, "prefix": prefix}}
    found = problems(manifest(streams=kafka), target, leader, instance, restored=restored)
    assert ["kafka.topicPrefix of its own" in problem for problem in found] == [True] * refused
    other = {"streams": {"kind": "memory"}}
    assert problems(manifest(streams=kafka), other, leader, instance, restored=restored) == []


@pytest.mark.parametrize(
    ("host", "refused"),
    [("fd00::5", True), ("[fd00::5]", True), ("fd00::6", False), ("fd00", False), ("::1", False), ("a:b", False)],
)
def test_addresses_of_ipv6_are_told_apart(host: str, refused: bool) -> None:
    kafka = {"kind": "kafka", "bootstrap_servers": ["fd00::5:9092", "::1:9092"], "prefix": "nuxeo-"}
    redis = {"host": "fd00::5,::1", "port": 6379, "database": 0, "prefix": "nuxeo:", "sentinel": None}
    for source, target in (
        ({"streams": kafka}, {"streams": {**kafka, "bootstrap_servers": [f"{host}:9092"]}}),
        ({"cluster": {"redis": redis}}, {"cluster": {"redis": {**redis, "host": host}}}),
    ):
        found = problems(manifest(**source), target, "s1")
        assert ["fd00::5" in problem for problem in found] == [True] * refused


@pytest.mark.parametrize(
    ("bucket", "instance", "refused"),
    [("s3:acme/prod", "staging", True), ("s3:acme/staging", "staging", False), ("s3:acme/prod", "acme", False)],
)
def test_a_clone_never_writes_to_the_bucket_of_its_source(bucket: str, instance: str, refused: bool) -> None:
    """Nuxeo's garbage collection there would remove what only the source has."""
    names = "s3:acme/prod", bucket
    source, target = ({"blobs": [{"kind": "s3", "bucket": name}, {"kind": "file"}]} for name in names)
    found = problems(manifest(**source), target, instance=instance)
    assert ["the source's own bucket s3:acme/prod" in problem for problem in found] == [True] * refused


@pytest.mark.parametrize(
    ("theirs", "below", "taken"),
    [
        (["nas1:/export/prod/blobs"], "prod/blobs", True),
        (["nas1:/export/prod/blobs"], "prod", True),
        (["nas1:/export/prod"], "prod/blobs", True),
        (["nas1:/export/prod"], "production", False),
        (["nas2:/export/prod", "nas1:/other/prod"], "prod", False),
        (["nas1:/"], "prod", True),
        ([], "prod", False),
    ],
)
def test_a_clone_goes_elsewhere_on_a_volume_that_its_source_mounts_too(
    mounted: t.Callable[..., Path], theirs: list[str], below: str, taken: bool
) -> None:
    """It would put the source's own blobs aside."""
    volume = mounted("-t", "tmpfs", "nas1:/export")
    facts = {"conf": "/etc/nuxeo/production.conf", "data_dir": "/var/lib/nuxeo", "blobs": []}
    source = {"instance": "acme", "nuxeo": facts, "shares": theirs}
    for data, store in ((str(volume / below), "/srv/own"), ("/srv/own", str(volume / below))):
        target = {"conf": "/etc/nuxeo/nuxeo.conf", "data_dir": data}
        found = clones.place_problems(source, "staging", target, [{"path": store}, {"path": None}])
        place = f"into the source's own nas1:/export/{below}, a place that both hosts mount. "
        assert [place in problem for problem in found] == [True] * taken
        assert clones.place_problems(source, "acme", target, [{"path": store}]) == []
