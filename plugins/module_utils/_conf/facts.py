# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what may be told of a configuration. No secret is among it."""

from __future__ import annotations

import fnmatch
import typing as t

from .blobs import blobs
from .configuration import Configuration
from .database import database
from .engines import audit, cluster, search, sequences, streams
from .generated import pending_restart, unread
from .keys import key_problems


def facts(configuration: Configuration, properties: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """The value of ``ansible_facts.nuxeo``.

    :param properties: names or globs of the properties whose resolved values are wanted
    """
    return {
        "version": configuration.version,
        "conf": configuration.conf,
        "home": configuration.home,
        "templates": configuration.templates,
        "properties": chosen_properties(configuration, properties),
        "data_dir": configuration.folder("nuxeo.data.dir"),
        "log_dir": configuration.folder("nuxeo.log.dir"),
        "database": database(configuration).shown(),
        "blobs": blobs(configuration),
        "search": search(configuration),
        "audit": audit(configuration),
        "sequences": sequences(configuration),
        "streams": streams(configuration),
        "cluster": cluster(configuration),
        "unread": unread(configuration),
        "pending_restart": pending_restart(configuration),
        "key_problems": key_problems(configuration),
    }


def chosen_properties(configuration: Configuration, wanted: t.Sequence[str]) -> dict[str, str]:
    """The resolved values of the properties that names or globs choose, secrets left out."""
    chosen = {}
    for name in configuration:
        if not any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in wanted):
            continue
        shown = configuration.shown(name)
        if shown is not None:
            chosen[name] = shown
    return chosen
