# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of the stand-in: a small reader of nuxeo.conf and its templates, apart from the collection's own.

It knows what a test instance needs: Java properties, includes of templates, ``${name}``, ``${name:=default}``, ``$${``,
``${env:NAME:default}`` and folders that are relative to NUXEO_HOME. Standard library only: it runs from a NUXEO_HOME.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

FOLDERS = {
    "nuxeo.config.dir": "nxserver/config",
    "nuxeo.data.dir": "nxserver/data",
    "nuxeo.log.dir": "log",
    "nuxeo.pid.dir": "log",
    "nuxeo.tmp.dir": "tmp",
}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_REFERENCE = re.compile(r"(?<!\$)\$\{([A-Za-z0-9_.-]+)(?::=([^{}]*))?\}")
_ENVIRONMENT = re.compile(r"\$\{env:([A-Za-z0-9_]+)(?::([^}]*))?\}")


class BadConfiguration(Exception):
    """What Nuxeo would refuse to start with."""


def _logical_lines(text: str) -> list[str]:
    lines: list[str] = []
    open_line: str | None = None
    for raw in re.split(r"\r\n|\r|\n", text):
        line = raw.lstrip(" \t\f")
        if open_line is None and (not line or line[0] in "#!"):
            continue
        line = (open_line or "") + line
        slashes = len(line) - len(line.rstrip("\\"))
        if slashes % 2:
            open_line = line[:-1]
            continue
        open_line = None
        lines.append(line)
    return lines if open_line is None else [*lines, open_line]


def _unescape(text: str, path: Path) -> str:
    out: list[str] = []
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char != "\\" or position == len(text):
            out.append(char)
            continue
        char = text[position]
        position += 1
        if char == "u":
            digits = text[position : position + 4]
            if not re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
                raise BadConfiguration(f"{path}: Malformed \\uxxxx encoding.")
            out.append(chr(int(digits, 16)))
            position += 4
        else:
            out.append(_ESCAPES.get(char, char))
    return "".join(out)


def read_properties(path: Path) -> dict[str, str]:
    """The key and value pairs of a file in Java's format; the last of a name wins."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        match = re.match(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL)
        if match:
            found[_unescape(match.group(1), path)] = _unescape(match.group(2), path).strip()
    return found


class Configuration:
    """The resolved properties of one instance."""

    def __init__(self, home: Path, conf: Path) -> None:
        self.home = home
        self.conf = conf
        if not conf.is_file():
            raise BadConfiguration(f"nuxeo.conf not found at {conf}")
        own = read_properties(conf)
        self.raw: dict[str, str] = dict(FOLDERS)
        self.templates: list[str] = []
        self._add(home / "templates" / "nuxeo.defaults")
        names = _ENVIRONMENT.sub(self._environment, own.get("nuxeo.templates") or "default")
        for name in names.split(","):
            self._take(name)
        self.raw.update(own)
        self.raw = {key: _ENVIRONMENT.sub(self._environment, value) for key, value in self.raw.items()}
        self.raw["nuxeo.home"] = str(home)
        for key in FOLDERS:
            self.raw[key] = os.path.normpath(home / self.raw[key])

    @staticmethod
    def _environment(match: re.Match[str]) -> str:
        return os.environ.get(match.group(1), "").strip() or match.group(2) or ""

    def _add(self, path: Path) -> None:
        if path.is_file():
            self.raw.update(read_properties(path))

    def _take(self, name: str) -> None:
        folder = Path(name) if name.startswith("/") else self.home / "templates" / name
        if name in self.templates or not folder.is_dir():
            return
        defaults = folder / "nuxeo.defaults"
        includes = read_properties(defaults).get("nuxeo.template.includes", "") if defaults.is_file() else ""
        for included in filter(None, includes.split(",")):
            self._take(included)
        self.templates.append(name)
        self._add(defaults)

    def get(self, name: str, default: str = "") -> str:
        """A value with every reference put in."""
        value = self.raw.get(name, default)
        for twice in range(2):
            for dummy in range(10):
                before = value
                value = _REFERENCE.sub(lambda m: self.raw.get(m.group(1), m.group(2) or m.group(0)), value)
                if value == before:
                    break
            value = value.replace("$${", "${")
        return value

    def folder(self, name: str) -> Path:
        """The folder that a property names."""
        return Path(self.get(name))
