# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup root is checked before anything is made, and a full one publishes nothing."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import abandon, begin, check_place
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.listing import list_sets
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.publish import publish
from ansible_collections.nuxeo.platform.tests.unit._backup_set.sets import given, verify


def test_a_full_disk_publishes_nothing(mounted: t.Callable[..., pathlib.Path]) -> None:
    root = mounted("-t", "tmpfs", "-o", "size=4m", "tmpfs")
    place = Place(str(root), "acme")
    begun = begin(place, {}, timeout=900)
    pathlib.Path(begun["partial"], "database/dump.json").write_text("{}")
    full = pathlib.Path(begun["partial"], "files/big")
    with contextlib.suppress(OSError), open(full, "wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    with pytest.raises(
        SetError, match=f"No space left on device.*Free space in the file system of '{root}', then run again"
    ):
        publish(place, begun["run_id"], given(), None, False)
    assert list_sets(place, None, 9)["count"] == 0
    assert abandon(place, begun["run_id"], "publish", "full", False) and os.listdir(place.sets) == []
    begun = begin(place, {}, timeout=900)
    publish(place, begun["run_id"], given(), begun["progress"], False)
    assert verify(place)["bad_count"] == 0


def test_the_place_is_checked_before_anything_is_made(place: Place, mounted: t.Callable[..., pathlib.Path]) -> None:
    assert check_place(place, [], 0, False) > 1 << 20
    with pytest.raises(SetError, match=r"\d+ bytes are needed and \d+ are free: \d+ bytes are missing"):
        check_place(place, [], 1 << 60, False)
    with pytest.raises(SetError, match="lies in the root file system"):
        check_place(Place("/", "acme"), [], 0, True)
    readonly = mounted("-t", "tmpfs", "-o", "ro", "tmpfs")
    with pytest.raises(SetError, match="mounted read-only"):
        check_place(Place(str(readonly), "acme"), [], 0, False)
    with pytest.raises(SetError, match=r"Backup root '.*/no': there is no such folder\. Make it"):
        check_place(Place(place.root + "/no", "acme"), [], 0, False)
    disk = mounted("-t", "tmpfs", "tmpfs")
    assert check_place(Place(str(disk), "acme"), [], 0, True) > 0
    full = mounted("-t", "tmpfs", "-o", "size=512k", "tmpfs")
    with pytest.raises(SetError, match="1048576 bytes are needed and 5"):
        check_place(Place(str(full), "acme"), [], 0, False)


def test_a_root_inside_what_it_backs_up_is_refused(
    tmp_path: pathlib.Path, mounted: t.Callable[..., pathlib.Path]
) -> None:
    data = tmp_path / "srv/nuxeo/data"
    (data / "backup/acme/data").mkdir(parents=True)
    (tmp_path / "link").symlink_to(data / "backup")
    bound = mounted("--bind", str(data / "backup"))
    inside = "is inside '.*', which is backed up"
    for root in (data, data / "backup", tmp_path / "link", bound):
        with pytest.raises(SetError, match=inside):
            check_place(Place(str(root), "acme"), [str(tmp_path), str(data)], 0, False)
        with pytest.raises(SetError, match=inside):
            check_place(Place(str(root), "acme"), [str(data)] if root != bound else [str(data / "backup")], 0, False)
    with pytest.raises(SetError, match="'.*/nuxeo/data', which is backed up, is inside '.*/srv/nuxeo'"):
        check_place(Place(str(tmp_path / "srv"), "nuxeo"), [str(data)], 0, False)
    assert check_place(Place(str(tmp_path / "srv"), "other"), [str(data), "/no/such/folder"], 0, False) > 0
    (tmp_path / "srv/data-backup").mkdir()
    assert check_place(Place(str(tmp_path / "srv/data-backup"), "acme"), [str(data)], 0, False) > 0


def test_all_problems_of_a_place_are_told_at_once(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SetError, match="which is backed up; .* bytes are missing"):
        check_place(Place(str(tmp_path), "acme"), [str(tmp_path)], 1 << 60, False)
