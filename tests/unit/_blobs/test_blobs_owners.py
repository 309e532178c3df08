# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose blobs become that are put back."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import copy
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to a group")
def test_folders_hand_on_the_group_that_the_store_hands_on(tmp_path: Path) -> None:
    key = hashlib.md5(b"blob").hexdigest()
    blob = tmp_path / "from/data" / key[:2] / key[2:4] / key
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"blob")
    pool, keys, store = str(tmp_path / "pool"), str(tmp_path / "sets/1/blobs/default"), tmp_path / "to"
    copy(Options(str(tmp_path / "from"), pool, set_keys=keys, jobs=1), None)
    store.mkdir()
    os.chown(store, 65534, 12345)
    store.chmod(0o2770)
    back = Options(pool, str(store), src_layout="pool", dest_layout="store", keys=keys, jobs=1)
    copy(back, None)
    found = {path: path.stat() for path in store.rglob("*")}
    assert {(info.st_uid, info.st_gid) for info in found.values()} == {(65534, 12345)}
    assert {oct(info.st_mode & 0o7777) for path, info in found.items() if path.is_dir()} == {"0o2770"}
    assert oct(found[store / "data" / key[:2] / key[2:4] / key].st_mode & 0o7777) == "0o660"
