# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a snapshot or a restore from being taken for done, or from touching what is not its own, without an
engine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError
from ansible_collections.nuxeo.platform.plugins.module_utils._search import (
    operations,
    preflight,
    record,
    repository,
    restore,
    sequences,
    snapshot,
    trim,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._search.client import Answer, Client
from ansible_collections.nuxeo.platform.plugins.module_utils._search.engine import Engine
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import Lost, SearchError
from ansible_collections.nuxeo.platform.plugins.module_utils._search.indices import Counter, Documents
from ansible_collections.nuxeo.platform.plugins.module_utils._search.restore import Item, Request, Restore
from ansible_collections.nuxeo.platform.plugins.module_utils._search.wait import Deadline

ENGINE = Engine("elasticsearch", "8.8.2", "c", "u")
MISSING = {"type": "snapshot_missing_exception", "reason": "[r:s] is missing"}
BROKEN = {"type": "snapshot_exception", "reason": "[r:s] its metadata cannot be read"}


class Told:
    """Gives the answers of each call in turn, the last one for ever; keeps the calls."""

    where = "fake"

    def __init__(self, **answers: t.Any) -> None:
        self.answers = {call: given if isinstance(given, list) else [given] for call, given in answers.items()}
        self.calls: list[str] = []

    def call(self, method: str, target: str, body: t.Any = None, **_: t.Any) -> Answer:
        self.calls.append(f"{method} {target}")
        given = self.answers[self.calls[-1]]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Answer) else Answer(200, answer)


def client(told: Told) -> Client:
    return t.cast(Client, told)


def at_once(seconds: float = 60.0) -> Deadline:
    """A deadline whose time passes with its pauses."""
    passed = [0.0]
    return Deadline(seconds, clock=lambda: passed[0], sleep=lambda pause: passed.append(passed.pop() + pause))


def test_a_snapshot_that_cannot_be_read_is_not_one_that_is_not_there() -> None:
    """It would be made again, or its removal be said to be done."""
    for errors, gone in (({"s": MISSING}, True), ({"s": BROKEN}, False), ({"o": MISSING, "s": BROKEN}, False)):
        told = Told(**{"GET /_snapshot/r/s": {"snapshots": [], "failures": errors}})
        if gone:
            assert snapshot.find(client(told), "r", "s") is None
        else:
            with pytest.raises(SearchError, match="Look-up of snapshot 's'"):
                snapshot.find(client(told), "r", "s")


def test_a_removal_that_has_not_come_is_made_again() -> None:
    there = {"snapshots": [{"snapshot": "s", "state": "SUCCESS"}]}
    gone = Answer(404, {"error": MISSING})
    told = Told(**{"GET /_snapshot/r/s": [there, there, there, gone], "DELETE /_snapshot/r/s": [Lost("x", "cut"), {}]})
    assert snapshot.remove(client(told), "r", "s", at_once())
    assert told.calls.count("DELETE /_snapshot/r/s") == 2 and told.calls[-1] == "GET /_snapshot/r/s"


def test_an_empty_list_is_not_believed_where_the_folder_holds_snapshots(tmp_path: pathlib.Path) -> None:
    settings = {"location": str(tmp_path)}
    told = Told(**{"GET /_snapshot/r": {"r": {"type": "fs", "settings": settings}}})
    told.answers["GET /_snapshot/r/_all"] = [Answer(200, {"snapshots": []})]
    assert snapshot.listing(client(told), "r") == []
    (tmp_path / "snap-1.dat").touch()
    with pytest.raises(SearchError, match="the engine lists none, but its folder"):
        snapshot.listing(client(told), "r")


def test_a_snapshot_asked_for_by_name_has_to_be_there() -> None:
    found = [{"name": "s1"}, {"name": "s2"}]
    assert snapshot.select(client(Told()), "r", found, ["s2"]) == [{"name": "s2"}]
    with pytest.raises(SearchError, match="Snapshots s3 in repository 'r'"):
        snapshot.select(client(Told()), "r", found, ["s2", "s3"])


@pytest.mark.parametrize("readonly", ["false", "true"])
def test_every_node_takes_part_in_a_verification(readonly: str) -> None:
    nodes = {"1": {"name": "n1", "roles": ["data"]}, "2": {"name": "n2", "roles": ["master"]}}
    told = Told(
        **{
            "POST /_snapshot/r/_verify": {"nodes": {"1": {"name": "n1"}}},
            "GET /_nodes": {"nodes": nodes},
            "GET /_snapshot/r": {"r": {"type": "fs", "settings": {"readonly": readonly}}},
        }
    )
    with pytest.raises(SearchError, match="node n2 did not take part"):
        repository.verify(client(told), "r")
    told.answers["GET /_nodes"] = [Answer(200, {"nodes": {**nodes, "2": {"name": "n2", "roles": ["ingest"]}}})]
    assert repository.verify(client(told), "r") == ["n1"]


def test_a_node_that_only_votes_has_no_part_in_a_repository() -> None:
    """Elasticsearch neither asks it nor has it open one. A voting one that keeps data takes part as all do."""
    full = {"name": "n1", "roles": ["data", "master"], "settings": {"path": {"repo": ["/srv"]}}}
    votes: dict[str, t.Any] = {"name": "n2", "settings": {"path": {}}}
    told = Told(**{"POST /_snapshot/r/_verify": {"nodes": {"1": {"name": "n1"}}}})
    told.answers["GET /_snapshot/r"] = [Answer(200, {"r": {"type": "fs", "settings": {}}})]
    for more, asked in (([], False), (["ingest"], False), (["data"], True), (["data_warm"], True)):
        nodes = {"1": full, "2": {**votes, "roles": ["master", "voting_only", *more]}}
        for call in ("GET /_nodes", "GET /_nodes/settings"):
            told.answers[call] = [Answer(200, {"nodes": nodes})]
        missing = repository.path_problems(client(told), {"location": "/srv/acme/audit"})
        assert missing == ["path.repo is not set on node n2"] * asked
        if not asked:
            assert repository.verify(client(told), "r") == ["n1"]
            continue
        with pytest.raises(SearchError, match="node n2 did not take part"):
            repository.verify(client(told), "r")


@pytest.mark.parametrize(
    ("roots", "told"),
    [
        (["/usr/snap", "/srv"], None),
        ("/usr/snap,/srv", None),
        (" /usr/snap , /srv/ ,", None),
        ("/usr/snap,/srv/a", "path.repo of node n1 is /usr/snap, /srv/a, and '/srv/acme/audit' is not in it"),
        (["/usr/snap,/srv"], "path.repo of node n1 is /usr/snap,/srv, and '/srv/acme/audit' is not in it"),
        (",", "path.repo is not set on node n1"),
    ],
)
def test_places_that_an_engine_allows_may_be_one_string(roots: str | list[str], told: str | None) -> None:
    """As the environment of a container gives them. In a list a comma is part of the name."""
    node = {"name": "n1", "roles": ["data"], "settings": {"path": {"repo": roots}}}
    answers = Told(**{"GET /_nodes/settings": {"nodes": {"1": node}}})
    found = repository.path_problems(client(answers), {"location": "/srv/acme/audit"})
    assert found == ([told] if told else [])


def test_what_stands_in_the_way_of_a_snapshot() -> None:
    health = {"active_primary_shards": 1, "number_of_shards": 2, "status": "red"}
    told = Told(
        **{
            "GET /a/_alias": {"a": {}, "b": {}},
            "GET /_cluster/state/metadata/a,b": {"metadata": {"indices": {"b": {"state": "close"}}}},
            "GET /a": {"a": {"settings": {"index": {}}}},
            "GET /_cluster/health/a": {"indices": {"a": health}},
            "GET /_snapshot/r": {"r": {"type": "fs", "settings": {}}},
        }
    )
    whole = ["index 'b' is closed", "index 'a' is red: 1 of its primary shards are on no node"]
    assert preflight.for_snapshot(client(told), ENGINE, "r", ["a"]).problems == whole


@pytest.mark.parametrize("other", ["r", "theirs"])
def test_another_snapshot_that_runs_is_waited_for_where_the_engine_makes_one_at_a_time(other: str) -> None:
    """Also one in the same repository, which instances may share."""
    told = Told(
        **{
            "GET /a/_alias": {"a": {}},
            "GET /_cluster/state/metadata/a": {"metadata": {"indices": {}}},
            "GET /a": {"a": {"settings": {"index": {}}}},
            "GET /_cluster/health/a": {"indices": {"a": HEALTH}},
            "GET /_snapshot/r": {"r": {"type": "s3", "settings": {}}},
            "GET /_snapshot/_status": {"snapshots": [{"repository": other, "snapshot": "set-1"}]},
        }
    )
    waits = f"snapshot 'set-1' is running in repository '{other}': Elasticsearch 7.8.1 makes one at a time"
    for engine, warnings in ((ENGINE, []), (dataclasses.replace(ENGINE, version="7.8.1"), [waits])):
        plan = preflight.for_snapshot(client(told), engine, "r", ["a"])
        assert (plan.problems, plan.warnings) == ([], warnings)


def test_documents_are_counted_when_all_of_them_are_visible() -> None:
    shard = {"routing": {"primary": True, "node": "n"}, "indexing": {"delete_total": 0}, "docs": {"count": 5}}
    shard["commit"] = {"generation": 1, "num_docs": 5}
    count = {"count": 5, "_shards": {"total": 1, "successful": 1, "failed": 0}}
    stats = {"indices": {"a": {"shards": {"0": [shard]}}}}
    told = Told(**{"POST /a/_refresh": {}, "GET /a/_stats/docs,indexing": stats, "GET /a/_count": count})
    assert Counter(client(told), ["a"]).result() == {"a": Documents(5, 5, 5)}
    seen = [call for call in told.calls if "_stats" not in call]
    assert seen == ["POST /a/_refresh", "GET /a/_count"] * 2


def test_a_removal_of_newer_entries_that_does_not_come_on_is_given_up() -> None:
    left = {"count": 3, "_shards": {"total": 1, "successful": 1, "failed": 0}}
    wrong = RuntimeError("it goes round for ever")
    told = Told(
        **{
            "POST /a/_count": [left, left, left, wrong],
            "POST /a/_search": {"hits": {"hits": [{"_index": "a", "_id": "1"}]}},
            "POST /_bulk": {"errors": True},
            "POST /a/_refresh": {},
        }
    )
    with pytest.raises(SearchError, match="3 entries could not be removed"):
        trim.trim(client(told), "a", {"properties": {"d": {"type": "date"}}}, field="d", limit=5)


def test_a_sequence_that_is_gone_is_below_what_was_given() -> None:
    told = Told(**{"POST /a/_search": {"hits": {"hits": [{"_id": "audit", "_version": 7}]}}})
    sequences.check(client(told), "a", {"audit": 7})
    with pytest.raises(SearchError, match="'invoice' is 0, was 1"):
        sequences.check(client(told), "a", {"audit": 7, "invoice": 1})


def test_a_sequence_is_only_ever_raised() -> None:
    told = Told(**{"POST /a/_search": {"hits": {"hits": [{"_id": "audit", "_version": 7}]}}, "PUT /a/_doc/audit": {}})
    for value, calls in ((6, 0), (7, 0), (8, 1)):
        sequences.raise_to(client(told), "a", "audit", value)
        assert told.calls.count("PUT /a/_doc/audit") == calls


def test_a_record_of_another_format_is_not_guessed_at(tmp_path: pathlib.Path) -> None:
    for format, told in ((record.FORMAT, ""), (record.FORMAT + 1, "its format is 2, not 1")):
        (tmp_path / "audit.json").write_text(json.dumps({"format": format}))
        if not told:
            assert record.read_record(str(tmp_path / "audit.json")) == {"format": 1}
            continue
        with pytest.raises(SearchError, match=told):
            record.read_record(str(tmp_path / "audit.json"))


# -- a restore


def restoring(told: Told, **more: t.Any) -> Restore:
    """A restore of one index that is about to have two names."""
    item = Item("a", "x", {"x": {}, "x-write": {}}, index="x-r00000000", **more)
    return Restore(client(told), ENGINE, Request("r", "s", [item]), at_once())


HEALTH = {"number_of_shards": 1, "active_primary_shards": 1, "initializing_shards": 0, "status": "green"}


def test_an_index_of_which_the_engine_says_nothing_yet_is_waited_for() -> None:
    told = Told(**{"GET /_cluster/health/x-r00000000": [{"indices": {}}, {"indices": {"x-r00000000": HEALTH}}]})
    restoring(told)._wait(lambda done, total: None)
    assert len(told.calls) == 2


def test_names_that_the_engine_does_not_give_are_not_taken_for_given() -> None:
    refusal = {"error": {"type": "invalid_alias_name_exception", "reason": "an index exists with the same name"}}
    told = Told(**{"POST /_aliases": Answer(400, refusal), "GET /x/_alias": Answer(404, {})})
    with pytest.raises(SearchError, match="The restored indices stand beside their names"):
        restoring(told).swap()


BACK = {"x": {"x-r00000000": {}}, "x-write": {"x-r00000000": {}}}


@pytest.mark.parametrize(
    ("standing", "count", "newer", "back"),
    [
        (BACK, 5, None, True),
        (BACK, 6, None, False),
        ({**BACK, "x": {"x-r00000000": {}, "other": {}}}, 5, None, False),
        ({**BACK, "x-write": {}}, 5, None, False),
        (BACK, 4, 0, True),
        (BACK, 6, 0, False),
        (BACK, 4, 1, False),
    ],
)
def test_only_what_is_as_an_earlier_restore_left_it_is_back(
    standing: dict[str, t.Any], count: int, newer: int | None, back: bool
) -> None:
    shards = {"total": 1, "successful": 1, "failed": 0}
    told = Told(
        **{
            "GET /x-r00000000/_count": {"count": count, "_shards": shards},
            "POST /x-r00000000/_count": {"count": newer, "_shards": shards},
        }
    )
    run = restoring(told, documents=Documents(5, 5, 5), trim_field="d")
    run.request.newer_than = None if newer is None else 1000
    run.standing = standing
    assert run._is_back(run.request.items[0]) is back


def test_the_sequence_of_the_audit_is_raised_also_where_the_record_has_no_numbers() -> None:
    """That of a snapshot which was there already: nobody could tell its contents any more."""
    sequence = {"hits": {"hits": [{"_id": "audit", "_version": 7}]}}
    entries = {"aggregations": {"largest": {"value": 300.0}}}
    told = Told(**{"POST /u-r1/_search": sequence, "POST /a-r1/_search": entries, "PUT /u-r1/_doc/audit": {}})
    kept = {"requested": {"a": ["a"], "u": ["u"]}, "sequences": {"name": "u", "values": {}}}
    params = {"repository": "r", "name": "s", "record": kept, "overwrite": False, "trim": None, "indices": None}
    more = {"record_path": None, "index_settings": {}, "ignore_index_settings": [], "rename": {}, "aliases": {}}
    request = operations.restore_request({**params, **more})
    for item in request.items:
        item.index = f"{item.source}-r1"
    Restore(client(told), ENGINE, request, at_once())._raise_sequence()
    assert told.calls[-1] == "PUT /u-r1/_doc/audit"


def test_an_index_that_another_restore_has_made_meanwhile_is_not_removed() -> None:
    """The engine refuses a second one of the name; what is there may be in use already."""
    exists = {"error": {"type": "snapshot_restore_exception", "reason": "an open index with same name already exists"}}
    told = Told(**{"POST /_snapshot/r/s/_restore": Answer(500, exists), "DELETE /x-r00000000": {}})
    with pytest.raises(SearchError, match="with same name already exists"):
        restoring(told).run(lambda done, total: None)
    assert not [call for call in told.calls if call.startswith("DELETE")]


def test_what_a_restore_may_have_made_is_removed_when_it_fails() -> None:
    told = Told(**{"POST /_snapshot/r/s/_restore": Lost("Restore", "cut"), "DELETE /x-r00000000": {}})
    told.answers["GET /x-r00000000/_alias"] = [Answer(404, {})]
    with pytest.raises(SearchError, match="cut"):
        restoring(told).run(lambda done, total: None)
    assert told.calls[-1] == "DELETE /x-r00000000"


def test_the_sequence_is_raised_above_entries_that_are_trimmed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their numbers have been given. And nothing is changed before all of it is known to be what the set says."""
    run = restoring(Told())
    steps: list[str] = []
    run.request.items *= 2
    for name in ("_start", "_wait", "_check", "_raise_sequence", "_trim"):
        monkeypatch.setattr(run, name, lambda *_, name=name: steps.append(name))
    run.run(lambda done, total: None)
    assert steps == ["_start", "_start", "_wait", "_check", "_check", "_raise_sequence", "_trim", "_trim"]


def first_name(item: Item) -> str:
    """Of the index that an item comes back as, while none of that name is there."""
    return f"{item.target}-r{hashlib.sha256(f'u/{item.source}'.encode()).hexdigest()[:8]}"


@pytest.fixture
def returned(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Restore]:
    """A restore of what an earlier one has brought back already, for the second time."""

    def make(*items: Item, number: int, **more: t.Any) -> Restore:
        there: dict[str, dict[str, t.Any]] = {}
        for item in items:
            there.setdefault(item.target, {})[f"{first_name(item)}-2"] = {item.target: {}}
        monkeypatch.setattr(Restore, "_snapshot", lambda self: {"uuid": "u"})
        for name in ("_unreadable", "_blocked", "_crowded"):
            monkeypatch.setattr(Restore, name, lambda *_: [])
        monkeypatch.setattr(restore.rights, "for_restore", lambda *_, **__: [])
        monkeypatch.setattr(restore.indices, "behind", lambda _client, name: there.get(name, {}))
        monkeypatch.setattr(restore.indices, "count", lambda *_: number)
        monkeypatch.setattr(restore, "count_newer", lambda *_: 0)
        return Restore(client(Told()), ENGINE, Request("r", "s", list(items), **more), at_once())

    return make


def entries(documents: Documents | None, source: str = "a") -> Item:
    """An index of the audit."""
    return Item(source, "x", {"x": {}}, documents=documents, trim_field="eventDate")


BOUNDS = Documents(None, 10_000, 10_300)


@pytest.mark.parametrize("documents", [BOUNDS, None], ids=["bounds", "unknown"])
def test_what_may_hold_more_than_came_back_is_replaced_when_it_may_be(
    documents: Documents | None, returned: t.Callable[..., Restore]
) -> None:
    """10050 came back, and 200 were written since; nobody can tell that from 10250 that came back."""
    assert not returned(entries(documents), number=10_250).plan()
    known = Item("b", "y", {"y": {}}, documents=Documents(10_250, 10_250, 10_250))
    run = returned(known, entries(documents), number=10_250, overwrite=True)
    assert run.plan()
    assert [item.index for item in run.request.items] == [first_name(item) for item in run.request.items]
    assert not returned(entries(documents), number=9_000, newer_than=1).plan()
    assert returned(entries(documents), number=9_000, newer_than=1, overwrite=True).plan(), "or fewer than came back"


def test_what_is_known_to_be_what_came_back_stays(returned: t.Callable[..., Restore]) -> None:
    """Also where it did not get its first name, and is of several indices."""
    exact = Documents(10_050, 10_000, 10_300)
    assert not returned(entries(exact), entries(exact, "a-2"), number=10_050, overwrite=True).plan()


def test_a_run_whose_place_was_taken_gives_no_names(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """It may have been stopped for long, and no beat has told it since."""
    progress = tmp_path / "run" / "progress.json"
    progress.parent.mkdir()
    run = restoring(Told())
    monkeypatch.setattr(operations, "read_engine", lambda client: ENGINE)
    monkeypatch.setattr(operations, "restore_request", lambda params: run.request)
    monkeypatch.setattr(restore.Restore, "plan", lambda self: True)
    monkeypatch.setattr(restore.Restore, "run", lambda self, beat: progress.unlink())
    monkeypatch.setattr(restore.Restore, "swap", lambda self: pytest.fail("it must not"))
    with pytest.raises(PlatformError, match="another run has taken this one's place"):
        operations.restore(client(Told()), {"wait_timeout": 1, "progress": str(progress)}, check_mode=False)
