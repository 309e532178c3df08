# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: java.util.Properties, read so that every entry is known with its place in the text.

The reader gives the entries in the order of the text, duplicates included, with the span of the natural lines that each
one takes. So one reader serves both the resolver (the last duplicate wins) and the editor (all but one span stays).
"""

from __future__ import annotations

import dataclasses
import typing as t

from .java import join_surrogates

_SPACE = " \t\f"
_EOL = "\r\n"
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "f": "\f"}
_HEX = frozenset("0123456789abcdefABCDEF")


class MalformedEscape(ValueError):
    """A ``\\u`` that is not followed by four hexadecimal digits: java.util.Properties refuses the whole file."""

    def __init__(self, line: int, name: str) -> None:
        self.line = line
        self.name = name
        super().__init__(f"malformed \\u escape in line {line}")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One key and value, and the part of the text that says so."""

    name: str
    value: str
    line: int
    start: int
    end: int
    """Offsets of the first character of its first line and behind the line end of its last one."""
    raw_value: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass
class _Logical:
    """A logical line: natural lines joined, comments and blank lines left out."""

    text: str
    line: int
    start: int
    end: int


def _natural_lines(text: str) -> t.Iterator[tuple[int, int, int]]:
    """Start, end of the content and start of the next line, for each natural line."""
    start = 0
    length = len(text)
    while start < length:
        end = start
        while end < length and text[end] not in _EOL:
            end += 1
        following = end
        if following < length:
            following += 2 if text[following : following + 2] == "\r\n" else 1
        yield start, end, following
        start = following


def _logical_lines(text: str) -> t.Iterator[_Logical]:
    current: _Logical | None = None
    content = ""
    for number, (start, end, following) in enumerate(_natural_lines(text), 1):
        content = text[start:end].lstrip(_SPACE)
        if current is None:
            if not content or content[0] in "#!":
                continue
            current = _Logical("", number, start, following)
        elif not current.text and content[:1] in ("", "#", "!"):
            # behind a line of a lone backslash nothing was read yet: a comment is still one, and a blank line ends it
            current = None if not content else current
            continue
        backslashes = len(content) - len(content.rstrip("\\"))
        continued = backslashes % 2 == 1
        current.text += content[:-1] if continued else content
        current.end = following
        if not continued:
            yield current
            current = None
    if current is not None and (current.text or (content == "\\" and not text.endswith("\r\n"))):
        yield current  # a lone backslash at the end is an empty name, but not before CRLF: so java.util.Properties


def _split(line: str) -> tuple[str, str]:
    """Key and value of a logical line, both still escaped."""
    end = 0
    escaped = False
    while end < len(line):
        char = line[end]
        if not escaped and (char in "=:" or char in _SPACE):
            break
        escaped = char == "\\" and not escaped
        end += 1
    start = end
    separated = False
    while start < len(line):
        if line[start] not in _SPACE:
            if separated or line[start] not in "=:":
                break
            separated = True
        start += 1
    return line[:end], line[start:]


def unescape(text: str) -> str:
    """Undo the escapes of a key or value; ValueError for a malformed ``\\u``."""
    if "\\" not in text:
        return text
    out = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char != "\\" or at == len(text):
            out.append(char if char != "\\" else "")
            continue
        char = text[at]
        at += 1
        if char == "u":
            digits = text[at : at + 4]
            if len(digits) < 4 or not _HEX.issuperset(digits):
                raise ValueError("malformed \\u escape")
            out.append(chr(int(digits, 16)))
            at += 4
        else:
            out.append(_ESCAPES.get(char, char))
    return join_surrogates("".join(out))


def parse(text: str) -> list[Entry]:
    """All entries of a properties file, in the order of the text.

    :raises MalformedEscape: where java.util.Properties refuses the file
    """
    entries = []
    for line in _logical_lines(text):
        name, value = _split(line.text)
        try:
            entries.append(Entry(unescape(name), unescape(value), line.line, line.start, line.end, value))
        except ValueError as error:
            raise MalformedEscape(line.line, name) from error
    return entries
