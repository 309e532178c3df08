# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of a pass: when what it has copied gets its names, and what it says of it."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import names
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import copy
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.folders import Plan
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.spool import Spool
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.state import UNTRUSTED, State
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.tally import Tally
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.visit import AS_BEFORE, Visitor
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.waiting import Group


class Shelf:
    """Takes blobs as a pool on another host does: what is wrong with them is known at the commit."""

    def __init__(self) -> None:
        self.group = Group()
        self.rotten: set[bytes] = set()
        self.waiting: list[bytes] = []
        self.commits: list[int] = []
        self.named = 0

    def lacking(self, wanted: t.Sequence[bytes], full: bool) -> set[bytes]:
        return set(wanted)

    def copy(self, source: bytes, name: bytes, algorithm: str) -> int:
        self.waiting.append(name)
        self.group.add(1)
        return 1

    def store(self, source: bytes) -> tuple[bytes, int]:
        raise NotImplementedError

    @property
    def last(self) -> int:
        return self.named if self.waiting else self.named - 1

    def advance(self) -> list[tuple[bytes, str]]:
        return self.commit() if self.full else []

    @property
    def full(self) -> bool:
        return self.group.full

    def commit(self) -> list[tuple[bytes, str]]:
        self.commits.append(len(self.waiting))
        wrong = [(name, "rotten") for name in self.waiting if name in self.rotten]
        self.waiting.clear()
        self.group.clear()
        self.named += 1
        return wrong


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder with 95 blobs, of a time long past."""
    for number in range(95):
        (tmp_path / hashlib.md5(b"%d" % number).hexdigest()).touch()
    os.utime(tmp_path, (1000, 1000))
    return tmp_path


def visitor(folder: Path, shelf: Shelf, state: State | None = None) -> Visitor:
    plan = Plan(os.fsencode(folder), b"/pool", False, True, True)
    return Visitor(plan, state or State(), shelf, Spool(tempfile.mkdtemp(dir=folder.parent), 0), Tally(1).of(0))


def records(folder: Path, shelf: Shelf, state: State | None = None) -> Visitor:
    plan = Plan(os.fsencode(folder), b"/pool", True, False, False)
    return Visitor(plan, state or State(), shelf, Spool(tempfile.mkdtemp(dir=folder.parent), 0), Tally(1).of(0))


def test_a_folder_of_very_many_blobs_is_committed_group_by_group(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Group, "FILES", 10)
    shelf = Shelf()
    worker = visitor(folder, shelf)
    keys = sorted(os.fsencode(name) for name in os.listdir(folder))
    shelf.rotten = {keys[3], keys[94]}  # known at the first commit, and at the last
    worker.handle([b""])
    assert shelf.commits == [10] * 9
    assert worker.take(False) == [], "five of them have no name yet"
    ((folders, counts, problems, count, _failed),) = worker.take(True)
    assert shelf.commits[9:] == [5]
    assert (counts["copied"], count, len(problems)) == (93, 2, 2)
    (path, modified, _changed, lines, below) = folders[0]
    assert (path, modified, below) == (b"", UNTRUSTED, [])
    assert list(worker.spool.read(lines)) == [key for key in keys if key not in shelf.rotten]


def test_of_a_folder_that_is_as_before_nothing_is_said(folder: Path) -> None:
    info = os.stat(folder)
    state = State()
    state.paths = [b""]
    state.modified.append(info.st_mtime_ns)
    state.changed.append(info.st_ctime_ns)
    state.text = b"".join(os.fsencode(name) + b"\n" for name in sorted(os.listdir(folder)))
    state.ends.append(len(state.text))

    class Full(Shelf):
        def lacking(self, wanted: t.Sequence[bytes], full: bool) -> set[bytes]:
            return self.rotten

    def said(shelf: Shelf) -> list[t.Any]:
        worker = visitor(folder, shelf, state)
        worker.handle([0, 1])
        results = worker.take(True)
        assert results[-1][1]["doubted"] == 0
        return [
            [*entry[:3], list(worker.spool.read(entry[3])) if isinstance(entry[3], tuple) else entry[3], entry[4]]
            for result in results
            for entry in result[0]
        ]

    young = said(Full())
    assert [each[1] for each in young] == [UNTRUSTED], "its change time is that of this test"
    state.changed[0] = info.st_ctime_ns
    keys = bytes(state.text).split()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time_ns", lambda: info.st_ctime_ns + 3_000_000_000)
        assert said(Full()) == []
        shelf = Full()
        shelf.rotten = set(keys[:1])
        assert said(shelf)[0][3] == keys[1:], "a blob that the pool lacked and could not take"
        (folder / "aa").mkdir()
        os.utime(folder, ns=(info.st_atime_ns, info.st_mtime_ns))
        state.changed[0] = os.stat(folder).st_ctime_ns
        patch.setattr("time.time_ns", lambda: state.changed[0] + 3_000_000_000)
        assert [(each[3], each[4]) for each in said(Full())] == [(AS_BEFORE, [b"aa"])]
        (folder / "aa").rmdir()
        os.mkfifo(folder / "fifo")
        os.utime(folder, ns=(info.st_atime_ns, info.st_mtime_ns))
        state.changed[0] = os.stat(folder).st_ctime_ns
        assert [each[1] for each in said(Full())] == [UNTRUSTED], "what is wrong is told again, until it is mended"


class Written(Shelf):
    """Takes records; each is written to in place, so often, after it was read."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def lacking(self, wanted: t.Sequence[bytes], full: bool) -> set[bytes]:
        return set()

    def store(self, source: bytes) -> tuple[bytes, int]:
        content = Path(os.fsdecode(source)).read_bytes()
        if self.times:
            self.times -= 1
            Path(os.fsdecode(source)).write_bytes(content + b"+")
        return hashlib.sha256(content).hexdigest().encode(), len(content)


@pytest.mark.parametrize(("times", "kept"), [(0, b"doc"), (2, b"doc++"), (3, b"")])
def test_a_record_that_is_written_while_it_is_read_is_read_again(tmp_path: Path, times: int, kept: bytes) -> None:
    (tmp_path / "doc-1").write_bytes(b"doc")
    worker = records(tmp_path, Written(times))
    worker.handle([b""])
    ((folders, counts, problems, _count, _failed),) = worker.take(True)
    lines = list(worker.spool.read(folders[0][3]))
    if not kept:
        assert (lines, counts["copied"]) == ([], 3) and "again and again" in str(problems)
        return
    key, sha, signature = lines[0].split(b"\t")
    assert (key, sha) == (b"doc-1", hashlib.sha256(kept).hexdigest().encode())
    assert signature == b"-", "it may be written to once more within one tick of the clock"


class Unknown:
    """A name of a file system that does not say what it is the name of; by the time one looks it is gone."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    def is_file(self, follow_symlinks: bool = True) -> bool:
        return False

    is_dir = is_file


def test_what_gets_its_name_between_listing_and_look_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Listing(list[Unknown]):
        def __enter__(self) -> list[Unknown]:
            return self

        def __exit__(self, *_: t.Any) -> None:
            pass

    listing = Listing([Unknown(b"bin_1.tmp"), Unknown(b"0" * 32)])
    monkeypatch.setattr(os, "scandir", lambda _place: listing)
    worker = visitor(folder, Shelf())
    worker.handle([b""])
    counts, problems, count = worker.take(flush=True)[-1][1:4]
    assert (counts["vanished"], problems, count) == (1, [], 0)


@pytest.mark.parametrize("kind", ["digest", "record"])
@pytest.mark.parametrize("size", [10, 3 << 20])
def test_what_another_client_of_nfs_removes_or_replaces_while_it_is_read_is_no_error(
    kind: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for content in (b"a" * size, b"b" * size):
        keys.append(hashlib.md5(content).hexdigest())
        blob = tmp_path / "store/data" / names.folder_of(keys[-1].encode(), 2 if kind == "digest" else 0).decode()
        blob.mkdir(parents=True, exist_ok=True)
        (blob / keys[-1]).write_bytes(content)
    real, stale = os.read, tmp_path / "stale"  # a file, for all processes
    stale.touch()

    def read(descriptor: int, most: int) -> bytes:
        mine = os.readlink(f"/proc/self/fd/{descriptor}").endswith(f"/{keys[0]}")
        if mine and stale.exists() and os.lseek(descriptor, 0, os.SEEK_CUR) >= size // (2 << 20):
            stale.unlink()
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(descriptor, most)

    monkeypatch.setattr(os, "read", read)
    options = Options(str(tmp_path / "store"), str(tmp_path / "pool"), kind=kind, jobs=1)
    found = copy(options, None)
    assert (found["vanished"], found["copied"], found["problem_count"]) == (1, 1, 0)
    stale.touch()
    (tmp_path / "keys").write_text("".join(f"{key}\n" for key in sorted(keys)))
    options.required = str(tmp_path / "keys")
    assert copy(options, None)["missing_count"] == 0, "it is looked for once more"
    assert not list((tmp_path / "pool").rglob("*.tmp"))


def test_a_store_whose_files_cannot_even_be_opened_is_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "data").mkdir()
    (folder / "data" / ("0" * 32)).touch()
    real = os.open

    def refuse(path: t.Any, *more: t.Any, **others: t.Any) -> int:
        if os.fsdecode(path).endswith("0" * 32):
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path, *more, **others)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BlobError, match="Stale file handle"):
        copy(Options(str(folder), str(folder.parent / "pool"), depth=0, jobs=1), None)
