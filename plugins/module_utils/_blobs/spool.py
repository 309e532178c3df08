# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the workers of a pass found in folders, on its way to the next state, in files."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import typing as t
import zlib

from .state import Folder
from .text import Buffer, checksum, lines_of, map_whole, not_as_written, part, pieces, release

Span = t.Tuple[int, int, int]
"""Lines of a folder: the number of the worker, where they begin in its file, where they end."""

Found = t.Tuple[int, int, Span]
"""Times and lines of a folder."""


class Seal(t.NamedTuple):
    """What a worker has written by then."""

    number: int
    end: int
    checksum: int
    failed: int
    """The number of the system's error, with which nothing of it can be read."""


RELEASE = 1 << 22
"""So many bytes of mapped files are in memory."""


def _path(folder: str, number: int) -> str:
    return os.path.join(folder, f"found.{number}")


def _mapped(path: str, seal: Seal) -> mmap.mmap:
    """What a worker has written, all of it proven."""
    with open(path, "rb") as stream:
        text = map_whole(stream, seal.end)
    if checksum(pieces(text)) != seal.checksum:
        text.close()
        raise not_as_written()
    return text


class Spool:
    """A worker's file. When it cannot be written the worker copies on, and tells of it: nothing of it can be read."""

    def __init__(self, folder: str, number: int) -> None:
        self.folder = folder
        self._path = _path(folder, number)
        self._number = number
        self._stream: t.Optional[t.IO[bytes]] = None
        self.failed = 0
        """The number of the system's error."""
        self.end = 0
        self._checksum = 0

    def write(self, text: bytes) -> None:
        """Append to it."""
        self.end += len(text)
        self._checksum = zlib.crc32(text, self._checksum)
        if self.failed:
            return
        with self._noting():
            if self._stream is None:
                self._stream = open(self._path, "xb", buffering=1 << 16)  # noqa: SIM115 - until the worker ends
            self._stream.write(text)

    def since(self, first: int) -> Span:
        """What was written from a position on."""
        return self._number, first, self.end

    def flush(self) -> Seal:
        """Let all of it be in the file."""
        if self._stream is not None and not self.failed:
            with self._noting():
                self._stream.flush()
        return Seal(self._number, self.end, self._checksum, self.failed)

    def read(self, span: Span) -> t.Iterator[bytes]:
        """Lines that were written, without their newlines."""
        seal = self.flush()
        if span[1] == span[2] or self.failed:
            return
        with _mapped(self._path, seal) as text:
            for line in lines_of(part(text, *span[1:])):
                yield line[:-1]

    @contextlib.contextmanager
    def _noting(self) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failed = error.errno or errno.EIO


class Rewriting:
    """The lines of one folder as they come: those of the state as long as nothing differs, which costs nothing."""

    def __init__(self, old: Buffer, spool: Spool) -> None:
        self._old = old
        self._spool = spool
        self._at = 0
        self._first: t.Optional[int] = None

    @property
    def same(self) -> bool:
        """Whether all are those of the state, so far."""
        return self._first is None

    def put(self, upto: int, text: bytes) -> None:
        """Take lines in place of those of the state that end before a position."""
        as_long = len(text) == upto - self._at
        if self._first is None and not (as_long and text == bytes(self._old[self._at : upto])):
            self._begin()
        if self._first is not None:
            self._spool.write(text)
        self._at = upto

    def keep(self) -> None:
        """Take those of the state that are left."""
        self._at = len(self._old)

    def _begin(self) -> None:
        self._first = self._spool.end
        for piece in pieces(part(self._old, 0, self._at)):
            self._spool.write(piece)

    def written(self) -> Span:
        """All lines."""
        if self._first is None:
            self._begin()
        return self._spool.since(t.cast(int, self._first))


class Findings(t.Mapping[bytes, t.Optional[Folder]]):
    """What all workers found, by folder; None: it is gone. Read from their files, which they have left by then."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._seals: t.Dict[int, Seal] = {}
        self._found: t.Dict[bytes, t.Optional[Found]] = {}
        self._files: t.Dict[int, mmap.mmap] = {}
        self._read = 0

    def seal(self, seal: Seal) -> None:
        """What a worker has written up to now."""
        self._seals[seal.number] = seal

    def keep(self, path: bytes, found: t.Optional[Found]) -> None:
        """Of two of one folder the later counts."""
        self._found[path] = found

    def __getitem__(self, path: bytes) -> t.Optional[Folder]:
        found = self._found[path]
        return found and Folder(*found[:2], self._text(found[2]))

    def __iter__(self) -> t.Iterator[bytes]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def _text(self, span: Span) -> Buffer:
        number, first, end = span
        seal = self._seals[number]
        if seal.failed:
            raise OSError(seal.failed, os.strerror(seal.failed))
        if first == end:
            return b""
        text = self._files.get(number)
        if text is None:
            text = self._files[number] = _mapped(_path(self.folder, number), seal)
        self._read += end - first
        if self._read > RELEASE:
            self._read = 0
            for each in self._files.values():
                release(each)
        return part(text, first, end)

    def close(self) -> None:
        """Let go of the files, and forget all."""
        self._found.clear()
        for text in self._files.values():
            text.close()
        self._files.clear()
