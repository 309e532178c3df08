# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the pool as a pass sees it. One on this host is here and in ``home``; one on another
is in ``remote``.

A :class:`Home` is the pool as a whole: its lock, its identity. A :class:`Shelf` is what one worker puts blobs on.
"""

from __future__ import annotations

import typing as t

from . import names
from .copier import Copier, hash_file, look_at
from .errors import Changed, SourceError, Vanished
from .holding import local_look
from .home import TEMPORARY

Rejected = t.List[t.Tuple[bytes, str]]


class Home(t.Protocol):
    """A pool as a whole."""

    remote: bool

    @property
    def connecting(self) -> bool:
        """Whether whoever asks it something has to wait for the way there first."""

    def look(self) -> t.Dict[str, t.Any]:
        """What it is: ``place`` (device and inode, empty when missing), ``above`` (those above it), ``generation``, and
        the ``boot`` id of its host.
        """

    def begin(self) -> t.Dict[str, t.Any]:
        """Make it, lock it, clear what a killed run has left. What it is then, as :meth:`look`."""

    def sync(self) -> None:
        """All names are durable after this, and the pool has another mark: what is known of it is known by that."""

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

    def digests(self, wanted: t.Sequence[t.Tuple[bytes, str]]) -> t.Iterable[Digest]:
        """Read blobs; each is asked for by its name and the digest that is wanted."""


def read_digest(path: bytes, algorithm: str) -> Digest:
    """Read one blob."""
    try:
        return hash_file(path, algorithm)
    except Vanished:
        return None
    except SourceError as error:
        return str(error)


def as_error(digest: Digest) -> Outcome:
    """The same, for one who takes."""
    if digest is None:
        return Vanished()
    return SourceError(digest) if isinstance(digest, str) else digest


class LocalShelf:
    """A worker's part of a pool on this host."""

    def __init__(self, pool: bytes, number: int) -> None:
        self.pool = pool
        self.copier = Copier(pool, b"%s/%s/%d" % (pool, TEMPORARY, number))
        self._look = local_look(pool)
        self._placed: t.Dict[int, t.Set[bytes]] = {}
        """What has no name yet, by the number of its group."""

    def lacking(self, wanted: t.Sequence[bytes], full: bool) -> t.Set[bytes]:
        return self._look(wanted, full).difference(*self._placed.values())

    def _place(self, name: bytes, size: int) -> None:
        self.copier.place(names.pool_path(name), size)
        self._placed.setdefault(self.copier.open, set()).add(name)

    def copy(self, source: bytes, name: bytes, algorithm: str) -> int:
        digest, size = self.copier.copy(source, algorithm, names.pool_path(name))
        if digest.encode() != name:
            raise Changed(self.copier.refuse(digest))
        self._place(name, size)
        return size

    def store(self, source: bytes) -> t.Tuple[bytes, int]:
        digest, size = self.copier.copy(source, "sha256")
        name = digest.encode()
        self._place(name, size)
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
        for group in [each for each in self._placed if each < self.copier.named]:
            del self._placed[group]
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

    def digests(self, wanted: t.Sequence[t.Tuple[bytes, str]]) -> t.Iterator[Digest]:
        for name, algorithm in wanted:
            yield read_digest(self.pool + b"/" + names.pool_path(name), algorithm)
