# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``make test`` leaves to ``make test-engines``: what another of its tests shows in nearly the same way."""

from __future__ import annotations

import os

import pytest

ALL = os.environ.get("NUXEO_TEST_ENGINES") == "all"


def engines_only(why: str) -> pytest.MarkDecorator:
    """The mark of a test, or of one of its parameters, that ``make test`` skips; ``why`` says what it is instead."""
    return pytest.mark.skipif(not ALL, reason=f"{why} (make test-engines)")
