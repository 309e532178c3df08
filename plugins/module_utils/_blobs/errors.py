# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what goes wrong with blobs."""

from __future__ import annotations

import typing as t

from .._errors import PlatformError
from .names import shown

SHOWN = 20
"""How many names a result holds, whatever the store."""


class BlobError(PlatformError):
    """A blob store or pool cannot be copied, proven or read."""


def os_reason(error: OSError) -> str:
    """The system's words for an error, without the path (the message has it already)."""
    return error.strerror or type(error).__name__


class Problems:
    """Blobs that could not be copied or proven: all are counted, the first are named."""

    def __init__(self) -> None:
        self.names: t.List[str] = []
        self.count = 0

    def add(self, name: bytes, why: str) -> None:
        self.count += 1
        if len(self.names) < SHOWN:
            self.names.append(f"{shown(name)}: {why}")

    def merge(self, names: t.List[str], count: int) -> None:
        self.count += count
        self.names.extend(names[: SHOWN - len(self.names)])

    def listed(self) -> str:
        """All names in one sentence, and how many more there are."""
        more = self.count - len(self.names)
        return "; ".join(sorted(self.names)) + (f"; and {more} more" if more else "")
