# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the files that make up a configuration: what a backup of it must hold.

Without the key files of encrypted values and encrypted blobs, and without ``server.status.key`` in nuxeo.conf, what
they protect is lost, so they are parts like the templates.
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from .configuration import Configuration
from .keys import key_files

CONF, TEMPLATES, KEYS = "conf", "templates", "keys"


@dataclasses.dataclass(frozen=True)
class Part:
    """One file or folder: its name in the backup, and its place on the node."""

    name: str
    path: str
    kind: str
    folder: bool

    def as_json(self) -> dict[str, t.Any]:
        """As a JSON value."""
        return dataclasses.asdict(self)


def parts(configuration: Configuration) -> list[Part]:
    """nuxeo.conf, the templates taken with what lies beside them, and the files of keys that properties name."""
    found = [Part("nuxeo.conf", configuration.conf, CONF, False)]
    stock = configuration.templates_folder
    named = sorted(name for name in os.listdir(stock) if re.fullmatch(r"nuxeo\..+", name))
    found += [
        Part(f"templates/{name}", f"{stock}/{name}", TEMPLATES, False)
        for name in named
        if os.path.isfile(f"{stock}/{name}")
    ]
    outside = 0
    for folder, template in sorted(zip(configuration.template_folders, configuration.templates)):
        if any(part.folder and folder.startswith(part.path + "/") for part in found):
            continue
        name = f"templates/{template}"
        if template.startswith("/") or ".." in template.split("/"):
            outside += 1
            name = f"outside/{outside}-{os.path.basename(template)}"
        found.append(Part(name, folder, TEMPLATES, True))
    keys = [path for path in key_files(configuration) if not any(_is_in(path, part) for part in found)]
    found += [Part(f"keys/{n}-{os.path.basename(path)}", path, KEYS, False) for n, path in enumerate(keys, 1)]
    return found


def _is_in(path: str, part: Part) -> bool:
    return path == part.path or (part.folder and path.startswith(part.path + "/"))
