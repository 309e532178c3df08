# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: lines in the order of their bytes, each once, in bounded memory."""

from __future__ import annotations

import heapq
import itertools
import os
import tempfile
import typing as t

from .._io import fsync_directory, sha256_file

CHUNK = 200000
"""Lines that are held in memory."""


class SortedLines:
    """Takes lines in any order; sorts them in chunks, which are merged at the end."""

    def __init__(self, folder: str, chunk: int = CHUNK) -> None:
        self._folder = folder
        self._size = chunk
        self._chunk: set[bytes] = set()
        self._files: list[t.IO[bytes]] = []

    def add(self, line: bytes) -> None:
        """One line, without its end."""
        self._chunk.add(line)
        if len(self._chunk) >= self._size:
            self._spill()

    def _spill(self) -> None:
        stream = t.cast(t.IO[bytes], tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 - closed in write()
        stream.writelines(line + b"\n" for line in sorted(self._chunk))
        stream.seek(0)
        self._files.append(stream)
        self._chunk.clear()

    def write(self, path: str | None) -> tuple[int, bool]:
        """Write all lines to a file, atomically; how many, and whether the file is new or another than before."""
        self._spill()
        count = 0
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path) if path else self._folder)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                for line, _group in itertools.groupby(heapq.merge(*self._files)):
                    stream.write(line)
                    count += 1
                stream.flush()
                os.fsync(stream.fileno())
            changed = path is not None and not (os.path.exists(path) and sha256_file(path) == sha256_file(temporary))
            if path and changed:
                os.replace(temporary, path)
                fsync_directory(os.path.dirname(path))
            else:
                os.unlink(temporary)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
        finally:
            for file in self._files:
                file.close()
        return count, changed
