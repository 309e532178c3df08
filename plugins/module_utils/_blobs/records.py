# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: records whose bytes have changed since the head start: which of them the dump means.

Under the key of a record other bytes can be at any time. Those that a pass reads after the snapshot of the database may
be newer than it; the head start has read those before. The digest that the database had of them at the snapshot tells
which are right.
"""

from __future__ import annotations

import typing as t

from . import keylist, names
from .errors import BlobError, os_reason
from .pool import Source
from .state import State

BATCH = 500

REPLACED = "replaced while the backup ran, and the bytes that the dump means were not read"
"""Said of a record under whose key other bytes were more than once."""

Digests = t.Dict[bytes, t.Set[bytes]]


def touched(before: State, after: State) -> t.Iterator[bytes]:
    """The keys whose lines are not those of the earlier state: other bytes, another file, another time."""
    where = {path: index for index, path in enumerate(before.paths)}
    for index, path in enumerate(after.paths):
        old = before.lines(where[path]) if path in where else b""
        for added, _removed in keylist.differences(old, after.lines(index)):
            yield from (names.parse(line).key for line in added)


def meant(path: str, doubtful: t.Collection[bytes], own: bytes, is_default: bool) -> Digests:
    """The digests that the database has of some keys of a store: lines of a key, a tab and a digest.

    :param own: the name of the store and a colon, as keys of it begin
    :param is_default: whether keys that begin otherwise may be of this store
    """
    found: Digests = {}
    try:
        with open(path, "rb") as stream:
            for line in stream:
                key, _tab, digest = line.rstrip(b"\n").partition(b"\t")
                mine = key[len(own) :] if key.startswith(own) else key if is_default else b""
                if mine in doubtful:
                    found.setdefault(mine, set()).add(digest)
    except OSError as error:
        why = os_reason(error)
        raise BlobError(f"Reading of the digests of records in '{path}'", why, "Dump the database again") from error
    return found


def fitting(
    source: Source, candidates: t.Iterable[t.Tuple[bytes, bytes]], digests: Digests
) -> t.Iterator[t.Tuple[bytes, bytes]]:
    """Those of some pairs (key, SHA-256 that the pool has bytes under) whose bytes have a digest that is meant."""
    asked = [
        (key, sha, digest.decode("ascii"), algorithm)
        for key, sha in candidates
        for digest in sorted(digests[key])
        for algorithm in [names.algorithm_of(digest)]
        if algorithm
    ]
    for first in range(0, len(asked), BATCH):
        some = asked[first : first + BATCH]
        said = source.digests([(sha, algorithm) for _key, sha, _digest, algorithm in some])
        for (key, sha, digest, _algorithm), found in zip(some, said):
            if isinstance(found, tuple) and found[0] == digest:
                yield key, sha


def settle(
    source: Source,
    now: t.Mapping[bytes, bytes],
    earlier: t.Callable[[t.Sequence[bytes]], t.Mapping[bytes, bytes]],
    digests: Digests,
) -> t.Tuple[t.Dict[bytes, bytes], t.List[bytes]]:
    """Choose for each key that has a digest.

    :param now: under which SHA-256 the list has the keys; ``earlier`` tells under which the head start had some
    :returns: keys for which the bytes of the head start are right, with their SHA-256; keys for which neither are
    """
    right = dict(fitting(source, ((key, now[key]) for key in digests), digests))
    wrong = sorted(set(digests) - set(right))
    before = earlier(wrong)
    others = ((key, before[key]) for key in wrong if before.get(key, now[key]) != now[key])
    older = dict(fitting(source, others, digests))
    return older, [key for key in wrong if key not in older]
