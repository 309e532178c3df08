# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs get their names in groups, after their bytes are on the disk, and never when those could not be written."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import copier as copying
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import disk, holding, names, waiting
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copier import Copier
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.disk import Volume
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import SourceError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.waiting import Group, sweep


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(waiting.time, "monotonic", lambda: self.now)


def test_a_group_is_full_by_files_by_bytes_and_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    group = Group()
    clock.now += 3600
    assert not group.full, "a group of nothing has no age"
    for _file in range(Group.FILES - 1):
        group.add(0)
    assert not group.full
    group.add(0)
    assert group.full
    group.clear()
    group.add(Group.BYTES - 1)
    assert not group.full
    group.add(1)
    assert group.full
    group.clear()
    assert not group.full


def test_a_blob_waits_no_longer_than_thirty_seconds_for_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    group = Group()
    group.add(1)
    clock.now += 29.9
    group.add(1)  # a later one does not put it off
    assert not group.full
    clock.now += 0.1
    assert group.full
    group.clear()
    clock.now += 100
    group.add(1)
    assert not group.full, "its age is that of its first blob"


class Tree:
    """A copier, some blobs for it, and what it does to the disk in order."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tree = root / "pool"
        self.tree.mkdir()
        self.source = root / "source"
        self.source.mkdir()
        self.calls: list[tuple[str, t.Any]] = []
        self.copier = Copier(os.fsencode(self.tree), os.fsencode(self.tree / ".tmp"))
        rename = os.rename
        monkeypatch.setattr(waiting.os, "rename", lambda a, b: (self.calls.append(("rename", b)), rename(a, b)))

    def place(self, *contents: bytes) -> list[bytes]:
        """Copy some blobs; where they are to be in the tree."""
        placed = []
        for content in contents:
            key = hashlib.md5(content).hexdigest()
            (self.source / key).write_bytes(content)
            digest, size = self.copier.copy(os.fsencode(self.source / key), "md5")
            assert (digest, size) == (key, len(content))
            placed.append(names.pool_path(key.encode()))
            self.copier.place(placed[-1], size)
        return placed

    def there(self) -> list[str]:
        return sorted(path.name for path in self.tree.rglob("*") if path.is_file() and ".tmp" not in path.parts)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def test_bytes_are_on_the_disk_before_the_first_name(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Volume, "_syncfs", lambda volume: tree.calls.append(("sync", None)))
    placed = tree.place(b"one", b"two", b"three")
    assert tree.there() == []
    tree.copier.commit()
    kinds = [kind for kind, _what in tree.calls]
    assert kinds[0] == "sync" and kinds.count("sync") == 1, "one sync for all of them"
    assert {what for kind, what in tree.calls if kind == "rename"} == {
        tree.copier.tree + b"/" + path for path in placed
    }
    tree.calls.clear()
    tree.copier.commit()
    assert tree.calls == [], "a group of nothing costs nothing"


def test_bytes_that_could_not_be_written_get_no_name(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(volume: Volume) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Volume, "_syncfs", fails)
    tree.place(b"one", b"two")
    with pytest.raises(OSError, match="Input/output error"):
        tree.copier.commit()
    assert tree.there() == []
    assert tree.calls == []


class Slow:
    """A sync that ends when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.error: OSError | None = None
        monkeypatch.setattr(Volume, "_syncfs", self.sync)

    def sync(self) -> None:
        self.begun.release()
        assert self.may_end.acquire(timeout=60)
        if self.error:
            raise self.error

    def end(self, copier: Copier) -> None:
        self.may_end.release()
        deadline = time.time() + 60
        while not copier._sync.ended:  # type: ignore[union-attr]
            assert time.time() < deadline
            time.sleep(0.001)


def test_while_a_full_group_is_synced_the_next_is_written(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    monkeypatch.setattr(Group, "FILES", 2)
    copier = tree.copier
    tree.place(b"one")
    copier.advance()
    assert (copier.last, copier.named, copier.pending) == (0, 0, True), "it is not full"
    tree.place(b"two")
    copier.advance()
    assert slow.begun.acquire(timeout=60)
    tree.place(b"three")
    copier.advance()
    assert (copier.last, copier.named) == (1, 0)
    assert tree.there() == [], "no name before the end of the sync"
    slow.end(copier)
    copier.advance()
    assert copier.named == 1
    assert tree.there() == sorted(hashlib.md5(content).hexdigest() for content in (b"one", b"two"))
    slow.may_end.release()
    copier.commit()
    assert (copier.named, copier.pending) == (2, False)
    assert len(tree.there()) == 3
    assert not (tree.tree / ".tmp").exists()


def test_no_more_than_two_groups_wait(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    monkeypatch.setattr(Group, "FILES", 1)
    tree.place(b"one")
    tree.copier.advance()
    tree.place(b"two")
    threading.Timer(0.2, slow.may_end.release).start()
    tree.copier.advance()
    assert tree.copier.named == 1, "it has waited for the first sync"
    slow.may_end.release()
    tree.copier.commit()
    assert len(tree.there()) == 2


def test_an_error_of_a_sync_beside_is_raised_and_no_name_given(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    slow.error = OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(Group, "FILES", 1)
    tree.place(b"one")
    tree.copier.advance()
    slow.end(tree.copier)
    for goes_on in (tree.copier.advance, tree.copier.commit):
        with pytest.raises(OSError, match="Input/output error"):
            goes_on()
    assert tree.there() == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_an_error_that_syncfs_tells_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    class Library:
        @staticmethod
        def syncfs(descriptor: int) -> int:
            assert os.path.samestat(os.fstat(descriptor), os.stat(tmp_path)), "not the volume that was asked for"
            ctypes.set_errno(code)
            return -1

    volume = Volume(os.fsencode(tmp_path))
    monkeypatch.setattr(ctypes, "CDLL", lambda *words, **more: Library)
    for sync in (volume.sync_files, volume.sync_names):
        with pytest.raises(OSError) as error:
            sync([])
        assert error.value.errno == code
    volume.close()


def test_without_syncfs_each_file_then_each_folder_up_to_the_pool(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Linux before 5.8 syncfs tells no error, so it is of no use."""
    monkeypatch.setattr(disk, "HAS_SYNCFS", False)
    fsync = disk.fsync
    monkeypatch.setattr(disk, "fsync", lambda path: (tree.calls.append(("fsync", path)), fsync(path)))
    placed = tree.place(b"one", b"two", b"three")
    tree.copier.commit()
    kinds = [kind for kind, _what in tree.calls]
    last_rename = len(kinds) - 1 - kinds[::-1].index("rename")
    before = [what for _kind, what in tree.calls[: kinds.index("rename")]]
    after = [what for kind, what in tree.calls[last_rename + 1 :]]
    temporary = os.fsencode(tree.tree / ".tmp")
    assert sorted(before) == sorted(temporary + b"/%d" % number for number in (1, 2, 3))
    assert kinds[last_rename + 1 :] == ["fsync"] * len(after)
    pool = os.fsencode(tree.tree)
    folders = {pool}
    for path in placed:
        folders |= {pool + b"/" + path[:5], pool + b"/" + path[:2]}
    assert set(after) == folders
    assert after == sorted(after, reverse=True), "a folder before the one that holds it"


def broken(descriptor: int) -> None:
    raise OSError(errno.EIO, "bad disk")


def test_without_syncfs_a_file_that_cannot_be_synced_keeps_all_names_back(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "HAS_SYNCFS", False)
    monkeypatch.setattr(disk.os, "fsync", broken)
    tree.place(b"one", b"two")
    with pytest.raises(OSError, match="bad disk"):
        tree.copier.commit()
    assert tree.there() == []


# --- beside the place


def blobs_of(folder: bytes, count: int) -> list[tuple[bytes, bytes]]:
    """Some blobs whose keys lie in one folder of the pool: paths in it, and bytes."""
    return [(folder + b"/" + b"%s%028x" % (folder.replace(b"/", b""), n), b"blob %d" % n) for n in range(count)]


class Worker:
    """A worker that puts blobs into a pool beside their places."""

    def __init__(self, root: Path, number: int) -> None:
        self.root = root
        self.copier = Copier(os.fsencode(root / "pool"), os.fsencode(root / "pool" / ".tmp" / str(number)))

    def put(self, *blobs: tuple[bytes, bytes]) -> None:
        for path, content in blobs:
            self.begin(path, content)
            self.copier.place(path, len(content))

    def begin(self, path: bytes, content: bytes) -> None:
        source = self.root / "source"
        source.write_bytes(content)
        self.copier.copy(os.fsencode(source), "md5", path)


@pytest.fixture
def worker(tmp_path: Path) -> t.Callable[[], Worker]:
    (tmp_path / "pool" / ".tmp").mkdir(parents=True)
    numbers = iter(range(100))
    return lambda: Worker(tmp_path, next(numbers))


def there(root: Path) -> dict[bytes, bytes]:
    """What has a name in the pool, read by other means."""
    files = (path for path in (root / "pool").rglob("*") if path.is_file())
    shown = {os.fsencode(path.relative_to(root / "pool")): path.read_bytes() for path in files}
    return {path: content for path, content in shown.items() if b"/." not in b"/" + path}


def test_all_blobs_of_a_new_folder_get_their_names_by_one_rename(
    tmp_path: Path, worker: t.Callable[[], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bytes] = []
    rename = os.rename
    monkeypatch.setattr(waiting.os, "rename", lambda a, b: (calls.append(b), rename(a, b)))
    one = worker()
    pool = os.fsencode(tmp_path / "pool")
    blobs = blobs_of(b"aa/bb", 5) + blobs_of(b"aa/cc", 3) + blobs_of(b"aa/bb", 6)[5:] + blobs_of(b"dd/ee", 1)
    one.put(*blobs)
    assert there(tmp_path) == {}
    assert holding.folders(pool) == [], "what waits is not in the pool"
    one.copier.commit()
    assert there(tmp_path) == dict(blobs)
    assert calls == [pool + b"/aa", pool + b"/dd"], "with all folders below it"
    one.put(*(more := blobs_of(b"aa/ff", 4) + blobs_of(b"aa/gg", 2)))
    assert list(holding.all_names(pool, b"aa")) == sorted(path[6:] for path, _content in blobs[:-1])
    one.copier.commit()
    assert there(tmp_path) == dict(blobs + more)
    assert calls[2:] == [pool + b"/aa/ff", pool + b"/aa/gg"]
    one.put(*(again := blobs_of(b"aa/bb", 8)[6:]))
    one.copier.commit()
    assert there(tmp_path) == dict(blobs + more + again)
    assert len(calls) == 6, "a folder that is there gets each"
    assert os.listdir(tmp_path / "pool" / ".tmp") == []


@pytest.mark.parametrize("above", ["is there", "is new"])
def test_a_folder_that_another_worker_has_made_meanwhile(
    tmp_path: Path, worker: t.Callable[[], Worker], above: str
) -> None:
    one, two = worker(), worker()
    before = blobs_of(b"aa/zz", 1) if above == "is there" else []
    one.put(*before)
    one.copier.commit()
    blobs = blobs_of(b"aa/bb", 6)
    alone, other = blobs_of(b"aa/cc", 2), blobs_of(b"aa/dd", 2)
    one.put(*blobs[:3], *alone)
    two.put(*blobs[2:], *other)  # one of them twice
    two.copier.commit()
    assert there(tmp_path) == dict(before + blobs[2:] + other)
    one.copier.commit()
    assert there(tmp_path) == dict(before + blobs + alone + other)
    assert sorted(path.name for path in (tmp_path / "pool").iterdir()) == [".tmp", "aa"]
    folders = ["bb", "cc", "dd", *("zz" for _blob in before)]
    assert sorted(path.name for path in (tmp_path / "pool" / "aa").iterdir()) == folders


def test_a_folder_that_waits_with_the_group_before(
    tmp_path: Path, worker: t.Callable[[], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written for it meanwhile does not get its name with that group: it is not on the disk."""
    slow = Slow(monkeypatch)
    monkeypatch.setattr(Group, "FILES", 2)
    one = worker()
    blobs = blobs_of(b"aa/bb", 3)
    one.put(*blobs[:2])
    one.copier.advance()
    one.put(blobs[2])
    slow.end(one.copier)
    one.copier.advance()
    assert there(tmp_path) == dict(blobs[:2])
    slow.may_end.release()
    one.copier.commit()
    assert there(tmp_path) == dict(blobs)
    assert sorted(path.name for path in (tmp_path / "pool").iterdir()) == [".tmp", "aa"]
    assert sorted(path.name for path in (tmp_path / "pool" / "aa").iterdir()) == ["bb"]


def test_nobody_names_the_unfinished_file_of_another_run(tmp_path: Path, worker: t.Callable[[], Worker]) -> None:
    """A worker whose run was cut off may live on, on another host, while the next run sweeps and copies the same."""
    old, new = worker(), worker()
    there_before = blobs_of(b"aa/bb", 1)
    old.put(*there_before)
    old.copier.commit()
    blobs = blobs_of(b"aa/bb", 4)[1:] + blobs_of(b"cc/dd", 4)
    old.put(*blobs)
    sweep(os.fsencode(tmp_path / "pool"), b".tmp")
    for path, content in blobs:
        new.begin(path, content[:3])
    with pytest.raises(FileNotFoundError):
        old.copier.commit()
    assert there(tmp_path) == dict(there_before)


def test_what_was_left_is_swept_and_nothing_else(tmp_path: Path, worker: t.Callable[[], Worker]) -> None:
    kept = blobs_of(b"aa/bb", 2)
    one = worker()
    one.put(*kept)
    one.copier.commit()
    one.put(*blobs_of(b"aa/bb", 4)[2:], *blobs_of(b"aa/cc", 2), *blobs_of(b"dd/ee", 1))
    one.copier.new()
    (tmp_path / "pool" / ".rotten").mkdir()
    (tmp_path / "pool" / ".rotten" / ".x.tmp").touch()
    sweep(os.fsencode(tmp_path / "pool"), b".tmp")
    assert there(tmp_path) == dict(kept)
    left = {str(path.relative_to(tmp_path / "pool")) for path in (tmp_path / "pool").rglob("*") if path.name[0] == "."}
    assert left == {".tmp", ".rotten", ".rotten/.x.tmp"}
    assert os.listdir(tmp_path / "pool" / ".tmp" / "0") == [], "the worker may live: its folder stays, and says so"


def test_a_blob_that_is_dropped_leaves_no_trace(tmp_path: Path, worker: t.Callable[[], Worker]) -> None:
    one = worker()
    good, bad = blobs_of(b"aa/bb", 2)
    one.begin(*bad)
    one.copier.drop()
    one.put(good)
    one.begin(*bad)
    one.copier.drop()
    one.copier.commit()
    assert there(tmp_path) == dict([good])
    assert os.listdir(tmp_path / "pool" / ".tmp") == []


def test_a_copy_that_shares_blocks_that_cannot_be_read_leaves_no_file(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(copying.CHUNK + 1)
    key = hashlib.md5(content).hexdigest().encode()
    (tree.source / key.decode()).write_bytes(content)

    def clone(target: int, _request: int, source: int) -> int:
        return os.write(target, os.pread(source, len(content), 0))

    def unreadable(_path: bytes, _algorithm: str) -> t.NoReturn:
        raise SourceError("it cannot be read: Input/output error")

    monkeypatch.setattr(copying.fcntl, "ioctl", clone)
    with monkeypatch.context() as broken:
        broken.setattr(copying, "hash_file", unreadable)
        with pytest.raises(SourceError, match="Input/output error"):
            tree.copier.copy(os.fsencode(tree.source) + b"/" + key, "md5", names.pool_path(key))
    tree.copier.commit()
    assert not [path for path in tree.tree.rglob("*") if path.is_file()]
