# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: names of variables that are nearly those of this collection.

Ansible passes over a variable that nobody reads. One of a command line that is misspelt would leave the choice to a
default: all hosts in place of one, the latest set in place of another.
"""

from __future__ import annotations

import difflib
import pathlib
import re
import typing as t

PREFIXES = ("nuxeo", "backup", "restore", "clients", "embedded")
LIKENESS = 0.8
"""Of ``nuxeo_conf`` to ``nuxeo_conf_path``; a name of somebody else's is mostly less like any of ours."""

_NAME = rf"(?:{'|'.join(PREFIXES)})_[a-z0-9_]+"
_PLACES = {
    "roles/*/meta/argument_specs.yml": re.compile(rf"^ +({_NAME}):", re.MULTILINE),
    "roles/*/defaults/main.yml": re.compile(rf"\b{_NAME}"),
    "playbooks/*.yml": re.compile(r"\bnuxeo_[a-z0-9_]+"),
}
"""Where the variables of the collection are named, and how they stand there."""


def known(collection: pathlib.Path) -> set[str]:
    """The variables of the roles and playbooks of the collection in a folder."""
    texts = (
        (path.read_text(encoding="utf-8"), word) for files, word in _PLACES.items() for path in collection.glob(files)
    )
    return {name for text, word in texts for name in word.findall(text)}


def misspelt(given: t.Iterable[str], names: t.Collection[str]) -> dict[str, str]:
    """The variables that are not among some names and nearly one of them, and that one."""
    others = sorted(name for name in given if name.startswith(tuple(f"{prefix}_" for prefix in PREFIXES)))
    likest = {name: difflib.get_close_matches(name, names, 1, LIKENESS) for name in others if name not in names}
    return {name: found[0] for name, found in likest.items() if found}
