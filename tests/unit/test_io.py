# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are whole or absent; times are moments."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import resource
import signal
import stat
import subprocess

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils import _io


def test_written_owner_only_whatever_the_umask(tmp_path: pathlib.Path) -> None:
    for umask in (0, 0o277):
        old = os.umask(umask)
        try:
            _io.write_atomic(str(tmp_path / "a"), b"one")
        finally:
            os.umask(old)
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    _io.write_atomic(str(tmp_path / "a"), b"two", 0o644)
    assert ((tmp_path / "a").read_bytes(), stat.S_IMODE((tmp_path / "a").stat().st_mode)) == (b"two", 0o644)
    assert os.listdir(tmp_path) == ["a"]


def test_a_name_without_a_folder_is_in_the_present_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _io.write_atomic("a", b"one")
    assert (tmp_path / "a").read_bytes() == b"one"


def test_a_link_is_replaced_not_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "a").symlink_to("precious")
    _io.write_atomic(str(tmp_path / "a"), b"one")
    assert ((tmp_path / "precious").read_text(), (tmp_path / "a").is_symlink()) == ("precious", False)


def test_what_cannot_be_written_leaves_the_old_and_no_rest(tmp_path: pathlib.Path) -> None:
    """A limit of the file size stands for a full disk: write fails half way."""
    _io.write_atomic(str(tmp_path / "a"), b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            _io.write_atomic(str(tmp_path / "a"), b"n" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert ((tmp_path / "a").read_bytes(), os.listdir(tmp_path)) == (b"old", ["a"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        _io.write_atomic(str(tmp_path / "folder"), b"x")
    assert sorted(os.listdir(tmp_path)) == ["a", "folder"]


def test_bytes_are_durable_before_the_name_and_the_name_after(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        told.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(one: str, other: str) -> None:
        told.append("rename")
        replace(one, other)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    _io.write_atomic(str(tmp_path / "a"), b"x")
    assert told == ["file", "rename", "folder"]


def test_json_is_sorted_and_ends_with_a_line(tmp_path: pathlib.Path) -> None:
    _io.write_json(str(tmp_path / "a"), {"b": 1, "a": "é"})
    text = (tmp_path / "a").read_text("ascii")
    assert text.endswith("}\n") and text.index('"a"') < text.index('"b"') and json.loads(text) == {"b": 1, "a": "é"}


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (3 << 20) + 7])
def test_hash_as_sha256sum(tmp_path: pathlib.Path, size: int) -> None:
    (tmp_path / "a").write_bytes(os.urandom(size))
    said = subprocess.run(["sha256sum", str(tmp_path / "a")], check=True, capture_output=True, text=True).stdout
    assert _io.sha256_file(str(tmp_path / "a")) == said.split()[0]


def test_times() -> None:
    east = datetime.timezone(datetime.timedelta(hours=2))
    assert _io.utc(datetime.datetime(2026, 11, 23, 1, 0, 0, 5, east)) == "2026-11-22T23:00:00.000005Z"
    with pytest.raises(ValueError, match="without a zone"):
        _io.utc(datetime.datetime(2026, 11, 23))
    said = subprocess.run(["date", "-u", "+%Y-%m-%dT%H:%M"], check=True, capture_output=True, text=True).stdout.strip()
    assert abs(int(_io.now()[14:16]) - int(said[14:16])) in (0, 1, 59)


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path: pathlib.Path) -> None:
    kept = [".a.txt.0011223g.tmp", ".b.txt.00112233.tmp", "a.txt", ".a.txt.00112233.tmp~", ".aXtxt.00112233.tmp"]
    for name in [*kept, ".a.txt.00112233.tmp", ".a.txt.89abcdef.tmp"]:
        (tmp_path / name).touch()
    _io.remove_unfinished(str(tmp_path), r"a\.txt")
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
