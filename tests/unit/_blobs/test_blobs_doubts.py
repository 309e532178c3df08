# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pass does not take for good: a state that was damaged, two blobs of one name, a pool where it must not be."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import copy as copying
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import keylist, names, passes, proof, remote, spool
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import state as states
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.spool import Findings


class Lab:
    """A store, and what stands in for ssh: it runs the helper here."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        (self.store / "data").mkdir(parents=True)
        self.state = root / "state.state"
        self.rsh = root / "rsh"
        self.rsh.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
        self.rsh.chmod(0o755)

    def add(self, content: bytes, below: Path | None = None) -> str:
        key = hashlib.md5(content).hexdigest()
        self.put(self.place(key, below), content)
        return key

    def place(self, key: str, below: Path | None = None) -> Path:
        return (below or self.store / "data") / names.pool_path(key.encode()).decode()

    @staticmethod
    def put(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def backup(self, name: str = "", **more: t.Any) -> dict[str, t.Any]:
        """A pass; with a name it writes a set."""
        keys = {"set_keys": self.listed(name)} if name else {}
        words = {"dest": str(self.root / "pool"), "state": str(self.root / "state"), "jobs": 1, **keys}
        return copying.copy(Options(**{"src": str(self.store), **words, **more}), None)

    def far(self, path: Path | None = None) -> dict[str, t.Any]:
        return {"dest": f"far:{path or self.root / 'pool'}", "rsh": [str(self.rsh)]}

    def damage_last_key(self) -> None:
        """Of the state: one character of it."""
        content = self.state.read_bytes()
        at = content.rindex(b"\n", 0, -1) + 9
        other = b"1" if content[at : at + 1] == b"0" else b"0"
        self.state.write_bytes(content[:at] + other + content[at + 1 :])

    def listed(self, name: str) -> str:
        return str(self.root / "sets" / name / "blobs" / "default")

    def keys(self, name: str) -> set[str]:
        return {line.decode() for line in keylist.read_lines(self.listed(name))}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr("ansible_collections.nuxeo.platform.plugins.module_utils._blobs.folders.DOUBT", 0)
    return Lab(tmp_path)


def test_a_blob_that_was_sent_is_not_there_before_it_is_proven(lab: Lab) -> None:
    """A rotten one of the same name, which lies in the wrong folder, is sent first. The good one is sent too."""
    keys = [lab.add(b"%d" % number) for number in range(300)]
    lab.backup(**lab.far())
    last = max(keys)
    lab.place(last, lab.root / "pool").write_bytes(b"rot")
    with pytest.raises(BlobError):
        copying.prove(copying.Question(pool=str(lab.root / "pool"), jobs=1), None)  # which takes it out
    twin = lab.store / "data" / "00" / last
    lab.put(twin, b"rotten")
    with pytest.raises(BlobError, match=rf"{last}: rotten"):
        lab.backup(full=True, **lab.far())
    twin.unlink()
    lab.backup("a", **lab.far())
    assert lab.keys("a") == set(keys)
    assert lab.place(last, lab.root / "pool").read_bytes() == lab.place(last).read_bytes()


@pytest.mark.parametrize("new", [False, True])
def test_keys_of_a_damaged_state_are_in_no_set(lab: Lab, new: bool) -> None:
    keys = {lab.add(b"%d" % number) for number in range(30)}
    lab.backup("a")
    lab.damage_last_key()
    if new:
        keys.add(lab.add(b"new"))
    kept = lab.state.read_bytes()
    with pytest.raises(BlobError, match="it is not what the last pass has written"):
        lab.backup("b", check=True)
    assert lab.state.read_bytes() == kept
    with pytest.raises(BlobError, match="it is not what the last pass has written"):
        lab.backup("b")
    assert lab.backup("b")["full_pass"] and lab.keys("b") == keys


def test_a_state_whose_folders_are_damaged_is_none(lab: Lab) -> None:
    keys = {lab.add(b"%d" % number) for number in range(30)}
    lab.backup("a")
    content = bytearray(lab.state.read_bytes())
    content[4096:4200] = bytes(104)
    lab.state.write_bytes(content)
    assert lab.backup("b")["full_pass"] and lab.keys("b") == keys


def test_a_full_pass_takes_no_key_from_a_damaged_state(lab: Lab) -> None:
    keys = {lab.add(b"%d" % number) for number in range(30)}
    lab.backup("a")
    lab.damage_last_key()
    lab.backup("b", full=True)
    assert lab.keys("b") == keys
    assert not lab.backup("c")["full_pass"]


def test_a_state_that_cannot_be_read_back_is_no_empty_list(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where memory is short, or a disk is bad."""
    lab.add(b"one")
    load = states.load
    with monkeypatch.context() as patch:
        patch.setattr(states, "load", lambda path: states.State() if path.endswith(".tmp") else load(path))
        with pytest.raises(BlobError, match="Writing of blobs to '.*/state.state': it cannot be read back"):
            lab.backup("a")
    assert not lab.state.exists() and not (lab.root / "sets").exists()
    assert lab.backup("a")["keys"] == 1


@pytest.mark.parametrize("where", ["store", "store/data", "store/data/pool", "."])
@pytest.mark.parametrize("far", [False, True])
def test_a_pool_where_the_store_is_is_refused_by_whatever_way(lab: Lab, where: str, far: bool) -> None:
    lab.add(b"one")
    mine = lab.store / "data" / ".mine.tmp"
    mine.write_bytes(b"of somebody")
    pool = (lab.root / where).resolve()
    before = sorted(lab.root.rglob("*"))
    with pytest.raises(BlobError, match="the same folder|the pool is inside|the store is inside"):
        lab.backup(**(lab.far(pool) if far else {"dest": str(pool)}))
    assert sorted(lab.root.rglob("*")) == before


@pytest.mark.parametrize("kind", ["encrypted", "record"])
def test_a_blob_that_was_touched_or_changed_is_no_reason_to_doubt_the_times_of_folders(lab: Lab, kind: str) -> None:
    key = lab.add(b"NUXEOCRYPT one")
    lab.backup(kind=kind, depth=2)
    lab.place(key).write_bytes(b"NUXEOCRYPT two")
    assert lab.backup(kind=kind, depth=2, full=True)["doubted"] == 0


def test_an_odd_mark_of_a_pool_is_another_mark(lab: Lab) -> None:
    lab.add(b"one")
    lab.backup()
    (lab.root / "pool" / ".generation").write_bytes(b"\xff\xfe")
    assert lab.backup()["full_pass"]
    assert not lab.backup()["full_pass"]


def test_a_needed_blob_of_another_name_that_came_late_is_fetched(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a store of digests, into a folder that had been listed already."""
    lab.add(b"one")
    (lab.root / "required").write_text("named-by-hand\n")
    finish = passes.Pass._finish

    def late(one: passes.Pass, changes: Findings) -> None:
        lab.put(Path(os.fsdecode(proof.file_of(one.store.data, b"named-by-hand", 2))), b"content")
        finish(one, changes)

    monkeypatch.setattr(passes.Pass, "_finish", late)
    assert lab.backup("a", required=str(lab.root / "required"))["missing_count"] == 0
    sha = hashlib.sha256(b"content").hexdigest()
    assert f"named-by-hand\t{sha}" in lab.keys("a")


def test_records_can_be_looked_at_in_check_mode(lab: Lab) -> None:
    lab.put(lab.store / "data" / "r1", b"one")
    (lab.root / "required").write_text("r1\n")
    (lab.root / "digests").write_text(f"r1\t{hashlib.md5(b'one').hexdigest()}\n")
    words = {"kind": "record", "required": str(lab.root / "required"), "record_digests": str(lab.root / "digests")}
    assert lab.backup(check=True, **words)["copied"] == 1
    assert lab.backup(**words)["copied"] == 1


def test_check_mode_names_the_folder_that_is_full(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes nothing beside the state."""
    lab.put(lab.store / "data" / "r1", b"one")

    def full(*_words: t.Any, **_more: t.Any) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(spool, "open", full, raising=False)
    with pytest.raises(BlobError, match=f"'{tempfile.gettempdir()}': No space left"):
        lab.backup(check=True, kind="record")


def test_check_mode_of_a_delivery_refuses_what_misleads(lab: Lab, tmp_path: Path) -> None:
    lab.add(b"one")
    lab.backup("a")
    target = tmp_path / "target"
    target.mkdir()
    (target / "config.xml").write_text("<binary-store><digest>MD5</digest><depth>3</depth></binary-store>")
    words = {"src": str(lab.root / "pool"), "dest": str(target), "keys": lab.listed("a"), "depth": 2, "jobs": 1}
    for check in (True, False):
        with pytest.raises(BlobError, match="another depth than 2"):
            copying.copy(Options(src_layout="pool", dest_layout="store", check=check, **words), None)


def test_an_old_python_on_the_pools_host_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_LOADER", remote._LOADER.replace("(3, 9)", repr((sys.version_info[0] + 1, 0))))
    lab.add(b"one")
    with pytest.raises(BlobError, match=r"its python3 is 3\.\d+, not 3\.9 or newer\. .*of 3\.9 or newer"):
        lab.backup(**lab.far())


def test_a_state_of_places_with_very_long_names_is_kept_and_known_again(tmp_path: Path, lab: Lab) -> None:
    """As long as names may be, of letters that JSON needs six bytes for: the copy itself was done by then."""
    deep = tmp_path.joinpath(*("\u044b" * 127 for _level in range(4)))
    deep.mkdir(parents=True)
    long = Lab(deep)
    long.add(b"one")
    assert long.backup("a")["full_pass"] is True
    assert long.backup("b")["full_pass"] is False
    (deep / "pool").rename(deep / "other")
    other = long.backup("c", dest=str(deep / "other"))
    assert other["full_pass"] is True, "the same folder by another name"
