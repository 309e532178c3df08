# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose blobs become that are put back."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.copy import copy
from ansible_collections.nuxeo.platform.plugins.module_utils._blobs.options import Options

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders away, and becomes another user")
NOBODY = 65534
KEY = hashlib.md5(b"blob").hexdigest()


def saved(tmp_path: Path) -> t.Callable[..., None]:
    """A set of one blob and a config.xml, and what brings it back to a store."""
    blob = tmp_path / "from/data" / KEY[:2] / KEY[2:4] / KEY
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"blob")
    (tmp_path / "from/config.xml").write_text("<binary-store><digest>MD5</digest><depth>2</depth></binary-store>")
    pool, keys = str(tmp_path / "pool"), str(tmp_path / "sets/1/blobs/default")
    copy(Options(str(tmp_path / "from"), pool, set_keys=keys, jobs=1), None)

    def restore(store: Path, like: str | None = None) -> None:
        copy(Options(pool, str(store), src_layout="pool", dest_layout="store", keys=keys, jobs=1, like=like), None)

    return restore


@contextlib.contextmanager
def nobody(tmp_path: Path) -> t.Iterator[None]:
    """This process is that user, who owns what is there."""
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o005 != 0o005:  # pytest's own, how many depends on xdist
            assert str(folder).startswith(f"{tempfile.gettempdir()}/"), folder
            folder.chmod(0o755)
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def test_folders_hand_on_the_group_that_the_store_hands_on(tmp_path: Path) -> None:
    restore, store = saved(tmp_path), tmp_path / "to"
    store.mkdir()
    os.chown(store, NOBODY, 12345)
    store.chmod(0o2770)
    restore(store)
    found = {path: path.stat() for path in store.rglob("*")}
    assert {(info.st_uid, info.st_gid) for info in found.values()} == {(NOBODY, 12345)}
    assert {oct(info.st_mode & 0o7777) for path, info in found.items() if path.is_dir()} == {"0o2770"}
    assert oct(found[store / "data" / KEY[:2] / KEY[2:4] / KEY].st_mode & 0o7777) == "0o660"


@pytest.mark.parametrize(
    ("owner", "group", "mode"), [(NOBODY, 12345, 0o750), (0, NOBODY, 0o2775)], ids=["group", "mount"]
)
def test_without_root_everything_belongs_to_the_one_who_runs_it(
    tmp_path: Path, owner: int, group: int, mode: int
) -> None:
    """By then the database is replaced: it is no time to stop for an owner that only root could give."""
    restore, store = saved(tmp_path), tmp_path / "to"
    store.mkdir()
    with nobody(tmp_path):
        os.seteuid(0)
        os.chown(store, owner, group)
        store.chmod(mode)
        os.seteuid(NOBODY)
        restore(store)
    found = {path: path.stat() for path in store.rglob("*")}
    assert {(info.st_uid, info.st_gid) for info in found.values()} == {(NOBODY, NOBODY)}
    assert {path.name for path in found if path.is_file()} == {"config.xml", KEY}
    assert (store / "data" / KEY[:2] / KEY[2:4] / KEY).read_bytes() == b"blob"


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
    place = f"data/{KEY[:2]}/{KEY[2:4]}/{KEY}"
    restore = saved(tmp_path)
    data, root = tmp_path / "nuxeo", tmp_path / "volume/of/blobs"
    for folder in (data, tmp_path / "volume", *([root] if store else [])):
        folder.mkdir(parents=True)
    data.chmod(0o750)
    os.chown(data, 65534, 65534)
    os.chown(tmp_path / "volume", *above)
    if store:
        os.chown(root, *store)
    restore(root, str(data))
    for path in [path for path in root.rglob("*") if path.is_dir()] + ([] if store else [root, root.parent]):
        info = path.stat()
        assert (info.st_uid, info.st_gid, info.st_mode & 0o777) == whose, path
    info = (root / place).stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o777) == (*whose[:2], whose[2] & 0o666)
    assert (tmp_path / "volume").stat().st_uid == above[0]
