# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The blob store of the stand-in: files named by the MD5 of their bytes, written aside and renamed, as Nuxeo does."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

CONFIG = '<?xml version="1.0"?>\n<binary-store>\n  <digest>MD5</digest>\n  <depth>2</depth>\n</binary-store>\n'


class Store:
    """One folder of blobs.

    :param in_data: temporary files lie inside ``data`` (LocalBlobProvider) instead of ``tmp`` (DefaultBinaryManager)
    """

    def __init__(self, folder: Path, in_data: bool) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.tmp = folder / "tmp"
        self.in_data = in_data
        self.data.mkdir(parents=True, exist_ok=True)
        self.tmp.mkdir(exist_ok=True)
        if not (folder / "config.xml").exists():
            (folder / "config.xml").write_text(CONFIG, encoding="utf-8")

    def path(self, key: str) -> Path:
        """Where the blob of that key lies."""
        return self.data / key[:2] / key[2:4] / key

    def write(self, content: bytes) -> str:
        """Store the bytes; their key."""
        prefix, folder = ("bin_", self.data) if self.in_data else ("create_", self.tmp)
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=folder)
        with os.fdopen(handle, "wb") as file:
            half = len(content) // 2
            file.write(content[:half])
            file.flush()
            file.write(content[half:])
        key = hashlib.md5(content, usedforsecurity=False).hexdigest()
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not self.in_data:
            os.utime(path)
            os.unlink(name)
        else:
            os.rename(name, path)
        return key

    def good(self, key: str) -> bool:
        """Whether the blob is there with the right bytes."""
        try:
            return hashlib.md5(self.path(key).read_bytes(), usedforsecurity=False).hexdigest() == key
        except OSError:
            return False

    def collect(self, live: set[str]) -> int:
        """The old style garbage collection: touch every blob that is referred to, then remove the older ones."""
        start = time.time()
        for key in live:
            if self.path(key).exists():
                os.utime(self.path(key))
        removed = 0
        for path in self.data.glob("*/*/*"):
            if path.name not in live and path.stat().st_mtime < start - 2:
                path.unlink()
                removed += 1
        return removed
