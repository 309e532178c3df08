# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a pass leaves for the next one. A cache: without it a pass lists every folder.

One file: a header of 4096 bytes (JSON), the folders (paths, modification and change times, where their lines end) and,
from a page's start on, the lines, one blob each, in the order of the folders. Each is checked by a CRC. The lines are
mapped, not read: a pass over a store in which nothing is new touches the folders' part only.
"""

from __future__ import annotations

import array
import bisect
import contextlib
import errno
import hashlib
import json
import mmap
import os
import re
import secrets
import typing as t
import zlib

from .._io import remove_unfinished, write_atomic
from .text import Buffer, first_line, last_line, part, pieces, release

HEADER = 4096
PAGE = mmap.ALLOCATIONGRANULARITY
BLOCK = 1 << 20
FORMAT = 2
UNTRUSTED = -1
"""The time of a folder that must be listed again."""

Header = t.Dict[str, t.Any]


class Folder(t.NamedTuple):
    """A folder as a pass found it."""

    modified: int
    changed: int
    lines: Buffer
    """Each ends in a newline; sorted."""


Changes = t.Mapping[bytes, t.Optional[Folder]]
"""The folders that a pass listed; None: it is gone."""


class State:
    """The state of the last pass, or an empty one."""

    def __init__(self) -> None:
        self.header: Header = {}
        self.paths: t.List[bytes] = []
        self.modified = array.array("q")
        self.changed = array.array("q")
        self.ends = array.array("q")
        self.text: Buffer = b""

    def span(self, index: int) -> t.Tuple[int, int]:
        """Where the lines of a folder are in the text."""
        return (self.ends[index - 1] if index else 0), self.ends[index]

    def lines(self, index: int) -> Buffer:
        """The lines of one folder."""
        return part(self.text, *self.span(index))


def _checksum(blocks: t.Iterable[bytes]) -> int:
    total = 0
    for block in blocks:
        total = zlib.crc32(block, total)
    return total


def is_whole(state: State) -> bool:
    """Whether the lines are those that were written: all of them are read."""
    return _checksum(pieces(state.text)) == state.header.get("text_crc", 0)


def _times(raw: bytes) -> array.array[int]:
    values = array.array("q")
    values.frombytes(raw)
    return values


def load(path: str) -> State:
    """Read a state; one that is missing, torn or of another format gives an empty one."""
    state = State()
    try:
        with open(path, "rb") as stream:
            checksum, body = stream.read(HEADER).split(b"\n", 1)
            body = body.rstrip(b"\0")
            header = json.loads(body)
            sizes, start = header["sizes"], header["start"]
            whole = int(checksum, 16) == zlib.crc32(body) and header["format"] == FORMAT
            if not whole or os.fstat(stream.fileno()).st_size != start + header["text"]:
                return state
            parts = [stream.read(size) for size in sizes]
            if _checksum(parts) != header["parts_crc"]:
                return state
            text: Buffer = b""
            if header["text"]:
                text = mmap.mmap(stream.fileno(), header["text"], access=mmap.ACCESS_READ, offset=start)
    except (OSError, ValueError, KeyError, TypeError):
        return state
    folders, modified, changed, ends = parts
    state.paths = folders.split(b"\n") if header["folders"] else []
    state.modified, state.changed, state.ends = _times(modified), _times(changed), _times(ends)
    state.text, state.header = text, header
    return state


def digest_of(*paths: bytes) -> str:
    """To tell paths by, however long they are: a header has room for no two of the longest."""
    return hashlib.sha256(b"\0".join(paths)).hexdigest()


def _pack(header: Header) -> bytes:
    body = json.dumps(header).encode()
    packed = f"{zlib.crc32(body):08x}\n".encode() + body
    if len(packed) > HEADER:
        raise ValueError("the header of the state does not fit")
    return packed.ljust(HEADER, b"\0")


def rewrite_header(path: str, state: State, header: Header) -> None:
    """Replace the header alone: one write within one page. Only for a state whose folders stay as they are."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.pwrite(descriptor, _pack({**state.header, **header}), 0)
    finally:
        os.close(descriptor)


def _in_order(old: t.Sequence[bytes], changes: Changes) -> t.Iterator[t.Union[t.Tuple[int, int], bytes]]:
    """What the folders are after some changes, in order: ranges of the old ones, and those that were listed."""
    position = 0
    for name in sorted(changes):
        index = bisect.bisect_left(old, name, position)
        if index > position:
            yield position, index
        position = index + (old[index : index + 1] == [name])
        if changes[name] is not None:
            yield name
    if position < len(old):
        yield position, len(old)


class _Lines:
    """Writes the lines of folders, in order, and keeps what is to be known of them."""

    def __init__(self, stream: t.IO[bytes], regular: t.Callable[[bytes, Buffer], bool]) -> None:
        self._stream = stream
        self._regular = regular
        self._last = b""
        """The last line of the last folder that is in order."""
        self.modified, self.changed, self.ends = array.array("q"), array.array("q"), array.array("q")
        self.end = self.lines = self.odd = self.checksum = 0

    def add(self, name: bytes, folder: Folder) -> None:
        """One folder."""
        text = folder.lines
        self.modified.append(folder.modified)
        self.changed.append(folder.changed)
        self.end += len(text)
        self.ends.append(self.end)
        if not text:
            return
        for piece in pieces(text):
            self._write(piece)
        if text.find(b"\t") >= 0 or not self._regular(name, text) or first_line(text) <= self._last:
            self.odd += 1
        else:
            self._last = last_line(text)

    def _write(self, text: bytes) -> None:
        self._stream.write(text)
        self.lines += text.count(b"\n")
        self.checksum = zlib.crc32(text, self.checksum)

    def add_range(self, old: State, first: int, end: int) -> None:
        """Folders of an old state, which are as they were: all at once where all of it is in order."""
        begin, stop = old.span(first)[0], old.ends[end - 1]
        text = old.text
        if old.header["odd"] or (stop > begin and text[begin : text.find(b"\n", begin)] <= self._last):
            for index in range(first, end):
                self.add(old.paths[index], Folder(old.modified[index], old.changed[index], old.lines(index)))
            return
        self.modified.extend(old.modified[first:end])
        self.changed.extend(old.changed[first:end])
        moved = self.end - begin
        self.ends.extend(array.array("q", [each + moved for each in old.ends[first:end]]))
        self.end += stop - begin
        for at in range(begin, stop, BLOCK):
            self._write(text[at : min(at + BLOCK, stop)])
            release(text)
        if stop > begin:
            self._last = text[max(begin, text.rfind(b"\n", begin, stop - 1) + 1) : stop - 1]


class Draft:
    """The state that follows from an old one and the folders that changed, in a file that has no name yet to count.

    Not synced: after a crash of the host the boot id differs, and the state is not trusted.
    """

    def __init__(self, folder: str, old: State, changes: Changes, regular: t.Callable[[bytes, Buffer], bool]) -> None:
        self.path = os.path.join(folder, f".state.{secrets.token_hex(4)}.tmp")
        self._old = old
        self._changes = changes
        self._regular = regular
        self.header: Header = {}

    def __enter__(self) -> Draft:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb", 1 << 20) as stream:
                self._write(stream)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: t.Any) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _write(self, stream: t.IO[bytes]) -> None:
        """The lines first, where they are to be; what is known after them goes before them."""
        order = list(_in_order(self._old.paths, self._changes))
        paths: t.List[bytes] = []
        for each in order:
            paths.extend(self._old.paths[slice(*each)] if isinstance(each, tuple) else [each])
        folders = b"\n".join(paths)
        sizes = [len(folders), *[array.array("q").itemsize * len(paths)] * 3]
        start = -(-(HEADER + sum(sizes)) // PAGE) * PAGE
        stream.seek(start)
        lines = _Lines(stream, self._regular)
        for each in order:
            if isinstance(each, tuple):
                lines.add_range(self._old, *each)
            else:
                lines.add(each, t.cast(Folder, self._changes[each]))
        release(self._old.text)
        self.header.update(format=FORMAT, sizes=sizes, start=start, text=lines.end, folders=len(paths))
        parts = [folders, *(times.tobytes() for times in (lines.modified, lines.changed, lines.ends))]
        self.header.update(lines=lines.lines, odd=lines.odd, parts_crc=_checksum(parts), text_crc=lines.checksum)
        stream.seek(HEADER)
        stream.writelines(parts)
        stream.write(b"\0" * (start - HEADER - sum(sizes)))
        stream.seek(0)
        stream.write(_pack(self.header))

    def read(self) -> State:
        """The state itself."""
        state = load(self.path)
        if state.header != self.header:
            raise OSError(errno.EIO, "it cannot be read back")
        return state

    def publish(self, path: str, header: Header) -> None:
        """Give it its name."""
        self.header.update(header)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            os.pwrite(descriptor, _pack(self.header), 0)
        finally:
            os.close(descriptor)
        os.replace(self.path, path)


def read_base(path: str) -> str:
    """The name of the key list that the last set was built on; empty when it is not known."""
    try:
        with open(f"{path}.base", encoding="utf-8") as stream:
            return stream.read(1000)
    except (OSError, UnicodeDecodeError):
        return ""


def write_base(path: str, name: str) -> None:
    """Remember the key list that the last set was built on."""
    if read_base(path) != name:
        folder, file = os.path.split(f"{path}.base")
        remove_unfinished(folder, re.escape(file))
        write_atomic(f"{path}.base", name.encode())
