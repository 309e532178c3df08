# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshot and restore on real engines, looked at with curl."""

from __future__ import annotations

import json
import threading
import time
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from servers.search.nuxeo_indices import Curl
    from servers.search.server import Server

    from .conftest import Location, Run


@pytest.fixture
def saved(curl: Curl, good: Run, location: Location) -> dict[str, t.Any]:
    """An audit of 300 entries behind an alias and two sequences, in a snapshot; what es_snapshot returned."""
    curl.create("acme-audit-0001")
    curl.ok("POST", "/_aliases", {"actions": [{"add": {"index": "acme-audit-0001", "alias": "acme-audit"}}]})
    curl.write("acme-audit", 1, 300)
    curl.create_sequences("acme-uidgen")
    curl.take_numbers("acme-uidgen", "audit", 7)
    curl.take_numbers("acme-uidgen", "invoice", 41)
    good("es_repository", name="r", settings={"location": location(), "compress": True})
    return good(
        "es_snapshot", repository="r", name="s1", indices=["acme-audit", "acme-uidgen"], sequences="acme-uidgen"
    )


@pytest.fixture
def as_elasticsearch(engine: Server, curl: Curl) -> t.Iterator[None]:
    """OpenSearch that tells old clients that it is Elasticsearch 7.10.2."""
    if not engine.name.startswith(("os1", "os2")):
        pytest.skip("this engine does not pass for another")
    setting = "compatibility.override_main_response_version"
    curl.ok("PUT", "/_cluster/settings", {"persistent": {setting: True}})
    assert curl.ok("GET", "/")["version"]["number"] == "7.10.2"
    yield
    curl.ok("PUT", "/_cluster/settings", {"persistent": {setting: None}})


@pytest.mark.usefixtures("as_elasticsearch")
def test_an_engine_that_passes_for_another(curl: Curl, good: Run, saved: dict[str, t.Any]) -> None:
    """Snapshots of its own are not those of another engine."""
    assert saved["record"]["engine"]["distribution"] == "opensearch"
    options = {"repository": "r", "name": "s1", "record": saved["record"], "rename": TO_NUXEO}
    assert good("es_snapshot_restore", **options)["changed"] and curl.count("nuxeo-audit") == 300


TO_NUXEO = {"acme-audit": "nuxeo-audit", "acme-uidgen": "nuxeo-uidgen"}


def test_everything_comes_back_under_other_names(curl: Curl, good: Run, saved: dict[str, t.Any]) -> None:
    assert saved["changed"] and curl.snapshots("r") == {"s1": "SUCCESS"}
    folder = Path(curl.ok("GET", "/_snapshot/r")["r"]["settings"]["location"])
    assert (folder / f"snap-{saved['snapshot']['uuid']}.dat").is_file(), "the roles look for it"
    assert saved["requested"] == {"acme-audit": ["acme-audit-0001"], "acme-uidgen": ["acme-uidgen"]}
    assert saved["record"]["sequences"] == {"name": "acme-uidgen", "values": {"audit": 7, "invoice": 41}}
    assert {each["name"]: each["documents"] for each in saved["record"]["indices"]} == {
        "acme-audit-0001": 300,
        "acme-uidgen": 2,
    }
    assert saved["record"]["cluster"]["uuid"] == curl.ok("GET", "/_cluster/stats").get(
        "cluster_uuid", saved["record"]["cluster"]["uuid"]
    )
    assert saved["bytes"] > 1000
    curl.ok("DELETE", "/acme-audit-0001")
    last = curl.next_number("acme-uidgen", "invoice")
    curl.ok("DELETE", "/acme-uidgen")
    options = {"repository": "r", "name": "s1", "record": saved["record"], "rename": TO_NUXEO}
    options["aliases"] = {"acme-audit": ["nuxeo-audit-write"]}
    predicted = good("es_snapshot_restore", check=True, **options)
    assert predicted["changed"] and curl.indices() == []
    result = good("es_snapshot_restore", **options)
    assert result["changed"]
    assert [(each["names"], each["documents"]) for each in result["indices"]] == [
        (["nuxeo-audit", "nuxeo-audit-write"], 300),
        (["nuxeo-uidgen"], 2),
    ]
    assert curl.ids("nuxeo-audit") == list(range(1, 301))
    assert not curl.exists("acme-audit")
    assert curl.next_number("nuxeo-uidgen", "audit") == 301, "above every entry, though the snapshot has 7 for it"
    assert last == 42 and curl.next_number("nuxeo-uidgen", "invoice") == 42
    curl.write("nuxeo-audit-write", 301, 301)  # an alias can be written to, as Nuxeo does
    assert curl.count("nuxeo-audit") == 301


def test_a_second_run_changes_nothing(curl: Curl, good: Run, saved: dict[str, t.Any]) -> None:
    again = good(
        "es_snapshot", repository="r", name="s1", indices=["acme-audit", "acme-uidgen"], sequences="acme-uidgen"
    )
    assert not again["changed"] and again["snapshot"]["uuid"] == saved["snapshot"]["uuid"]
    options = {"repository": "r", "name": "s1", "record": saved["record"], "rename": TO_NUXEO}
    assert good("es_snapshot_restore", **options)["changed"]
    before = curl.ok("GET", "/_cat/indices?format=json&h=index,uuid")
    assert not good("es_snapshot_restore", **options)["changed"]
    assert not good("es_snapshot_restore", check=True, **options)["changed"]
    assert curl.ok("GET", "/_cat/indices?format=json&h=index,uuid") == before


def test_what_was_written_since_is_not_thrown_away(curl: Curl, run: Run, good: Run, saved: dict[str, t.Any]) -> None:
    options = {"repository": "r", "name": "s1", "record": saved["record"], "rename": TO_NUXEO}
    first = good("es_snapshot_restore", **options)
    curl.write("nuxeo-audit", 301, 320)
    curl.ok("POST", "/nuxeo-audit/_refresh")
    refused = run("es_snapshot_restore", **options)
    assert refused.failed and "an alias 'nuxeo-audit' exists" in refused["msg"] and curl.count("nuxeo-audit") == 320
    again = good("es_snapshot_restore", **options, overwrite=True)
    assert again["changed"] and curl.count("nuxeo-audit") == 300
    assert again["kept_aside"] == sorted(each["index"] for each in first["indices"])
    assert curl.count(first["indices"][0]["index"]) == 320


def test_what_was_kept_aside_outlives_every_further_restore(curl: Curl, good: Run, saved: dict[str, t.Any]) -> None:
    options = {"repository": "r", "name": "s1", "record": saved["record"], "rename": TO_NUXEO}
    first = {each["source"]: each["index"] for each in good("es_snapshot_restore", **options)["indices"]}
    audit, numbers = first["acme-audit-0001"], first["acme-uidgen"]
    curl.write("nuxeo-audit", 301, 320)
    curl.next_number("nuxeo-uidgen", "invoice")
    curl.ok("POST", "/nuxeo-audit/_refresh")
    assert good("es_snapshot_restore", **options, overwrite=True)["kept_aside"] == sorted(first.values())
    assert curl.count(f"{audit}-aside") == 320, "it is found by its alias"
    for last in (305, 310):
        curl.write("nuxeo-audit", 301, last)
        curl.ok("POST", "/nuxeo-audit/_refresh")
        before = curl.indices()
        predicted = good("es_snapshot_restore", check=True, **options, overwrite=True)
        assert curl.indices() == before
        done = good("es_snapshot_restore", **options, overwrite=True)
        for told in ("removed", "kept_aside", "diff"):
            assert predicted[told] == done[told]
        assert done["removed"] == [] and set(before) < set(curl.indices())
    assert curl.count(audit) == 320 and curl.next_number(numbers, "invoice") == 43
    # neither what is kept aside nor the alias that says so goes into a later backup and comes back from it
    back = [
        {"remove": {"index": "nuxeo-audit*", "alias": "nuxeo-audit"}},
        {"add": {"index": audit, "alias": "nuxeo-audit"}},
    ]
    curl.ok("POST", "/_aliases", {"actions": back})
    later = good("es_snapshot", repository="r", name="s2", indices=["nuxeo-audit"])
    assert later["snapshot"]["indices"] == [audit]
    good("es_snapshot_restore", repository="r", name="s2", record=later["record"], rename={"nuxeo-audit": "other"})
    assert curl.count("other") == 320 and not curl.exists(f"other{audit[len('nuxeo-audit') :]}-aside")


def test_names_that_exist_are_refused(curl: Curl, run: Run, saved: dict[str, t.Any]) -> None:
    curl.create("nuxeo-audit")
    curl.write("nuxeo-audit", 1, 5)
    curl.ok("POST", "/_aliases", {"actions": [{"add": {"index": "nuxeo-audit", "alias": "nuxeo-uidgen"}}]})
    before = curl.indices()
    options = {"repository": "r", "name": "s1", "record": saved["record"], "rename": TO_NUXEO}
    for check in (True, False):
        result = run("es_snapshot_restore", check=check, **options)
        assert result.failed
        assert result["problems"] == [
            "an index 'nuxeo-audit' exists",
            "an alias 'nuxeo-uidgen' exists, for nuxeo-audit",
        ]
    assert curl.indices() == before and curl.count("nuxeo-audit") == 5


def test_a_name_shows_the_old_or_the_new_but_never_a_part(curl: Curl, good: Run, saved: dict[str, t.Any]) -> None:
    curl.create("nuxeo-audit")
    curl.write("nuxeo-audit", 1, 17)
    curl.ok("POST", "/nuxeo-audit/_refresh")
    seen: set[tuple[int, bool, int]] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            status, answer = curl.server.call("GET", "/nuxeo-audit/_count")
            shards = answer.get("_shards", {"total": 1, "successful": 0})
            seen.add((status, shards["successful"] == shards["total"], answer.get("count", -1)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        options = {"repository": "r", "name": "s1", "record": saved["record"], "rename": TO_NUXEO, "overwrite": True}
        result = good("es_snapshot_restore", **options)
        time.sleep(0.3)
    finally:
        done.set()
        watcher.join()
    assert {each for each in seen if each[1]} == {(200, True, 17), (200, True, 300)}
    # a call on its way while the old index is deleted says that shards of that one failed
    assert all(status in {200, 404, 503} and number < 17 for status, whole, number in seen if not whole), seen
    assert result["removed"] == ["nuxeo-audit"] and result["diff"]["before"] == {"nuxeo-audit": ["nuxeo-audit"]}


def test_an_index_that_differs_from_the_set_is_not_shown(curl: Curl, run: Run, saved: dict[str, t.Any]) -> None:
    record = saved["record"]
    for each in record["indices"]:
        if each["name"] == "acme-audit-0001":
            each.update(documents=301, documents_at_least=301, documents_at_most=301)
    before = curl.indices()
    result = run("es_snapshot_restore", repository="r", name="s1", record=record, rename=TO_NUXEO)
    assert result.failed and "came back with 300 documents, the set says 301" in result["msg"]
    assert curl.indices() == before


def test_sequences_below_what_was_given_are_not_shown(curl: Curl, run: Run, saved: dict[str, t.Any]) -> None:
    record = saved["record"]
    record["sequences"]["values"]["invoice"] = 43
    before = curl.indices()
    result = run("es_snapshot_restore", repository="r", name="s1", record=record, rename=TO_NUXEO)
    assert result.failed and "'invoice' is 41, was 43" in result["msg"]
    assert curl.indices() == before


def test_the_sequence_of_the_audit_is_found_among_very_many(curl: Curl, good: Run, location: Location) -> None:
    curl.create("acme-audit")
    curl.write("acme-audit", 1, 300)
    curl.create_sequences("acme-uidgen")
    curl.take_a_number_of_each("acme-uidgen", [f"invoice-{number}" for number in range(10_000)])
    curl.take_numbers("acme-uidgen", "audit", 7)
    good("es_repository", name="r", settings={"location": location()})
    names = ["acme-audit", "acme-uidgen"]
    record = good("es_snapshot", repository="r", name="s1", indices=names, sequences="acme-uidgen")["record"]
    rename = {name: name.replace("acme", "nuxeo") for name in names}
    good("es_snapshot_restore", repository="r", name="s1", record=record, rename=rename)
    assert curl.count("nuxeo-uidgen") == 10_001
    assert curl.next_number("nuxeo-uidgen", "audit") > 300


def test_entries_newer_than_the_backup_date_are_removed(curl: Curl, good: Run, run: Run, location: Location) -> None:
    curl.create("acme-audit")
    curl.write("acme-audit", 1, 20)
    curl.write("acme-audit", 21, 2520, year=2026)
    good("es_repository", name="r", settings={"location": location()})
    saved = good("es_snapshot", repository="r", name="s1", indices=["acme-audit"])
    trim = {"indices": ["acme-audit"], "newer_than": "2024-05-01T10:00:00.000999Z"}  # that of the older ones
    options = {"repository": "r", "name": "s1", "record": saved["record"], "rename": {"acme-audit": "nuxeo-audit"}}
    wrong = run("es_snapshot_restore", **options, trim={**trim, "field": "eventDay"})
    assert wrong.failed and "'eventDay' is not mapped" in wrong["msg"] and not curl.exists("nuxeo-audit")
    result = good("es_snapshot_restore", **options, trim=trim)
    assert result["indices"][0]["trimmed"] == 2500 and result["indices"][0]["documents"] == 20
    assert curl.ids("nuxeo-audit") == list(range(1, 21))
    assert not good("es_snapshot_restore", **options, trim=trim)["changed"]


def test_aliases_come_back_as_they_were(curl: Curl, good: Run, location: Location) -> None:
    """A rolled-over audit can be written to afterwards; up to 6.3 no alias of two indices could."""
    rolled = curl.server.engine.version.split(".")[0] != "5"
    aliases: dict[str, list[dict[str, t.Any]]] = {
        "acme-audit-1": [{"alias": "acme-audit", **({"is_write_index": False} if rolled else {})}],
        "acme-audit-2": [
            {"alias": "acme-audit", **({"is_write_index": True} if rolled else {})},
            {"alias": "acme-audit-public", "filter": {"range": {"id": {"lt": 4}}}},
            {"alias": "acme-audit-routed", "index_routing": "a", "search_routing": "a,b"},
            {"alias": "acme-audit-hidden", **({} if curl.typed else {"is_hidden": True})},
        ],
    }
    for index, wanted in aliases.items():
        curl.create(index)
        curl.ok("POST", "/_aliases", {"actions": [{"add": {"index": index, **each}} for each in wanted]})
    curl.write("acme-audit-2", 1, 10)
    good("es_repository", name="r", settings={"location": location()})
    record = good("es_snapshot", repository="r", name="s", indices=["acme-audit"])["record"]
    options = {"repository": "r", "name": "s", "record": record, "rename": {"acme-audit": "nuxeo-audit"}}
    done = good("es_snapshot_restore", **options, aliases={"acme-audit": ["nuxeo-audit-write"]})
    assert curl.count("nuxeo-audit-public") == 3
    for each in done["indices"]:
        before = curl.ok("GET", f"/{each['source']}/_alias")[each["source"]]["aliases"]
        after = curl.ok("GET", f"/{each['index']}/_alias")[each["index"]]["aliases"]
        assert after.pop("nuxeo-audit-write") == after["nuxeo-audit"]
        assert after == {name.replace("acme", "nuxeo"): body for name, body in before.items()}
    assert not good("es_snapshot_restore", **options)["changed"]
    if rolled:
        curl.write("nuxeo-audit-write", 11, 11)
        curl.ok("POST", "/nuxeo-audit/_refresh")
        assert good("es_snapshot_restore", **options, overwrite=True)["changed"]
        curl.write("nuxeo-audit", 11, 11)


def test_an_index_that_is_the_name_itself_and_has_aliases_is_replaced(
    curl: Curl, good: Run, saved: dict[str, t.Any]
) -> None:
    """The engine knows nothing any more of the aliases of an index that the same change removes."""
    other = "nuxeo-audit-write"
    curl.create("nuxeo-audit")
    curl.ok("POST", "/_aliases", {"actions": [{"add": {"index": "nuxeo-audit", "alias": other}}]})
    options = {"repository": "r", "name": "s1", "record": saved["record"], "rename": TO_NUXEO}
    done = good("es_snapshot_restore", **options, aliases={"acme-audit": [other]}, overwrite=True)
    assert (done["changed"], done["removed"]) == (True, ["nuxeo-audit"])
    assert curl.count(other) == curl.count("nuxeo-audit") > 0


BLOCKS = ("read_only", "read_only_allow_delete", "write")


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_does_not_come_back(curl: Curl, good: Run, location: Location, block: str) -> None:
    """It would refuse the trim, the name, or Nuxeo."""
    curl.create("acme-audit")
    curl.write("acme-audit", 1, 20)
    curl.write("acme-audit", 21, 30, year=2026)
    curl.ok("POST", "/acme-audit/_refresh")
    curl.ok("PUT", "/acme-audit/_settings", {f"index.blocks.{block}": True})
    good("es_repository", name="r", settings={"location": location()})
    record = good("es_snapshot", repository="r", name="s", indices=["acme-audit"])["record"]
    curl.ok("PUT", "/acme-audit/_settings", {f"index.blocks.{block}": False})  # so that it can be removed
    trim = {"indices": ["acme-audit"], "newer_than": "2025-01-01T00:00:00.000000Z"}
    rename = {"acme-audit": "nuxeo-audit"}
    good("es_snapshot_restore", repository="r", name="s", record=record, rename=rename, trim=trim)
    curl.write("nuxeo-audit", 21, 21)
    assert curl.count("nuxeo-audit") == 21
    assert record["indices"][0]["settings"]["blocks"] == {block: "true"}


@pytest.mark.parametrize("block", BLOCKS[:2])
def test_an_index_that_cannot_give_its_name_away_is_told_before(
    curl: Curl, run: Run, saved: dict[str, t.Any], block: str
) -> None:
    options = {"repository": "r", "name": "s1", "record": saved["record"], "overwrite": True, "wait_timeout": 20}
    curl.ok("PUT", "/acme-audit-0001,acme-uidgen/_settings", {f"index.blocks.{block}": True})
    before = curl.indices()
    results = [run("es_snapshot_restore", check=check, **options) for check in (True, False)]
    after = curl.indices()
    curl.ok("PUT", "/acme-*/_settings", {f"index.blocks.{block}": False})
    for result in results:
        assert result.failed and result["problems"] == [
            f"index '{name}' is kept as it is by its setting index.blocks.{block}"
            for name in ("acme-audit-0001", "acme-uidgen")
        ]
    assert after == before


def test_settings_of_the_cluster_do_not_come_back(curl: Curl, good: Run, saved: dict[str, t.Any]) -> None:
    """Nor all else that a snapshot of another tool may hold beside indices."""
    one = "cluster.routing.allocation.node_concurrent_recoveries"
    curl.ok("PUT", "/_cluster/settings", {"persistent": {one: 3}})
    body = {"indices": "acme-audit-0001", "include_global_state": True}
    curl.ok("PUT", "/_snapshot/r/s2?wait_for_completion=true", body)
    curl.ok("PUT", "/_cluster/settings", {"persistent": {one: None}})
    good("es_snapshot_restore", repository="r", name="s2", indices=["acme-audit-0001"], rename={"acme-audit-0001": "x"})
    assert curl.count("x") == curl.count("acme-audit") > 0 and saved["changed"]
    assert one not in curl.ok("GET", "/_cluster/settings?flat_settings=true")["persistent"]


def test_two_instances_on_one_cluster(curl: Curl, good: Run, location: Location) -> None:
    for name, last in (("nuxeo-audit", 10), ("nuxeo-audit-2", 25)):
        curl.create(name)
        curl.write(name, 1, last)
    records = {}
    for number, name in enumerate(("nuxeo-audit", "nuxeo-audit-2")):
        good("es_repository", name=f"r{number}", settings={"location": location()})
        made = good("es_snapshot", repository=f"r{number}", name="s", indices=[name])
        assert made["snapshot"]["indices"] == [name]
        records[name] = made["record"]
    curl.write("nuxeo-audit-2", 26, 30)
    good("es_snapshot_restore", repository="r0", name="s", record=records["nuxeo-audit"], overwrite=True)
    assert curl.count("nuxeo-audit") == 10 and curl.count("nuxeo-audit-2") == 30


def test_entries_written_meanwhile_are_counted_as_they_are(curl: Curl, good: Run, location: Location) -> None:
    curl.create("nuxeo-audit")
    curl.write("nuxeo-audit", 1, 500, filler=400)
    settings = {"location": location(), "max_snapshot_bytes_per_sec": "60kb", "compress": False}
    good("es_repository", name="r", settings=settings)
    done, last = threading.Event(), [500]

    def write() -> None:
        while not done.is_set():
            curl.write("nuxeo-audit", last[0] + 1, last[0] + 5)
            last[0] += 5

    writer = threading.Thread(target=write)
    writer.start()
    try:
        acknowledged = last[0]
        made = good("es_snapshot", repository="r", name="s", indices=["nuxeo-audit"])
    finally:
        done.set()
        writer.join()
    noted = made["record"]["indices"][0]
    assert acknowledged <= noted["documents_at_least"] < noted["documents_at_most"] <= last[0]
    result = good(
        "es_snapshot_restore", repository="r", name="s", record=made["record"], rename={"nuxeo-audit": "back"}
    )
    ids = curl.ids("back")
    assert ids[:acknowledged] == list(range(1, acknowledged + 1)) and len(set(ids)) == len(ids)
    assert noted["documents"] in (None, len(ids)) and result["indices"][0]["documents"] == len(ids)


def test_entries_that_are_purged_meanwhile_do_not_spoil_the_set(curl: Curl, good: Run, location: Location) -> None:
    curl.create("nuxeo-audit")
    curl.write("nuxeo-audit", 1, 500, filler=400)
    curl.ok("POST", "/nuxeo-audit/_flush")
    settings = {"location": location(), "max_snapshot_bytes_per_sec": "60kb", "compress": False}
    good("es_repository", name="r", settings=settings)
    ended, gone = threading.Event(), [0]

    def purge() -> None:
        while not ended.is_set() and gone[0] < 400:
            lines = [{"delete": {"_index": "nuxeo-audit", "_id": str(gone[0] + number)}} for number in range(1, 11)]
            for line in lines if curl.typed else ():
                line["delete"]["_type"] = curl.kind
            curl.ok("POST", "/_bulk?refresh=true", "".join(json.dumps(line) + "\n" for line in lines))
            gone[0] += 10
            if gone[0] % 100 == 0:  # so that nobody can say which commit the snapshot has
                curl.ok("POST", "/nuxeo-audit/_flush")

    purger = threading.Thread(target=purge)
    purger.start()
    try:
        made = good("es_snapshot", repository="r", name="s", indices=["nuxeo-audit"])
    finally:
        ended.set()
        purger.join()
    assert gone[0] > 0
    result = good(
        "es_snapshot_restore", repository="r", name="s", record=made["record"], rename={"nuxeo-audit": "back"}
    )
    noted = made["record"]["indices"][0]
    assert noted["documents"] in (None, curl.count("back"))
    assert noted["documents_at_least"] <= result["indices"][0]["documents"] <= noted["documents_at_most"]


def test_a_removed_snapshot_is_gone(curl: Curl, good: Run, saved: dict[str, t.Any]) -> None:
    assert good("es_snapshot", check=True, repository="r", name="s1", state="absent")["changed"]
    assert curl.snapshots("r") == {"s1": "SUCCESS"}
    assert good("es_snapshot", repository="r", name="s1", state="absent")["changed"]
    assert curl.snapshots("r") == {}
    assert not good("es_snapshot", repository="r", name="s1", state="absent")["changed"]
    assert saved["changed"]


def test_check_mode_of_a_fresh_cluster_makes_nothing(curl: Curl, good: Run, location: Location) -> None:
    curl.create("nuxeo-audit")
    where = location()
    assert good("es_repository", check=True, name="r", settings={"location": where})["changed"]
    predicted = good("es_snapshot", check=True, repository="r", name="s", indices=["nuxeo-audit"])
    assert predicted["changed"] and "not registered yet" in str(predicted["warnings"])
    assert curl.ok("GET", "/_snapshot") == {}
    assert good("es_repository", name="r", settings={"location": where})["changed"]
    assert not good("es_repository", name="r", settings={"location": where})["changed"]
    assert good("es_snapshot", check=True, repository="r", name="s", indices=["nuxeo-audit"])["changed"]
    assert curl.snapshots("r") == {}
