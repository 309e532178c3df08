# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cut is told once, or why there is none; who waits for it never waits for ever."""

from __future__ import annotations

import json
import pathlib
import shutil
import threading

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._cut import Cut, wait
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError


def test_who_waits_is_told_when_it_is_taken(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "progress-cut.json")
    with Cut(path) as cut:
        threading.Timer(0.2, cut.taken).start()
        moment = wait(path, 30)
    assert moment == json.loads(pathlib.Path(path).read_text())["taken"]


def test_a_dump_that_fails_before_it_says_why(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "progress-cut.json")
    with pytest.raises(RuntimeError), Cut(path):
        raise RuntimeError("no such database")
    with pytest.raises(PlatformError, match="no such database"):
        wait(path, 30)


def test_a_dump_that_fails_later_does_not_take_the_cut_back(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "progress-cut.json")
    with pytest.raises(RuntimeError), Cut(path) as cut:
        cut.taken()
        raise RuntimeError("disk full")
    assert wait(path, 30)


def test_nobody_waits_for_ever(tmp_path: pathlib.Path) -> None:
    with pytest.raises(PlatformError, match=r"not made within 0\.05 s"):
        wait(str(tmp_path / "cut.json"), 0.05)
    folder = tmp_path / "partial"
    folder.mkdir()
    threading.Timer(0.1, shutil.rmtree, [folder]).start()
    with pytest.raises(PlatformError, match="folder is gone"):
        wait(str(folder / "cut.json"), 30)
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(PlatformError):
        wait(str(tmp_path / "half.json"), 30)


def test_without_a_path_nothing_is_written() -> None:
    with Cut(None) as cut:
        cut.taken()
