# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup root is checked before anything is made, and a full one publishes nothing."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import tempfile
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import begin as begin_module
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import mounts
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import abandon, begin, check_place
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.listing import list_sets
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.publish import publish
from ansible_collections.nuxeo.platform.tests.unit._backup_set.sets import given, verify


@contextlib.contextmanager
def as_nobody(tmp_path: pathlib.Path, own: pathlib.Path) -> t.Iterator[None]:
    """As another user than root, who has a folder; root alone can change."""
    user = os.geteuid()
    if user == 0:
        os.chown(own, 65534, -1)
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_mode & 0o005 != 0o005:
                assert str(folder).startswith(f"{tempfile.gettempdir()}/"), folder
                folder.chmod(0o755)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


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


@pytest.mark.parametrize("name", ["", "sets", "blobs", "blobs/default"])
def test_a_volume_that_a_link_leads_to_has_to_be_mounted(
    place: Place, mounted: t.Callable[..., pathlib.Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What is written below its mount point is out of sight once it is back, and what was there is missing now."""
    volume = mounted("-t", "tmpfs", "tmpfs")
    table = volume.parent / "fstab"
    table.write_text(f"UUID=1 {volume} xfs defaults,nofail 0 0\n")
    monkeypatch.setattr(mounts, "FSTAB", str(table))
    link = pathlib.Path(place.folder, name)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(volume)
    assert check_place(place, [], 0, False) > 0
    subprocess.run(["umount", str(volume)], check=True)
    with pytest.raises(SetError, match=f"nothing is mounted on '{volume}', where /etc/fstab has a volume"):
        check_place(place, [], 0, False)
    volume.rmdir()
    table.write_text("")
    options: dict[str, t.Any] = {"forbidden": [], "required_bytes": 0, "require_mount": False}
    with pytest.raises(SetError, match=f"'{link}' is a link that leads nowhere: its volume is not mounted"):
        begin_module.begin_here(place, options, False)


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


def test_another_user_sees_whether_a_restore_is_on(place: Place, tmp_path: pathlib.Path) -> None:
    """Who restores may be root, who backs up Nuxeo's user."""
    who = {"node": "n1", "controller": None, "lease_timeout": 900, "gone": [], "nuxeo_conf": None}
    turn = begin_module.take_turn(str(tmp_path / "data"), {**who, "backup_root": None}, check=False)
    backup = {**who, "forbidden": [str(tmp_path / "data")], "required_bytes": 0, "require_mount": False}
    refused = pytest.raises(SetError, match="Look whether a restore into .* user .* may not read|is on since")
    with as_nobody(tmp_path, pathlib.Path(place.root)), refused:
        begin_module.begin_here(place, backup, check=True)
    begin_module.end_turn(str(tmp_path / "data"), turn["run_id"], check=False)
    with as_nobody(tmp_path, pathlib.Path(place.root)):
        begun = begin_module.begin_here(place, backup, check=False)
        assert abandon(place, begun["run_id"], "", "", False)
