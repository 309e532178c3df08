# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room for a restore: what the target lacks, on the volume that each part goes to."""

from __future__ import annotations

import errno
import hashlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import space
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.mounts import file_system
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.space import space_problems
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs import keylist, names
from ansible_collections.nuxeo.platform.plugins.module_utils._files import tree

MIB = 1 << 20


class Set:
    """A set of one store with six blobs of 1 MiB, and a data folder with a sparse file."""

    def __init__(self, folder: Path) -> None:
        self.path, self.pool = folder / "acme/sets/s", folder / "acme/blobs/default"
        self.keys = []
        for number in range(6):
            content = bytes([number]) * MIB
            self.keys.append(hashlib.md5(content).hexdigest())  # noqa: S324 - as Nuxeo names blobs
            self.put(self.pool, self.keys[-1], 2, content)
        text = b"".join(b"%b\n" % key.encode() for key in sorted(self.keys))
        about = {"provider": "default", "kind": "digest", "keys": 6}
        keylist.write_list(str(self.path / "blobs/default"), about, text, "")
        (folder / "data/stream").mkdir(parents=True)
        with open(folder / "data/stream/queue.cq4", "wb") as stream:
            stream.truncate(64 * MIB)
        (self.path / "files/n1").mkdir(parents=True)
        copied = tree.copy_tree(str(folder / "data"), str(self.path / "files/n1/data"))
        tree.write_tree_list(str(self.path / "files/n1/data.jsonl"), copied.entries)

    @staticmethod
    def put(folder: Path, key: str, depth: int, content: bytes) -> None:
        place = folder / os.fsdecode(names.folder_of(key.encode(), depth)) / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def told(
        self, data: Path, store: Path, kind: str = "digest", pool: str = "", rsh: t.Sequence[str] = ()
    ) -> tuple[list[str], list[str]]:
        stores = [{"provider": "default", "path": str(store), "kind": kind, "depth": 3 if kind == "digest" else None}]
        keep = [str(store)] if kind == "digest" else []
        found = {"stores": stores, "keep": keep, "emptied": [], "trees": [{"name": "data", "dest": str(data)}]}
        return space_problems(str(self.path), "n1", found, {"default": pool or str(self.pool)}, rsh)


def test_only_what_the_target_lacks_needs_room_where_it_goes(tmp_path: Path, mounted: t.Callable[..., Path]) -> None:
    made = Set(tmp_path)
    small, large = mounted("-t", "tmpfs", "-o", "size=4m", "t"), mounted("-t", "tmpfs", "-o", "size=9m", "t")
    (problem,), _lines = made.told(small / "data", small / "data/binaries")
    assert problem.startswith(f"Restore into '{small}/data' and '{small}/data/binaries/data': it needs {6 * MIB} bytes")
    assert made.told(small / "data", large / "store") == ([], []), "each has the room that it needs"
    assert "it needs" in made.told(large / "data", small / "store")[0][0]
    for key in made.keys[:3]:
        made.put(small / "data/binaries/data", key, 3, b"")
    assert made.told(small / "data", small / "data/binaries") == ([], []), "half of it is there"
    assert made.told(small / "data", small / "data/binaries", "record")[0], "records are moved aside"
    assert file_system(os.stat(small).st_dev) == "tmpfs"


def test_where_blocks_may_be_shared_or_packed_nothing_is_refused(
    tmp_path: Path, mounted: t.Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, small = Set(tmp_path), mounted("-t", "tmpfs", "-o", "size=4m", "t")
    monkeypatch.setattr(space, "file_system", lambda _device: "btrfs")
    problems, (line,) = made.told(small / "data", small / "data/binaries")
    assert (problems, f"{6 * MIB} bytes, unless they are packed or shared" in line) == ([], True)
    monkeypatch.setattr(space, "file_system", lambda _device: "xfs")
    assert "it needs" in made.told(small / "data", small / "data/binaries")[0][0], "the pool is on another one"
    for key in made.keys:
        made.put(small / "pool", key, 2, bytes(MIB) if key in made.keys[:2] else b"")
    assert made.told(small / "data", small / "data/binaries", pool=str(small / "pool")) == ([], [])
    for key in made.keys[2:4]:
        made.put(small / "pool", key, 2, bytes(MIB - 8192))
    assert "it needs" in made.told(small / "data", small / "data/binaries", pool=str(small / "pool"))[0][0], (
        "small ones"
    )


def test_a_volume_that_cannot_be_looked_at_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(path: str) -> t.Any:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)

    monkeypatch.setattr(space.shutil, "disk_usage", stale)
    (problem,), _lines = Set(tmp_path).told(tmp_path / "new", tmp_path / "new/binaries")
    assert f"Stale file handle at '{tmp_path}'. Is its volume mounted" in problem


def test_a_blob_that_the_pool_has_lost_is_told_before_anything_is_changed(tmp_path: Path) -> None:
    """A sample of a large pool does not meet it, and the database would be replaced before the copy does."""
    made = Set(tmp_path)
    lost, store = made.keys[2], tmp_path / "new/binaries"
    (made.pool / lost[:2] / lost[2:4] / lost).unlink()
    (problem,), _lines = made.told(tmp_path / "new", store)
    assert f"1 are neither there nor in pool '{made.pool}': {lost}: missing. Take another set, or" in problem
    made.put(store / "data", lost, 3, b"")
    assert made.told(tmp_path / "new", store) == ([], []), "the target has it still"


def test_a_blob_that_a_pool_on_another_host_has_lost_is_told_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "BATCH", 2)
    made, shell = Set(tmp_path), tmp_path / "rsh"
    shell.write_text('#!/bin/sh\n[ "$1" = nas ] || { echo "no route" >&2; exit 255; }\nexec sh -c "$2"\n')
    shell.chmod(0o755)
    lost, store, pool, rsh = made.keys[2:5], tmp_path / "new/binaries", f"nas:{made.pool}", [str(shell)]
    room = [f"blobs    default: room is not checked, its pool is on another host, {pool}"]
    assert made.told(tmp_path / "new", store, pool=pool, rsh=rsh) == ([], room)
    for key in lost:
        (made.pool / key[:2] / key[2:4] / key).unlink()
    (problem,), _lines = made.told(tmp_path / "new", store, pool=pool, rsh=rsh)
    assert f"3 are neither there nor in pool '{pool}': {sorted(lost)[0]}: missing; " in problem
    for key in lost:
        made.put(store / "data", key, 3, b"")
    assert made.told(tmp_path / "new", store, pool=pool, rsh=rsh) == ([], room), "the target has them still"
    assert "3 are neither" in made.told(tmp_path / "new", store, "record", pool, rsh)[0][0], "these are moved aside"
    (problem,), lines = made.told(tmp_path / "new", store, pool=f"san:{made.pool}", rsh=rsh)
    assert ("Connection to 'san': it ended: no route" in problem, len(lines)) == (True, 1), "not known is not there"
