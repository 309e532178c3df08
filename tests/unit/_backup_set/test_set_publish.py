# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set is published whole or not at all, and checked by coreutils as by ours."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import stat
import subprocess
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import begin as begin_file
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import publish as publish_file
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import sums
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import abandon, begin
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.listing import list_sets
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.publish import publish, set_id
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError
from ansible_collections.nuxeo.platform.tests.unit._backup_set.sets import fill, given, make, sha256sum, small, verify


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is done to the disk from now on, in order."""
    done: list[tuple[str, str]] = []
    fsync, rename, unlink = os.fsync, os.rename, os.unlink

    def note_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def note_rename(old: str, new: str) -> None:
        rename(old, new)
        done.append(("rename", new))

    def note_unlink(path: str, **more: t.Any) -> None:
        unlink(path, **more)
        done.append(("unlink", path))

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    monkeypatch.setattr(os, "unlink", note_unlink)
    return done


def test_a_published_set_is_whole_and_checked_by_coreutils(place: Place) -> None:
    old = os.umask(0)
    try:
        done = make(place)
    finally:
        os.umask(old)
    folder = pathlib.Path(done["path"])
    assert done["changed"] and folder.name == "20261123T020000Z"
    checked = sha256sum(str(folder))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    names = subprocess.run(["find", ".", "-type", "f", "-print0"], cwd=folder, check=True, capture_output=True)
    assert len(names.stdout.split(b"\0")) - 1 == len(sums.read_sums(str(folder))) + 1
    assert not list(folder.rglob("*progress*"))
    assert {stat.S_IMODE(p.lstat().st_mode) for p in folder.rglob("*") if p.is_dir()} == {0o700}
    assert {stat.S_IMODE(p.lstat().st_mode) for p in folder.rglob("*") if p.is_file() and not p.is_symlink()} == {0o600}
    assert not (folder / "conf").exists()  # nothing was in it
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == done["manifest"]
    assert manifest["database"] == {"tables": 3, "client_version": "15.4"}
    assert manifest["blobs"]["default"]["keys"] == 7
    size = sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    assert manifest["bytes"] == size - sum((folder / n).stat().st_size for n in ("manifest.json", "SHA256SUMS"))
    assert not os.path.exists(place.lease) and os.listdir(place.sets) == [folder.name]
    result = verify(place)
    assert (result["bad_count"], result["files"], result["key_lists"]) == (0, manifest["files"] + 1, 1)


def test_publishing_again_changes_nothing_and_two_cuts_in_a_second_clash(place: Place) -> None:
    done = make(place)
    again = publish(place, done["manifest"]["run_id"], given(), None, False)
    assert (again["changed"], again["manifest"]) == (False, done["manifest"])
    begun = begin(place, {}, timeout=900)
    with pytest.raises(SetError, match="two cuts in one second"):
        publish(place, begun["run_id"], given(), None, False)
    assert os.path.isdir(begun["partial"])
    assert verify(place)["bad_count"] == 0


def test_killed_just_after_the_rename_is_published_not_failed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = begin(place, {}, timeout=900)
    fill(place, begun["partial"])
    lease = pathlib.Path(place.lease).read_text()
    publish(place, begun["run_id"], given(), None, False)
    pathlib.Path(place.lease).write_text(lease)
    done = watched(monkeypatch)
    again = publish(place, begun["run_id"], given(), None, False)  # its role tries again
    assert not again["changed"] and not os.path.exists(place.lease)
    assert done.index(("sync", place.sets)) < done.index(("unlink", place.lease)), "the rename may not be on the disk"
    monkeypatch.undo()
    pathlib.Path(place.lease).write_text(lease)
    assert begin(place, {}, timeout=900, gone=[begun["run_id"]])["took_over"]["run_id"] == begun["run_id"]
    found = list_sets(place, None, 9)
    assert (found["count"], found["last_failure"]) == (1, None)
    lease = pathlib.Path(place.lease).read_text()
    assert not publish(place, begun["run_id"], given(), None, False)["changed"]
    assert pathlib.Path(place.lease).read_text() == lease, "of the run that has the place now"
    pathlib.Path(place.lease).write_text(lease.replace(str(json.loads(lease)["run_id"]), begun["run_id"]))
    assert abandon(place, begun["run_id"], "publish", "it did not answer", False)
    assert (os.path.exists(place.lease), list_sets(place, None, 9)["last_failure"]) == (False, None)


def test_a_link_that_has_gone_after_a_publish_that_failed_is_not_listed(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    fill(place, begun["partial"])
    wanted = given()
    del wanted["leader"]
    with pytest.raises(SetError, match="leader is missing"):
        publish(place, begun["run_id"], wanted, None, False)
    os.unlink(os.path.join(begun["partial"], "files/n1/data/link"))
    publish(place, begun["run_id"], given(), None, False)
    assert verify(place)["bad_count"] == 0


def test_a_run_that_lost_its_lease_publishes_nothing(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    fill(place, begun["partial"])
    second = begin(place, {}, timeout=900, gone=[begun["run_id"]])
    with pytest.raises(PlatformError, match=f"not this run's any more, run {second['run_id']} has it"):
        publish(place, begun["run_id"], given(), None, False)
    os.unlink(place.lease)
    with pytest.raises(PlatformError, match="not this run's any more, it is gone"):
        publish(place, second["run_id"], given(), None, False)
    assert list_sets(place, None, 9)["sets"] == []


def test_the_lease_is_looked_at_again_at_the_last_moment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = begin(place, {}, timeout=900)
    real = publish_file._sync_folders

    def lose(*arguments: t.Any) -> None:
        real(*arguments)
        lease = json.loads(pathlib.Path(place.lease).read_text())
        pathlib.Path(place.lease).write_text(json.dumps({**lease, "run_id": "another"}))

    monkeypatch.setattr(publish_file, "_sync_folders", lose)
    with pytest.raises(SetError, match="not this run's any more"):
        publish(place, begun["run_id"], given(), None, False)
    assert list_sets(place, None, 9)["count"] == 0


@pytest.mark.parametrize("key", sorted(given()))
def test_an_incomplete_manifest_is_not_published(place: Place, key: str) -> None:
    begun = begin(place, {}, timeout=900)
    wanted = given()
    del wanted[key]
    if key == "uncovered":
        assert publish(place, begun["run_id"], wanted, None, False)["manifest"]["uncovered"] == []
        return
    with pytest.raises(SetError):
        publish(place, begun["run_id"], wanted, None, False)
    assert list_sets(place, None, 9)["sets"] == [] and os.path.exists(place.lease)
    publish(place, begun["run_id"], given(), None, False)  # nothing of the first try is in the way
    assert verify(place)["bad_count"] == 0


@pytest.mark.parametrize(
    "date", ["", "2026-11-23", "2026-11-23T02:00:00", "2026-11-23T02:00:00+01:00", "2026-13-01T00:00:00Z"]
)
def test_a_backup_date_is_a_moment(date: str) -> None:
    with pytest.raises(SetError, match="is not a time"):
        set_id(date)
    assert set_id("2026-11-23T02:00:04Z") == set_id("2026-11-23T02:00:04.9Z") == "20261123T020004Z"


def test_a_set_without_its_dump_is_not_published(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    wanted = given()
    wanted["nuxeo"]["database"]["kind"] = "postgresql"
    with pytest.raises(SetError, match="no dump has told anything"):
        publish(place, begun["run_id"], wanted, None, False)
    fill(place, begun["partial"])
    assert publish(place, begun["run_id"], wanted, None, False)["manifest"]["database"]["tables"] == 3


def test_a_set_without_its_audit_is_not_published(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    wanted = given()
    wanted["nuxeo"]["audit"] = {"kept": "elasticsearch", "index": "nuxeo-audit"}
    names: dict[str, t.Any] = {"names": {"audit": "nuxeo-audit"}, "documents": {"nuxeo-audit": 3}, "own": True}
    told = {**names, "repository": "r", "location": "audit", "snapshot": "s", "uuid": "u"}
    for audit in ({}, {"audit": told}):
        with pytest.raises(SetError, match="no snapshot has told anything"):
            publish(place, begun["run_id"], {**wanted, **audit}, None, False)
    with open(os.path.join(begun["partial"], "audit.json"), "w", encoding="utf-8") as stream:
        stream.write("{}")
    assert publish(place, begun["run_id"], {**wanted, "audit": told}, None, False)["changed"]


def test_the_way_to_a_repository_stays_open_and_nothing_else(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    for mode, left in ((0o711, 0o711), (0o755, 0o711), (0o700, 0o700), (0o777, 0o711)):
        os.chmod(place.folder, mode)
        begun = begin(place, {}, timeout=900, gone=[begun["run_id"]])
        assert os.stat(place.folder).st_mode & 0o777 == left


def test_a_fifo_in_a_set_is_refused(place: Place) -> None:
    begun = begin(place, {}, timeout=900)
    os.mkfifo(os.path.join(begun["partial"], "files/fifo"))
    with pytest.raises(SetError, match="'files/fifo' is neither"):
        publish(place, begun["run_id"], given(), None, False)


def test_all_of_a_set_is_durable_before_its_name_and_the_name_before_the_lease_is_given_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash of the host leaves is what was synced: a set that was said to be there is, and whole."""
    begun = begin(place, {}, timeout=900)
    fill(place, begun["partial"])
    beat = os.path.join(begun["partial"], "progress-n2.json")
    pathlib.Path(beat).touch()
    done = watched(monkeypatch)
    folder = publish(place, begun["run_id"], given(), None, False)["path"]
    named = done.index(("rename", folder))
    synced = {os.path.relpath(path, begun["partial"]) for what, path in done[:named] if what == "sync"}
    inside = [pathlib.Path(folder), *pathlib.Path(folder).rglob("*")]
    made = {"manifest.json", "SHA256SUMS", "links.jsonl"}  # under other names, see test_io
    assert {os.path.relpath(path, folder) for path in inside if not path.is_symlink()} - synced <= made
    assert ("sync", begun["partial"]) in done[done.index(("unlink", beat)) : named], "else it would be back, unlisted"
    given_back = done.index(("unlink", place.lease))
    assert named < done.index(("sync", place.sets), named) < given_back < done.index(("sync", place.folder), given_back)


def test_an_error_of_the_disk_is_not_published(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = begin(place, {}, timeout=900)
    small(place, begun["partial"])
    real = os.fsync

    def fail(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("database/dump.json"):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SetError, match="Input/output error .*dump.json"):
        publish(place, begun["run_id"], given(), None, False)
    assert list_sets(place, None, 9)["count"] == 0


def test_leftovers_that_cannot_be_removed_are_left_to_the_next_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(place, {}, timeout=900)["run_id"]
    monkeypatch.setattr(begin_file.shutil, "rmtree", lambda *_, **__: None)
    assert abandon(place, run_id, "", "", False)
    assert len(os.listdir(place.sets)) == 1
    monkeypatch.undo()
    assert begin(place, {}, timeout=900)["leftovers"] == 1
