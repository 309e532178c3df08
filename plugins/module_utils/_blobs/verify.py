# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: pool or store, read again: does each blob still have the bytes that its name says."""

from __future__ import annotations

import itertools
import os
import secrets
import typing as t
import zlib

from .._io import fsync_directory, write_atomic
from .._progress import Progress
from . import keylist, names
from .copier import SourceError, Vanished, hash_file
from .errors import SHOWN, BlobError, os_reason
from .workers import Workers

CHUNK = 1024
GENERATION = ".generation"
ASIDE = ".rotten"


class Verdict(t.NamedTuple):
    """What was read and what was wrong."""

    checked: int
    bytes: int
    rotten: t.List[str]
    missing: t.List[str]
    rotten_count: int
    missing_count: int


class Reader:
    """A worker: a task is a list of lines; the result is counts and what is wrong."""

    def __init__(self, root: bytes, depth: t.Optional[int]) -> None:
        self.root = root
        self.depth = depth
        self.done: t.List[t.Any] = []

    def handle(self, task: t.Any) -> None:
        size = 0
        rotten: t.List[t.Tuple[bytes, bytes]] = []
        missing: t.List[bytes] = []
        for line in task:
            entry = names.parse(line)
            try:
                size += self._one(entry)
            except Vanished:
                missing.append(entry.key)
            except SourceError:
                rotten.append((entry.key, entry.pool_name))
        self.done.append((len(task), size, rotten, missing))

    def _one(self, entry: names.Entry) -> int:
        algorithm = "sha256" if entry.sha256 else names.algorithm_of(entry.key)
        if self.depth is None:
            path = names.pool_path(entry.pool_name)
        else:
            path = names.folder_of(entry.key, self.depth) + b"/" + entry.key
        if algorithm is None:
            raise SourceError("no digest")
        digest, size = hash_file(self.root + b"/" + path, algorithm)
        if digest.encode() != entry.pool_name:
            raise SourceError("another digest")
        return size

    def take(self, flush: bool) -> t.List[t.Any]:
        said, self.done = self.done, []
        return said

    def holds(self) -> bool:
        return bool(self.done)


def pool_lines(pool: bytes) -> t.Iterator[bytes]:
    """The names of all blobs in a pool, as lines of a list: each is the digest of its bytes."""
    try:
        for first in sorted(os.listdir(pool)):
            if first.startswith(b"."):
                continue
            for second in sorted(os.listdir(pool + b"/" + first)):
                yield from sorted(os.listdir(pool + b"/" + first + b"/" + second))
    except OSError as error:
        raise BlobError(f"Reading of pool '{os.fsdecode(pool)}'", os_reason(error), "Mount its volume") from error


def sample(lines: t.Iterator[bytes], part: int, parts: int) -> t.Iterator[bytes]:
    """One part of the blobs: by the folder of the pool, so that all parts are everything, whatever is added."""
    if parts == 1:
        yield from lines
        return
    for line in lines:
        if zlib.crc32(names.parse(line).pool_name[:4]) % parts == part - 1:
            yield line


def set_aside(pool: bytes, rotten: t.Sequence[t.Tuple[bytes, bytes]]) -> None:
    """Take rotten blobs out of the pool, so that the next pass copies them again. They are kept, to be looked at."""
    if rotten:
        os.makedirs(pool + b"/" + os.fsencode(ASIDE), 0o700, exist_ok=True)
    for _key, name in rotten:
        target = pool + b"/" + os.fsencode(ASIDE) + b"/" + name + b"." + secrets.token_hex(4).encode()
        os.rename(pool + b"/" + names.pool_path(name), target)
    write_atomic(os.path.join(os.fsdecode(pool), GENERATION), secrets.token_hex(8).encode())
    fsync_directory(os.fsdecode(pool))


def verify(
    root: str,
    *,
    keys: t.Optional[str],
    depth: t.Optional[int],
    subset: t.Tuple[int, int],
    jobs: int,
    heal: bool,
    progress: Progress,
) -> Verdict:
    """Read blobs again. ``depth`` None: a pool; else a store. With ``heal`` rotten ones are taken out of the pool."""
    place = os.fsencode(root)
    lines = keylist.read_lines(keys) if keys else pool_lines(place)
    chosen = sample(lines, *subset)
    checked = size = 0
    rotten: t.List[t.Tuple[bytes, bytes]] = []
    missing: t.List[bytes] = []
    with Workers(jobs, lambda number: Reader(place, depth)) as workers, progress:
        workers.source = iter(lambda: list(itertools.islice(chosen, CHUNK)), [])
        for count, read, bad, gone in workers.results():
            checked += count
            size += read
            rotten += bad
            missing += gone
            progress.update(checked)
            progress.check()
    if heal and (rotten or missing):
        try:
            set_aside(place, rotten)
        except OSError as error:
            raise BlobError(f"Setting aside of rotten blobs in '{root}'", os_reason(error)) from error
    shown = sorted(names.shown(key) for key, _name in rotten)[:SHOWN], sorted(map(names.shown, missing))[:SHOWN]
    return Verdict(checked, size, *shown, len(rotten), len(missing))
