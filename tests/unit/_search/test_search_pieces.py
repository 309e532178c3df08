# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging, trimming, counting and naming, without an engine."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nuxeo.platform.plugins.module_utils._search import preflight, repository, snapshot
from ansible_collections.nuxeo.platform.plugins.module_utils._search.client import Answer, Client
from ansible_collections.nuxeo.platform.plugins.module_utils._search.engine import Engine
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import Lost, SearchError
from ansible_collections.nuxeo.platform.plugins.module_utils._search.indices import Counter, Documents, Shard, counted
from ansible_collections.nuxeo.platform.plugins.module_utils._search.operations import restore_request
from ansible_collections.nuxeo.platform.plugins.module_utils._search.restore import Item, Request, Restore
from ansible_collections.nuxeo.platform.plugins.module_utils._search.trim import field_type, milliseconds
from ansible_collections.nuxeo.platform.plugins.module_utils._search.wait import Deadline
from ansible_collections.nuxeo.platform.plugins.modules import es_repository


class Fake:
    """Answers a call by its method and path."""

    where = "fake"

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers

    def call(self, method: str, target: str, body: t.Any = None, **_: t.Any) -> Answer:
        return self.answers[f"{method} {target}"]


def fake(**answers: t.Any) -> Client:
    return t.cast(Client, Fake({key: Answer(200, value) for key, value in answers.items()}))


WHOLE = {
    "name": "s",
    "state": "SUCCESS",
    "indices": ["a"],
    "shards": {"total": 2, "successful": 2, "failed": 0},
    "failures": [],
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"state": "PARTIAL"}, "it ended PARTIAL"),
        ({"state": "INCOMPATIBLE"}, "it ended INCOMPATIBLE"),
        ({"shards": {"total": 2, "successful": 1, "failed": 1}}, "1 of 2 shards failed"),
        ({"shards": {"total": 2, "successful": 1, "failed": 0}}, "0 of 2 shards failed"),
        ({"failures": ["a[0]: lost"]}, r"a\[0\]: lost"),
        ({"indices": []}, "it holds no index instead of a"),
        ({"indices": ["a", "b"]}, "it holds a, b instead of a"),
        ({"shards": {"total": 0, "successful": 0, "failed": 0}}, "it holds no shard"),
    ],
)
def test_success_alone_says_little(change: dict[str, t.Any], why: str) -> None:
    snapshot.judge(fake(), "r", WHOLE, ["a"])
    with pytest.raises(SearchError, match=why):
        snapshot.judge(fake(), "r", {**WHOLE, **change}, ["a"])


def test_a_listing_with_errors_inside_is_an_error() -> None:
    answers = {"GET /_snapshot/r": {"r": {"type": "fs", "settings": {}}}}
    wrong = {"type": "repository_exception", "reason": "broken"}
    for listed in ({"snapshots": [], "failures": {"r": wrong}}, {"responses": [{"repository": "r", "error": wrong}]}):
        with pytest.raises(SearchError, match="broken"):
            snapshot.listing(fake(**answers, **{"GET /_snapshot/r/_all": listed}), "r")


def test_an_engine_that_is_away_while_it_is_asked_how_far_it_is_does_not_end_the_wait() -> None:
    states, told = ["IN_PROGRESS", "IN_PROGRESS", "SUCCESS"], []

    class Away(Fake):
        def call(self, method: str, target: str, body: t.Any = None, **_: t.Any) -> Answer:
            if target.endswith("/_status"):
                raise Lost("Status", "no answer")
            if target.startswith("/_snapshot/r/"):
                return Answer(200, {"snapshots": [{"snapshot": "s", "state": states.pop(0)}]})
            return super().call(method, target, body)

    away = t.cast(Client, Away({"GET /_snapshot/r": Answer(200, {"r": {"type": "fs", "settings": {}}})}))
    deadline = Deadline(60, sleep=lambda seconds: None)
    maker = snapshot.Maker(away, "r", "s", ["a"], deadline=deadline, beat=lambda done, total: told.append(done))
    assert maker.wait()["state"] == "SUCCESS"
    assert told == [0, 0]


@pytest.mark.parametrize(("store", "told"), [({}, 0), ({"type": "snapshot"}, 1), ({"type": "remote_snapshot"}, 1)])
def test_an_index_that_is_mounted_from_a_snapshot_is_none_to_make_one_of(store: dict[str, str], told: int) -> None:
    """No engine of the tests has the licence: only what an engine would say is looked at."""
    health = {"active_primary_shards": 1, "number_of_shards": 1, "status": "green"}
    answers = {
        "GET /a/_alias": {"a": {}},
        "GET /_cluster/state/metadata/a": {},
        "GET /a": {"a": {"settings": {"index": {"store": store}}}},
        "GET /_cluster/health/a": {"indices": {"a": health}},
        "GET /_snapshot/r": {"r": {"type": "fs", "settings": {}}},
    }
    engine = Engine("elasticsearch", "8.8.2", "c", "u")
    problems = preflight.for_snapshot(fake(**answers), engine, "r", ["a"]).problems
    assert [problem.startswith("index 'a' is mounted from a snapshot") for problem in problems] == [True] * told


@pytest.mark.parametrize(("successful", "failed"), [(1, 1), (1, 0)])
def test_a_count_without_all_shards_is_none(successful: int, failed: int) -> None:
    body = {"count": 8, "_shards": {"total": 2, "successful": successful, "failed": failed}}
    with pytest.raises(SearchError, match="only 1 of 2 shards answered"):
        counted("Count", Answer(200, body))


def node(name: str, repo: t.Any, roles: list[str]) -> dict[str, t.Any]:
    return {"name": name, "roles": roles, "settings": {"path": {} if repo is None else {"repo": repo}}}


def test_path_repo_of_every_node() -> None:
    nodes = {
        "1": node("n1", None, ["data"]),
        "2": node("n2", "/mnt/snap", ["master"]),
        "3": node("n3", ["/mnt", "/x"], ["data_hot"]),
        "4": node("n4", None, ["ingest"]),
        "5": node("n5", "/mnt/snapshots", ["data"]),
    }
    found = repository.path_problems(fake(**{"GET /_nodes/settings": {"nodes": nodes}}), {"location": "/mnt/snap/a"})
    assert found == [
        "path.repo is not set on node n1",
        "path.repo of node n5 is /mnt/snapshots, and '/mnt/snap/a' is not in it",
    ]


def test_keys_of_a_store_are_hidden() -> None:
    settings = {"bucket": "b", "secret_key": "canary", "sas_token": "canary", "access_key": "canary"}
    shown = repository.public({"type": "s3", "settings": settings})
    assert "canary" not in str(shown) and shown and shown["settings"]["bucket"] == "b"


def test_keys_of_a_store_are_in_nothing_that_the_module_tells(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"bucket": "b", "secret_key": "canary1", "sas_token": "canary2", "password_protected": True}
    echo = Answer(400, {"error": {"type": "repository_exception", "reason": f"[r] bad settings {settings}"}})
    answers = {"GET /_snapshot/r": Answer(404, {}), "PUT /_snapshot/r": echo}
    logged: list[str] = []
    monkeypatch.setattr(es_repository, "client_for", lambda params: Fake(answers))
    monkeypatch.setattr(es_repository.EnvironmentModule, "log", lambda self, text, **_: logged.append(text))
    for check in (True, False):
        given = {"name": "r", "type": "s3", "settings": settings, "url": ["http://x"], "_ansible_check_mode": check}
        with patch_module_args(given), pytest.raises(SystemExit):
            es_repository.main()
        told = capfd.readouterr().out
        assert '"bucket": "b"' in told and "canary" not in told + str(logged)
        assert json.loads(told)["invocation"]["module_args"]["settings"]["password_protected"] is True


def test_a_folder_without_catalogue(tmp_path: pathlib.Path) -> None:
    found = {"type": "fs", "settings": {"location": str(tmp_path)}}
    assert repository.lost_catalogue(found) == ""
    (tmp_path / "indices" / "x").mkdir(parents=True)
    assert "but not the catalogue" in repository.lost_catalogue(found)
    (tmp_path / "index-3").touch()
    assert repository.lost_catalogue(found) == ""
    found["settings"] = {"location": str(tmp_path / "gone")}
    assert "cannot be read" in repository.lost_catalogue(found)


def counter(before: Shard, after: Shard | None) -> int | None:
    made = Counter.__new__(Counter)
    made.before = {("a", "0"): before}
    return made._taken("a", {("a", "0"): after} if after else {})


def test_which_commit_a_snapshot_took() -> None:
    assert counter(Shard("n", 4, 10, 10), Shard("n", 4, 10, 12)) == 10  # nothing committed since
    assert counter(Shard("n", 4, 10, 12), Shard("n", 5, 13, 14)) == 13  # the snapshot's own commit
    assert counter(Shard("n", 4, 10, 10), Shard("n", 5, 13, 14)) is None  # perhaps a commit after it
    assert counter(Shard("n", 4, 10, 12), Shard("n", 6, 13, 14)) is None
    assert counter(Shard("n", 4, 10, 12), Shard("m", 5, 13, 14)) is None
    assert counter(Shard("n", 4, 10, 12), None) is None


class Purged(Fake):
    """An index whose documents are counted and whose statistics are asked for by turns."""

    def __init__(self, counts: list[int], shards: list[dict[str, t.Any]]) -> None:
        super().__init__({})
        self.counts = counts
        self.shards = shards

    def call(self, method: str, target: str, body: t.Any = None, **_: t.Any) -> Answer:
        if target == "/a/_count":
            shards = {"total": 1, "successful": 1, "failed": 0}
            return Answer(200, {"count": self.counts.pop(0), "_shards": shards})
        if target == "/a/_stats/docs,indexing":
            return Answer(200, {"indices": {"a": {"shards": {"0": [self.shards.pop(0)]}}}})
        return Answer(200, {})


def statistics(generation: int, committed: int, deletions: int, node: str = "n") -> dict[str, t.Any]:
    return {
        "routing": {"primary": True, "node": node},
        "commit": {"generation": generation, "num_docs": committed},
        "docs": {"count": committed},
        "indexing": {"delete_total": deletions},
    }


@pytest.mark.parametrize(
    ("counts", "deletions", "node", "expected"),
    [
        ([100, 100], 0, "n", Documents(100, 100, 100)),
        ([100, 60], 40, "n", Documents(None, 20, 140)),
        ([100, 100], 3, "n", Documents(None, 97, 103)),
        ([100, 110], 0, "n", Documents(None, 100, 110)),
        ([100, 110], 2, "m", Documents(None, 91, 119)),
    ],
)
def test_a_purge_during_the_snapshot_widens_the_bounds(
    counts: list[int], deletions: int, node: str, expected: Documents
) -> None:
    after = statistics(6, counts[1], 7 + deletions, node)
    counted_meanwhile = Counter(t.cast(Client, Purged(counts, [statistics(4, 100, 7), after, after])), ["a"])
    assert counted_meanwhile.result() == {"a": expected}


def test_a_commit_that_counts_more_than_there_are_is_not_believed() -> None:
    after = statistics(4, 300, 0)
    nested = Counter(t.cast(Client, Purged([100, 110], [statistics(4, 300, 0), after, after])), ["a"])
    assert nested.result() == {"a": Documents(None, 100, 110)}


def data_node(free: int | None, *roles: str) -> dict[str, t.Any]:
    return {"roles": list(roles), "fs": {"total": {} if free is None else {"available_in_bytes": free}}}


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ([data_node(600, "data"), data_node(400, "data_hot"), data_node(0, "master")], []),
        ([data_node(600, "data"), data_node(399, "data_hot"), data_node(9999, "master")], ["1000 bytes are restored"]),
        ([data_node(1, "data"), data_node(None, "data")], []),
        ([], []),
    ],
)
def test_room_for_what_is_restored(nodes: list[dict[str, t.Any]], told: list[str]) -> None:
    new, old = {"total": {"size_in_bytes": 900}}, {"total_size_in_bytes": 100}
    held = {"a": {"stats": new}, "b": {"stats": old}, "other": {"stats": new}}
    answers = {
        "GET /_snapshot/r/s/_status": {"snapshots": [{"indices": held}]},
        "GET /_nodes/stats/fs": {"nodes": dict(enumerate(nodes))},
    }
    items = [Item("a", "x", {}), Item("b", "y", {})]
    run = Restore(fake(**answers), Engine("elasticsearch", "8.8.2", "c", "u"), Request("r", "s", items), Deadline(1))
    assert [problem[: len(told[0])] for problem in run._crowded()] == told


class Rebuilt(Fake):
    """A cluster in which much else is on its way: the shard of an index gets a node after so many looks."""

    def __init__(self, looks: int, can_allocate: str) -> None:
        super().__init__({})
        self.looks = looks
        self.can_allocate = can_allocate

    def call(self, method: str, target: str, body: t.Any = None, **_: t.Any) -> Answer:
        if target == "/_cluster/allocation/explain":
            return Answer(200, {"current_state": "unassigned", "can_allocate": self.can_allocate})
        self.looks -= 1
        there = int(self.looks < 0)
        state = {"number_of_shards": 1, "active_primary_shards": there, "initializing_shards": 0}
        return Answer(200, {"indices": {"x": {**state, "status": "green" if there else "yellow"}}})


@pytest.mark.parametrize(
    ("can_allocate", "looks", "back"),
    [("throttled", 300, True), ("awaiting_info", 300, True), ("no", 300, False), ("throttled", 10**9, False)],
)
def test_a_shard_that_waits_its_turn_is_waited_for(can_allocate: str, looks: int, back: bool) -> None:
    passed = [0.0]
    deadline = Deadline(600, clock=lambda: passed[0], sleep=lambda seconds: passed.append(passed.pop() + seconds))
    cluster = t.cast(Client, Rebuilt(looks, can_allocate))
    request = Request("r", "s", [Item("a", "x", {}, index="x")])
    run = Restore(cluster, Engine("elasticsearch", "8.8.2", "c", "u"), request, deadline)
    if back:
        run._wait(lambda done, total: None)
    else:
        with pytest.raises(SearchError, match="1 of 1 shards of 'x' did not come back"):
            run._wait(lambda done, total: None)
    assert passed[0] > 15.0 and (passed[0] < 30.0) == (can_allocate == "no")


@pytest.mark.parametrize(
    ("change", "cluster", "told"),
    [
        ({}, "u", ""),
        ({}, "other", "another cluster writes the repository"),
        ({"uuid": "another"}, "u", "not the one of the set (another)"),
        ({"state": "PARTIAL"}, "u", "the snapshot is PARTIAL, 0 shards failed"),
        ({"shards": {"total": 2, "successful": 1, "failed": 1}}, "u", "the snapshot is SUCCESS, 1 shards failed"),
        ({"indices": ["b"]}, "u", "index 'a' is not in it (it holds b)"),
    ],
)
def test_a_snapshot_is_restored_only_when_it_is_the_one_of_the_set_and_whole(
    change: dict[str, t.Any], cluster: str, told: str
) -> None:
    listed = {**WHOLE, "snapshot": "s", "uuid": "one", "version": "8.8.2", "version_id": 8080299, **change}
    answers = {
        "GET /_snapshot/r": {"r": {"type": "fs", "settings": {}}},
        "GET /_snapshot/r/s": {"snapshots": [listed]},
    }
    request = Request("r", "s", [Item("a", "x", {})], uuid="one", cluster=cluster)
    run = Restore(fake(**answers), Engine("elasticsearch", "8.8.2", "c", "u"), request, Deadline(1))
    problems = run._unreadable(run._snapshot())
    assert len(problems) == bool(told) and all(told in problem for problem in problems)


def test_bounds_admit_what_lies_between() -> None:
    assert [n for n in range(9, 14) if Documents(None, 10, 12).admits(n)] == [10, 11, 12]
    assert [n for n in range(9, 14) if Documents(11, 10, 12).admits(n)] == [11]


def test_backup_dates_in_milliseconds() -> None:
    assert milliseconds("1970-01-01T00:00:01.999999Z") == 1999
    assert milliseconds("1970-01-01T01:00:00+01:00") == 0
    for wrong in ("yesterday", "2026-11-23T02:00:04"):
        with pytest.raises(SearchError):
            milliseconds(wrong)


def test_the_field_of_times_is_found_in_old_and_new_mappings() -> None:
    new = {"properties": {"eventDate": {"type": "date"}}}
    assert field_type(new, "eventDate") == field_type({"entry": new}, "eventDate") == "date"
    assert field_type({}, "eventDate") == field_type(new, "logDate") == ""


OPTIONS: dict[str, t.Any] = {
    "repository": "r",
    "name": "s",
    "indices": None,
    "rename": {},
    "aliases": {},
    "record": None,
    "record_path": None,
    "trim": None,
    "overwrite": False,
    "index_settings": {},
    "ignore_index_settings": [],
}


def test_a_restore_takes_its_names_from_the_record() -> None:
    record = {
        "requested": {"audit": ["audit-0001", "audit-0002"], "uidgen": ["uidgen"]},
        "indices": [{"name": "uidgen", "documents": 2, "documents_at_least": 2, "documents_at_most": 2, "created": 7}],
        "sequences": {"name": "uidgen", "values": {"audit": 7}},
        "snapshot": {"uuid": "u"},
    }
    made = restore_request({**OPTIONS, "record": record, "rename": {"audit": "nuxeo-audit"}})
    assert [(each.source, each.target) for each in made.items] == [
        ("audit-0001", "nuxeo-audit"),
        ("audit-0002", "nuxeo-audit"),
        ("uidgen", "uidgen"),
    ]
    assert made.items[2].sequences == {"audit": 7} and made.items[2].documents == Documents(2, 2, 2)
    assert made.uuid == "u" and made.items[0].documents is None and made.items[0].sequences is None


def test_aliases_are_taken_with_all_that_the_engine_told_of_them() -> None:
    aliases = {
        "audit": {"is_write_index": True, "is_hidden": True},
        "audit-all": {"filter": {"match_all": {}}, "made_by": "a later engine"},
        "audit-r1a2b3c4d-aside": {},
        "other": {},
    }
    record = {"requested": {"audit": ["audit-r1a2b3c4d"]}, "indices": [{"name": "audit-r1a2b3c4d", "aliases": aliases}]}
    options = {**OPTIONS, "record": record, "rename": {"audit": "nuxeo"}, "aliases": {"audit": ["nuxeo-write"]}}
    (made,) = restore_request(options).items
    assert made.names == ["nuxeo", "nuxeo-all", "nuxeo-write"]
    assert made.aliases == {
        "nuxeo": aliases["audit"],
        "nuxeo-write": aliases["audit"],
        "nuxeo-all": {"filter": {"match_all": {}}},
    }


@pytest.mark.parametrize("option", [{"rename": {"b": "c"}}, {"aliases": {"b": ["c"]}}, {"rename": {"a": "x*"}}])
def test_names_that_mean_nothing_are_refused(option: dict[str, t.Any]) -> None:
    with pytest.raises(SearchError):
        restore_request({**OPTIONS, "indices": ["a"], **option})
