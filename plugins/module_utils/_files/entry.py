# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is known of one file of a copied tree, and the list of them beside the copy."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import typing as t

from .._errors import PlatformError
from .._io import write_atomic

FILE, FOLDER, LINK = "file", "dir", "link"
LISTED = 20
"""How many names a result holds at most; the counts are exact."""


class FilesError(PlatformError):
    """A tree could not be copied or put back."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One name of a tree. ``path`` and ``link`` are as ``os.fsdecode`` gives them; ``.`` is the tree's own folder."""

    path: str
    type: str
    mode: int
    owner: str
    group: str
    mtime_ns: int
    size: int = 0
    sha256: str | None = None
    link: str | None = None

    def as_json(self) -> dict[str, t.Any]:
        """As a JSON value: ``mode`` in octal; a name that is no UTF-8 is exact in ``<key>_base64`` only."""
        value: dict[str, t.Any] = {**dataclasses.asdict(self), "mode": f"{self.mode:04o}"}
        for key in ("path", "link"):
            if value[key] is not None:
                raw = os.fsencode(value[key])
                value[key] = raw.decode("utf-8", "replace")
                if value[key].encode() != raw:
                    value[f"{key}_base64"] = base64.b64encode(raw).decode()
        return {key: member for key, member in value.items() if member is not None}

    @classmethod
    def from_json(cls, value: dict[str, t.Any]) -> Entry:
        """The reverse of :meth:`as_json`; raises ValueError or KeyError on anything that is not an entry."""
        names = {key: _name(value, key) for key in ("path", "link") if key in value}
        kind = value["type"]
        if (
            kind not in (FILE, FOLDER, LINK)
            or (kind == FILE) != ("sha256" in value)
            or (kind == LINK) != ("link" in value)
        ):
            raise ValueError(f"'{value['path']}' is of type '{kind}' and its other keys do not fit")
        _must_be_inside(names["path"])
        return cls(
            names["path"],
            kind,
            int(value["mode"], 8) & 0o7777,
            str(value["owner"]),
            str(value["group"]),
            int(value["mtime_ns"]),
            int(value.get("size", 0)),
            value.get("sha256"),
            names.get("link"),
        )


def _name(value: dict[str, t.Any], key: str) -> str:
    exact = value.get(f"{key}_base64")
    return os.fsdecode(base64.b64decode(exact, validate=True) if exact else str(value[key]).encode())


def _must_be_inside(path: str) -> None:
    parts = path.split("/")
    if path != "." and (not path or "\0" in path or any(part in ("", ".", "..") for part in parts)):
        raise ValueError(f"'{path}' is not a path inside the tree")


@dataclasses.dataclass
class TreeResult:
    """What a copy or its way back did. Lists of names hold :data:`LISTED` at most, counts are exact."""

    files: int = 0
    bytes: int = 0
    """Sizes of the files, holes included."""
    vanished: int = 0
    """Names that were gone between listing and opening."""
    entries: list[Entry] = dataclasses.field(default_factory=list)
    torn: int = 0
    """Files that were written to while they were read: the copy is what was read."""
    specials: int = 0
    """Sockets, FIFOs and devices: not copied."""
    special: list[str] = dataclasses.field(default_factory=list)
    outsides: int = 0
    """Links that lead to something that exists outside the tree: copied as links, what they lead to is not."""
    outside: list[str] = dataclasses.field(default_factory=list)
    changed: int = 0
    """Way back only: names that were written, or whose mode or owner was set."""
    unowned: int = 0
    """Way back only: names whose owner could not be set without root."""


def write_tree_list(path: str, entries: t.Iterable[Entry]) -> None:
    """Write ``tree.jsonl``: one entry in a line, folders before what is in them."""
    lines = [json.dumps(entry.as_json(), sort_keys=True) for entry in entries]
    write_atomic(path, "".join(f"{line}\n" for line in lines).encode())


def read_tree_list(path: str) -> list[Entry]:
    """Read ``tree.jsonl``; every path in it is inside the tree."""
    entries = []
    number = 0
    try:
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):  # noqa: B007 - told in the error
                entries.append(Entry.from_json(json.loads(line)))
    except OSError as error:
        raise FilesError(f"Reading of '{path}'", str(error.strerror)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FilesError(f"Reading of '{path}'", f"line {number} is no entry of a tree: {error!r}") from error
    return entries
