# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a path is on the server whose volume is mounted there. The kernel tells the name that was given to mount."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import preflight
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.mounts import share

Mounted = t.Callable[..., Path]


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("nas1:/export", "nas1:/export/in it"),
        ("nas1:/", "nas1:/in it"),
        ("[fe80::1]:/export/", "fe80::1:/export/in it"),
        ("//nas1/share", "nas1:/share/in it"),
        ("user@nas1:/home/x y", "user@nas1:/home/x y/in it"),
        ("localhost:/", ""),
        ("[::1]:/export", ""),
        ("127.0.0.1:/", ""),
        ("/dev/mapper/a:/b", ""),
        ("pool/data", ""),
        ("none", ""),
    ],
)
def test_only_what_a_server_is_named_for_is_shared(mounted: Mounted, source: str, place: str) -> None:
    volume = mounted("-t", "tmpfs", source)
    assert share(str(volume / "in it")) == place
    (volume.parent / "link").symlink_to(volume)
    assert share(str(volume.parent / "link" / "in it")) == place
    assert share(str(volume.parent)) == ""


def test_a_part_of_a_volume_that_is_mounted_elsewhere_is_that_part(mounted: Mounted) -> None:
    whole = mounted("-t", "tmpfs", "nas1:/export")
    (whole / "prod").mkdir()
    assert share(str(mounted("--bind", str(whole / "prod")) / "blobs")) == "nas1:/export/prod/blobs"


def test_of_two_volumes_on_one_point_the_later_one_is_there(mounted: Mounted) -> None:
    volume = mounted("-t", "tmpfs", "nas1:/export")
    subprocess.run(["mount", "-t", "tmpfs", "nas2:/other", str(volume)], check=True)
    try:
        assert share(str(volume)) == "nas2:/other"
    finally:
        subprocess.run(["umount", str(volume)], check=True)
    assert share(str(volume)) == "nas1:/export"


def test_a_set_tells_which_of_its_folders_are_shared(mounted: Mounted, facts: dict[str, t.Any]) -> None:
    volume = mounted("-t", "tmpfs", "nas1:/export")
    facts["blobs"][0]["path"] = str(volume / "binaries")
    facts["blobs"].append({"provider": "far", "path": None, "kind": "s3"})
    more = [{"provider": "more", "path": str(volume / "more"), "kind": "file", "digest": "MD5", "depth": 2}]
    (volume / "binaries").mkdir()
    (volume / "more").mkdir()
    found = preflight.plan({"n1": {"facts": facts}}, "n1", ["blobs:far"], more, ())
    assert found["shares"] == ["nas1:/export/binaries", "nas1:/export/more"]
    assert preflight.plan({"n1": {}}, "n1", (), (), ())["shares"] == []
