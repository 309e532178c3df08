# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the list of all keys that a pass found, and what the database asks for beside it."""

from __future__ import annotations

import contextlib
import heapq
import mmap
import os
import re
import shutil
import tempfile
import typing as t

from . import keylist, names
from .errors import SHOWN, BlobError, os_reason
from .options import Options
from .state import State
from .text import Buffer, Sorter, first_line, last_line, line_end, lines_of, position, release, unmap


def in_order(depth: int) -> t.Callable[[bytes, Buffer], bool]:
    """Whether the lines of a folder are where Nuxeo looks for them: then the order of folders is that of keys."""

    def regular(name: bytes, text: Buffer) -> bool:
        level = name.count(b"/") + 1 if name else 0
        prefix = name.replace(b"/", b"")
        if level != depth or len(prefix) != 2 * depth:
            return False
        return first_line(text).startswith(prefix) and last_line(text).startswith(prefix)

    return regular


def _cut(line: bytes) -> bytes:
    """A line of the state as a line of a list: without the third field."""
    return line if b"\t" not in line else b"\t".join(line.rstrip(b"\n").split(b"\t")[:2]) + b"\n"


def _parted(line: bytes, folder: bytes, depth: int) -> bytes:
    """A line of a list to be sorted among those of other folders: what its folder says of it stands behind the key."""
    key = _key(line)
    return b"%b\0%d%b" % (key, folder != names.folder_of(key, depth), _cut(line)[len(key) :])


def _joined(line: bytes) -> bytes:
    """The line that was parted."""
    key, _zero, rest = line.partition(b"\0")
    return key + rest[1:]


def _key(line: bytes) -> bytes:
    """What a line of a list is ordered by: a tab and a newline come before all that a key may hold."""
    return line.rstrip(b"\n").partition(b"\t")[0]


@contextlib.contextmanager
def working_folder(folder: str, prefix: str) -> t.Iterator[str]:
    """A folder for temporary files, where others of that prefix are of killed passes, each as large as the state.

    What cannot be removed at the end is left to the next pass: NFS keeps what one that has failed has still open.
    """
    if folder:
        left = re.compile(re.escape(prefix) + "[a-z0-9_]{8}")
        for name in filter(left.fullmatch, os.listdir(folder)):
            shutil.rmtree(os.path.join(folder, name))
    path = tempfile.mkdtemp(dir=folder or None, prefix=prefix)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Listing:
    """All keys of a store in one sorted text: that of the state, when it is in order, else a temporary file.

    Never a list of a million objects: what is in memory is mapped, and the kernel may drop it.
    """

    def __init__(self, state: State, depth: int, folder: str) -> None:
        self.folder = folder
        self.text: Buffer = state.text
        self.count = int(state.header.get("lines", 0))
        self._file: t.Optional[t.IO[bytes]] = None
        if state.header.get("odd"):
            self._sort(state, depth)

    def _sort(self, state: State, depth: int) -> None:
        """Of two with one key that counts which lies where Nuxeo looks for it: it is the first of them."""
        odd = Sorter(self.folder)
        try:
            self._replace(self._regular_lines(state, depth, odd))
            self._merge(lines_of(self.text), map(_joined, odd.lines()))
        finally:
            odd.close()

    @staticmethod
    def _regular_lines(state: State, depth: int, odd: Sorter) -> t.Iterator[bytes]:
        regular = in_order(depth)
        last = b""
        for index, name in enumerate(state.paths):
            text = state.lines(index)
            if not text:
                continue
            if not regular(name, text) or first_line(text) <= last:
                odd.add(_parted(line, name, depth) for line in lines_of(text))
                continue
            last = last_line(text)
            yield from map(_cut, lines_of(text))

    def _replace(self, lines: t.Iterable[bytes]) -> None:
        """Take other lines; of two with one key the first stays."""
        stream = tempfile.TemporaryFile(dir=self.folder, buffering=1 << 20)  # noqa: SIM115 - closed by close()
        self.count = 0
        last = None
        for line in lines:
            key = _key(line)
            if key != last:
                stream.write(line)
                self.count += 1
            last = key
        stream.flush()
        os.fsync(stream.fileno())  # else a volume need not tell that it lost some of it
        size = stream.tell()
        self.close()
        self._file = stream
        self.text = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) if size else b""

    def add(self, lines: t.Sequence[bytes], over: bool = False) -> None:
        """Merge further lines, sorted by their keys; what is there stays, or with ``over`` makes room for them."""
        if lines:
            both = [lines_of(self.text), iter([line + b"\n" for line in lines])]
            self._merge(*(reversed(both) if over else both))

    def _merge(self, *lines: t.Iterable[bytes]) -> None:
        self._replace(heapq.merge(*lines, key=_key))

    def names_of(self, keys: t.Iterable[bytes]) -> t.Dict[bytes, bytes]:
        """Under which names the pool has some keys, of those that are in the list."""
        found = {}
        for key in keys:
            line = _line_of(self.text, key)
            if line:
                found[key] = names.parse(line).pool_name
        release(self.text)
        return found

    def close(self) -> None:
        """Give the temporary file back, if there is one: nothing of it can be read after this."""
        if self._file is not None:
            unmap(self.text)
            self._file.close()
            self._file = None


def _wanted(options: Options) -> t.Iterator[t.Tuple[bytes, bool]]:
    """The keys of the database that may belong to this store, and whether they do for certain.

    A record's key holds a colon where its path does. So what stands before the first colon is another store only when
    there is one of that name; else the key may be one of the default store.
    """
    path = t.cast(str, options.required)
    own = options.provider.encode() + b":"
    others = {name.encode() for name in options.other_providers}
    try:
        with open(path, "rb") as stream:
            for line in stream:
                key = line.rstrip(b"\n")
                first, colon, _rest = key.partition(b":")
                if key.startswith(own):
                    yield key[len(own) :], True
                elif key and options.default_provider and first not in (others if colon else ()):
                    yield key, not colon
    except OSError as error:
        why = os_reason(error)
        raise BlobError(f"Reading of the keys that the database refers to in '{path}'", why, "Dump it again") from error


def missing(text: Buffer, options: Options, folder: t.Optional[str] = None) -> t.List[bytes]:
    """The keys that the database refers to and a list does not hold, sorted; also those that may be of this store."""
    with tempfile.TemporaryFile(dir=folder, buffering=1 << 20) as stream:
        for key, _certain in _wanted(options):
            stream.write(key + b"\n")
        stream.flush()
        if not stream.tell():
            return []
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as wanted:
            absent = set(keylist.difference(_keys_only(text, folder), wanted)[0])
    return sorted(key for key in absent if not _line_of(text, key))  # of keys out of order some are there


def told_apart(gone: t.Sequence[bytes], options: Options) -> t.Tuple[t.List[bytes], t.List[str]]:
    """Of keys that are nowhere: those of this store, and which other stores the rest must be of, at most some."""
    doubtful = {key for key in gone if b":" in key}
    if doubtful:
        doubtful -= {key for key, certain in _wanted(options) if certain}
    stores = sorted({names.shown(key.partition(b":")[0]) for key in doubtful})
    return [key for key in gone if key not in doubtful], stores[:SHOWN]


def _keys_only(text: Buffer, folder: t.Optional[str]) -> Buffer:
    """A list without its second field."""
    if text.find(b"\t") < 0:
        return text
    with tempfile.TemporaryFile(dir=folder, buffering=1 << 20) as stream:
        for line in lines_of(text):
            stream.write(_key(line) + b"\n")
        stream.flush()
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _line_of(text: Buffer, key: bytes) -> bytes:
    """The line of a key in a sorted list, by bisection; nothing where there is none."""
    size = len(text)
    at = position(text, key)
    line = bytes(text[at : line_end(text, at, size)]) if at < size else b""
    return line.rstrip(b"\n") if line and _key(line) == key else b""


def earlier(wanted: t.Sequence[bytes], state: State) -> t.Dict[bytes, bytes]:
    """Under which SHA-256 an earlier pass has put some keys: a record may have gone since."""
    asked = set(wanted)
    found: t.Dict[bytes, bytes] = {}
    if not asked or state.text.find(b"\t") < 0:
        return found
    for index in range(len(state.paths)):
        for line in lines_of(state.lines(index)):
            entry = names.parse(line.rstrip(b"\n"))
            if entry.sha256 and entry.key in asked:
                found[entry.key] = entry.sha256
    return found


def pool_lines(wanted: t.Sequence[bytes], state: State, content_named: bool) -> t.List[t.Tuple[bytes, bytes]]:
    """For keys that the listing lacks: the line and the name that the pool would have it under, where one is known."""
    before = earlier(wanted, state)
    found = []
    for key in wanted:
        sha = before.get(key, b"")
        if sha:
            found.append((key + b"\t" + sha, sha))
        elif not content_named and names.algorithm_of(key):
            found.append((key, key))
    return found


def file_of(data: bytes, key: bytes, depth: int) -> bytes:
    """Where the store has a key."""
    return os.path.join(data, names.folder_of(key, depth), key)
