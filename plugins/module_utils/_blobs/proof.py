# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the list of all keys that a pass found, and what the database asks for beside it."""

from __future__ import annotations

import heapq
import mmap
import os
import tempfile
import typing as t

from . import keylist, names
from .errors import BlobError, os_reason
from .options import Options
from .state import Buffer, Folder, State
from .store import Store


def _cut(line: bytes) -> bytes:
    """A line of the state as a line of a list: without the third field."""
    return line if b"\t" not in line else b"\t".join(line.split(b"\t")[:2])


class Listing:
    """All keys of a store in one sorted text, in a temporary file that is mapped: no list of a million objects."""

    def __init__(self, state: State, changed: t.Mapping[bytes, t.Optional[Folder]], depth: int) -> None:
        self._file = tempfile.TemporaryFile(buffering=1 << 20)  # noqa: SIM115 - closed by __exit__
        self.text: Buffer = b""
        self.count = 0
        self._state = state
        self._changed = changed
        self._depth = depth
        self._odd: t.List[bytes] = []

    def __enter__(self) -> Listing:
        if not self._changed and not any(b"\t" in self._state.lines(n) for n in range(min(1, len(self._state.paths)))):
            self._write_lines(iter([bytes(self._state.text[self._state.start :])]))
        else:
            self._write_lines(self._folders())
        return self

    def __exit__(self, *_: t.Any) -> None:
        if isinstance(self.text, mmap.mmap):
            self.text.close()
        self._file.close()

    def _folders(self) -> t.Iterator[bytes]:
        """The lines of all folders that keep the order; those of the others are put aside."""
        known = {name: index for index, name in enumerate(self._state.paths)}
        last = b""
        for name in sorted({*known, *self._changed}):
            folder = self._changed.get(name, known.get(name))
            if folder is None:
                continue
            text = self._state.lines(folder) if isinstance(folder, int) else folder.lines
            if not text:
                continue
            first, final = text[: text.index(b"\n")], text[text.rfind(b"\n", 0, -1) + 1 : -1]
            prefix = name.replace(b"/", b"")
            level = name.count(b"/") + 1 if name else 0
            if level != self._depth or not (first.startswith(prefix) and final.startswith(prefix)) or first <= last:
                self._odd.extend(text.splitlines())
                continue
            last = final
            yield text

    def _write_lines(self, texts: t.Iterator[bytes]) -> None:
        for whole in texts:
            text = whole
            if b"\t" in whole:
                text = b"".join(_cut(line) + b"\n" for line in whole.splitlines())
            self._file.write(text)
            self.count += text.count(b"\n")
        self._map()
        if self._odd:
            self.add(sorted(_cut(line) for line in self._odd))

    def _map(self) -> None:
        self._file.flush()
        size = os.fstat(self._file.fileno()).st_size
        self.text = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ) if size else b""

    def add(self, lines: t.Sequence[bytes]) -> None:
        """Merge further lines, sorted; of two with one key the first stays."""
        if not lines:
            return
        old, self._file = self._file, tempfile.TemporaryFile(buffering=1 << 20)  # noqa: SIM115
        old.seek(0)
        self.count = 0
        last = None
        for line in heapq.merge(old, (line + b"\n" for line in lines)):
            key = line.rstrip(b"\n").split(b"\t")[0]
            if key != last:
                self._file.write(line)
                self.count += 1
            last = key
        old.close()
        self._map()


def _wanted(options: Options) -> t.Iterator[bytes]:
    """The keys of the database that belong to this store."""
    path = t.cast(str, options.required)
    own = options.provider.encode() + b":"
    try:
        with open(path, "rb") as stream:
            for line in stream:
                key = line.rstrip(b"\n")
                if key.startswith(own):
                    yield key[len(own) :]
                elif b":" not in key and options.default_provider and key:
                    yield key
    except OSError as error:
        raise BlobError(f"Reading of the keys that the database refers to in '{path}'", os_reason(error)) from error


def missing(listing: Listing, options: Options) -> t.List[bytes]:
    """The keys that the database refers to and the listing does not hold, sorted."""
    with tempfile.TemporaryFile(buffering=1 << 20) as stream:
        last = b""
        late = set()
        for key in _wanted(options):
            if key < last:
                late.add(key)
            elif key != last:
                stream.write(key + b"\n")
                last = key
        stream.flush()
        if not stream.tell():
            return []
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as wanted:
            absent = set(keylist.difference(_keys_only(listing), wanted)[0]) | late
    return sorted(key for key in absent if not _holds(listing.text, key))


def _keys_only(listing: Listing) -> Buffer:
    """The listing without the second field."""
    if listing.text.find(b"\t") < 0:
        return listing.text
    return b"".join(line.split(b"\t")[0] + b"\n" for line in bytes(listing.text).splitlines())


def _holds(text: Buffer, key: bytes) -> bool:
    """Whether a sorted list has a key, by bisection."""
    size = len(text)
    at = keylist.position(text, key)
    end = keylist.line_end(text, at, size) if at < size else at
    return bytes(text[at:end]).rstrip(b"\n").split(b"\t")[0] == key


def second_look(
    wanted: t.Sequence[bytes], store: Store, state: State, pool: bytes, options: Options
) -> t.Tuple[t.List[bytes], t.List[bytes]]:
    """Keys that the listing lacks: those that the pool has all the same (they vanished), and those that are gone."""
    there: t.List[bytes] = []
    gone: t.List[bytes] = []
    asked = set(wanted)
    before: t.Dict[bytes, bytes] = {}
    if asked and (options.kind != "digest" or any(not names.algorithm_of(key) for key in asked)):
        for index in range(len(state.paths)):
            for line in state.lines(index).splitlines():
                entry = names.parse(line)
                if entry.key in asked:
                    before[entry.key] = entry.sha256
    for key in wanted:
        sha = before.get(key, b"")
        name = sha or (key if options.kind == "digest" and names.algorithm_of(key) else b"")
        if name and os.path.isfile(pool + b"/" + names.pool_path(name)):
            there.append(key + b"\t" + sha if sha else key)
        else:
            gone.append(key)
    return there, gone
