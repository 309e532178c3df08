# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress is told while a step runs, and stops it when nobody wants to hear it."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import threading
import time

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress, progress_line


def read(path: pathlib.Path) -> dict[str, object]:
    value = json.loads(path.read_text())
    assert isinstance(value, dict)
    return value


def wait_for(path: pathlib.Path, **wanted: object) -> dict[str, object]:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        value = read(path)
        if wanted.items() <= value.items():
            return value
        time.sleep(0.01)
    raise AssertionError(value)


def test_told_at_once_again_and_at_the_end(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "progress.json"
    with Progress(str(path), "dump", interval=0.02) as progress:
        first = read(path)
        assert set(first) == {"phase", "done", "total", "unit", "updated", "pid"}
        assert first == {**first, "phase": "dump", "done": 0, "total": None, "unit": "bytes", "pid": os.getpid()}
        progress.update(5, 10)
        wait_for(path, done=5, total=10)
        progress.update(6, phase="check")
        second = wait_for(path, done=6, total=10, phase="check")
        assert str(second["updated"]) > str(first["updated"])
        progress.update(10)
    assert read(path)["done"] == 10
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and os.listdir(tmp_path) == ["progress.json"]


def test_it_is_a_sign_of_life_without_any_update(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "progress.json"
    with Progress(str(path), "dump", interval=0.02):
        before = path.stat().st_mtime_ns
        time.sleep(0.3)
        assert path.stat().st_mtime_ns > before
    after = path.stat().st_mtime_ns
    time.sleep(0.1)
    assert path.stat().st_mtime_ns == after


def test_a_run_that_was_taken_over_stops(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "partial"
    folder.mkdir()
    with pytest.raises(PlatformError, match=r"Progress of dump in '.*': No such file.*another run has taken"):  # noqa: SIM117
        with Progress(str(folder / "progress.json"), "dump", interval=0.02) as progress:
            progress.check()
            folder.rename(tmp_path / "theirs")  # at once, since it is written into every now and then
            time.sleep(0.2)
            progress.check()
    with pytest.raises(PlatformError), Progress(str(folder / "progress.json"), "dump"):
        pass
    folder.mkdir()
    with pytest.raises(PlatformError), Progress(str(folder / "progress.json"), "dump", interval=60):
        folder.rename(tmp_path / "theirs, too")  # noticed at the end at the latest


def test_the_error_of_the_step_is_the_one_that_is_told(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "partial"
    folder.mkdir()
    before = set(threading.enumerate())  # other tests have left some
    with pytest.raises(KeyError), Progress(str(folder / "p.json"), "dump", interval=0.02):
        folder.rename(tmp_path / "theirs")
        raise KeyError
    assert set(threading.enumerate()) <= before


def test_without_a_path_nothing_is_written() -> None:
    with Progress(None, "dump") as progress:
        progress.update(7)
        progress.check()
    assert progress.state["done"] == 7


@pytest.mark.parametrize(
    ("done", "total", "unit", "line"),
    [
        (1_234_567, 5_000_000, "blobs", "it: 1,234,567 of 5,000,000 blobs (25%)"),
        (3 << 30, 12 << 30, "bytes", "it: 3.00 GB of 12.00 GB (25%)"),
        (1000, None, "records", "it: 1,000 records"),
        (0, 0, "folders", "it"),
        (0, None, "bytes", "it"),
        (0, 7, "folders", "it: 0 of 7 folders (0%)"),
    ],
)
def test_how_far_a_step_is(done: int, total: int | None, unit: str, line: str) -> None:
    assert progress_line(json.dumps({"phase": "it", "done": done, "total": total, "unit": unit, "pid": 1})) == line


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"phase": "it", "done": "many", "total": 1, "unit": "blobs"}'])
def test_a_file_that_says_nothing_yet_or_something_else(text: str) -> None:
    assert progress_line(text) == ""
