# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: keeps an instance from being started while its restore is not finished.

A block at the head of nuxeo.conf holds a malformed unicode escape. java.util.Properties refuses the whole file for it,
so the launcher of every version stops, whoever starts it and however.
"""

from __future__ import annotations

import re

from .load import read_bytes

BEGIN = "### nuxeo.platform restore guard: begin ###"
END = "### nuxeo.platform restore guard: end ###"
KEY = "nuxeo.platform.restore"
_BLOCK = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END) + r"(?:\r\n|\n|\r|$)", re.DOTALL)


def find(path: str) -> str:
    """The text of the block that is in a file, or nothing."""
    found = _BLOCK.search(read_bytes(path).decode("iso-8859-1"))
    return found.group() if found else ""


def is_armed(path: str) -> bool:
    """Whether a restore onto this nuxeo.conf has begun and not ended."""
    return bool(find(path))
