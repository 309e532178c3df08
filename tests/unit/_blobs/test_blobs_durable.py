# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs get their names in groups, after their bytes are on the disk, and never when those could not be written."""

from __future__ import annotations

import errno
import hashlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import copier, disk, names
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copier import Copier, Group
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.disk import Volume


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(copier.time, "monotonic", lambda: self.now)


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
        monkeypatch.setattr(copier.os, "rename", lambda a, b: (self.calls.append(("rename", b)), rename(a, b)))

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


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_an_error_that_syncfs_tells_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    class Library:
        @staticmethod
        def syncfs(descriptor: int) -> int:
            assert os.path.samestat(os.fstat(descriptor), os.stat(tmp_path)), "not the volume that was asked for"
            disk.ctypes.set_errno(code)
            return -1

    volume = Volume(os.fsencode(tmp_path))
    monkeypatch.setattr(disk.ctypes, "CDLL", lambda *words, **more: Library)
    for sync in (volume.sync_files, volume.sync_names):
        with pytest.raises(OSError) as error:
            sync([])
        assert error.value.errno == code
    volume.close()


def test_without_syncfs_each_file_then_each_folder_up_to_the_pool(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Linux before 5.8 syncfs tells no error, so it is of no use."""
    for module in (copier, disk):
        monkeypatch.setattr(module, "HAS_SYNCFS", False)
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
    for module in (copier, disk):
        monkeypatch.setattr(module, "HAS_SYNCFS", False)
    monkeypatch.setattr(disk.os, "fsync", broken)
    tree.place(b"one", b"two")
    with pytest.raises(OSError, match="bad disk"):
        tree.copier.commit()
    assert tree.there() == []
