# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: changes single properties of a nuxeo.conf and leaves every other byte as it is.

What is written is plain ASCII on one line, ``name=value`` from the first column: every version reads that back in
whatever encoding it takes the file for, and so do the parts of nuxeoctl that search the text without parsing it.
"""

from __future__ import annotations

import re
import typing as t

from .errors import ConfError
from .java import trim
from .load import CHUNK, encoding_of
from .properties import Entry, parse
from .secrets import MASK, is_secret, mask
from .version import Line

BEGIN = "### BEGIN - DO NOT EDIT BETWEEN BEGIN AND END ###"
END = "### END - DO NOT EDIT BETWEEN BEGIN AND END ###"
_FILLING = "# nuxeo.platform: with this Nuxeo reads the rest in the same encoding as before "
_FILLED = re.compile(rf"^{re.escape(_FILLING)}(?:\.+|\xe9+)(?:\r\n|\n|\r)\Z", re.MULTILINE)
_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f", "\\": "\\\\"}


def escape(text: str, more: str = "") -> str:
    """Write a name or value so that java.util.Properties reads exactly it back."""
    out = []
    for char in text:
        if char in _NAMED:
            out.append(_NAMED[char])
        elif char in more:
            out.append("\\" + char)
        elif " " <= char <= "~":
            out.append(char)
        else:
            units = char.encode("utf-16-be", "surrogatepass")
            out += [f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)]
    return "".join(out)


def line_for(name: str, value: str) -> str:
    """The line that sets a property."""
    return escape(name, " =:#!") + "=" + escape(value)


class Editor:
    """The text of a nuxeo.conf, and what is done to it. Nothing is written here."""

    def __init__(self, content: bytes, line: Line) -> None:
        self.line = line
        self.encoding = encoding_of(content, line)
        # one character for each byte: what is not touched goes back as it came, whatever it means
        self.text = content.decode("iso-8859-1")

    @property
    def content(self) -> bytes:
        """The bytes of the file as it is now."""
        return self.text.encode("iso-8859-1")

    def _name(self, entry: Entry) -> str:
        return self._decode(entry.name) if self.line.modern else trim(self._decode(entry.name))

    def _decode(self, text: str) -> str:
        """An unescaped text as the launcher understands its bytes."""
        try:
            return text.encode("iso-8859-1").decode(self.encoding)
        except UnicodeError:  # it has both escapes and raw bytes: equal to nothing that we would write
            return text

    def _entries(self, name: str) -> list[Entry]:
        return [entry for entry in parse(self.text) if self._name(entry) == name]

    def get(self, name: str) -> str | None:
        """The value that the file gives to a property, as the launcher reads it."""
        entries = self._entries(name)
        return trim(self._decode(entries[-1].value)) if entries else None

    def set(self, name: str, value: str) -> bool:
        """Give a property a value; whether that changed anything."""
        _check(name, value)
        if self.get(name) == value:
            return False
        self._forget(name)
        begin, _end = self._block()
        entries = [entry for entry in self._entries(name) if entry.start < begin]
        self._cut(entry for entry in self._entries(name) if entry.start >= begin)
        if entries:
            old = entries[-1]
            ending = _line_end(self.text[old.start : old.end])
            self._splice(old.start, old.end, line_for(name, value) + ending)
        else:
            self._insert(line_for(name, value))
        return True

    def remove(self, name: str) -> bool:
        """Take every line of a property out; whether there was one."""
        if not self._entries(name):
            return False
        self._forget(name)
        self._cut(self._entries(name))
        return True

    def _cut(self, entries: t.Iterable[Entry]) -> None:
        for entry in sorted(entries, key=lambda entry: -entry.start):
            self._splice(entry.start, entry.end, "")

    def _splice(self, start: int, end: int, text: str, before: str = "") -> None:
        """Put a text in the place of whole lines, behind a comment where that is needed for the rest to stay as it is.

        For the launcher of 10.10 and 2021 guesses the encoding, of 10.10 by chunks whose borders a change moves.

        :param before: what ends the line before
        """
        head, tail = _FILLED.sub("", self.text[:start]) + before, text + self.text[end:]
        self.text = next(head + filling + tail for filling in self._fillings() if self._keeps(head + filling + tail))

    def _fillings(self) -> t.Iterator[str]:
        """Nothing, and comments of as many lengths as move what is behind them to any place in a chunk."""
        yield ""
        filler = "." if self.encoding == "utf-8" else "\xe9"  # which is no UTF-8 before a line end
        ending = _line_end(self.text) or "\n"
        for length in range(1, 2 * CHUNK + 1):
            yield _FILLING + filler * length + ending

    def _keeps(self, text: str) -> bool:
        """Whether the launcher takes a text for what it takes the file for now."""
        return text.isascii() or encoding_of(text.encode("iso-8859-1"), self.line) == self.encoding

    def _block(self) -> tuple[int, int]:
        """Where the launcher's own block begins and ends; the end of the text when there is none."""
        begin = re.search(r"^[ \t]*" + re.escape(BEGIN), self.text, re.MULTILINE)
        if begin is None:
            return len(self.text), len(self.text)
        end = self.text.find(END, begin.end())
        return begin.start(), len(self.text) if end < 0 else end

    def _forget(self, name: str) -> None:
        """Take out the launcher's note of an older value: up to 10.10 it would write the new one again, unescaped."""
        begin, end = self._block()
        note = re.compile(r"^#" + re.escape(name) + r"[ \t]*=[^\r\n]*(?:\r\n|\n|\r)?", re.MULTILINE)
        for found in reversed(list(note.finditer(self.text, begin, end))):
            self._splice(found.start(), found.end(), "")

    def _insert(self, line: str) -> None:
        """Before the launcher's block and the blank line above it, or at the end."""
        ending = _line_end(self.text) or "\n"
        at, _end = self._block()
        while self.text[:at].endswith(ending + ending):
            at -= len(ending)
        start, before = at, ""
        if _continues(self.text[:at]):  # a last line that ends with a backslash would swallow ours
            start, before = len(self.text[:at].rstrip("\r\n")), ending + ending
        elif at and not self.text[:at].endswith(("\n", "\r")):
            before = ending
        self._splice(start, at, line + ending, before)

    def masked(self, changed: t.Collection[str] = ()) -> str:
        """The text for a diff: no secret in a value, nor in a line that is commented out."""
        text = self.text
        for entry in sorted(parse(self.text), key=lambda entry: -entry.start):
            shown = mask(entry.value)
            name = self._name(entry)
            if is_secret(name):
                shown = MASK + (" (changed)" if name in changed else "")
            if shown != entry.value:
                ending = _line_end(text[entry.start : entry.end])
                text = text[: entry.start] + line_for(name, shown) + ending + text[entry.end :]
        text = re.sub(r"^([ \t]*[#!]+[ \t]*)([^\s=:]+)([^\r\n]+)", _masked_comment, text, flags=re.MULTILINE)
        return self._decode(text)


def _masked_comment(found: re.Match[str]) -> str:
    """A property that is commented out, with a blank behind its name too, or words before a value."""
    mark, name, rest = found.groups()
    words = re.match(r"[^=:]*(?=[=:])", rest)
    if is_secret(name):
        return f"{mark}{name}={MASK}"
    if words and is_secret(words.group()):
        return f"{mark}{name}{words.group()}={MASK}"
    return mask(found.group())


def _line_end(text: str) -> str:
    found = re.search(r"\r\n|\n|\r", text)
    return found.group() if found else ""


def _continues(text: str) -> bool:
    last = text.rstrip("\r\n")
    last = last[max(last.rfind("\n"), last.rfind("\r")) + 1 :]
    return not last.lstrip(" \t\f").startswith(("#", "!")) and (len(last) - len(last.rstrip("\\"))) % 2 == 1


def _check(name: str, value: str) -> None:
    if not name or trim(name) != name:
        raise ConfError(f"Setting of property '{name}'", "its name is empty or has blanks at its ends", "Correct it")
    if trim(value) != value:
        raise ConfError(
            f"Setting of property '{name}'",
            "its value has blanks at its ends, which Nuxeo takes away when it reads them",
            "Give the value without them",
        )
