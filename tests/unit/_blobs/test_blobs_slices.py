# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of very many blobs, as that of all records: looked at in slices, with the same outcome in little memory."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import tempfile
import tracemalloc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import folders, records, spool, text, visit
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import copy
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.keylist import read_lines
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.pool import LocalShelf
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.proof import in_order
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.state import Draft, Folder, State, load
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.tally import Tally
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.waiting import Group
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.workers import Workers
from hypothesis import given, settings
from hypothesis import strategies as st

LINES = st.lists(st.binary(max_size=5).filter(lambda b: min(b, default=32) >= 0x20).map(lambda b: b + b"\n"))
SMALL = {"MANY": 3, "BLOCK": 7, "WINDOW": 11}


def shrink(patch: pytest.MonkeyPatch, **sizes: int) -> None:
    """Let few lines be many."""
    for name, size in (sizes or SMALL).items():
        for module in (text, folders, visit):
            if hasattr(module, name):
                patch.setattr(module, name, size)
    patch.setattr(folders, "LONG", 4 * text.WINDOW)


@given(st.lists(LINES))
@settings(max_examples=200, deadline=None)
def test_lines_are_put_in_order_however_many(parts: list[list[bytes]]) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        shrink(patch)
        sorter = text.Sorter(folder)
        for lines in parts:
            sorter.add(lines)
        assert list(sorter.lines()) == sorted(line for lines in parts for line in lines)
        sorter.close()
        assert os.listdir(folder) == []


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=2), *[st.integers(0, 45)] * 4)
@settings(max_examples=300, deadline=None)
def test_a_part_is_as_the_bytes_of_it(
    content: bytes, wanted: bytes, first: int, end: int, start: int, stop: int
) -> None:
    first, end = min(first, len(content)), min(end, len(content))
    end = max(first, end)
    with tempfile.TemporaryFile() as stream:
        stream.write(content)
        stream.flush()
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            part, expected = text.Part(mapped, first, end), content[first:end]
            assert (len(part), part[:], part[start:stop]) == (len(expected), expected, expected[start:stop])
            start = min(start, len(expected))
            assert part.find(wanted, start) == expected.find(wanted, start)
            assert part.find(wanted, start, stop) == expected.find(wanted, start, stop)
            assert part.rfind(wanted, start, stop) == expected.rfind(wanted, start, stop)
            assert b"".join(text.pieces(part)) == expected


class Lab:
    """A store whose blobs are all in one folder, and what its passes say."""

    def __init__(self, root: Path, kind: str) -> None:
        self.root = root
        self.kind = kind
        self.data = root / "store/data"
        self.data.mkdir(parents=True)
        (root / "store/config.xml").write_text("<binary-store><digest>MD5</digest><depth>0</depth></binary-store>")

    def put(self, content: bytes, name: str = "") -> str:
        key = name or (hashlib.md5(content).hexdigest() if self.kind == "digest" else f"doc-{content.decode()}")
        (self.data / key).write_bytes(content)
        return key

    def backup(self, name: str, **more: t.Any) -> tuple[dict[str, t.Any] | str, list[bytes], bytes]:
        """The result or the error, the lines of the set, those of the state."""
        root = self.root / "inst"
        prefix = root / "sets" / name / "blobs/default"
        options = Options(
            str(self.root / "store"),
            str(root / "blobs/default"),
            state=str(root / "state/blobs"),
            kind=self.kind,
            jobs=1,
        )
        options.set_keys, options.accept_shrink = str(prefix), True
        for word, value in more.items():
            setattr(options, word, value)
        said: dict[str, t.Any] | str
        try:
            said = copy(options, None)
        except BlobError as error:
            said = f"{error.what}: {error.why}".replace(str(self.root), "")
        lines = list(read_lines(str(prefix))) if prefix.with_suffix(".json").exists() else []
        found = bytes(load(str(root / "state/blobs.state")).text[:]).replace(b"\0", b"")
        return (
            said,
            [line.split(b"\t")[0] for line in lines],
            b"\n".join(line.split(b"\t")[0] for line in found.splitlines()),
        )


def story(lab: Lab) -> t.Iterator[t.Any]:
    """What happens to a store from pass to pass."""
    keys = [lab.put(b"%d" % number) for number in range(20)]
    (lab.data / "below").mkdir()
    (lab.data / "below" / "other name").write_bytes(b"other")
    yield lab.backup("first")
    yield lab.backup("nothing new")
    yield lab.backup("full", full=True)
    lab.put(b"a new one")
    (lab.data / keys[3]).unlink()
    lab.put(b"", "zzzz")
    yield lab.backup("changed")
    os.utime(lab.data / keys[5])
    yield lab.backup("touched", full=True)
    (lab.root / "inst/blobs/default").rename(lab.root / "inst/lost")
    yield lab.backup("a new pool")
    lab.put(b"rotten", hashlib.md5(b"x").hexdigest())
    os.mkfifo(lab.data / "fifo")
    yield lab.backup("rotten")
    (lab.data / "fifo").unlink()
    (lab.data / hashlib.md5(b"x").hexdigest()).unlink()
    for key in keys[:19]:
        if key != keys[3]:
            (lab.data / key).unlink()
    yield lab.backup("few")
    yield lab.backup("few again")


@pytest.mark.parametrize("kind", ["digest", "record"])
def test_in_slices_the_outcome_is_the_same(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "DOUBT", 0)
    whole = list(story(Lab(tmp_path / "whole", kind)))
    with monkeypatch.context() as patch:
        shrink(patch)
        patch.setattr(Group, "FILES", 4)
        sliced = list(story(Lab(tmp_path / "sliced", kind)))
    assert sliced == whole
    assert [len(lines) for _said, lines, _state in whole] == [21, 21, 21, 22, 22, 22, 0, 4, 4]


def test_a_blob_of_a_slice_that_the_far_side_finds_wrong_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been said by then that it is there."""
    monkeypatch.setattr(folders, "DOUBT", 0)
    shrink(monkeypatch)
    lab = Lab(tmp_path, "digest")
    keys = sorted(lab.put(b"%d" % number) for number in range(20))
    commit, wrong = LocalShelf.commit, [keys[2].encode(), keys[11].encode()]
    with monkeypatch.context() as patch:
        patch.setattr(LocalShelf, "commit", lambda shelf: [*commit(shelf), *((key, "rotten") for key in wrong)])
        said, lines, state = lab.backup("a")
    assert "2 could not be copied" in str(said) and all(f"{key.decode()}: rotten" in str(said) for key in wrong)
    assert state.decode().split() == [key for key in keys if key.encode() not in wrong]
    said, lines, _state = lab.backup("b")
    assert isinstance(said, dict) and (said["folders_listed"], len(lines)) == (1, 20)


class Full:
    """A file in which all is taken, and nothing is kept."""

    def write(self, content: bytes) -> int:
        return len(content)

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("what", ["keys", "lines", "lines without those that are wrong"])
def test_a_full_volume_of_the_state_is_not_the_pools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def full(*_words: t.Any, **_more: t.Any) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lab = Lab(tmp_path, "record")
    for number in range(20):
        lab.put(b"%d" % number)
    shrink(monkeypatch)
    if what == "keys":
        monkeypatch.setattr(text.Sorter, "add", full)
    elif what == "lines":
        monkeypatch.setattr(spool, "open", full, raising=False)
    else:
        monkeypatch.setattr(spool, "open", lambda *_words, **_more: Full(), raising=False)
        commit = LocalShelf.commit
        monkeypatch.setattr(LocalShelf, "commit", lambda shelf: [*commit(shelf), (b"0" * 64, "rotten")])
    where = "/inst/state" if what == "keys" else "/inst/state/blobs.state"
    assert lab.backup("a")[0] == f"Writing of blobs to '{where}': No space left on device"
    if what != "keys":
        assert len(list((tmp_path / "inst/blobs/default").glob("??/??/*"))) == 20, "what is copied stays"


@pytest.mark.parametrize("how", ["short", "hole", "empty"])
@pytest.mark.parametrize("what", ["keys", "lines"])
def test_what_a_volume_has_taken_and_not_kept_is_no_list_of_fewer_blobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, how: str
) -> None:
    """NFS tells it who closes the file, and that is a process that ends."""
    lab = Lab(tmp_path, "record")
    for number in range(20):
        lab.put(b"%d" % number)
    shrink(monkeypatch)

    def lose(path: str | int) -> None:
        size = os.stat(path).st_size
        os.truncate(path, {"short": size - 12, "hole": size - 12, "empty": 0}[how])
        if how == "hole":
            os.truncate(path, size)

    def late(sorter: text.Sorter) -> t.Iterator[bytes]:
        assert sorter._file
        lose(sorter._file.fileno())
        return lines(sorter)

    def end(workers: Workers) -> None:
        found = list((tmp_path / "inst/state").glob(".*/found.0"))
        close(workers)
        for path in found:
            lose(str(path))

    lines, close = text.Sorter.lines, Workers.close
    with monkeypatch.context() as patch:
        patch.setattr(*((text.Sorter, "lines", late) if what == "keys" else (Workers, "close", end)))
        said, listed, _state = lab.backup("a")
    where = "/inst/state" if what == "keys" else "/inst/state/blobs.state"
    assert said == f"Writing of blobs to '{where}': what was written there cannot be read back"
    assert listed == []
    said, listed, _state = lab.backup("b")
    assert isinstance(said, dict) and len(listed) == 20


def test_of_very_many_records_that_were_touched_or_replaced_some_are_settled_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "DOUBT", 0)
    lab = Lab(tmp_path, "record")
    keys = [lab.put(b"%d" % number) for number in range(20)]
    digests = [f"{key}\t{hashlib.md5(b'%d' % number).hexdigest()}\n" for number, key in enumerate(keys)]
    lab.backup("head start", set_keys=None)
    for number, key in enumerate(keys):
        os.utime(lab.data / key, ns=(1, 1))
        if number % 3 == 0:
            (lab.data / key).write_bytes(b"newer %d" % number)
    (tmp_path / "digests").write_text("".join(digests))
    (tmp_path / "required").write_text("".join(f"{key}\n" for key in sorted(keys)))
    shrink(monkeypatch)
    asked, meant = [], records.meant

    def few(path: str, doubtful: t.Collection[bytes], own: bytes, is_default: bool) -> records.Digests:
        asked.append(len(doubtful))
        return meant(path, doubtful, own, is_default)

    monkeypatch.setattr(records, "meant", few)
    said, found, _state = lab.backup("a", required=str(tmp_path / "required"), record_digests=str(tmp_path / "digests"))
    assert isinstance(said, dict) and (said["superseded"], said["copied"], len(found)) == (7, 7, 20)
    lines = dict(line.split(b"\t") for line in read_lines(str(tmp_path / "inst/sets/a/blobs/default")))
    wanted = {key.encode(): hashlib.sha256(b"%d" % number).hexdigest().encode() for number, key in enumerate(keys)}
    assert lines == wanted
    assert sum(asked) == 20 and max(asked) == 3


def of_records(path: Path, count: int) -> tuple[Path, State]:
    """A folder of so many records, and the state of a pass that has found them."""
    data = path / f"data{count}"
    data.mkdir()
    lines = []
    for number in range(count):
        name = f"12051767-a926-425c-a7e0-{number:012d}"
        (data / name).write_text(name)
        info = (data / name).stat()
        signature = f"{info.st_ino}.{info.st_size}.{info.st_mtime_ns}.{info.st_ctime_ns}"
        lines.append(f"{name}\t{hashlib.sha256(name.encode()).hexdigest()}\t{signature}\n")
    info = data.stat()
    found = Folder(info.st_mtime_ns, info.st_ctime_ns, "".join(lines).encode())
    with Draft(str(path), State(), {b"": found}, in_order(0)) as draft:
        draft.publish(str(path / f"state{count}"), {})
    return data, load(str(path / f"state{count}"))


@pytest.mark.parametrize("what", ["known", "new", "nearly all are gone"])
def test_a_folder_of_very_many_records_is_looked_at_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """What is in memory does not grow with their number, whether the pool has them already or not."""
    new, left = what == "new", 6
    shrink(monkeypatch, MANY=500, BLOCK=2048)
    monkeypatch.setattr(Group, "FILES", 500)
    peaks = []
    for count in (5_000, 20_000):
        data, state = of_records(tmp_path, count)
        pool = tmp_path / f"pool{count}"
        (pool / ".tmp").mkdir(parents=True)
        shelf = LocalShelf(os.fsencode(pool), 0)
        if what == "nearly all are gone":
            for name in sorted(os.listdir(data))[left // 2 : -left // 2]:
                (data / name).unlink()
        else:
            left = count
        if not new:
            monkeypatch.setattr(shelf, "lacking", lambda _wanted, _full: set())
        working = tempfile.mkdtemp(dir=tmp_path)
        plan = folders.Plan(os.fsencode(data), os.fsencode(pool), True, False, False)
        worker = visit.Visitor(plan, State() if new else state, shelf, spool.Spool(working, 0), Tally(1).of(0))
        tracemalloc.start()
        with monkeypatch.context() as patch:
            now = state.changed[0] + 3_000_000_000
            patch.setattr("time.time_ns", lambda now=now: now)
            worker.handle([b""] if new else [0, 1])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        results = worker.take(True)
        assert results[-1][1]["copied" if new else "present"] == left
        assert [len(each[0]) for each in results] == [int(what != "known")], "of what is as before nothing is said"
    assert peaks[1] < 1.7 * peaks[0], peaks
