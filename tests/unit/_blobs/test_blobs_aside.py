# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotten blobs are taken out of a pool by one who holds its lock, and who has just seen that they are rotten."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import aside, copy, holding, pool
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.home import LocalHome


class Pool:
    """A pool of a few blobs."""

    def __init__(self, root: Path) -> None:
        self.root = root / "pool"
        self.path = os.fsencode(self.root)

    def add(self, content: bytes, algorithm: str = "md5") -> bytes:
        key = hashlib.new(algorithm, content).hexdigest()
        self.place(key.encode()).parent.mkdir(parents=True, exist_ok=True)
        self.place(key.encode()).write_bytes(content)
        return key.encode()

    def place(self, name: bytes) -> Path:
        key = name.decode()
        return self.root / key[:2] / key[2:4] / key

    def aside(self) -> list[str]:
        return sorted(name.rpartition(".")[0] for name in os.listdir(self.root / ".rotten"))

    def verify(self) -> str:
        with pytest.raises(BlobError) as error:
            copy.prove(copy.Question(pool=str(self.root), jobs=1), None)
        assert error.value.result["rotten_count"] == 1
        return str(error.value)


@pytest.fixture
def one(tmp_path: Path) -> Pool:
    return Pool(tmp_path)


def test_what_was_healed_meanwhile_stays(one: Pool) -> None:
    """By another verify and a backup, between the look of this one and its taking out."""
    healed, rotten, content_named = one.add(b"healed"), one.add(b"rotten"), one.add(b"other", "sha256")
    for name in (rotten, content_named):
        one.place(name).write_bytes(b"rot")
    gone = one.add(b"gone")
    one.place(gone).unlink()
    aside.set_aside(one.path, [healed, rotten, content_named, content_named, gone])
    assert one.aside() == sorted([rotten.decode(), content_named.decode()])
    assert one.place(healed).read_bytes() == b"healed"
    assert not one.place(rotten).exists()


def test_it_holds_the_lock_meanwhile_and_gives_it_back(one: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    rotten = one.add(b"rotten")
    one.place(rotten).write_bytes(b"rot")
    locked = []
    rename = os.rename

    def watched(source: bytes, target: bytes) -> None:
        locked.append(is_locked(one.root))
        rename(source, target)

    monkeypatch.setattr(aside.os, "rename", watched)
    aside.set_aside(one.path, [rotten])
    assert locked == [True, True], "the mark that something is gone, and the blob"
    assert not is_locked(one.root)


def test_killed_between_it_costs_a_look_and_no_blob(one: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next pass has to know that something may be gone before it is."""
    rotten = one.add(b"rotten")
    one.place(rotten).write_bytes(b"rot")
    mark = one.root / ".generation"
    mark.write_text("before")
    rename = os.rename

    def killed(source: bytes, target: bytes) -> None:
        if b".rotten" in target:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(aside.os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        aside.set_aside(one.path, [rotten])
    assert one.place(rotten).exists() and mark.read_text() != "before"


def test_what_a_killed_one_has_left_of_a_mark_is_removed(one: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    one.add(b"blob")

    def killed(source: bytes, target: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as at_rename, pytest.raises(KeyboardInterrupt):
        at_rename.setattr(os, "rename", killed)
        aside.set_aside(one.path, [])
    (left,) = one.root.glob(".generation*")
    home = LocalHome(one.path)
    home.begin()
    home.end()
    assert not left.exists()
    assert (one.root / ".generation").read_text() == home.look()["generation"] != ""


def test_the_mark_is_on_the_disk_before_a_blob_is_taken_out(one: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a crash of the pool's host leaves the old mark, and no backup looks for what is gone."""
    rotten = one.add(b"rotten")
    one.place(rotten).write_bytes(b"rot")
    done: list[str] = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")).rpartition(".")[2])

    def note_rename(source: bytes, target: bytes) -> None:
        rename(source, target)
        done.append("mark" if target.endswith(b".generation") else "blob")

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    aside.set_aside(one.path, [rotten])
    assert done == ["sync tmp", "mark", "sync pool", "blob"]


@pytest.mark.parametrize("what", ["a link", "a folder", "nothing"])
def test_only_a_file_is_a_blob(one: Pool, what: str) -> None:
    key, held = sorted([one.add(b"one"), one.add(b"two")])
    path = one.place(key)
    path.unlink()
    if what == "a link":
        path.symlink_to(one.place(held))
    elif what == "a folder":
        path.mkdir()
    look = holding.local_look(one.path)
    for full in (True, False):
        assert look([key, held], full) == {key}
    assert LocalHome(one.path).lacking([key, held]) == {key}


def test_what_waits_for_its_name_is_not_lacking(one: Pool, tmp_path: Path) -> None:
    """A store may have one blob in two folders."""
    key = hashlib.md5(b"one").hexdigest().encode()
    (tmp_path / "source").write_bytes(b"one")
    home = LocalHome(one.path)
    home.begin()
    shelf = pool.LocalShelf(one.path, 0)
    assert shelf.lacking([key], False) == {key}
    shelf.copy(os.fsencode(tmp_path / "source"), key, "md5")
    assert (shelf.lacking([key], False), one.place(key).exists()) == (set(), False)
    shelf.commit()
    home.end()
    assert one.place(key).read_bytes() == b"one"


def is_locked(folder: Path) -> bool:
    with (folder / ".lock").open("rb+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_while_a_backup_runs_the_verdict_comes_and_says_who_holds_the_lock(
    one: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotten = one.add(b"rotten")
    one.place(rotten).write_bytes(b"rot")
    monkeypatch.setattr(aside, "Lock", functools.partial(aside.Lock, patience=0.2))
    with t.cast(t.Any, aside.Lock)(str(one.root)):
        said = one.verify()
    assert f"1 rotten ({rotten.decode()})" in said
    assert f"Lock of '{one.root}': it is held by " in said
    assert f"process {os.getpid()}" in said
    assert said.endswith("Wait until that run has ended, or end it.")
    assert one.place(rotten).exists()


def test_an_error_while_setting_aside_comes_with_the_verdict(one: Pool) -> None:
    rotten = one.add(b"rotten")
    one.place(rotten).write_bytes(b"rot")
    (one.root / ".rotten").write_bytes(b"a file")
    said = one.verify()
    assert f"1 rotten ({rotten.decode()})" in said
    assert f"Setting aside of rotten blobs in '{one.root}': File exists" in said
