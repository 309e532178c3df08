# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is listed is complete, and the rest is told."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import abandon, begin
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.listing import doubts, list_sets
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError
from ansible_collections.nuxeo.platform.tests.unit._backup_set.sets import Json, make, verify


def test_only_complete_sets_are_listed_and_the_rest_is_told(place: Place) -> None:
    for second in (5, 7, 6):
        make(place, second)
    running = begin(place, {}, timeout=900)["run_id"]
    sets = pathlib.Path(place.sets)

    def variant(name: str, change: t.Callable[[Json], t.Any]) -> None:
        shutil.copytree(sets / "20261123T020005Z", sets / name, symlinks=True)
        path = sets / name / "manifest.json"
        value = {**json.loads(path.read_text()), "id": name}
        changed = change(value)
        path.write_text(changed if isinstance(changed, str) else json.dumps(value))

    variant("20271123T020001Z", lambda m: m.update(id="20261123T020005Z"))
    variant("20271123T020002Z", lambda m: m.update(instance="other"))
    variant("20271123T020003Z", lambda m: '{"half')
    variant("20271123T020004Z", lambda m: m.pop("nuxeo") and None)
    variant("20271123T020005Z", lambda m: m.update(format=2))
    variant("20271123T020006Z", lambda m: "[]")
    variant("20271123T020007Z", lambda m: None)
    (sets / "20271123T020007Z/SHA256SUMS").unlink()
    variant("20271123T020008Z", lambda m: None)
    (sets / "20271123T020008Z/manifest.json").unlink()
    variant("20271123T020009Z", lambda m: "[" * 100000)
    (sets / "20271123T020010Z").symlink_to("20261123T020005Z")
    (sets / "20271123T020011Z").write_text("a file")
    (sets / "old").mkdir()
    (sets / ".abandoned-x").mkdir()
    with pytest.raises(SetError, match="the newest, '20271123T020011Z', is damaged: it has no SHA256SUMS"):
        list_sets(place, "latest", 2)
    found = list_sets(place, "20261123T020007Z", 2)
    assert [item["id"] for item in found["sets"]] == ["20261123T020007Z", "20261123T020006Z"]
    assert (found["count"], found["latest"], found["id"]) == (3, "20261123T020007Z", "20261123T020007Z")
    assert (found["in_progress"], found["lease"]["run_id"]) == (1, running)
    reasons = {item["name"][-3:]: item["reason"] for item in found["unreadable"]}
    assert found["unreadable_count"] == len(reasons) == 12
    for name, word in {
        "01Z": "manifest says id '20261123T020005Z'",
        "02Z": "manifest says instance 'other'",
        "03Z": "cannot be read",
        "04Z": "manifest.nuxeo is missing",
        "05Z": "its format is 2 and this collection knows 1",
        "06Z": "not of type object",
        "07Z": "it has no SHA256SUMS",
        "08Z": "it has no manifest.json",
        "09Z": "cannot be read",
        "10Z": "it is a link",
        "11Z": "it has no SHA256SUMS",
        "old": "its name is not that of a set",
    }.items():
        assert word in reasons[name], (name, reasons[name])
    with pytest.raises(SetError, match="its format is 2"):
        list_sets(place, "20271123T020005Z", 2)
    with pytest.raises(SetError, match="there is no such set, the newest are 20261123T020007Z, 20261123T020006Z"):
        list_sets(place, "20200101T000000Z", 2)
    with pytest.raises(SetError, match="Choice of set '' of .* there is no such set"):
        list_sets(place, "", 2)  # as where a form leaves it open


@pytest.mark.parametrize("lost", ["SHA256SUMS", "manifest.json"])
def test_no_older_set_is_taken_silently_where_the_newest_is_damaged(place: Place, lost: str) -> None:
    for second in (5, 6, 7):
        make(place, second)
    begin(place, {}, timeout=900)  # partial, not damaged
    pathlib.Path(place.sets, "old").mkdir()  # none by its name
    pathlib.Path(place.set("20261123T020005Z"), lost).unlink()
    assert list_sets(place, "latest", 9)["id"] == "20261123T020007Z"
    pathlib.Path(place.set("20261123T020007Z"), lost).unlink()
    told = f"newest, '20261123T020007Z', is damaged: it has no {lost}. .* that can be read is '20261123T020006Z'"
    for ask in (lambda: list_sets(place, "latest", 9), lambda: verify(place)):
        with pytest.raises(SetError, match=told):
            ask()
    assert list_sets(place, None, 9)["latest"] == list_sets(place, "20261123T020006Z", 9)["id"] == "20261123T020006Z"


def test_a_set_that_does_not_fit_to_those_beside_it_is_told(place: Place) -> None:
    for second in (5, 6):
        make(place, second)
    path = pathlib.Path(place.set("20261123T020006Z"), "manifest.json")
    value = json.loads(path.read_text())
    assert doubts(place, value) == []
    value["database"]["server"] = {"system_identifier": "7123"}
    (doubt,) = doubts(place, value)
    assert (
        "of database 'nuxeo' of server 7123, and the set before it, '20261123T020005Z', of 'nuxeo' of server" in doubt
    )
    (doubt,) = doubts(place, {**value, "id": "20261123T020004Z"})
    assert "'20261123T020006Z' has a later date, so that one is the latest" in doubt


def test_where_the_pools_of_a_set_are(place: Place) -> None:
    make(place, 5)
    path = pathlib.Path(place.set("20261123T020005Z"), "manifest.json")
    value = json.loads(path.read_text())
    value["blobs"] = {"default": {"pool": "blobs/default"}, "far": {"pool": "store.example:/srv/acme/blobs/far"}}
    path.write_text(json.dumps(value))
    assert list_sets(place, None, 1)["pools"] == {}
    assert list_sets(place, "latest", 1)["pools"] == {
        "default": f"{place.root}/acme/blobs/default",
        "far": "store.example:/srv/acme/blobs/far",
    }
    value["blobs"]["default"] = {"keys": 3}
    path.write_text(json.dumps(value))
    with pytest.raises(SetError, match="does not say where the blobs of store 'default' are"):
        list_sets(place, "latest", 1)
    assert list_sets(place, None, 1)["count"] == 1


def test_a_list_of_nothing(place: Place) -> None:
    found = list_sets(place, None, 9)
    assert (found["sets"], found["latest"], found["lease"], found["last_failure"]) == ([], None, None, None)
    assert os.listdir(place.root) == []
    with pytest.raises(SetError, match="Choice of set 'latest' of 'acme' in .*: there is no complete set"):
        list_sets(place, "latest", 9)
    with pytest.raises(SetError, match="there is no such folder"):
        list_sets(Place(place.root + "/no", "acme"), None, 9)
    os.makedirs(os.path.join(place.root, "dms1.example.com", "sets"))
    os.makedirs(os.path.join(place.root, "lost+found"))
    with pytest.raises(SetError, match="no complete set; the root has sets of dms1.example.com. Give .*instance"):
        list_sets(place, "latest", 9)
    assert list_sets(place, None, 9)["others"] == ["dms1.example.com"]
    assert list_sets(Place(place.root, "dms1.example.com"), None, 9)["others"] == []


def test_a_failure_is_listed(place: Place) -> None:
    run_id = begin(place, {}, timeout=900)["run_id"]
    abandon(place, run_id, "dump", "No space left on device", False)
    failure = list_sets(place, None, 9)["last_failure"]
    assert (failure["run_id"], failure["step"], failure["error"]) == (run_id, "dump", "No space left on device")
