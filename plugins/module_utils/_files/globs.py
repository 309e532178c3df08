# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which names of a tree are left out."""

from __future__ import annotations

import re
import typing as t

from .entry import FilesError


class Globs:
    """Patterns relative to the tree: ``*``, ``?`` and ``[...]`` stay within a name, ``**`` crosses folders.

    A pattern that meets a folder leaves out all that is in it. One that ends in ``/`` meets folders only.
    """

    def __init__(self, patterns: t.Sequence[str]) -> None:
        self._any = [_compiled(p) for p in patterns if p.strip("/") and not p.endswith("/")]
        self._folders = [_compiled(p) for p in patterns if p.strip("/") and p.endswith("/")]

    def match(self, path: str, folder: bool) -> bool:
        """Whether the name at ``path``, relative to the tree, is left out."""
        return any(p.fullmatch(path) for p in self._any) or (folder and any(p.fullmatch(path) for p in self._folders))


_TOKEN = re.compile(
    r"(?P<deep>\*\*/)|(?P<all>\*\*)|(?P<star>\*)|(?P<one>\?)|\[(?P<set>!?(?:\][^\]]*|[^\]]+))\]|(?P<other>.)", re.DOTALL
)
_FIXED = {"deep": "(?:[^/]+/)*", "all": ".*", "star": "[^/]*", "one": "[^/]"}


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_regex(pattern), re.DOTALL)
    except re.error as error:
        todo = "Correct it; a bracket that is meant as one is written [[]"
        raise FilesError(f"Reading of the pattern '{pattern}'", str(error), todo) from error


def _regex(pattern: str) -> str:
    parts = []
    for token in _TOKEN.finditer(pattern.strip("/")):
        kind = str(token.lastgroup)
        if kind == "set":
            members = token["set"]
            negated = members.startswith("!") and members != "!"
            inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", members[1:] if negated else members)
            parts.append(f"(?!/)[{'^' if negated else ''}{inner}]")
        else:
            parts.append(_FIXED.get(kind) or re.escape(token[0]))
    return "".join(parts)
