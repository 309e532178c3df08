# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the door to this package: from a path, or from nothing, to a resolved configuration."""

from __future__ import annotations

import os
import typing as t

from .configuration import Configuration
from .errors import ConfError
from .guard import find as find_guard
from .java import path as java_path
from .load import load
from .loaded import Legacy, Loaded, Modern
from .locate import locate
from .version import LINES, line_of

VERSION_FILE = "templates/common/config/distribution.properties"
VERSION = "org.nuxeo.distribution.version"


def resolve(
    path: str | None = None,
    home: str | None = None,
    environment: t.Mapping[str, str] | None = None,
    version: str | None = None,
    ignore_guard: bool = False,
) -> Configuration:
    """Resolve a nuxeo.conf as Nuxeo's own launcher of its version does. Nothing is written.

    :param path: nuxeo.conf; default: that of the running Nuxeo, of its unit, or of a known place
    :param home: NUXEO_HOME; default likewise
    :param environment: that of the Nuxeo process; default: read from the running process, or from its unit
    :param version: default: read from the distribution.properties of the common template
    :param ignore_guard: read a file that an unfinished restore has armed as if it were not
    """
    place = locate(path, home, environment)
    conf = os.path.abspath(place.conf)
    if not os.path.isfile(conf):
        raise ConfError(f"Reading of '{conf}'", "there is no such file", "Give the path of nuxeo.conf")
    where = java_path(os.path.abspath(place.home))
    told = version or read_version(where)
    line = line_of(told)
    family: type[Loaded] = Modern if line.modern else Legacy
    loaded = family(conf, where, dict(place.environment), line, find_guard(conf) if ignore_guard else "")
    return Configuration(loaded, told)


def read_version(home: str) -> str:
    """The version of the server below a NUXEO_HOME."""
    file = f"{home}/{VERSION_FILE}"
    if not os.path.isfile(file):
        raise ConfError(
            f"Reading of Nuxeo's version from '{file}'",
            "there is no such file",
            "Name the right NUXEO_HOME by nuxeo_home, or the version by nuxeo_version",
        )
    found = load(file, LINES["8.10"]).get(VERSION)
    if found is None or not found.text:
        raise ConfError(f"Reading of Nuxeo's version from '{file}'", f"it has no {VERSION}", "Name it by nuxeo_version")
    return found.text
