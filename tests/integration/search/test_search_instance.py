# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an instance is to be saved, and all that stands in the way of it; what only Nuxeo's own indices need."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from servers.search.nuxeo_indices import Curl
    from servers.search.server import Server

    from .conftest import Location, Run

FACTS = {
    "search": {"kind": "elasticsearch", "embedded": False},
    "audit": {"kept": "elasticsearch", "index": "nuxeo-audit"},
    "sequences": {"kept": "elasticsearch", "index": "nuxeo-uidgen"},
}


def test_what_is_to_be_saved(curl: Curl, good: Run, engine: Server, location: Location) -> None:
    curl.create("nuxeo-audit")
    curl.create_sequences("nuxeo-uidgen")
    place = {"name": "nuxeo-acme", "location": location(), "owner": "nobody"}
    found = good("es_audit_info", facts=FACTS, **place)
    assert found["problems"] == [] and found["own"] and not found["changed"]
    assert found["indices"] == ["nuxeo-audit", "nuxeo-uidgen"] and found["sequences"] == "nuxeo-uidgen"
    found = good("es_audit_info", facts=FACTS, left_out=["sequences:elasticsearch"], **place)
    assert found["indices"] == ["nuxeo-audit"] and found["sequences"] == ""
    embedded = {**FACTS, "search": {"embedded": True}}
    assert good("es_audit_info", facts=embedded, **place)["indices"] == []
    assert good("es_audit_info", facts={"audit": {"kept": "sql"}}, **place)["indices"] == []
    assert curl.ok("GET", "/_snapshot") == {}


def test_all_that_stands_in_the_way_is_told(
    curl: Curl, good: Run, engine: Server, location: Location, tmp_path: Path
) -> None:
    curl.create("nuxeo-audit")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    place = {"name": "nuxeo-acme", "location": str(closed / "audit"), "opened": None}
    problems = good("es_audit_info", facts=FACTS, owner="nobody", **place)["problems"]
    told = "\n".join(problems)
    assert "there is no index or alias 'nuxeo-uidgen'" in told
    assert f"'{closed}/audit' is not in it: set it in the node's" in told and "path.repo of node n0" in told
    if os.geteuid() == 0:
        assert f"user 'nobody' may not pass through '{closed}'" in told
    assert "no user 'nosuch'" in str(good("es_audit_info", facts=FACTS, owner="nosuch", **place)["problems"])
    unknown = {**place, "location": f"{engine.shared}/nowhere"}
    assert "as which user the engine runs" in str(good("es_audit_info", facts=FACTS, **unknown)["problems"])
    other = good("es_audit_info", facts=FACTS, repository="mine", **place)["problems"]
    assert "the repository 'mine' of backup_audit_repository is not registered" in "\n".join(other)
    there = location()
    good("es_repository", name="nuxeo-acme", settings={"location": there})
    taken = "\n".join(good("es_audit_info", facts=FACTS, owner="nobody", **place)["problems"])
    assert f"registered already, at '{there}' instead of" in taken and "path.repo of node n0" in taken
    gone = good("es_audit_info", facts=FACTS, url=["http://127.0.0.1:9"], retry_timeout=0.1, **place)["problems"]
    assert "no answer" in gone[0]


def test_a_repository_that_cannot_be_written_now(curl: Curl, good: Run, location: Location) -> None:
    curl.create("nuxeo-audit", shards=1)
    curl.write("nuxeo-audit", 1, 1500, filler=300)
    lost = {"index.routing.allocation.require._name": "nowhere", "number_of_replicas": 0}
    curl.ok("PUT", "/nuxeo-uidgen?wait_for_active_shards=0&timeout=1s", {"settings": lost})
    settings = {"location": location(), "max_snapshot_bytes_per_sec": "40kb", "compress": False}
    good("es_repository", name="mine", settings=settings)
    curl.ok("PUT", "/_snapshot/mine/theirs?wait_for_completion=false", {"indices": "nuxeo-audit"})
    place = {"facts": FACTS, "name": "nuxeo-acme", "location": settings["location"], "repository": "mine"}
    problems = "\n".join(good("es_audit_info", **place)["problems"])
    assert "index 'nuxeo-uidgen' is red: " in problems and "theirs" not in problems
    curl.ok("DELETE", "/_snapshot/mine/theirs")
    good("es_repository", name="mine", settings=settings, readonly=True)
    problems = "\n".join(good("es_audit_info", **place)["problems"])
    assert "snapshot repository 'mine' is readonly" in problems


def test_aliases_of_an_index_come_along(curl: Curl, good: Run, location: Location, tmp_path: Path) -> None:
    curl.create("acme-audit-0001")
    actions = [{"add": {"index": "acme-audit-0001", "alias": name}} for name in ("acme-audit", "acme-audit-write")]
    curl.ok("POST", "/_aliases", {"actions": actions})
    curl.write("acme-audit", 1, 5)
    good("es_repository", name="r", settings={"location": location()})
    record = str(tmp_path / "audit.json")
    good("es_snapshot", repository="r", name="s", indices=["acme-audit"], record_path=record)
    assert json.loads(Path(record).read_text())["requested"] == {"acme-audit": ["acme-audit-0001"]}
    renamed = {"repository": "r", "name": "s", "record_path": record, "rename": {"acme-audit": "nuxeo-audit"}}
    good("es_snapshot_restore", **renamed)
    curl.write("nuxeo-audit-write", 6, 6)
    assert curl.count("nuxeo-audit") == 6 and curl.count("acme-audit") == 5
    assert good("es_index", check=True, name="nuxeo-audit")["changed"] and curl.exists("nuxeo-audit")
    assert len(good("es_index", name="nuxeo-audit")["removed"]) == 1
    assert not curl.exists("nuxeo-audit-write") and curl.count("acme-audit") == 5
    assert not good("es_index", name="nuxeo-audit")["changed"]


def test_entries_are_numbered_on_above_the_largest(curl: Curl, good: Run, location: Location) -> None:
    """The snapshot of the entries may be newer than that of the numbers; the largest number counts, cut off or not."""
    curl.create("acme-audit")
    curl.write("acme-audit", 1, 20)
    curl.write("acme-audit", 21, 25, year=2026)
    curl.create_sequences("acme-uidgen")
    curl.take_numbers("acme-uidgen", "audit", 22)
    curl.take_numbers("acme-uidgen", "invoice", 7)
    good("es_repository", name="r", settings={"location": location()})
    names = ["acme-audit", "acme-uidgen"]
    record = good("es_snapshot", repository="r", name="s", indices=names, sequences="acme-uidgen")["record"]
    rename = {"acme-audit": "nuxeo-audit", "acme-uidgen": "nuxeo-uidgen"}
    trim = {"indices": ["acme-audit"], "newer_than": "2025-01-01T00:00:00Z"}
    good("es_snapshot_restore", repository="r", name="s", record=record, rename=rename, trim=trim)
    assert curl.count("nuxeo-audit") == 20
    assert curl.next_number("nuxeo-uidgen", "audit") == 26
    assert curl.next_number("nuxeo-uidgen", "invoice") == 8


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"format"'])
def test_a_record_that_is_none_is_refused(curl: Curl, run: Run, location: Location, tmp_path: Path, text: str) -> None:
    record = tmp_path / "audit.json"
    record.write_text(text)
    result = run("es_snapshot_restore", repository="r", name="s", record_path=str(record))
    assert result.failed and f"Reading of '{record}'" in result["msg"]
    assert curl.indices() == []
