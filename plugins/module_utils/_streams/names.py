# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which topics of a cluster belong to the instance with a given prefix.

A prefix is used verbatim by Nuxeo, so ``nuxeo-`` is also the beginning of ``nuxeo-test-bulk-command``. What follows the
prefix decides: when the topics that every Nuxeo makes are there under a longer prefix, those are another instance's.
One such name alone may also be a stream of custom code: that is ambiguous, and the operator must say.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import typing as t

from .errors import StreamsError

NAMESPACES = ("audit", "bulk", "input", "internal", "pubsub", "retention", "source", "work")
"""First part of the names of Nuxeo's own streams since 2021."""

SIGNATURES = frozenset(
    [
        "audit-audit",
        "bulk-command",
        "bulk-done",
        "bulk-status",
        "input-null",
        "internal-metrics",
        "internal-processors",
        "pubsub-pubsub",
        "retention-retentionExpired",
        "source-audit",
        "source-blob",
        "source-document",
        "source-indexing",
        "work-default",
        "work-dlq",
    ]
)
"""Streams that Nuxeo makes by itself since 2021; in 10.10 those of bulk have the same names."""

WORDS = frozenset(["audit", "blobs", "collections", "default", "escalation", "pubsub", "quota"])
"""Logs of 9.10 and 10.10 whose names are anybody's: no proof of another instance, which has more than these."""

LEGACY = frozenset(
    [
        *WORDS,
        "dlq-work",
        "elasticSearchChildrenIndexing",
        "elasticSearchIndexing",
        "fulltextExtractor",
        "fulltextUpdater",
        "permissionsPurge",
        "pictureViewsGeneration",
        "renditionBuilder",
        "updateACEStatus",
        "videoConversion",
    ]
)
"""Logs of 9.10 and 10.10, which have no namespace."""

EMPTY = ("pubsub", "pubsub-*", "internal-*", "input-null")
"""Streams whose content is useless after a restore: cache invalidations, metrics, timers."""

_RESTORED = re.compile(r"[0-9]{8}T[0-9]{6}Z-(?:[0-9]+-)?")
"""What a restore puts behind its source's prefix; a second one of the same set has a number."""

_NAMESPACED = re.compile(r"(?P<more>.+?)(?P<name>(?:" + "|".join(NAMESPACES) + r")-.+)")


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A topic that begins with the prefix and is not the instance's."""

    name: str
    why: str
    prefix: str = ""
    """The other instance's, where nothing but the names of its topics tells of it."""


@dataclasses.dataclass
class Chosen:
    """The outcome: names sorted."""

    taken: list[str]
    left_out: list[LeftOut]


def matches(name: str, patterns: t.Sequence[str]) -> bool:
    """Whether a name (without the prefix) fits one of the globs, letters' case counting."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _longer_prefixes(rests: t.Iterable[str]) -> dict[str, set[str]]:
    """What may be the rest of another instance's prefix, with the names of Nuxeo's own streams seen under it."""
    found: dict[str, set[str]] = {}
    for rest in rests:
        for name in SIGNATURES:
            if rest != name and rest.endswith(name):
                found.setdefault(rest[: -len(name)], set()).add(name)
        for name in LEGACY:
            more = rest[: -len(name)]
            if rest.endswith(name) and more[-1:] in ("-", "_", ".") and more[:-1] not in NAMESPACES:
                found.setdefault(more, set()).add(name)
        inside = _NAMESPACED.fullmatch(rest)
        if inside and rest.split("-")[0] not in NAMESPACES:
            found.setdefault(inside.group("more"), set()).add(f"? {inside.group('name')}")
    return found


def _verdict(rest: str, longer: dict[str, set[str]]) -> tuple[str, str]:
    """``own``, ``other`` or ``ambiguous``, and the rest of the longer prefix."""
    namespaced = rest.split("-", maxsplit=1)[0] in NAMESPACES and "-" in rest
    for more in sorted(longer, key=len):
        if not rest.startswith(more) or rest == more:
            continue
        certain = {name for name in longer[more] if not name.startswith("? ")}
        if len(certain) > 1 and certain - WORDS and not namespaced:
            return "other", more
        if not namespaced or rest[len(more) :] in SIGNATURES:
            return "ambiguous", more
    return "own", ""


def _restored(rest: str, prefix: str) -> str:
    """The rest of the prefix under which a restore has made a topic, which may be the only one so far."""
    name = prefix + rest
    found = next((f for f in _RESTORED.finditer(name) if f.end() > len(prefix)), None)
    within = found and (found.start() == len(prefix) or _RESTORED.fullmatch(prefix, found.start()))
    return name[len(prefix) : found.end()] if found and within else ""


def choose(names: t.Iterable[str], prefix: str, include: t.Sequence[str] = (), exclude: t.Sequence[str] = ()) -> Chosen:
    """The topics of the instance among all topics of a cluster.

    :param include: globs on what follows the prefix: always the instance's
    :param exclude: globs on what follows the prefix: never the instance's; it wins
    """
    if not prefix:
        raise StreamsError(
            "Choice of topics",
            "the prefix is empty, every topic of the cluster would be taken",
            "Give the instance a kafka.topicPrefix",
        )
    rests = sorted(n[len(prefix) :] for n in names if n.startswith(prefix) and n != prefix and not n.startswith("__"))
    longer = _longer_prefixes(rest for rest in rests if not matches(rest, exclude) and not matches(rest, include))
    taken, left_out, ambiguous = [], [], []
    for rest in rests:
        if matches(rest, exclude):
            left_out.append(LeftOut(prefix + rest, "excluded"))
            continue
        verdict, more = _verdict(rest, longer)
        restored = _restored(rest, prefix)
        if verdict != "other" and restored:
            verdict, more = "other", restored
        if matches(rest, include):
            verdict, more = "own", ""
        if verdict == "own":
            taken.append(prefix + rest)
        elif verdict == "other":
            why, guessed = f"of the instance with prefix '{prefix}{more}'", "" if restored else prefix + more
            left_out.append(LeftOut(prefix + rest, why, guessed))
        else:
            ambiguous.append((prefix + rest, prefix + more))
    if ambiguous:
        some = ", ".join(f"'{name}' (prefix '{other}'?)" for name, other in ambiguous[:10])
        raise StreamsError(
            f"Choice of the topics with prefix '{prefix}'",
            f"{len(ambiguous)} may be another instance's: {some}",
            "Name them in backup_streams_include or backup_streams_exclude (include, exclude), without the prefix",
            {"ambiguous": [name for name, _other in ambiguous[:20]]},
        )
    return Chosen(taken, left_out)
