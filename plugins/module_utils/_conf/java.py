# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the few rules of Java's strings, paths and maps that the configuration depends on."""

from __future__ import annotations

import typing as t

_BLANKS = "".join(map(chr, range(0x21)))
_NOT_WHITE = "\u0085\u00a0\u2007\u202f"


def trim(text: str) -> str:
    """``String.trim()``: every character up to U+0020 goes, and no other."""
    return text.strip(_BLANKS)


def is_blank(text: str | None) -> bool:
    """``StringUtils.isBlank``: null, empty or white space (a no-break space is none)."""
    return text is None or all(c.isspace() and c not in _NOT_WHITE for c in text)


def path(text: str) -> str:
    """``File.getPath()`` and ``Path.toString()``: one slash between names, none at the end."""
    names = [name for name in text.split("/") if name]
    return ("/" if text.startswith("/") else "") + "/".join(names)


def file_below(parent: str, child: str) -> str:
    """``new File(parent, child)``: even an absolute child is put below the parent."""
    return path(parent + "/" + child)


def resolve_path(parent: str, child: str) -> str:
    """``parent.resolve(child)``: an absolute child wins."""
    return path(child) if child.startswith("/") else file_below(parent, child)


def join_surrogates(text: str) -> str:
    """Java writes a character beyond U+FFFF as two ``\\u`` escapes: make one character of each pair."""
    if not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def hash_code(text: str) -> int:
    """``String.hashCode()``, as an unsigned 32 bit number."""
    code = 0
    units = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2]):
        code = (31 * code + low + (high << 8)) & 0xFFFFFFFF
    return code


def hashtable_order(names: t.Iterable[str], others: int = 0) -> list[str]:
    """The order in which ``Hashtable.keys()`` gives names that share it with some others."""
    known = list(dict.fromkeys(names))
    size = 11
    while len(known) + others > int(size * 0.75):
        size = 2 * size + 1
    return sorted(known, key=lambda name: (hash_code(name) & 0x7FFFFFFF) % size, reverse=True)


def hashmap_order(names: t.Iterable[str]) -> list[str]:
    """The order in which ``HashMap.keySet()`` gives names."""
    known = list(dict.fromkeys(names))
    size = 16
    while len(known) > size * 0.75:
        size *= 2
    return sorted(known, key=lambda name: (hash_code(name) ^ (hash_code(name) >> 16)) & (size - 1))
