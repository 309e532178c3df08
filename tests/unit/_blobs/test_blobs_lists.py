# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key lists, the state and the proof, against plain sets."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import deliver, folders, keylist, proof, state
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options
from hypothesis import given, settings
from hypothesis import strategies as st

LINES = st.sets(st.binary(min_size=1, max_size=6).filter(lambda b: min(b) >= 0x20))
"""A name with a control character is refused."""


def text(lines: t.Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in sorted(lines))


@given(LINES, LINES, st.sampled_from([1, 5, 20, 4096]))
@settings(max_examples=300, deadline=None)
def test_difference_is_that_of_sets(old: set[bytes], new: set[bytes], block: int) -> None:
    before, keylist.BLOCK = keylist.BLOCK, block
    try:
        assert keylist.difference(text(old), text(new)) == (sorted(new - old), sorted(old - new))
    finally:
        keylist.BLOCK = before


def about(keys: int) -> dict[str, t.Any]:
    return {"provider": "default", "keys": keys}


def test_a_further_set_costs_less_than_a_megabyte_with_a_million_blobs(tmp_path: Path) -> None:
    keys = sorted({hashlib.md5(b"%d" % n).hexdigest().encode() for n in range(1_000_000)})
    content = text(keys)
    sets = tmp_path / "sets"
    said = keylist.write_list(str(sets / "a" / "blobs" / "default"), about(len(keys)), content, "")
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    base = os.path.basename(said["base"])
    keylist.write_list(str(sets / "b" / "blobs" / "default"), about(len(keys)), content, base)
    more = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) - size
    assert more < 2000
    # with as much new and gone as a list may have before it gets a base of its own, the set after it is small as well
    changed = text([*keys[6000:], *(b"%032x" % n for n in range(5000))])
    keylist.write_list(str(sets / "c" / "blobs" / "default"), about(0), changed, base)
    assert len(os.listdir(tmp_path / "keys")) == 1
    assert sum(path.stat().st_size for path in (sets / "c").rglob("*") if path.is_file()) < 1_000_000
    assert text(keylist.read_lines(str(sets / "c" / "blobs" / "default"))) == changed
    much = text(keys[20000:])
    keylist.write_list(str(sets / "d" / "blobs" / "default"), about(0), much, base)
    assert len(os.listdir(tmp_path / "keys")) == 2
    assert text(keylist.read_lines(str(sets / "d" / "blobs" / "default"))) == much
    assert keylist.last_count(str(sets / ".partial-x" / "blobs" / "default")) == 0
    assert keylist.last_count(str(sets / ".partial-x" / "blobs" / "other")) == 0


def test_a_list_without_its_base_is_an_error(tmp_path: Path) -> None:
    prefix = str(tmp_path / "sets" / "a" / "blobs" / "default")
    said = keylist.write_list(prefix, about(2), b"a\nb\n", "")
    assert list(keylist.read_lines(prefix)) == [b"a", b"b"]
    (tmp_path / said["base"]).unlink()
    with pytest.raises(BlobError):
        list(keylist.read_lines(prefix))
    Path(prefix + ".json").write_text(json.dumps({**said, "format": 9}))
    with pytest.raises(BlobError, match="format"):
        keylist.read_about(prefix)


@pytest.mark.parametrize("content", [b"a\nb\n", b""])
@pytest.mark.parametrize("hinted", [True, False])
def test_a_base_that_is_damaged_or_gone_is_written_again(tmp_path: Path, content: bytes, hinted: bool) -> None:
    one, two, three = (str(tmp_path / "sets" / name / "blobs" / "default") for name in "abc")
    said = keylist.write_list(one, about(2), content, "")
    base, hint = tmp_path / said["base"], os.path.basename(said["base"]) if hinted else ""
    assert base.read_bytes() == content
    base.write_bytes(b"rot\n")
    assert keylist.write_list(two, about(2), content, hint)["base"] == said["base"]
    assert base.read_bytes() == content
    base.unlink()
    assert keylist.write_list(three, about(2), content, hint)["base"] == said["base"]
    assert base.read_bytes() == content
    for prefix in (one, two, three):
        assert text(keylist.read_lines(prefix)) == content


def test_how_many_blobs_the_newest_set_that_can_be_read_has(tmp_path: Path) -> None:
    def prefix(name: str) -> str:
        return str(tmp_path / "sets" / name / "blobs" / "default")

    keylist.write_list(prefix(".partial-1"), about(9), b"a\n", "")
    assert keylist.last_count(prefix(".partial-2")) == 0, "one in progress is none"
    keylist.write_list(prefix("20261123T020004Z"), about(5), b"a\n", "")
    keylist.write_list(prefix("20261124T020004Z"), about(7), b"a\n", "")
    assert keylist.last_count(prefix(".partial-2")) == 7
    Path(prefix("20261124T020004Z") + ".json").write_text("torn")
    assert keylist.last_count(prefix(".partial-2")) == 5


def test_the_folder_of_the_bases_is_on_the_disk_before_a_list_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", note)
    keylist.write_list(str(tmp_path / "sets" / "a" / "blobs" / "default"), about(1), b"a\n", "")
    folders = [path for path in synced if os.path.isdir(path)]
    blobs = str(tmp_path / "sets" / "a" / "blobs")
    assert folders == [str(tmp_path), str(tmp_path / "keys"), *[blobs] * 4]


NAMES = st.sampled_from([b"", b"aa", b"aa/bb", b"aa/bc", b"ab/00", b"b/bbb", b"bb/bb", b"000", b"zz"])
TIMES = st.integers(-1, 9), st.integers(0, 9)
FOLDERS = st.one_of(
    st.dictionaries(NAMES, st.tuples(*TIMES, LINES)),
    st.dictionaries(NAMES, st.tuples(*TIMES, LINES)).map(
        lambda folders: {
            name: (modified, changed, {name.replace(b"/", b"") + line for line in lines})
            for name, (modified, changed, lines) in folders.items()
            if name.count(b"/") == 1
        }
    ),
)
"""Any names with any lines; and folders in which all is where it should be."""


def made(path: Path, old: state.State, folders: dict[bytes, t.Any], depth: int) -> state.State:
    changes = {
        name: None if found is None else state.Folder(found[0], found[1], text(found[2]))
        for name, found in folders.items()
    }
    with state.Draft(str(path), old, changes, proof.in_order(depth)) as draft:
        draft.publish(str(path / "state"), {"identity": {}})
    return state.load(str(path / "state"))


@given(FOLDERS, FOLDERS, st.sets(st.sampled_from([b"", b"aa", b"aa/bb", b"zz"])))
@settings(max_examples=100, deadline=None)
def test_a_state_is_what_was_and_what_changed(
    tmp_path_factory: pytest.TempPathFactory, first: dict[bytes, t.Any], then: dict[bytes, t.Any], gone: set[bytes]
) -> None:
    path = tmp_path_factory.mktemp("state")
    old = made(path, state.State(), first, 2)
    new = made(path, old, {**then, **dict.fromkeys(gone)}, 2)
    expected = {name: found for name, found in {**first, **then}.items() if name not in gone}
    assert new.paths == sorted(expected)
    for index, name in enumerate(new.paths):
        modified, changed, lines = expected[name]
        assert (new.modified[index], new.changed[index], bytes(new.lines(index)[:])) == (modified, changed, text(lines))
    listing = proof.Listing(new, 2, str(path))
    keys = set().union(*(lines for _m, _c, lines in expected.values()))
    assert bytes(listing.text[:]) == text(keys)
    assert listing.count == len(keys)
    listing.add([b"another"] if b"another" not in keys else [])
    listing.close()


@pytest.mark.parametrize("what", ["a header of other bytes", "another format", "cut off", "no header"])
def test_a_state_that_is_not_as_it_was_written_is_none(tmp_path: Path, what: str) -> None:
    path = tmp_path / "state"
    lines: set[bytes] = set() if what == "cut off" else {b"aabb1"}  # what is mapped cannot be
    assert made(tmp_path, state.State(), {b"aa/bb": (1, 1, lines)}, 2).paths == [b"aa/bb"]
    raw = path.read_bytes()
    if what == "another format":
        header = {**state.load(str(path)).header, "format": state.FORMAT + 1}
        path.write_bytes(state._pack(header) + raw[state.HEADER :])
    elif what == "cut off":
        path.write_bytes(raw[: state.HEADER + 2])
    elif what == "no header":
        path.write_bytes(b"")
    else:
        assert raw.count(b'"odd": 0') == 1
        path.write_bytes(raw.replace(b'"odd": 0', b'"odd": 1'))
    found = state.load(str(path))
    assert (found.paths, found.header, bytes(found.text)) == ([], {}, b"")


@pytest.mark.parametrize("order", [(b"b/bbb", b"bb/bb"), (b"bb/bb", b"b/bbb")], ids=["before", "after"])
def test_a_new_folder_with_keys_among_those_of_an_old_one(tmp_path: Path, order: tuple[bytes, bytes]) -> None:
    """Folders of other widths: their order is not that of the keys."""
    keys = {b"b/bbb": {b"bbbb1", b"bbbb5"}, b"bb/bb": {b"bbbb3", b"bbbb7"}}
    first, then = ({name: (1, 1, keys[name])} for name in order)
    new = made(tmp_path, made(tmp_path, state.State(), first, 2), then, 2)
    listing = proof.Listing(new, 2, str(tmp_path))
    assert bytes(listing.text[:]) == b"bbbb1\nbbbb3\nbbbb5\nbbbb7\n"
    listing.close()


@given(LINES, LINES)
@settings(max_examples=100, deadline=None)
def test_what_is_missing_is_the_difference(
    tmp_path_factory: pytest.TempPathFactory, held: set[bytes], wanted: set[bytes]
) -> None:
    path = tmp_path_factory.mktemp("proof")
    held = {key for key in held if b":" not in key}
    wanted = {key for key in wanted if b":" not in key}
    found = made(path, state.State(), {b"": (1, 1, held)}, 0)
    required = path / "required"
    required.write_bytes(text(wanted) + text(b"default:" + key for key in wanted) + b"other:zzzz\n")
    listing = proof.Listing(found, 0, str(path))
    options = Options("/s", "/d", required=str(required), other_providers=["other"])
    assert proof.missing(listing.text, options) == sorted(wanted - held)


def test_a_folder_of_the_last_two_seconds_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000_000_000
    monkeypatch.setattr(folders.time, "time_ns", lambda: now)
    assert folders.old_enough(now - 2_000_000_000, 0)
    assert not folders.old_enough(now - 1_999_999_999, 0)
    assert not folders.old_enough(0, now - 1)
    assert not folders.old_enough(now + 10**12)


def test_a_full_temporary_folder_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database has been replaced by then: a trace of Python's would be all that the operator sees."""

    def full(**_words: t.Any) -> t.Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    prefix = tmp_path / "sets" / "a" / "blobs" / "default"
    keylist.write_list(str(prefix), about(1), text([b"a"]), "")
    monkeypatch.setattr(deliver.tempfile, "TemporaryFile", full)
    told = f"No space left on device in '{tempfile.gettempdir()}'. Make room there, or set TMPDIR"
    with pytest.raises(BlobError, match=told):
        deliver.Delivery(Options(str(tmp_path), str(tmp_path / "store"), keys=str(prefix)), None).run()
