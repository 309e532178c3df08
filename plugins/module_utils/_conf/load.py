# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: reads nuxeo.conf and nuxeo.defaults as the launcher of each version does."""

from __future__ import annotations

import contextlib
import dataclasses
import re

from .errors import ConfError, Origin, refused
from .java import hashtable_order, trim
from .properties import Entry, MalformedEscape, parse
from .version import Line

CHUNK = 512
NEWLINE = b"\n"
GUARD = "nuxeo.platform.restore"
"""The property of an armed restore guard, see guard.py: its value is what every launcher refuses."""
BEGUN_BY = "# Begun by "
"""A comment of an armed restore guard begins with it."""
LIMIT = 16 * 1024 * 1024
"""Bytes of a configuration file at most: nothing sane is near it, and a wrong path may name anything."""


@dataclasses.dataclass(frozen=True)
class Value:
    """A value as it is set in a file."""

    text: str
    origin: Origin


def read_bytes(path: str) -> bytes:
    """The content of a configuration file."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(LIMIT + 1)
    except OSError as error:
        raise ConfError(
            f"Reading of '{path}'", error.strerror or str(error), "Check the path and the rights of the user"
        ) from error
    if len(content) > LIMIT:
        raise ConfError(f"Reading of '{path}'", f"it is larger than {LIMIT} bytes", "Check the path")
    return content


def encoding_of(content: bytes, line: Line) -> str:
    """The encoding in which the launcher reads a file."""
    if line.encoding == "guess-512":
        return "utf-8" if _chunks_decode(content) else "iso-8859-1"
    if line.encoding == "guess":
        return "utf-8" if _decodes(content) else "iso-8859-1"
    return "iso-8859-1" if line.encoding == "latin1" else "utf-8"


def _decodes(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _chunks_decode(content: bytes) -> bool:
    """10.10 decodes a buffer of 512 bytes each time, with the rest of the one before behind a short last chunk."""
    buffer = bytes(CHUNK)
    for start in range(0, len(content), CHUNK):
        chunk = content[start : start + CHUNK]
        buffer = chunk + buffer[len(chunk) :]
        if not _decodes(buffer):
            return False
    return True


def decode(path: str, content: bytes, line: Line, skip: str = "") -> str:
    """The text of a file; an error where the launcher refuses its bytes.

    :param skip: text in it that does not count when the encoding is guessed
    """
    try:
        return content.decode(encoding_of(content.replace(skip.encode("iso-8859-1"), b"", 1), line))
    except UnicodeDecodeError as error:
        raise refused(
            _origin_at(path, content, error.start),
            f"byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8, all that Nuxeo {line.name} reads",
        ) from error


def _origin_at(path: str, content: bytes, offset: int) -> Origin | str:
    """The property that a byte belongs to; only the line when it is in a comment."""
    with contextlib.suppress(MalformedEscape):
        for entry in parse(content.decode("iso-8859-1")):
            if entry.start <= offset < entry.end:
                return Origin(path, entry.line, entry.name)
    return f"{path}:{content[:offset].count(NEWLINE) + 1}"


def begun_by(block: str) -> str:
    """Whose restore an armed guard is of, to go on a sentence with; nothing where it does not say."""
    found = re.search(f"^{re.escape(BEGUN_BY)}(.+?)\\r?$", block, re.MULTILINE)
    return f" by {found.group(1)}" if found else ""


def load(path: str, line: Line, skip: str = "") -> dict[str, Value]:
    """The properties of one file: the last duplicate wins, values are trimmed, names too up to 10.10.

    :param skip: text to take out before reading (the block of an armed restore guard)
    """
    text = decode(path, read_bytes(path), line, skip)
    if skip:
        text = text.replace(skip, "\n" * skip.count("\n"), 1)
    try:
        entries = parse(text)
    except MalformedEscape as error:
        origin = Origin(path, error.line, error.name)
        if error.name == GUARD:
            why = f"a restore onto this instance has begun{begun_by(text)} and has not ended"
            todo = "Wait for its end, or run it again when it is not on any more"
            raise refused(origin, why, todo) from error
        raise refused(origin, "a \\u is not followed by four hexadecimal digits") from error
    last = {entry.name: entry for entry in entries}
    if line.modern:
        return {name: _value(path, name, entry) for name, entry in last.items()}
    # names that are one when they are trimmed overwrite each other in the order of a hash table
    return {trim(name): _value(path, trim(name), last[name]) for name in hashtable_order(last)}


def _value(path: str, name: str, entry: Entry) -> Value:
    return Value(trim(entry.value), Origin(path, entry.line, name))
