# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what would keep a tree from being copied, seen before anything is."""

from __future__ import annotations

import os
import typing as t

from .at import leads_out
from .globs import Globs


class Obstacles(t.NamedTuple):
    """Paths relative to the tree."""

    outside: list[str]
    """Links that lead to something outside the tree."""
    special: list[str]
    """What is no file, folder or link."""
    closed: list[str]
    """Files and folders that this user may not read."""


def obstacles(src: str, exclude: t.Sequence[str]) -> Obstacles:
    """Look at all names of a tree. What goes meanwhile is none."""
    source, found = os.path.realpath(src), Obstacles([], [], [])
    _walk(source, "", Globs(exclude), found)
    return found


def _walk(source: str, path: str, globs: Globs, found: Obstacles) -> None:
    place = os.path.join(source, path)
    try:
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda each: os.fsencode(each.name)):
                _one(source, f"{path}/{entry.name}" if path else entry.name, entry, globs, found)
    except FileNotFoundError:
        return
    except OSError:
        found.closed.append(path or ".")


def _one(source: str, path: str, entry: os.DirEntry[str], globs: Globs, found: Obstacles) -> None:
    folder = entry.is_dir(follow_symlinks=False)
    if globs.match(path, folder):
        return
    if folder:
        _walk(source, path, globs, found)
    elif entry.is_symlink():
        if leads_out(source, path):
            found.outside.append(path)
    elif not os.path.lexists(entry.path):
        return
    elif not entry.is_file():
        found.special.append(path)
    elif not os.access(entry.path, os.R_OK, effective_ids=True) and os.path.lexists(entry.path):
        found.closed.append(path)
