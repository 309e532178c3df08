# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup root on NFS, which keeps a file that is removed while it is open, and one that is full."""

from __future__ import annotations

import errno
import hashlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import proof
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import copy
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.errors import BlobError
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options


def held_open(below: str) -> list[str]:
    """The files below a folder that this process has open or mapped; removed ones too."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    found = [line.split(maxsplit=5)[-1] for line in maps]
    for each in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{each}"):
            found.append(os.readlink(f"/proc/self/fd/{each}"))
    return [path for path in found if path.startswith(below + "/")]


class Lab:
    """A store of four blobs, and what was open in each working folder when that was removed."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.state = root / "state"
        self.removed: dict[str, list[str]] = {}
        self.keys = [hashlib.md5(b"%d" % number).hexdigest() for number in range(4)]
        for number, key in enumerate(self.keys):
            self.place(key).parent.mkdir(parents=True)
            self.place(key).write_bytes(b"%d" % number)
        (root / "required").write_text("".join(key + "\n" for key in self.keys))
        remove = os.rmdir

        def watched(path: t.Any, **more: t.Any) -> None:
            if os.path.dirname(path) == os.fspath(self.state):
                self.removed[path] = held_open(path)
            remove(path, **more)

        monkeypatch.setattr(os, "rmdir", watched)

    def place(self, key: str) -> Path:
        return self.root / "store/data" / key[:2] / key[2:4] / key

    def backup(self, **more: t.Any) -> dict[str, t.Any]:
        words = {"state": str(self.state / "blobs"), "set_keys": str(self.root / "sets/a/blobs/default"), "jobs": 1}
        return copy(Options(str(self.root / "store"), str(self.root / "pool"), **{**words, **more}), None)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


@pytest.mark.parametrize("kind", ["digest", "record", "encrypted"])
@pytest.mark.parametrize("end", ["well", "a blob came late", "too few blobs"])
def test_nothing_is_open_in_the_working_folder_when_that_is_removed(lab: Lab, kind: str, end: str) -> None:
    words = {"kind": kind, "depth": 2, "required": str(lab.root / "required")}
    lab.backup(**words)
    if end == "a blob came late":
        lab.place(lab.keys[0]).unlink()
    elif end == "too few blobs":
        for key in lab.keys[:3]:
            lab.place(key).unlink()
    if end == "too few blobs":
        with pytest.raises(BlobError, match="it holds 1 blobs, at the last pass it held 4"):
            lab.backup(**words)
    else:
        assert lab.backup(**words)["keys"] == 4
    assert list(lab.removed.values()) == [[], []]


def test_a_working_folder_that_cannot_be_removed_is_the_next_pass_to_clear(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.backup()
    rmdir = os.rmdir

    def busy(path: t.Any, **more: t.Any) -> None:
        if b".blobs." in os.fsencode(path):
            raise OSError(16, os.strerror(16), path)
        rmdir(path, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", busy)
        assert lab.backup()["keys"] == 4
    assert len(list(lab.state.glob(".blobs.*"))) == 1
    lab.backup()
    assert not list(lab.state.glob(".blobs.*"))


@pytest.mark.parametrize("when", ["the folder is made", "keys are looked for", "keys are added"])
def test_a_full_backup_root_is_not_the_pools_volume(lab: Lab, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """The pool may be on another host, which has room."""

    def full(*_words: t.Any, **_more: t.Any) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if when != "the folder is made":
        lab.backup()
        lab.place(lab.keys[0]).unlink()
    makedirs = os.makedirs

    def made(path: t.Any, *words: t.Any, **more: t.Any) -> None:
        if path == str(lab.state):
            full()
        makedirs(path, *words, **more)

    if when == "the folder is made":
        monkeypatch.setattr(os, "makedirs", made)
    elif when == "keys are looked for":
        monkeypatch.setattr(proof, "missing", full)
    else:
        monkeypatch.setattr(proof.Listing, "add", full)
    told = f"Writing of blobs to '{lab.state}/blobs.state': No space left on device. Free space"
    with pytest.raises(BlobError, match=told):
        lab.backup(required=str(lab.root / "required"))
