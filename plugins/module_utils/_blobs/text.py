# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: sorted texts, one blob to a line, as large as they may be: nothing holds all of one.

What is in a file is mapped; what is read of it is given back to the kernel piece by piece.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import mmap
import os
import tempfile
import typing as t
import zlib

WINDOW = 1 << 18
"""How much of a mapped text is in memory."""

BLOCK = 1 << 16
"""How much of one of several, which are read side by side."""

MANY = 1 << 15
"""How many lines are in memory at once."""


T = t.TypeVar("T")


class Part:
    """A part of a mapped text, without a copy of it."""

    def __init__(self, text: mmap.mmap, first: int, end: int) -> None:
        self.text = text
        self.first = first
        self.end = end

    def __len__(self) -> int:
        return self.end - self.first

    def __getitem__(self, where: slice) -> bytes:
        first, end, _step = where.indices(len(self))
        return self.text[self.first + first : self.first + end]

    def find(self, wanted: bytes, start: int = 0, end: t.Optional[int] = None) -> int:
        """As that of bytes, of positions from 0 to the length."""
        return self._of(self.text.find(wanted, self.first + start, self._end(end)))

    def rfind(self, wanted: bytes, start: int = 0, end: t.Optional[int] = None) -> int:
        """As that of bytes."""
        return self._of(self.text.rfind(wanted, self.first + start, self._end(end)))

    def _end(self, end: t.Optional[int]) -> int:
        return self.end if end is None else min(self.first + end, self.end)

    def _of(self, found: int) -> int:
        return found - self.first if found >= 0 else found


Buffer = t.Union[bytes, mmap.mmap, Part]


def part(text: Buffer, first: int, end: int) -> Buffer:
    """A part of a text; small ones are copied."""
    if end - first <= WINDOW or isinstance(text, bytes):
        return bytes(text[first:end])
    if isinstance(text, Part):
        return Part(text.text, text.first + first, text.first + end)
    return Part(text, first, end)


def release(text: Buffer) -> None:
    """Let the kernel have back what was read of a mapped text: until then it counts as memory of this process."""
    mapped = text.text if isinstance(text, Part) else text
    if isinstance(mapped, mmap.mmap):
        mapped.madvise(mmap.MADV_DONTNEED)


def pieces(text: Buffer) -> t.Iterator[bytes]:
    """All of a text, piece by piece."""
    for at in range(0, len(text), WINDOW):
        yield bytes(text[at : at + WINDOW])
        release(text)


def map_whole(stream: t.IO[bytes], end: int) -> mmap.mmap:
    """Map what was written to a file, up to an end that is not 0."""
    if os.fstat(stream.fileno()).st_size < end:
        raise not_as_written()
    return mmap.mmap(stream.fileno(), end, access=mmap.ACCESS_READ)


def checksum(some: t.Iterable[bytes], before: int = 0) -> int:
    """CRC-32 of a text that goes on after a part of that checksum."""
    for each in some:
        before = zlib.crc32(each, before)
    return before


def not_as_written() -> OSError:
    """NFS may take what it cannot keep, and tell only who closes the file: its server has no room, or is gone."""
    return OSError(errno.EIO, "what was written there cannot be read back")


def as_written(lines: t.Iterable[bytes], expected: int) -> t.Iterator[bytes]:
    """Lines of which the checksum is known; an error at their end if it is another."""
    seen = 0
    for line in lines:
        seen = zlib.crc32(line, seen)
        yield line
    if seen != expected:
        raise not_as_written()


def unmap(text: Buffer) -> None:
    """Let go of a file: NFS keeps one that is removed while it is mapped, and the folder that it is in."""
    if isinstance(text, mmap.mmap):
        text.close()


def line_end(text: Buffer, at: int, size: int) -> int:
    """The end of the line that holds a position."""
    end = text.find(b"\n", at)
    return size if end < 0 else end + 1


def first_line(text: Buffer) -> bytes:
    """The first line of a text that is not empty, without its newline."""
    return bytes(text[: line_end(text, 0, len(text))]).rstrip(b"\n")


def last_line(text: Buffer) -> bytes:
    """The last line of a text that is not empty, without its newline."""
    return bytes(text[text.rfind(b"\n", 0, len(text) - 1) + 1 :]).rstrip(b"\n")


def lines_of(text: Buffer) -> t.Iterator[bytes]:
    """Each line of a text, with its newline."""
    at, size = 0, len(text)
    while at < size:
        end = line_end(text, min(at + BLOCK, size - 1), size)
        some = bytes(text[at:end])
        release(text)
        yield from some.splitlines(keepends=True)
        at = end


def position(text: Buffer, line: bytes, low: int = 0) -> int:
    """The position of the first line that is not before a line, searched from ``low`` on. The line has no newline."""
    size = high = len(text)
    while low < high:
        middle = (low + high) // 2
        start = max(text.rfind(b"\n", 0, middle) + 1 if middle else 0, low)
        end = line_end(text, start, size)
        if bytes(text[start:end]).rstrip(b"\n") < line:
            low = end
        else:
            high = start
    return low


def by_many(each: t.Iterable[T]) -> t.Iterator[t.List[T]]:
    """So many at a time as may be in memory at once."""
    rest = iter(each)
    return iter(lambda: list(itertools.islice(rest, MANY)), [])


class Sorter:
    """Puts lines in order, however many: those that are too many for memory wait in a file. Each has its newline."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lines: t.List[bytes] = []
        self._file: t.Optional[t.IO[bytes]] = None
        self._runs: t.List[t.Tuple[int, int, int]] = []
        """Where each begins and ends, and its checksum."""

    def add(self, lines: t.Iterable[bytes]) -> None:
        """Take further lines."""
        for some in by_many(lines):
            self._lines.extend(some)
            if len(self._lines) >= MANY:
                self._set_apart()

    def _set_apart(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=WINDOW)  # noqa: SIM115 - closed by close()
        first = self._file.tell()
        self._lines.sort()
        self._file.writelines(self._lines)
        self._file.flush()
        self._runs.append((first, self._file.tell(), checksum(self._lines)))
        self._lines = []

    def lines(self) -> t.Iterator[bytes]:
        """All lines, in order; none can be added after this."""
        self._lines.sort()
        if self._file is None:
            yield from self._lines
            return
        with map_whole(self._file, self._runs[-1][1]) as text:
            runs = [as_written(lines_of(Part(text, first, end)), expected) for first, end, expected in self._runs]
            yield from heapq.merge(*runs, self._lines)

    def close(self) -> None:
        """Give the file back, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None
