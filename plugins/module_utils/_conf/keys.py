# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the files of keys, keystores and truststores that properties name.

Some hold what has encrypted blobs or values. Nobody can read these without them, so one that is named is there, or the
configuration is not whole: its volume may just not be mounted. Of the others some are named where nothing uses them.
"""

from __future__ import annotations

import os
import re
import stat
import urllib.parse

from .configuration import Configuration
from .crypto import decode_base64
from .errors import ConfError
from .java import resolve_path
from .loaded import seen

_PATHS = re.compile(
    r"(key|trust)_?store[._-]?(path|file)?$"
    r"|\.credentials(\.file)?$|(ca|client)?cert(ificate)?\.(path|file)$|key\.(path|file)$",
    re.IGNORECASE,
)
_BLOBS = "nuxeo.core.binarymanager_key"
_VALUES = "server.crypt.secretkey"
_NEEDED = (_BLOBS, _VALUES, "server.crypt.keystore.path", "nuxeo.s3storage.crypt.keystore.file")


def key_files(configuration: Configuration) -> list[str]:
    """Those that exist, by path."""
    named = _named(configuration)
    for path, name in named.items():
        problem = _problem(path, name)
        if problem:
            raise problem
    return sorted(path for path in named if seen(path) and os.path.isfile(path))


def key_problems(configuration: Configuration) -> list[str]:
    """What is wrong with those without which something could not be read again."""
    return [str(problem) for problem in (_problem(*each) for each in _named(configuration).items()) if problem]


def _named(configuration: Configuration) -> dict[str, str]:
    """The properties by the paths that they name."""
    places = {name: configuration.get(name) or "" for name in configuration if _PATHS.search(name)}
    settings = dict(part.partition("=")[::2] for part in (configuration.get(_BLOBS) or "").split(","))
    places[_BLOBS] = settings.get("keyStoreFile", "")
    secret = decode_base64(configuration.get(_VALUES) or "").decode("utf-8", "replace")
    if secret.startswith("file:"):
        places[_VALUES] = urllib.parse.unquote(urllib.parse.urlsplit(secret).path)
    needed_last = sorted(places, key=lambda name: name in _NEEDED)  # so that its name is the one of a path with two
    paths = ((places[name].strip(), name) for name in needed_last)
    return {resolve_path(configuration.home, path): name for path, name in paths if path}


def _problem(path: str, name: str) -> ConfError | None:
    if name not in _NEEDED:
        return None
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "rb"):
                return None
        why = "it is no file"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
    todo = "Bring it back, mount its volume or run as who may read it; or take the property away where nothing needs it"
    return ConfError(f"Reading of the key file '{path}', which {name} names", why, todo)
