# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what goes wrong with blobs."""

from __future__ import annotations

import errno
import typing as t

from .._errors import PlatformError
from .names import shown

ENCRYPTED = "it is encrypted, "
"""Begins what is said of a blob that Nuxeo has encrypted in a store that is not known to be of that kind."""

SHOWN = 20
"""How many names a result holds, whatever the store."""


class BlobError(PlatformError):
    """A blob store or pool cannot be copied, proven or read."""


class SourceError(Exception):
    """A blob that cannot be read, or is not what it says. The others are copied all the same."""


class Changed(SourceError):
    """A blob whose bytes are not those that were announced."""


class Vanished(Exception):
    """A blob that was listed and is gone."""


def os_reason(error: OSError) -> str:
    """The system's words for an error, without the path (the message has it already)."""
    return error.strerror or type(error).__name__


def writing_failed(tree: bytes, error: OSError) -> BlobError:
    """The error of a target that cannot be written."""
    todo = {
        errno.ENOSPC: "Free space on its volume, then run again: what is copied stays",
        errno.EDQUOT: "Raise the quota, then run again: what is copied stays",
        errno.EROFS: "Mount its volume for writing",
        errno.EACCES: "Give this user the right to write there",
    }
    said = todo.get(error.errno or 0, "Check the volume, then run again: what is copied stays")
    return BlobError(f"Writing of blobs to '{shown(tree)}'", os_reason(error), said)


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

    @property
    def todo(self) -> str:
        """What to do about those of a store."""
        if not any(f": {ENCRYPTED}" in name for name in self.names):
            return "Mend or remove these"
        return (
            "Give the store of those that are encrypted the kind encrypted, in backup_blob_stores, and mend or remove "
            "the others"
        )

    def listed(self) -> str:
        """All names in one sentence, and how many more there are."""
        more = self.count - len(self.names)
        return "; ".join(sorted(self.names)) + (f"; and {more} more" if more else "")
