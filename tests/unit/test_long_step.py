# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.nuxeo.platform.plugins.action.long_step import progress_line


@pytest.mark.parametrize(
    ("done", "total", "unit", "line"),
    [
        (1_234_567, 5_000_000, "blobs", "it: 1,234,567 of 5,000,000 blobs (25%)"),
        (3 << 30, 12 << 30, "bytes", "it: 3.00 GB of 12.00 GB (25%)"),
        (1000, None, "records", "it: 1,000 records"),
        (0, 0, "folders", "it: 0 folders"),
    ],
)
def test_how_far_a_step_is(done: int, total: int | None, unit: str, line: str) -> None:
    assert progress_line(json.dumps({"phase": "it", "done": done, "total": total, "unit": unit, "pid": 1})) == line


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"phase": "it", "done": "many", "total": 1, "unit": "blobs"}'])
def test_a_file_that_says_nothing_yet_or_something_else(text: str) -> None:
    assert progress_line(text) == ""
