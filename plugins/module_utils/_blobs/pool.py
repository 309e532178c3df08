# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the pool as a pass sees it. One on this host is here; one on another is in ``remote``.

A :class:`Home` is the pool as a whole: its lock, its identity. A :class:`Shelf` is what one worker puts blobs on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import typing as t

from . import disk, names
from .copier import Changed, Copier, SourceError, Vanished, hash_file, look_at
from .errors import BlobError, os_reason
from .holding import all_names, folders, is_held, local_look
from .lock import Lock
from .waiting import TEMPORARY as SUFFIX
from .waiting import sweep

GENERATION = ".generation"
"""Changed by whoever takes something out of the pool: the next pass then looks for every name."""

TEMPORARY = ".tmp"
ASIDE = ".rotten"

Rejected = t.List[t.Tuple[bytes, str]]


class Home(t.Protocol):
    """A pool as a whole."""

    remote: bool

    @property
    def connecting(self) -> bool:
        """Whether whoever asks it something has to wait for the way there first."""

    def look(self) -> t.Dict[str, t.Any]:
        """What it is: ``place`` (device and inode, empty when missing), ``above`` (those above it), ``generation``."""

    def begin(self) -> None:
        """Make it, lock it, clear what a killed run has left."""

    def sync(self) -> None:
        """All names are durable after this."""

    def lacking(self, wanted: t.Sequence[bytes]) -> t.Set[bytes]:
        """Which of some names it does not have."""

    def ping(self) -> None:
        """Say that this run lives."""

    def all_names(self) -> t.Iterator[bytes]:
        """Every blob in it, sorted."""

    def set_aside(self, rotten: t.Sequence[bytes]) -> None:
        """Take out what is still rotten, so that the next pass copies it again. It is kept, to be looked at."""

    def end(self) -> None:
        """Give up the lock."""


class Shelf(t.Protocol):
    """Where one worker puts blobs."""

    def lacking(self, wanted: t.Sequence[bytes], full: bool) -> t.Set[bytes]:
        """Which of some names, sorted, the pool does not have. With ``full`` most are asked for."""

    def copy(self, source: bytes, name: bytes, algorithm: str) -> int:
        """Copy a blob; its size. Raises SourceError at once, or rejects it at the next commit."""

    def store(self, source: bytes) -> t.Tuple[bytes, int]:
        """Copy a blob under the SHA-256 of its bytes; that, and its size."""

    @property
    def full(self) -> bool:
        """Whether it is time for :meth:`advance`."""

    @property
    def last(self) -> int:
        """The number of the group of the blob that was copied last."""

    @property
    def named(self) -> int:
        """How many groups have their names: those with smaller numbers."""

    def advance(self) -> Rejected:
        """Go on towards names for full groups, without waiting. Returns the names that turned out wrong, and why."""

    def commit(self) -> Rejected:
        """Data first, then names, of all groups. Returns as :meth:`advance`."""


Digest = t.Union[t.Tuple[str, int], str, None]
"""Digest and size of a blob; or why there are none; None when it is missing."""

Outcome = t.Union[t.Tuple[str, int], SourceError, Vanished]
Took = t.Callable[[bytes, Outcome], None]


class Source(t.Protocol):
    """What one worker reads from a pool."""

    def fetch(self, wanted: t.Sequence[t.Tuple[bytes, str]], copier: t.Optional[Copier], took: Took) -> None:
        """Copy blobs to temporary files; tell of each its digest and size, or why there are none."""

    def digests(self, wanted: t.Sequence[t.Tuple[bytes, str]]) -> t.List[Digest]:
        """Read blobs; each is asked for by its name and the digest that is wanted."""


def as_error(digest: Digest) -> Outcome:
    """The same, for one who takes."""
    if digest is None:
        return Vanished()
    return SourceError(digest) if isinstance(digest, str) else digest


def place(path: bytes) -> t.List[int]:
    """Device and inode; empty when there is no such thing."""
    try:
        info = os.stat(path)
    except OSError:
        return []
    return [info.st_dev, info.st_ino]


def above(path: bytes) -> t.List[t.List[int]]:
    """Device and inode of all folders above a path that exist."""
    found = []
    path = os.path.realpath(path)
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        found.append(place(path))
    return [each for each in found if each]


def new_generation(pool: bytes, replace: bool) -> None:
    """Let the next pass look for every name. Without ``replace`` only where there is no mark yet."""
    path = pool + b"/" + os.fsencode(GENERATION)
    fresh = path + b"." + secrets.token_hex(4).encode() + b".tmp"
    if not replace and os.path.exists(path):
        return
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(8).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(fresh, path)


def _read_small(path: bytes) -> str:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read(100)
    except OSError:
        return ""


class LocalHome:
    """A pool on this host."""

    remote = False
    connecting = False

    def __init__(self, pool: bytes) -> None:
        self.pool = pool
        self.lock: t.Optional[Lock] = None
        self.volume: t.Optional[disk.Volume] = None

    def look(self) -> t.Dict[str, t.Any]:
        generation = _read_small(self.pool + b"/" + os.fsencode(GENERATION))
        return {"place": place(self.pool), "above": above(self.pool), "generation": generation}

    def begin(self) -> None:
        for folder in (os.path.dirname(self.pool), self.pool):  # each made as the last one, which alone gets the mode
            os.makedirs(folder, mode=0o700, exist_ok=True)
        lock = Lock(os.fsdecode(self.pool))
        lock.take()
        self.lock = lock
        self.volume = disk.Volume(self.pool)
        self._clear()
        os.mkdir(self.temporary, 0o700)
        new_generation(self.pool, replace=False)

    @property
    def temporary(self) -> bytes:
        return self.pool + b"/" + os.fsencode(TEMPORARY)

    def _clear(self) -> None:
        """Remove what a run has left that did not come to its end."""
        for name in os.listdir(self.pool):
            if name.startswith(os.fsencode(GENERATION)) and name.endswith(SUFFIX):
                os.unlink(self.pool + b"/" + name)
        if os.path.lexists(self.temporary):
            if os.listdir(self.temporary):
                sweep(self.pool, os.fsencode(TEMPORARY))
            shutil.rmtree(self.temporary)

    def sync(self) -> None:
        if self.volume is not None:
            self.volume.sync_names(())  # where that cannot be done for all at once, each commit has done it

    def lacking(self, wanted: t.Sequence[bytes]) -> t.Set[bytes]:
        return {name for name in wanted if not is_held(self.pool, name)}

    def ping(self) -> None:
        pass

    def all_names(self) -> t.Iterator[bytes]:
        for folder in folders(self.pool):
            yield from all_names(self.pool, folder)

    def set_aside(self, rotten: t.Sequence[bytes]) -> None:
        set_aside(self.pool, rotten)

    def _tidy(self) -> None:
        """Leave nothing. The mark of an unfinished run stays: a worker on another host may not know yet."""
        if os.listdir(self.temporary):
            sweep(self.pool, os.fsencode(TEMPORARY))
        else:
            os.rmdir(self.temporary)

    def end(self) -> None:
        if self.lock is not None:
            with contextlib.suppress(OSError):  # the next run does it
                self._tidy()
            self.lock.give()
            self.lock = None
        if self.volume is not None:
            self.volume.close()
            self.volume = None


class LocalShelf:
    """A worker's part of a pool on this host."""

    def __init__(self, pool: bytes, number: int) -> None:
        self.pool = pool
        self.copier = Copier(pool, b"%s/%s/%d" % (pool, os.fsencode(TEMPORARY), number))
        self._look = local_look(pool)
        self._placed: t.Set[bytes] = set()

    def lacking(self, wanted: t.Sequence[bytes], full: bool) -> t.Set[bytes]:
        return self._look(wanted, full) - self._placed

    def copy(self, source: bytes, name: bytes, algorithm: str) -> int:
        path = names.pool_path(name)
        digest, size = self.copier.copy(source, algorithm, path)
        if digest.encode() != name:
            self.copier.drop()
            raise Changed(f"rotten: its bytes have the digest {digest}")
        self.copier.place(path, size)
        self._placed.add(name)
        return size

    def store(self, source: bytes) -> t.Tuple[bytes, int]:
        digest, size = self.copier.copy(source, "sha256")
        name = digest.encode()
        self.copier.place(names.pool_path(name), size)
        self._placed.add(name)
        return name, size

    @property
    def full(self) -> bool:
        return self.copier.group.full

    @property
    def last(self) -> int:
        return self.copier.last

    @property
    def named(self) -> int:
        return self.copier.named

    def advance(self) -> Rejected:
        self.copier.advance()
        return self._forget()

    def commit(self) -> Rejected:
        self.copier.commit()
        return self._forget()

    def _forget(self) -> Rejected:
        if not self.copier.pending:
            self._placed.clear()
        return []


class DryShelf:
    """A shelf for check mode: it looks, and takes nothing."""

    def __init__(self, look: t.Callable[[t.Sequence[bytes], bool], t.Set[bytes]]) -> None:
        self.lacking = look
        self.full = False
        self.last = -1
        self.named = 0

    def copy(self, source: bytes, name: bytes, algorithm: str) -> int:
        return look_at(source).st_size

    def store(self, source: bytes) -> t.Tuple[bytes, int]:
        return b"0" * 64, look_at(source).st_size

    def advance(self) -> Rejected:
        return []

    def commit(self) -> Rejected:
        return []


class LocalSource:
    """A pool on this host, to be read by one worker."""

    def __init__(self, pool: bytes) -> None:
        self.pool = pool

    def fetch(self, wanted: t.Sequence[t.Tuple[bytes, str]], copier: t.Optional[Copier], took: Took) -> None:
        for name, algorithm in wanted:
            source = self.pool + b"/" + names.pool_path(name)
            try:
                said: Outcome = copier.copy(source, algorithm) if copier else hash_file(source, algorithm)
            except (SourceError, Vanished) as error:
                said = error
            took(name, said)

    def digests(self, wanted: t.Sequence[t.Tuple[bytes, str]]) -> t.List[Digest]:
        said: t.List[Digest] = []
        for name, algorithm in wanted:
            try:
                said.append(hash_file(self.pool + b"/" + names.pool_path(name), algorithm))
            except Vanished:
                said.append(None)
            except SourceError as error:
                said.append(str(error))
        return said


def set_aside(pool: bytes, rotten: t.Sequence[bytes]) -> None:
    """See :meth:`Home.set_aside`."""
    aside = pool + b"/" + os.fsencode(ASIDE)
    with Lock(os.fsdecode(pool)):
        try:
            # first: killed between here and there, it costs the next pass a look for every name, and no blob
            new_generation(pool, replace=True)
            disk.fsync(pool)
            if rotten:
                os.makedirs(aside, 0o700, exist_ok=True)
            for name in rotten:
                path = pool + b"/" + names.pool_path(name)
                if _is_rotten(path, name):
                    os.rename(path, aside + b"/" + name + b"." + secrets.token_hex(4).encode())
        except OSError as error:
            what = f"Setting aside of rotten blobs in '{names.shown(pool)}'"
            raise BlobError(what, os_reason(error), "Run as the user that owns it, or set set_aside=false") from error


def _is_rotten(path: bytes, name: bytes) -> bool:
    """Look again: another verify and a backup may have healed it meanwhile."""
    try:
        return hash_file(path, t.cast(str, names.algorithm_of(name)))[0].encode() != name
    except (SourceError, Vanished):
        return False
