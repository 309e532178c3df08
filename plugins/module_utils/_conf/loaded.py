# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: nuxeo.conf, its templates and the environment become one set of properties.

Two families of launchers: :class:`Modern` (2021 and later) reads and expands the environment file by file;
:class:`Legacy` (8.10 to 10.10) settles the folders before the templates and expands the environment at the end, in the
values of nuxeo.conf only. Both leave ``${name}`` as it is; see configuration.py.
"""

from __future__ import annotations

import os
import typing as t

from .errors import ConfError, Origin, refused
from .expand import BadReplacement, expand_environment
from .java import file_below, hashmap_order, hashtable_order, is_blank, path, resolve_path
from .load import Value, load
from .loopback import BIND, loopback_url
from .secrets import takes_secret_variable
from .table import KEY_ALIAS, MissingStatusKey, Table
from .version import Line

TEMPLATES = "nuxeo.templates"
INCLUDES = "nuxeo.template.includes"
APPEND = "nuxeo.append.templates."
DEFAULTS = "nuxeo.defaults"
LOOPBACK = "nuxeo.loopback.url"
RENAMED = {
    "nuxeo.templates.parsing.extensions": "nuxeo.plaintext_parsing_extensions",
    "nuxeo.db.user.separator.key": "nuxeo.db.user_separator_key",
    "mail.pop3.host": "mail.store.host",
    "mail.pop3.port": "mail.store.port",
    "mail.smtp.host": "mail.transport.host",
    "mail.smtp.port": "mail.transport.port",
    "mail.smtp.username": "mail.transport.username",
    "mail.transport.username": "mail.transport.user",
    "mail.smtp.password": "mail.transport.password",
    "mail.smtp.usetls": "mail.transport.usetls",
    "mail.smtp.auth": "mail.transport.auth",
    "nuxeo.server.tomcat-admin.port": "nuxeo.server.tomcat_admin.port",
}
FOLDERS = {
    "nuxeo.config.dir": "nxserver/config",
    "nuxeo.data.dir": "nxserver/data",
    "nuxeo.log.dir": "log",
    "nuxeo.mp.dir": "packages",
    "nuxeo.pid.dir": "log",
    "nuxeo.tmp.dir": "tmp",
}
SYSTEM_PROPERTIES = 50
"""About so many does every Java virtual machine have. They share a table with ours, and its size decides an order."""
Values = t.Dict[str, Value]


def seen(path: str) -> bool:
    """Whether there is something. What may not be looked at is not taken for absent: Nuxeo's own user may see it."""
    try:
        os.stat(path)
    except PermissionError as error:
        raise ConfError(
            f"Reading of '{path}'", error.strerror or str(error), "Run as root or as the user of Nuxeo"
        ) from error
    except (OSError, ValueError):
        return False
    return True


class Loaded:
    """What both families share: the table, where each value came from, and the templates taken."""

    def __init__(self, conf: str, home: str, environment: t.Mapping[str, str], line: Line, skip: str = "") -> None:
        self.conf = conf
        self.home = home
        self.environment = environment
        self.line = line
        self.skip = skip
        self.folder = path(home + "/templates")
        self.defaults: dict[str, str] = {}
        self.base: dict[str, str] = {}
        self.origins: dict[str, Origin] = {}
        self.default_origins: dict[str, Origin] = {}
        self.templates: list[str] = []
        self.folders: dict[str, str] = {}
        """Up to 10.10 the folders as they are settled before the templates: what a template says of them is lost."""
        self.tainted: set[str] = set()
        """Names whose values hold a secret of the environment."""
        self.table: Table
        self._taken: set[str] = set()

    def origin(self, name: str) -> Origin:
        """Where the value of a property was set."""
        if name in self.table.own and name in self.origins:
            return self.origins[name]
        return self.default_origins.get(name, Origin(self.conf, 0, name))

    def system(self) -> dict[str, str]:
        """The Java system properties that nuxeoctl passes to the launcher and that are known from outside."""
        return {"nuxeo.home": self.home, "nuxeo.conf": self.conf, "nuxeo.log.dir": path(self.home + "/log")}

    def put_defaults(self, values: t.Mapping[str, Value]) -> None:
        """Lay the values of one file over the defaults."""
        for name, value in values.items():
            self.defaults[name] = value.text
            self.default_origins[name] = value.origin

    def put_own(self, values: t.Mapping[str, Value]) -> None:
        """Take what nuxeo.conf itself says."""
        self.origins.update({name: value.origin for name, value in values.items()})
        try:
            self.table.put_all({name: value.text for name, value in values.items()})
        except MissingStatusKey as error:
            why = "it is about a keystore whose keys server.status.key opens, and there is no server.status.key"
            raise refused(self.origin(KEY_ALIAS), why) from error

    def template_folder(self, element: str) -> str:
        """The folder that an element of a list of templates names."""
        if "\0" in element and self.line.modern:
            raise refused(self.origin(TEMPLATES), "a template has a null character in its name")
        if element.startswith("/") and seen(element):
            return path(element)
        return file_below(self.folder, element) if not self.line.modern else resolve_path(self.folder, element)

    def in_environment(self, text: str, origin: Origin) -> str:
        """Expand the environment in a value; an error where the launcher stops."""
        if takes_secret_variable(text):
            self.tainted.update((origin.name, RENAMED.get(origin.name, origin.name)))
        try:
            return expand_environment(text, self.environment)
        except BadReplacement as error:
            raise refused(
                origin,
                f"a variable of the environment or its default stops Nuxeo {self.line.name}: {error}",
                "Change the value of the variable, or set the property without it",
            ) from error

    def put_loopback(self) -> None:
        """Compute the node's own address, where it is not set."""
        if self.table.get(LOOPBACK) is None:
            self.defaults[LOOPBACK] = loopback_url(self.table.get, self.origin(BIND))

    def need(self, file: str) -> None:
        """The stock defaults must be there."""
        if not seen(file):
            raise ConfError(
                f"Reading of the templates of '{self.conf}'",
                f"'{file}' does not exist",
                "Name the right NUXEO_HOME by nuxeo_home",
            )


class Modern(Loaded):
    """2021, 2023, 2025."""

    def __init__(self, conf: str, home: str, environment: t.Mapping[str, str], line: Line, skip: str = "") -> None:
        super().__init__(conf, home, environment, line, skip)
        self.base = {name: path(home + "/" + folder) for name, folder in FOLDERS.items()}
        self.table = Table(self.defaults, line.strict_cipher)
        self.defaults.update(self.base)
        self.need(self.folder + "/" + DEFAULTS)
        self.put_defaults(self._absolute(self._load_folder(self.folder)))
        self.put_defaults({k: Value(v, Origin(conf, 0, k)) for k, v in self.system().items()})
        own = self._absolute(self._load_file(conf, skip))
        self.put_own(own)
        self._include(self._template_list())
        self.put_loopback()
        self.table.status_key_is_made()

    def _load_file(self, file: str, skip: str = "") -> Values:
        loaded = load(file, self.line, skip)
        values: Values = {}
        for name in hashmap_order(loaded):
            value = loaded[name]
            text = self.in_environment(value.text, value.origin)
            values[name] = Value(text, value.origin)
            if name in RENAMED:
                values[RENAMED[name]] = Value(text, value.origin)
        return values

    def _load_folder(self, folder: str) -> Values:
        values = self._load_file(folder + "/" + DEFAULTS)
        chosen = resolve_path(folder, "nuxeo." + self.environment.get("NUXEO_ENVIRONMENT", "null"))
        if seen(chosen):
            values.update(self._load_file(chosen))
        return values

    def _absolute(self, values: Values) -> Values:
        for name in FOLDERS:
            if name in values:
                value = values[name]
                if "\0" in value.text:
                    raise refused(value.origin, "the path of a folder has a null character")
                values[name] = Value(resolve_path(self.home, value.text), value.origin)
        return values

    def _template_list(self) -> str:
        named = self.table.get(TEMPLATES)
        if named is None or is_blank(named):
            named = "default"
            self.table.put(TEMPLATES, named)
        names = sorted({*self.table.own, *self.defaults}, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        appended = ",".join(self.table.get(name) or "" for name in names if name.startswith(APPEND))
        if not is_blank(appended):
            named += "," + appended
        profiles = self.environment.get("NUXEO_PROFILES")
        return named if is_blank(profiles) else f"{named},{profiles}"

    def _include(self, elements: str) -> None:
        for element in elements.split(","):
            folder = self.template_folder(element)
            if not element or folder in self._taken or not seen(folder):
                continue
            self._taken.add(folder)
            if os.path.isdir(folder) and not seen(folder + "/" + DEFAULTS):
                continue
            if not os.path.isdir(folder):
                if self.line.skips_files:
                    continue
                raise refused(self.origin(TEMPLATES), f"template '{element}' is a file and not a folder: '{folder}'")
            values = self._load_folder(folder)
            included = values.get(INCLUDES)
            if included is not None and not is_blank(included.text):
                self._include(included.text)
            self.templates.append(folder)
            self.put_defaults(self._absolute(values))


class Legacy(Loaded):
    """8.10, 9.10, 10.10."""

    def __init__(self, conf: str, home: str, environment: t.Mapping[str, str], line: Line, skip: str = "") -> None:
        super().__init__(conf, home, environment, line, skip)
        self.need(self.folder + "/" + DEFAULTS)
        self.put_defaults(load(self.folder + "/" + DEFAULTS, line))
        self.put_defaults({k: Value(v, Origin(conf, 0, k)) for k, v in self.system().items()})
        self.table = Table(self.defaults, line.strict_cipher)
        own = load(conf, line, skip)
        self.put_own(own)
        self._rename(self.table.get, self.table.put, [*self.defaults, *self.table.own])
        self._settle_folders()
        self.templates = self._include(self._template_list())
        self._rename(self.defaults.get, self.defaults.__setitem__, list(self.defaults))
        self._database_template("nuxeo.dbtemplate", "nuxeo.db.type", line.databases, "unknown")
        if line.secondary:
            name, kind, known = line.secondary
            self._database_template(name, kind, known, None)
        changed = self._changed_by_environment()
        self.put_loopback()
        self._save(changed)

    def _rename(self, get: t.Callable[[str], str | None], put: t.Callable[[str, str], None], names: list[str]) -> None:
        for name in hashtable_order(names, SYSTEM_PROPERTIES):
            if name in RENAMED:
                put(RENAMED[name], get(name) or "")

    def _settle_folders(self) -> None:
        """Before the templates: a relative folder becomes a user's value, so no template changes it any more."""
        settled = self.folders
        for name in ("nuxeo.data.dir", "nuxeo.log.dir", "nuxeo.pid.dir", "nuxeo.tmp.dir", "nuxeo.mp.dir"):
            given = self.table.get(name)
            if given is None:
                log = settled["nuxeo.log.dir"] if name == "nuxeo.pid.dir" else None
                settled[name] = path(log or self.home + "/" + FOLDERS[name])
                self.defaults[name] = settled[name]
                continue
            if not given.startswith("/"):
                given = file_below(self.home, given)
                self.table.put(name, given)
            settled[name] = given

    def _template_list(self) -> str:
        named = self.table.get(TEMPLATES)
        if named is None and not self.line.env:
            named = self.table.get("nuxeo.template")
        if named is None:
            named = "default"
        named = self._env(named, self.origin(TEMPLATES))
        self.table.put(TEMPLATES, named)
        profiles = self.environment.get("NUXEO_PROFILES") if self.line.profiles else None
        return named if is_blank(profiles) else f"{named},{profiles}"

    def _env(self, text: str, origin: Origin) -> str:
        return self.in_environment(text, origin) if self.line.env else text

    def _include(self, elements: str) -> list[str]:
        ordered: list[str] = []
        for element in elements.split(","):
            if not element:
                continue
            element = self._env(element, Origin(self.conf, 0, TEMPLATES))  # noqa: PLW2901
            folder = self.template_folder(element)
            if folder in self._taken or not seen(folder):
                continue
            self._taken.add(folder)
            file = folder + "/" + DEFAULTS
            if not seen(file):
                continue
            values = load(file, self.line)
            included = values.get(INCLUDES)
            if included is not None:
                ordered += self._include(self._env(included.text, included.origin))
            self.put_defaults(values)
            ordered.append(folder)
        return ordered

    def _database_template(self, name: str, kind_name: str, known: tuple[str, ...], otherwise: str | None) -> None:
        """The computed extras: the last template of the list that is a known database."""
        named = [folder.rsplit("/", 1)[-1] for folder in self.templates]
        found = [folder for folder in named if folder in known]
        kind = self.table.get(kind_name)
        template = found[-1] if found else (kind if kind is not None else otherwise)
        if template is None:
            self.defaults.pop(name, None)
            return
        if kind is None:
            self.table.put(kind_name, template)
        self.defaults[name] = template

    def _changed_by_environment(self) -> dict[str, str]:
        if not self.line.env:
            return {}
        changed = {}
        for name in list(self.table.own):
            value = self.table.get(name) or ""
            new = self.in_environment(value, self.origin(name))
            if new != value:
                changed[name] = new
        return changed

    def _save(self, changed: dict[str, str]) -> None:
        """What the launcher does when it writes to nuxeo.conf: for these values, or for a new status key."""
        self.table.status_key_is_made()
        if not changed:
            return
        for name in [name for name, value in changed.items() if not value]:
            del changed[name]
            self.table.remove(name)
        self.table.put_all(changed)
