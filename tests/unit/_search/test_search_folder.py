# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the engine's user gets to the folder of a repository, by modes and by access lists."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search import folder

ENGINE, MEMBER = 4242, 4343
NOBODY = 0xFFFFFFFF
Entry = tuple[int, int, int]


def grant(path: Path, *further: Entry, group: int = 0, mask: int = 7) -> None:
    """An access list; the owner may do all, others nothing."""
    entries = [(0x01, 7, NOBODY), *further, (0x04, group, NOBODY), (0x10, mask, NOBODY), (0x20, 0, NOBODY)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in sorted(entries))
    try:
        os.setxattr(path, "system.posix_acl_access", packed)
    except OSError as error:
        pytest.skip(f"no access lists on this file system: {error.strerror}")


@pytest.mark.parametrize(
    ("entries", "group", "mask", "expected"),
    [
        ([(0x02, 1, ENGINE)], 0, 7, True),
        ([(0x02, 4, ENGINE)], 0, 7, False),
        ([(0x02, 1, ENGINE)], 0, 4, False),
        ([(0x02, 1, ENGINE + 1)], 0, 7, False),
        ([(0x08, 1, MEMBER)], 0, 7, True),
        ([(0x08, 1, MEMBER + 1)], 1, 7, False),
    ],
)
def test_an_access_list_lets_in_whom_the_mode_does_not(
    tmp_path: Path, entries: list[Entry], group: int, mask: int, expected: bool
) -> None:
    root = tmp_path / "backup"
    root.mkdir(mode=0o700)
    grant(root, *entries, group=group, mask=mask)
    assert folder._may((ENGINE, {MEMBER}), str(root), 0o1) is expected


@pytest.mark.parametrize(("mode", "expected"), [(0o700, False), (0o701, True), (0o710, False), (0o7, True)])
def test_without_one_the_mode_decides(tmp_path: Path, mode: int, expected: bool) -> None:
    tmp_path.chmod(mode)
    try:
        assert folder._may((ENGINE, {MEMBER}), str(tmp_path), 0o1) is expected
        assert folder._may((0, set()), str(tmp_path), 0o1)
    finally:
        tmp_path.chmod(0o700)
    tmp_path.chmod(0o710)
    assert folder._may((ENGINE, {tmp_path.stat().st_gid}), str(tmp_path), 0o1)


def test_what_stands_in_the_way_is_told_with_what_helps(tmp_path: Path) -> None:
    root = tmp_path / "backup"
    root.mkdir(mode=0o700)
    (told,) = [line for line in folder.problems(str(root / "audit"), str(ENGINE), None) if f"'{root}'" in line]
    assert told.startswith(
        f"user '{ENGINE}' may not pass through '{root}': chmod o+x it, or let that user in by setfacl"
    )


@pytest.mark.parametrize(("mode", "seen"), [(0o600, False), (0o711, True)])
def test_a_folder_that_the_backup_cannot_look_into_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, seen: bool
) -> None:
    """Whether the engine has written there could not be told afterwards."""
    tmp_path.chmod(0o711)
    monkeypatch.chdir(tmp_path)
    assert folder.closed_to_us("audit") == [], "the role makes it"
    Path("audit").mkdir()
    Path("audit").chmod(mode)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(ENGINE)
        told = folder.closed_to_us("audit")
    finally:
        os.seteuid(user)
    assert (told == []) == seen
    assert seen or "in 'audit' (Permission denied): let the user of the backup pass through it" in told[0]
