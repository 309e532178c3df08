# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pass after one that did not come to its end, or did not see all."""

from __future__ import annotations

import hashlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import aside, names, passes, pool, state
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import copy
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.home import LocalHome
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.spool import Findings


class Lab:
    """A store, its pool, and when the pool was synced."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        (root / "store" / "data").mkdir(parents=True)
        (root / "required").touch()
        self.synced = 0
        real = LocalHome.sync

        def sync(home: LocalHome) -> None:
            real(home)
            self.synced += 1

        monkeypatch.setattr(LocalHome, "sync", sync)

    def add(self, content: bytes, where: str = "store/data") -> str:
        key = hashlib.md5(content).hexdigest()
        path = self.root / where / names.pool_path(key.encode()).decode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        with (self.root / "required").open("a", encoding="ascii") as stream:
            stream.write(f"{key}\n")
        return key

    def backup(self, **more: t.Any) -> dict[str, t.Any]:
        words = {"src": str(self.root / "store"), "dest": str(self.root / "pool"), "state": str(self.root / "state")}
        return copy(Options(**{**words, "jobs": 1, **more}), None)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr("ansible_collections.nuxeo.platform.plugins.module_utils._blobs.folders.DOUBT", 0)
    return Lab(tmp_path, monkeypatch)


@pytest.mark.parametrize("where", ["in the store", "gone from the store"])
def test_names_that_a_killed_run_gave_are_durable_before_a_set_names_them(lab: Lab, where: str) -> None:
    """It was killed between them and its sync: whoever names these blobs next makes their names durable."""
    lab.add(b"one")
    lab.backup()
    assert lab.synced == 1
    found = lab.backup(required=str(lab.root / "required"))
    assert (lab.synced, found["present"]) == (1, 0), "nothing is new"
    lab.add(b"two", "pool")
    if where == "in the store":
        lab.add(b"two")
    found = lab.backup(required=str(lab.root / "required"))
    assert (found["copied"], found["keys"], lab.synced) == (0, 2, 2)


def test_a_store_whose_root_a_pass_did_not_see_is_looked_at_from_there_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its volume was away for a moment: nothing but the root tells of new folders."""
    lab.add(b"one")
    lab.backup()
    take = passes.Pass._take

    def blind(one: passes.Pass, changes: Findings, found: t.Iterable[t.Any]) -> list[bytes]:
        fresh = take(one, changes, found)
        changes.keep(b"", None)
        return fresh

    with monkeypatch.context() as patch:
        patch.setattr(passes.Pass, "_take", blind)
        lab.backup(full=True)
    assert b"" not in state.load(os.fspath(lab.root / "state.state")).paths
    lab.add(b"two")
    found = lab.backup()
    assert (found["copied"], found["keys"], found["full_pass"]) == (1, 2, False)
    assert state.load(os.fspath(lab.root / "state.state")).paths[0] == b""


def test_what_a_copy_that_keeps_times_brings_is_seen(lab: Lab) -> None:
    """As rsync and tar do: the folder has the time that it had, and was changed now."""
    folder = (lab.root / "store/data" / os.fsdecode(names.pool_path(lab.add(b"one").encode()))).parent
    lab.backup()
    before = folder.stat()
    (folder / hashlib.md5(b"two").hexdigest()).write_bytes(b"two")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = lab.backup()
    assert (found["copied"], found["full_pass"]) == (1, False)


def test_what_is_taken_out_of_the_pool_while_a_pass_waits_for_its_lock_is_copied_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = lab.add(b"one").encode()
    lab.backup()
    assert lab.backup()["full_pass"] is False
    held = lab.root / "pool" / os.fsdecode(names.pool_path(key))
    begin = LocalHome.begin

    def waited(home: LocalHome) -> dict[str, t.Any]:
        held.write_bytes(b"rot")
        aside.set_aside(home.pool, [key])
        assert not held.exists()
        return begin(home)

    monkeypatch.setattr(LocalHome, "begin", waited)
    found = lab.backup()
    assert (found["full_pass"], found["copied"], held.read_bytes()) == (True, 1, b"one")


@pytest.mark.parametrize("how", ["whole", "rotten", "rejected"])
def test_a_blob_that_came_late_is_in_the_set_when_it_is_what_it_says(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A pool on another host rejects one at the commit only."""
    lab.add(b"one")
    lab.backup()
    finish, commit, added = passes.Pass._finish, pool.LocalShelf.commit, []

    def late(one: passes.Pass, changes: Findings) -> None:
        added.append(lab.add(b"two"))
        if how == "rotten":
            (lab.root / "store/data" / os.fsdecode(names.pool_path(added[0].encode()))).write_bytes(b"rot")
        finish(one, changes)

    def reject(shelf: pool.LocalShelf) -> pool.Rejected:
        return [*commit(shelf), *((key.encode(), "rotten") for key in added)]

    monkeypatch.setattr(passes.Pass, "_finish", late)
    if how == "whole":
        found = lab.backup(required=str(lab.root / "required"))
        assert (found["copied"], found["keys"], found["folders_listed"]) == (1, 2, 0)
        return
    if how == "rejected":
        monkeypatch.setattr(pool.LocalShelf, "commit", reject)
    with pytest.raises(BlobError, match="neither there nor in the pool") as error:
        lab.backup(required=str(lab.root / "required"))
    assert error.value.result["missing"] == added


@pytest.mark.parametrize("asked", [0, 2, 100])
def test_while_the_pools_host_is_connected_to_times_of_folders_are_asked_for(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    """However many before it answers: what has changed is found, and what has not is asked for once."""
    monkeypatch.setattr(passes, "CHUNK", 2)
    for number in range(40):
        lab.add(b"%d" % number)
    lab.backup()

    def connect() -> None:
        waiting = iter([True] * asked)
        monkeypatch.setattr(LocalHome, "connecting", property(lambda _home: next(waiting, False)))

    ranges: list[tuple[int, int]] = []
    real = passes.changed_folders

    def changed_folders(known: t.Any, data: bytes, first: int, end: int) -> list[int]:
        ranges.append((first, end))
        return real(known, data, first, end)

    monkeypatch.setattr(passes, "changed_folders", changed_folders)
    connect()
    found = lab.backup()
    assert (found["copied"], found["keys"], found["full_pass"], found["folders_listed"]) == (0, 40, False, 0)
    folders = len(state.load(os.fspath(lab.root / "state.state")).paths)
    known = {number for first, end in ranges for number in range(first, end)}
    assert len(ranges) == min(asked, (folders + 1) // 2), "those that a worker is given it asks for in its own process"
    assert found["folders"] == folders
    assert known == set(range(min(2 * asked, folders)))
    lab.add(b"new")
    connect()
    found = lab.backup()
    assert (found["copied"], found["keys"], found["full_pass"]) == (1, 41, False)
    connect()
    found = lab.backup(full=True)
    assert (found["copied"], found["doubted"], found["full_pass"]) == (0, 0, True)


class Snapshot:
    """Of a pool: what a volume that is set back has then. The folder itself stays the one that it is."""

    def __init__(self, pool: Path) -> None:
        self.pool = pool
        self.kept = {path: path.read_bytes() for path in pool.rglob("*") if path.is_file()}

    def set_back(self) -> None:
        for path in sorted(self.pool.rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()
        for path, content in self.kept.items():
            path.write_bytes(content)


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("how", ["copied", "of a killed run"])
def test_a_pool_that_was_set_back_is_noticed(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: bool, how: str
) -> None:
    """What the state knows of the pool may be gone, also what the pass that made it has found there."""
    rsh = tmp_path / "rsh"
    rsh.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    rsh.chmod(0o755)
    words: dict[str, t.Any] = {"dest": f"far:{lab.root / 'pool'}", "rsh": [str(rsh)]} if far else {}
    lab.add(b"one")
    lab.backup(**words)
    before = Snapshot(lab.root / "pool")
    lab.add(b"two")
    if how == "of a killed run":
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(passes.Pass, "_finish", killed)
            lab.backup(**words)
    lab.backup(**words)
    assert lab.backup(**words)["full_pass"] is False
    before.set_back()
    found = lab.backup(**words)
    assert (found["full_pass"], found["copied"], found["keys"]) == (True, 1, 2)
    assert lab.backup(**words)["full_pass"] is False


def killed(*_words: t.Any) -> None:
    raise KeyboardInterrupt


def test_killed_between_the_mark_and_the_state_the_next_pass_is_full(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add(b"one")
    lab.backup()
    lab.add(b"two")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(passes.Pass, "_keep_state", killed)
        lab.backup()
    assert lab.backup()["full_pass"] is True
    assert lab.backup()["full_pass"] is False


def test_what_a_run_that_was_killed_at_its_end_left_beside_the_state_is_removed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.add(b"one")
    words = {"state": str(lab.root / "inst/state/x"), "set_keys": str(lab.root / "inst/sets/a/blobs/x")}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(state, "write_atomic", killed)
        lab.backup(**words)
    left = lab.root / "inst/state/.x.state.base.0123abcd.tmp"
    left.touch()
    lab.backup(**words)
    assert sorted(os.listdir(left.parent)) == ["x.state", "x.state.base"]


def test_a_pass_in_which_nothing_is_new_leaves_the_pool_as_it_is(lab: Lab) -> None:
    lab.add(b"one")
    lab.backup()
    before = (lab.root / "pool/.generation").stat()
    for _time in range(2):
        assert lab.backup(required=str(lab.root / "required"))["full_pass"] is False
    after = (lab.root / "pool/.generation").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
