# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a copy is, is told from blob to blob, also within one folder of all blobs."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import copy as door
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import deliver, folders, passes, pool, text, visit
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copier import Copier
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.names import folder_of
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.pool import LocalShelf
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.remote import RemoteShelf
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress, progress_line

COUNT = 7


class Lab:
    """A store of some blobs of 100 bytes, and what is told of it while a worker is at the next one."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.patch = monkeypatch
        self.path = root / "progress.json"
        self.lines = root / "lines"
        self.rsh = root / "rsh"
        self.rsh.write_text('#!/bin/sh\nshift\nexec sh -c "$1"\n')
        self.rsh.chmod(0o755)
        for module in (passes, deliver, door):
            monkeypatch.setattr(module, "Progress", functools.partial(Progress, interval=0.02))

    def make(self, kind: str, depth: int) -> None:
        for number in range(COUNT):
            content = b"%0100d" % number
            key = hashlib.md5(content).hexdigest() if kind == "digest" else f"doc-{number}"
            folder = self.root / "store/data" / folder_of(key.encode(), 0 if kind == "record" else depth).decode()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(content)
        config = f"<binary-store><digest>MD5</digest><depth>{depth}</depth></binary-store>"
        (self.root / "store/config.xml").write_text(config)

    def watch(self, owner: t.Any, name: str, word: str) -> None:
        """Let whoever copies or reads a blob wait until it is told that those before it are done."""
        real, before = getattr(owner, name), [0]

        def slow(*words: t.Any, **more: t.Any) -> t.Any:
            until = time.monotonic() + 5
            while before[0] and json.loads(self.path.read_text()).get(f"bytes_{word}") != 100 * before[0]:
                assert time.monotonic() < until, f"after {before[0]}: {self.path.read_text()}"
                time.sleep(0.005)
            before[0] += 1
            with self.lines.open("a", encoding="utf-8") as stream:
                stream.write(progress_line(self.path.read_text()) + "\n")
            return real(*words, **more)

        self.patch.setattr(owner, name, slow)

    def copy(self, far: bool, **more: t.Any) -> dict[str, t.Any]:
        where = f"far:{self.root / 'inst/blobs/x'}" if far else str(self.root / "inst/blobs/x")
        words: dict[str, t.Any] = {"src": str(self.root / "store"), "dest": where, "rsh": [str(self.rsh)]}
        if "keys" in more:
            words = {**words, "src": where, "src_layout": "pool", "dest_layout": "store"}
        return door.copy(Options(**{**words, "jobs": 1, **more}), str(self.path))

    def told(self) -> list[str]:
        return self.lines.read_text().splitlines()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def lines(phase: str, end: str) -> list[str]:
    """One blob after the other."""
    return [f"{phase}: {n} of 7 blobs ({n / 7:.0%}), {n}00.00 Bytes {end}" for n in range(1, COUNT)]


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("sliced", [False, True])
@pytest.mark.parametrize(("kind", "depth"), [("record", 2), ("digest", 0), ("digest", 1), ("encrypted", 0)])
def test_a_backup(lab: Lab, monkeypatch: pytest.MonkeyPatch, kind: str, depth: int, sliced: bool, far: bool) -> None:
    lab.make(kind, depth)
    for module in (text, folders, visit):
        monkeypatch.setattr(module, "MANY", 3 if sliced else 1000)
    shelf: t.Any = RemoteShelf if far else LocalShelf
    with monkeypatch.context() as patch:
        lab.patch = patch
        lab.watch(shelf, "store" if kind != "digest" and not far else "copy", "copied")
        state = str(lab.root / "inst/state/x")
        assert lab.copy(far, kind=kind, state=state)["copied"] == COUNT
    deep = len(list((lab.root / "store/data").glob("*/"))) if depth == 1 else 0
    if deep and sliced:  # not all folders are listed at once
        for number, line in enumerate(lab.told()[1:-1], 1):
            assert re.search(rf" of {deep + 1} folders \([0-9]+%\), {number} blobs, {number}00.00 Bytes copied$", line)
    else:
        assert lab.told()[1:] == lines("blobs default", "copied")
    said = json.loads(lab.path.read_text())
    assert said["done"] == said["total"] == 1 + deep and said["unit"] == "folders"
    assert (said["blobs"], said["bytes_copied"]) == (COUNT, 100 * COUNT)
    lab.copy(far, kind=kind, state=state, full=True)
    said = json.loads(lab.path.read_text())
    assert (said["blobs"], said["bytes_copied"], said["unit"]) == (COUNT, 0, "folders"), "all were looked at"


@pytest.mark.parametrize("far", [False, True])
def test_a_restore_and_a_proof(lab: Lab, monkeypatch: pytest.MonkeyPatch, far: bool) -> None:
    lab.make("record", 2)
    keys = str(lab.root / "inst/sets/a/blobs/x")
    lab.copy(far, kind="record", set_keys=keys)
    lab.watch(Copier, "receive" if far else "copy", "copied")
    lab.copy(far, keys=keys, dest=str(lab.root / "back"), depth=None)
    assert lab.told()[1:] == lines("blobs default", "copied")
    said = json.loads(lab.path.read_text())
    assert (said["done"], said["total"], said["unit"], said["bytes_copied"]) == (7, 7, "blobs", 700)
    lab.copy(far, keys=keys, dest=str(lab.root / "back"), depth=None)
    said = json.loads(lab.path.read_text())
    assert (said["done"], said["total"], said["unit"], said["bytes_copied"]) == (7, 7, "blobs", 0)
    if not far:
        lab.lines.unlink()
        lab.watch(pool, "hash_file", "read")
    where = f"far:{lab.root / 'inst/blobs/x'}" if far else str(lab.root / "inst/blobs/x")
    words: dict[str, t.Any] = {"pool": where, "rsh": [str(lab.rsh)], "jobs": 1}
    door.prove(door.Question(keys=keys, **words), str(lab.path))
    if not far:
        assert lab.told()[1:] == lines("verify", "read")
        monkeypatch.undo()
    door.prove(door.Question(**words), str(lab.path))
    assert progress_line(lab.path.read_text()) == "verify: 7 blobs, 700.00 Bytes read"


def test_what_is_counted_beside(lab: Lab) -> None:
    told = {"phase": "it", "done": 1024, "total": 65537, "unit": "folders", "blobs": 16384, "bytes_copied": 5 << 30}
    assert progress_line(json.dumps(told)) == "it: 1,024 of 65,537 folders (2%), 16,384 blobs, 5.00 GB copied"
    assert progress_line(json.dumps({**told, "bytes_copied": "much"})) == ""
