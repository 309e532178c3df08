# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the systemd units of this host that start a Nuxeo, and the environment they give it.

The unit files are read, with their drop-ins, since systemd itself need not run here, nor tell a plain user.
"""

from __future__ import annotations

import dataclasses
import errno
import glob
import os
import re
import socket
import typing as t

from .process import STARTS

FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_CONTROL = re.compile(r"(\S*/)?nuxeoctl")
_IN_A_SHELL = re.compile(r"[\s;&|()'\"]+")
_SPECIFIER = re.compile(r"%([a-zA-Z0-9%])")
_SURE = {"%": "%", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "t": "/run", "E": "/etc"}
"""Of a unit of the system. Others depend on the version of systemd, or on the environment of systemd itself."""
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}


@dataclasses.dataclass
class Unit:
    """What matters of one service, as its files say it: with the specifiers that systemd expands."""

    name: str
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    environment_files: list[str] = dataclasses.field(default_factory=list)
    start: list[list[str]] = dataclasses.field(default_factory=list)
    """Its commands, one after the other; most have one."""
    user: str | None = None
    unread: OSError | None = None
    """What keeps us from reading one of its files."""

    @property
    def control(self) -> str | None:
        """The nuxeoctl by which it starts Nuxeo, itself or by a shell."""
        commands = ([self.expanded(word) or word for word in command] for command in self.start)
        return next(filter(None, map(_control_of, commands)), None)

    @property
    def is_direct(self) -> bool:
        """Whether it runs nuxeoctl itself, as the unit of the server does: a shell may stop it for a while, say."""
        return any(_CONTROL.fullmatch(word) for command in self.start for word in command)

    @property
    def home(self) -> str:
        """The folder above that nuxeoctl; empty where only a shell or systemd would find it."""
        control = self.control or ""
        return os.path.dirname(os.path.dirname(control)) if control.startswith("/") else ""

    def expanded(self, text: str) -> str | None:
        """A word with what systemd puts in; None where that is not sure."""
        whole = self.name.rpartition(".")[0]
        prefix, _at, instance = whole.partition("@")
        sure = {**_SURE, "n": self.name, "N": whole, "p": prefix, "i": instance, "H": socket.gethostname()}
        if any(letter not in sure for letter in _SPECIFIER.findall(text)):
            return None
        return _SPECIFIER.sub(lambda found: sure[found.group(1)], text)

    def own_environment(self) -> dict[str, str]:
        """Its variables that are sure, without those of its files."""
        values = {name: self.expanded(text) for name, text in self.environment.items()}
        return {name: text for name, text in values.items() if text is not None}

    def unsure_files(self) -> list[str]:
        """Those of its files of which nobody knows here which they are; they may overrule each variable."""
        return [name for name in self.environment_files if self.expanded(name) is None]

    def full_environment(self, root: str = "") -> dict[str, str]:
        """Its variables and those of its files, which win. A file with ``-`` before its name may be missing."""
        if self.unread:
            raise self.unread
        values = self.own_environment()
        for name in filter(None, map(self.expanded, self.environment_files)):
            found = sorted(glob.glob(root + name.lstrip("-")))
            if not found and not name.startswith("-"):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            for path in found:
                with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                    values.update(_environment_file(stream.read()))
        return values


def _control_of(command: list[str]) -> str | None:
    parts = [part for word in command for part in _IN_A_SHELL.split(word)]
    found = next((part for part in parts if _CONTROL.fullmatch(part)), None)
    return found if found and any(part in STARTS for part in parts[parts.index(found) :]) else None


def units(root: str = "") -> list[Unit]:
    """All services that start nuxeoctl, by name; the file of the strongest folder counts. A template is none."""
    files: dict[str, str] = {}
    for folder in reversed(FOLDERS):
        for path in sorted(glob.glob(f"{root}{folder}/*.service")):
            files[os.path.basename(path)] = path
    names: dict[str, list[str]] = {}
    for name, path in sorted(files.items()):
        if os.path.isfile(path) and not name.endswith("@.service"):
            real = os.path.realpath(path)
            if "@" not in name:  # a link names another unit, whichever of that one's files counts
                path = os.path.realpath(files.get(os.path.basename(real), real))  # noqa: PLW2901
            names.setdefault(path, []).append(name)
    found = [_read_unit(path, known, root) for path, known in names.items()]
    return sorted((unit for unit in found if unit.control is not None), key=lambda unit: unit.name)


def _read_unit(path: str, names: list[str], root: str) -> Unit:
    """One file, which may have further names by links (``Alias=``); the drop-ins of each count."""
    drop_ins: dict[str, str] = {}
    for folder in reversed(FOLDERS):
        for name in names:
            for drop_in in glob.glob(f"{root}{folder}/{name}.d/*.conf"):
                drop_ins[os.path.basename(drop_in)] = drop_in
    own = os.path.basename(path)
    unit = Unit(own if own in names else names[0])
    for file in [path, *(drop_ins[key] for key in sorted(drop_ins))]:
        try:
            with open(file, encoding="utf-8", errors="surrogateescape") as stream:
                _apply(unit, stream.read())
        except FileNotFoundError:  # a link that leads to nothing
            continue
        except OSError as error:
            unit.unread = error
    return unit


def _apply(unit: Unit, text: str) -> None:
    section = ""
    for line in re.sub(r"\\\r?\n[ \t]*", " ", _without_comments(text)).splitlines():
        line = line.strip()  # noqa: PLW2901
        if line.startswith("["):
            section = line
            continue
        key, separator, value = (part.strip() for part in line.partition("="))
        if section == "[Service]" and separator:
            _set(unit, key, value)


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))


def _set(unit: Unit, key: str, value: str) -> None:
    if key == "Environment":
        if not value:
            unit.environment.clear()
        for word in words(value):
            name, separator, text = word.partition("=")
            if separator:
                unit.environment[name] = text
    elif key == "EnvironmentFile":
        unit.environment_files = [*unit.environment_files, value] if value else []
    elif key == "ExecStart":
        unit.start = [*unit.start, words(value.lstrip("@-:+!"))] if value else []
    elif key == "User":
        unit.user = unit.expanded(value) or None


def words(text: str) -> list[str]:
    """Split as systemd does: blanks part, quotes join, backslashes escape."""
    found: list[str] = []
    for match in re.finditer(r"(?:\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\\.|[^\s\"'\\])+", text):
        parts = re.finditer(r"\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'|((?:\\.|[^\"'\\])+)", match.group())
        found.append("".join(_unescape(next(filter(None, part.groups()), "")) for part in parts))
    return found


def _unescape(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        code = found.group(1)
        if code[0] == "x" and len(code) == 3:
            return chr(int(code[1:], 16))
        return _ESCAPES.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", one, text)


def _environment_file(text: str) -> dict[str, str]:
    """``NAME=value`` lines with the quotes of a shell; no variable is expanded."""
    values = {}
    for line in re.sub(r"\\\r?\n", "", text).splitlines():
        line = line.strip()  # noqa: PLW2901
        name, separator, value = line.partition("=")
        if not separator or line.startswith(("#", ";")):
            continue
        values[name.strip()] = _shell_value(value.strip())
    return values


def _shell_value(value: str) -> str:
    out = []
    for part in re.finditer(r"\"((?:\\.|[^\"\\])*)\"|'([^']*)'|\\(.)|([^\"'\\])", value):
        double, single, escaped, plain = part.groups()
        if double is not None:
            out.append(re.sub(r"\\([\"\\$`])", r"\1", double))
        else:
            out.append(single if single is not None else escaped or plain or "")
    return "".join(out)


def matching(unit: Unit, conf: str | None, home: str | None, values: t.Mapping[str, str]) -> bool:
    """Whether a unit starts the Nuxeo that has this nuxeo.conf, or this home; any unit when neither is given.

    One whose nuxeo.conf is not sure may have any.
    """
    own = values.get("NUXEO_CONF")
    own_home = values.get("NUXEO_HOME") or unit.home
    if conf is not None and (own or "NUXEO_CONF" not in unit.environment):
        return os.path.realpath(own or f"{own_home}/bin/nuxeo.conf") == os.path.realpath(conf)
    return home is None or os.path.realpath(own_home) == os.path.realpath(home)
