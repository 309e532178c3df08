# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sorted lines: sort(1) must find nothing to do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database.blob_keys import provider
from ansible_collections.nuxeo.platform.plugins.module_utils._database.making import named, now, temporary_prefix
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql_restore import _aside, _text
from ansible_collections.nuxeo.platform.plugins.module_utils._database.sorting import SortedLines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LINE = st.binary(min_size=1, max_size=12).filter(lambda line: b"\n" not in line and b"\0" not in line)


@given(st.lists(LINE, max_size=60))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_is_that_of_sort(tmp_path: Path, lines: list[bytes]) -> None:
    made = SortedLines(str(tmp_path), chunk=7)
    for line in lines:
        made.add(line)
    count, _changed = made.write(str(tmp_path / "out"))
    raw = b"".join(line + b"\n" for line in lines)
    done = subprocess.run(
        ["sort", "-u"], input=raw, capture_output=True, check=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}
    )
    assert (tmp_path / "out").read_bytes() == done.stdout
    assert count == len(set(lines))


def test_same_content_is_no_change(tmp_path: Path) -> None:
    for changed in (True, False):
        made = SortedLines(str(tmp_path))
        made.add(b"a")
        assert made.write(str(tmp_path / "out")) == (1, changed)
    assert os.listdir(tmp_path) == ["out"]
    assert SortedLines(str(tmp_path)).write(None) == (0, False)


@pytest.mark.parametrize(("key", "wanted"), [("0f", ""), ("other:0f", "other"), ("a:b:c", "a"), (":x", ""), ("", "")])
def test_provider_of_a_key(key: str, wanted: str) -> None:
    assert provider(key) == wanted


def test_names_fit_into_the_server() -> None:
    assert named("nuxeo", "_x") == "nuxeo_x"
    assert len(_aside("ö" * 60).encode()) <= 63 and "_before_2" in _aside("ö" * 60)


def test_temporary_names_need_no_quotes_and_tell_targets_apart() -> None:
    assert temporary_prefix("nuxeo") == "nuxeo_restore_"
    odd = [temporary_prefix(name) for name in ('nu"xeo', "nu%xeo", "nu_xeo", "x" * 60, "x" * 61)]
    assert len(set(odd)) == len(odd)
    assert all(name.replace("_", "").isalnum() and len(name + now()) <= 63 for name in odd)


def test_fingerprints_are_compared_as_text() -> None:
    assert _text({"changes": 4, "stats_reset": None}) == _text({"changes": "4", "stats_reset": "None"})
    assert _text({"changes": 4}) != _text({"changes": 5})
