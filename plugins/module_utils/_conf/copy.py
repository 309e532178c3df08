# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: saves the files of a configuration into a backup set, and puts them back."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
import shutil
import stat
import tempfile
import typing as t

from .._files.at import group_id, user_id
from .._files.entry import FOLDER, Entry, TreeResult, read_tree_list, write_tree_list
from .._files.restore import owners_todo, restore_tree, unknown_owners
from .._files.tree import copy_file, copy_tree
from .._io import fsync_directory, write_json
from .configuration import Configuration
from .errors import ConfError
from .guard import is_armed
from .host import this_host
from .load import read_bytes
from .locate import Place
from .parts import CONF, TEMPLATES, Part, parts
from .process import running
from .resolve import read_version
from .version import line_of
from .write import new_file

LIST = "tree.jsonl"
PARTS = "parts.json"


def save(configuration: Configuration, dest: str) -> tuple[list[Part], int, int]:
    """Copy all parts below ``dest``, which must be absent or empty; parts, count of files and bytes."""
    found = parts(configuration)
    try:
        os.makedirs(dest, 0o700, exist_ok=True)
        os.chmod(dest, 0o700)  # noqa: S103 - stricter than what it may have been
        if os.listdir(dest):
            raise ConfError(f"Copy of the configuration to '{dest}'", "the folder is not empty", "Give another one")
        entries: list[Entry] = []
        for part in found:
            entries += _save_part(part, dest)
        write_tree_list(os.path.join(dest, LIST), entries)
        where = {"conf": configuration.conf, "home": configuration.home, "version": configuration.version}
        where["host"] = this_host()
        write_json(os.path.join(dest, PARTS), {**where, "parts": [part.as_json() for part in found]})
    except OSError as error:
        raise ConfError(
            f"Copy of the configuration to '{dest}'", error.strerror or str(error), "Check the folder and its volume"
        ) from error
    files = [entry for entry in entries if entry.type == "file"]
    return found, len(files), sum(entry.size for entry in files)


def _save_part(part: Part, dest: str) -> list[Entry]:
    target = os.path.join(dest, part.name)
    _make_folders(dest, os.path.dirname(part.name))
    if not part.folder:
        return [dataclasses.replace(copy_file(part.path, target), path=part.name)]
    copied = copy_tree(part.path, target)
    if copied.specials or copied.outsides:
        odd = ", ".join([*copied.special, *copied.outside])
        raise ConfError(
            f"Copy of '{part.path}'", f"it holds what cannot be saved with it: {odd}", "Put files in their places"
        )
    return [dataclasses.replace(entry, path=_joined(part.name, entry.path)) for entry in copied.entries]


def _make_folders(dest: str, relative: str) -> None:
    path = dest
    for name in filter(None, relative.split("/")):
        path = os.path.join(path, name)
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
            os.chmod(path, 0o700)  # noqa: S103 - whatever the umask


def _joined(name: str, path: str) -> str:
    return name if path == "." else f"{name}/{path}"


@dataclasses.dataclass
class Restored:
    """What was put back."""

    changed: list[str] = dataclasses.field(default_factory=list)
    kept_aside: list[str] = dataclasses.field(default_factory=list)
    left: list[str] = dataclasses.field(default_factory=list)
    """Templates of another version, which stay as they were installed."""


def saved_parts(src: str) -> tuple[dict[str, t.Any], list[Part]]:
    """What a copy holds, and where it came from."""
    path = os.path.join(src, PARTS)
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
        return value, [Part(**part) for part in value["parts"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfError(f"Reading of '{path}'", str(error), "Give the folder of a saved configuration") from error


class Restorer:
    """Puts a saved configuration back.

    :param target: the nuxeo.conf and the NUXEO_HOME here; what lay below that of then comes below it
    :param version: of the Nuxeo that is installed there; default: read from its templates
    """

    def __init__(
        self, src: str, target: Place, owner: str | None, group: str | None, check: bool, version: str | None = None
    ) -> None:
        self.src = src
        self.home = target.home
        self.conf = target.conf
        self.owner = owner
        self.group = group
        self.check = check
        self.value, self.parts = saved_parts(src)
        self.entries = read_tree_list(os.path.join(src, LIST))
        self.version = version or read_version(self.home)
        self.result = Restored()

    def place(self, part: Part) -> str:
        """Where a part belongs on this node; of a nuxeo.conf that is a link, the file that it leads to."""
        old = str(self.value["home"])
        if part.kind == CONF:
            return os.path.realpath(self.conf)
        return self.home + part.path[len(old) :] if part.path.startswith(old + "/") else part.path

    def restore(self, kinds: t.Collection[str]) -> Restored:
        """All parts of these kinds."""
        saved = self.value["version"]
        if TEMPLATES in kinds and line_of(self.version) != line_of(saved):
            raise ConfError(
                f"Restore of the templates of '{self.src}' to '{self.home}'",
                f"they are of Nuxeo {saved}, and Nuxeo {self.version} is installed there",
                "Install the version of the set (or leave the templates out of option 'parts')",
            )
        wanted = [part for part in self.parts if part.kind in kinds]
        unknown = unknown_owners([entry for part in wanted for entry in self._entries(part)], self.owner, self.group)
        if unknown:
            raise ConfError(
                f"Restore of the configuration of '{self.src}'",
                "; ".join(unknown),
                owners_todo(),
            )
        for part in wanted:
            try:
                self._part(part)
            except OSError as error:
                what, why = f"Restore of '{self.place(part)}'", error.strerror or str(error)
                raise ConfError(
                    what, why, "What is there stays. Check its folder and its volume, and run again"
                ) from error
        return self.result

    def _entries(self, part: Part) -> list[Entry]:
        found = [entry for entry in self.entries if entry.path == part.name or entry.path.startswith(part.name + "/")]
        if not found:
            raise ConfError(f"Restore of '{self.place(part)}'", f"'{part.name}' is not in {LIST}", "Verify the set")
        return [dataclasses.replace(entry, path=_below(part.name, entry.path)) for entry in found]

    def _part(self, part: Part) -> None:
        place, entries = self.place(part), self._entries(part)
        if not (self._folder_differs(part, entries, place) if part.folder else self._file_differs(part, entries[0])):
            return
        if self._is_installed(part):
            self.result.left.append(place)
            return
        self._refuse_what_is_in_use(part)
        self.result.changed.append(place)
        there = os.path.lexists(place)
        if self.check:
            self.result.kept_aside += [_aside(place)] * there
            return
        os.makedirs(os.path.dirname(place), exist_ok=True)
        new = os.path.join(os.path.dirname(place), f".{os.path.basename(place)}.nuxeo-platform-new")
        if part.folder:
            self._folder(part, entries, new)
        else:
            new_file(new, self._content(part, entries[0]), entries[0].mode, self._owners(entries[0]))
        # beside its place, and whole: so a full disk or a kill has left what is there as it was
        if there:
            self._keep_aside(place, stays=part.kind == CONF)
        os.rename(new, place)
        fsync_directory(os.path.dirname(place))

    def _is_installed(self, part: Part) -> bool:
        """Whether it belongs to the installation there, which is of another version, and so to its programs."""
        stock = part.kind == TEMPLATES and part.name.startswith("templates/")
        return stock and self.version != self.value["version"] and os.path.lexists(self.place(part))

    def _refuse_what_is_in_use(self, part: Part) -> None:
        """A server that runs has not lost its configuration; a restore needs the one that it has armed."""
        what = f"Restore of '{self.place(part)}'"
        servers = running(self.conf)
        if servers:
            why = f"Nuxeo runs with '{self.conf}' as process {servers[0].pid}, so its configuration is not lost"
            raise ConfError(what, why, "Leave this host out of the run, or stop Nuxeo")
        if part.kind == CONF and os.path.isfile(self.conf) and is_armed(self.conf):
            raise ConfError(
                what,
                "a restore onto this instance has begun and has not ended",
                "Run that restore again; it needs the file as it is",
            )

    def _folder_differs(self, part: Part, entries: list[Entry], place: str) -> bool:
        return _extra(place, entries) or self._run(part, entries, place, True).changed > 0

    def _run(self, part: Part, entries: list[Entry], place: str, check: bool) -> TreeResult:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, LIST)
            write_tree_list(path, entries)
            return restore_tree(path, os.path.join(self.src, part.name), place, self.owner, self.group, check=check)

    def _folder(self, part: Part, entries: list[Entry], new: str) -> None:
        if os.path.lexists(new):  # of a killed run
            shutil.rmtree(new)
        try:
            self._run(part, entries, new, False)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise

    def _content(self, part: Part, entry: Entry) -> bytes:
        content = read_bytes(os.path.join(self.src, part.name))
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise ConfError(
                f"Restore of '{self.place(part)}'",
                f"'{part.name}' of the set is not what {LIST} says",
                "Verify the set",
            )
        return content

    def _file_differs(self, part: Part, entry: Entry) -> bool:
        place, content = self.place(part), self._content(part, entry)
        if not os.path.isfile(place) or read_bytes(place) != content:
            return True
        found = os.stat(place)
        there = found.st_uid, found.st_gid
        return stat.S_IMODE(found.st_mode) != entry.mode or (self._owners(entry) or there) != there

    def _owners(self, entry: Entry) -> tuple[int, int] | None:
        """Whose a file is to be; None when it stays ours, since only root can give files away."""
        if os.geteuid() != 0:
            return None
        return user_id(self.owner or entry.owner), group_id(self.group or entry.group)

    def _keep_aside(self, place: str, stays: bool) -> None:
        """Give what is there another name; one that ``stays`` is there by its own name too until it is replaced."""
        aside = _aside(place)
        self.result.kept_aside.append(aside)
        (os.link if stays else os.rename)(place, aside)
        fsync_directory(os.path.dirname(place))


def _aside(place: str) -> str:
    return f"{place}.before-{datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%SZ}"


def _below(name: str, path: str) -> str:
    return "." if path == name else path[len(name) + 1 :]


def _extra(place: str, entries: list[Entry]) -> bool:
    """Whether a folder holds what the copy does not."""
    known = {entry.path for entry in entries}
    for folder, folders, files in os.walk(place):
        inside = os.path.relpath(folder, place)
        if any((name if inside == "." else f"{inside}/{name}") not in known for name in [*folders, *files]):
            return True
    return not any(entry.type == FOLDER for entry in entries)
