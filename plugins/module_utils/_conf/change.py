# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is to be changed in a nuxeo.conf, computed before anything is."""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t

from . import guard
from .edit import Editor
from .errors import ConfError, Origin, refused
from .load import read_bytes
from .locate import locate
from .properties import MalformedEscape
from .resolve import read_version
from .secrets import is_secret
from .version import LINES, Line, line_of
from .write import replace_file

Properties = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The change of one file."""

    path: str
    old: bytes
    new: bytes
    properties_changed: list[str]
    guard_changed: bool
    guard_replaced: bool
    diff: dict[str, str]

    @property
    def changed(self) -> bool:
        """Whether anything is to be written."""
        return self.old != self.new

    @property
    def kept(self) -> str | None:
        """The copy of the file as it was before the restore that has armed the guard, while it is there."""
        copy = guard.kept(guard.find_in(self.old))
        return copy if os.path.isfile(copy) else None

    def keep(self) -> str:
        """Keep a copy of the file as it was, so that Nuxeo starts with it when it is put back; its name.

        What a restore has changed already is not what it was.
        """
        if self.kept:
            return self.kept
        name = f"{self.path}.{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"
        replace_file(self.path, guard.disarmed(self.old), name)
        return name

    def write(self, kept: str | None = None) -> None:
        """Do it; an error when the file was changed meanwhile.

        :param kept: the copy of the file as it was
        """
        if read_bytes(self.path) != self.old:
            raise ConfError(f"Writing of '{self.path}'", "it was changed by somebody else meanwhile", "Run again")
        replace_file(self.path, guard.noted(self.new, kept or ""))


def change(
    *,
    path: str | None,
    home: str | None,
    version: str | None,
    properties: Properties,
    secret_properties: Properties,
    present: bool,
    restore_guard: str | None = None,
    restore_set: str | None = None,
    restore_by: str | None = None,
) -> Plan:
    """Compute a change."""
    conf = os.path.abspath(path or locate(None, home, None).conf)
    if not os.path.isfile(conf):
        raise ConfError(f"Reading of '{conf}'", "there is no such file", "Give the path of nuxeo.conf")
    if present:
        _refuse_open_secrets(properties)
    old = read_bytes(conf)
    was_armed = guard.find(conf)
    editor = Editor(guard.disarmed(old), _line(conf, home, version))
    try:
        before = editor.masked()
        changed = _edit(editor, {**properties, **secret_properties}, present)
        after = editor.masked(changed if present else ())
    except MalformedEscape as error:
        raise refused(Origin(conf, error.line, error.name), "it has a malformed unicode escape") from error
    new = _guarded(editor.content, was_armed, restore_guard, (restore_set or "", restore_by or ""))
    block_after = guard.find_in(new)
    diff = {
        "before": was_armed + before,
        "after": block_after + after,
        "before_header": conf,
        "after_header": conf,
    }
    guards = was_armed != block_after, bool(was_armed) and block_after not in ("", was_armed)
    return Plan(conf, old, new, changed, *guards, diff)


def _edit(editor: Editor, properties: Properties, present: bool) -> list[str]:
    """Set or remove properties; the names of those that were not so already."""
    return [
        name
        for name, value in sorted(properties.items())
        if (editor.set(name, _text(name, value)) if present else editor.remove(name))
    ]


def _guarded(content: bytes, was_armed: str, restore_guard: str | None, restore: tuple[str, str]) -> bytes:
    """The content with the guard that is wanted, or else with the one that was there."""
    if restore_guard == "armed":
        return guard.noted(guard.armed(content, *restore), guard.kept(was_armed))
    if restore_guard is None and was_armed:
        return was_armed.encode("iso-8859-1") + content
    return content


def _refuse_open_secrets(properties: Properties) -> None:
    secrets = sorted(name for name in properties if is_secret(name))
    if secrets:
        raise ConfError(
            f"Setting of property {', '.join(secrets)}",
            "option 'properties' is shown in logs and results",
            "Give it in option 'secret_properties'",
        )


def _text(name: str, value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ConfError(f"Setting of property '{name}'", "its value is no text and no number", "Quote it")


def _line(conf: str, home: str | None, version: str | None) -> Line:
    """The rules by which the file is read; those of latin-1 when the version is not known."""
    if version:
        return line_of(version)
    try:
        return line_of(read_version(home or locate(conf, None, {}).home))
    except ConfError:
        return LINES["8.10"]
