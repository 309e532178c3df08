# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose blobs become that are put back."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import copy
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options


def pooled(folder: Path) -> tuple[Options, str]:
    """One blob in a pool, whose way back is then known, and where it is in a store."""
    key = hashlib.md5(b"blob").hexdigest()
    place = f"data/{key[:2]}/{key[2:4]}/{key}"
    blob = folder / "from" / place
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"blob")
    pool, keys = str(folder / "pool"), str(folder / "sets/1/blobs/default")
    copy(Options(str(folder / "from"), pool, set_keys=keys, jobs=1), None)
    return Options(pool, str(folder / "to"), src_layout="pool", dest_layout="store", keys=keys, jobs=1), place


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to a group")
def test_folders_hand_on_the_group_that_the_store_hands_on(tmp_path: Path) -> None:
    back, place = pooled(tmp_path)
    store = tmp_path / "to"
    store.mkdir()
    os.chown(store, 65534, 12345)
    store.chmod(0o2770)
    copy(back, None)
    found = {path: path.stat() for path in store.rglob("*")}
    assert {(info.st_uid, info.st_gid) for info in found.values()} == {(65534, 12345)}
    assert {oct(info.st_mode & 0o7777) for path, info in found.items() if path.is_dir()} == {"0o2770"}
    assert oct(found[store / place].st_mode & 0o7777) == "0o660"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to others")
@pytest.mark.parametrize(
    ("above", "store", "whose"),
    [
        ((0, 0), None, (65534, 65534, 0o750)),
        ((12345, 12345), None, (65534, 65534, 0o750)),
        ((65534, 12345), None, (65534, 12345, 0o755)),
        ((0, 0), (12345, 12345), (12345, 12345, 0o755)),
    ],
    ids=["made in a volume of root", "or of another", "that of the server's user", "a store that is there"],
)
def test_a_store_that_is_made_is_of_whose_it_is_to_be(
    tmp_path: Path, above: tuple[int, int], store: tuple[int, int] | None, whose: tuple[int, int, int]
) -> None:
    """In a volume of root's the server could not write a new blob."""
    back, place = pooled(tmp_path)
    data, root = tmp_path / "nuxeo", tmp_path / "volume/of/blobs"
    for folder in (data, tmp_path / "volume", *([root] if store else [])):
        folder.mkdir(parents=True)
    data.chmod(0o750)
    os.chown(data, 65534, 65534)
    os.chown(tmp_path / "volume", *above)
    if store:
        os.chown(root, *store)
    copy(dataclasses.replace(back, dest=str(root), like=str(data)), None)
    for path in [path for path in root.rglob("*") if path.is_dir()] + ([] if store else [root, root.parent]):
        info = path.stat()
        assert (info.st_uid, info.st_gid, info.st_mode & 0o777) == whose, path
    info = (root / place).stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o777) == (*whose[:2], whose[2] & 0o666)
    assert (tmp_path / "volume").stat().st_uid == above[0]
