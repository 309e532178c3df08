# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: blob names: which are digests, which are not blobs, where a key lies in a folder tree."""

from __future__ import annotations

import re
import typing as t

DIGESTS = ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512")
"""The names that Nuxeo and Java give them."""

_SPELLINGS = {"sha": "SHA-1", **{name.replace("-", "").lower(): name for name in DIGESTS}}

BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512", 56: "sha224", 96: "sha384"}
"""A store keeps its old keys when its digest is changed, so the key itself says which digest it is."""

_HEX = b"0123456789abcdef"
_IN_FLIGHT = re.compile(rb"(?:bin_|create_|[0-9a-f]{32}).*\.tmp", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def algorithm_of(key: bytes) -> str | None:
    """The digest whose hex form the key is, or None when the key is some other name."""
    name = BY_LENGTH.get(len(key))
    return name if name and not key.translate(None, _HEX) else None


def digest_named(text: str) -> str | None:
    """The digest that a config.xml means: Java takes other spellings too, e.g. SHA1 and sha-256."""
    return _SPELLINGS.get(text.lower().replace("-", "").replace("_", ""))


def in_flight(name: bytes) -> bool:
    """Whether the name is that of a blob that is being written: it is renamed, or removed, when it is whole."""
    return name.endswith(b".tmp") and _IN_FLIGHT.fullmatch(name) is not None


def refusal(name: bytes) -> str | None:
    """Why a name cannot be kept in a list of one key to a line; None when it can."""
    if _CONTROL.search(name):
        return "a name with a control character"
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return "a name that is not UTF-8"
    return None


def shown(name: bytes) -> str:
    """A name for a message: one line, whatever is in it."""
    return name.decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii")


def folder_of(key: bytes, depth: int) -> bytes:
    """Where Nuxeo looks for a key below ``data``: two characters to a level; ``000`` for a key too short for that."""
    if depth == 0:
        return b""
    if len(key) < 2 * depth:
        return b"000"
    return b"/".join([key[level : level + 2] for level in range(0, 2 * depth, 2)])


def pool_path(name: bytes) -> bytes:
    """Where the pool keeps a name, whatever the depth of the store is: as a store of depth 2 does."""
    if len(name) < 4:
        return b"000/" + name
    return b"%b/%b/%b" % (name[:2], name[2:4], name)


class Entry(t.NamedTuple):
    """One line of a key list: the key, and the SHA-256 that the pool has the bytes under when that is not the key."""

    key: bytes
    sha256: bytes

    @property
    def pool_name(self) -> bytes:
        return self.sha256 or self.key


def parse(line: bytes) -> Entry:
    """Read a line of a key list or of a state file (which has a third field)."""
    if b"\t" not in line:
        return Entry(line, b"")
    fields = line.split(b"\t")
    return Entry(fields[0], fields[1])
