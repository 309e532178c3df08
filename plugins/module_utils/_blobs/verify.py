# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: pool or store, read again: does each blob still have the bytes that its name says."""

from __future__ import annotations

import itertools
import os
import typing as t
import zlib

from .._progress import Progress
from . import keylist, names
from .errors import SHOWN
from .pool import Digest, Source, read_digest
from .tally import BLOBS, BYTES, Tally
from .workers import Workers

CHUNK = 1024


class Verdict(t.NamedTuple):
    """What was read and what was wrong."""

    checked: int
    size: int
    rotten: t.List[t.Tuple[bytes, bytes]]
    """Keys of blobs with other bytes, and their names in the pool."""
    unread: t.List[t.Tuple[bytes, str]]
    """Keys of blobs that cannot be read, or have no digest, and why."""
    missing: t.List[bytes]

    def result(self) -> t.Dict[str, t.Any]:
        """The values of the module's result."""
        wrong = [key for key, _more in (*self.rotten, *self.unread)]
        return {
            "checked": self.checked,
            "bytes": self.size,
            "rotten": _first(wrong),
            "missing": _first(self.missing),
            "rotten_count": len(wrong),
            "missing_count": len(self.missing),
        }

    def in_words(self) -> str:
        """What is wrong; empty when nothing is."""
        unread = sorted(f"{names.shown(key)}: {why}" for key, why in self.unread)[:SHOWN]
        found = [
            (len(self.rotten), "rotten", ", ".join(_first([key for key, _name in self.rotten]))),
            (len(self.unread), "not proven", "; ".join(unread)),
            (len(self.missing), "missing", ", ".join(_first(self.missing))),
        ]
        return ", ".join(f"{count} {what} ({which})" for count, what, which in found if count)


def _first(keys: t.Sequence[bytes]) -> t.List[str]:
    return sorted(map(names.shown, keys))[:SHOWN]


class Subject(t.NamedTuple):
    """What is read."""

    reader: t.Callable[[], t.Union[Source, StoreSource]]
    all_names: t.Callable[[], t.Iterator[bytes]]


class StoreSource:
    """A blob store, read as a pool is: for blobs whose key is the name."""

    def __init__(self, data: bytes, depth: int) -> None:
        self.data = data
        self.depth = depth

    def digests(self, wanted: t.Sequence[t.Tuple[bytes, str]]) -> t.Iterator[Digest]:
        """Read blobs by their keys."""
        for key, algorithm in wanted:
            yield read_digest(os.path.join(self.data, names.folder_of(key, self.depth), key), algorithm)


class Reader:
    """A worker: a task is a list of lines; the result is counts and what is wrong."""

    def __init__(self, source: t.Union[Source, StoreSource], tally: memoryview) -> None:
        self.source = source
        self.tally = tally
        self.done: t.List[t.Any] = []

    def handle(self, task: t.Any) -> None:
        size = 0
        rotten: t.List[t.Tuple[bytes, bytes]] = []
        unread: t.List[t.Tuple[bytes, str]] = []
        missing: t.List[bytes] = []
        by_key = isinstance(self.source, StoreSource)
        entries = [names.parse(line) for line in task]
        asked = [(entry.key if by_key else entry.pool_name, names.algorithm_of(entry.pool_name)) for entry in entries]
        said = iter(self.source.digests([(name, algorithm) for name, algorithm in asked if algorithm]))
        for entry, (_name, algorithm) in zip(entries, asked):
            found = next(said) if algorithm else "it has no digest"
            if found is None:
                missing.append(entry.key)
            elif isinstance(found, str):
                unread.append((entry.key, found))
            elif found[0].encode() != entry.pool_name:
                rotten.append((entry.key, entry.pool_name))
            else:
                size += found[1]
                self.tally[BYTES] += found[1]
            self.tally[BLOBS] += 1
        self.done.append((len(task), size, rotten, unread, missing))

    def take(self, flush: bool) -> t.List[t.Any]:
        said, self.done = self.done, []
        return said

    def holds(self) -> bool:
        return bool(self.done)


def sample(lines: t.Iterator[bytes], part: int, parts: int) -> t.Iterator[bytes]:
    """One part of the blobs: by the folder of the pool, so that all parts are everything, whatever is added."""
    if parts == 1:
        yield from lines
        return
    for line in lines:
        if zlib.crc32(names.parse(line).pool_name[:4]) % parts == part - 1:
            yield line


def verify(
    what: Subject,
    *,
    keys: t.Optional[str],
    subset: t.Tuple[int, int],
    jobs: int,
    progress: Progress,
) -> Verdict:
    """Read blobs again."""
    chosen = sample(keylist.read_lines(keys) if keys else what.all_names(), *subset)
    checked = size = 0
    rotten: t.List[t.Tuple[bytes, bytes]] = []
    unread: t.List[t.Tuple[bytes, str]] = []
    missing: t.List[bytes] = []
    tally = Tally(jobs)
    total = keylist.read_about(keys).get("keys") if keys and subset == (1, 1) else None  # else it is not known
    progress.counted = lambda: {"done": tally.sum(BLOBS), "total": total, "bytes_read": tally.sum(BYTES)}
    with Workers(jobs, lambda number: Reader(what.reader(), tally.of(number))) as workers, progress as told:
        workers.source = iter(lambda: list(itertools.islice(chosen, CHUNK)), [])
        for count, read, bad, closed, gone in workers.results():
            checked += count
            size += read
            rotten += bad
            unread += closed
            missing += gone
            told.check()
    return Verdict(checked, size, rotten, unread, missing)
