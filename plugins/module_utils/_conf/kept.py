# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the environment of a server that was stopped, kept until it is started again.

nuxeoctl takes its environment from whoever calls it: us, a unit, or a script that a unit runs. Once the server is
stopped nobody else may know the environment it ran in. Without it nuxeo.conf reads otherwise, and the instance would
come back as another one. It may hold secrets, so the file is readable for its owner only, in a folder of that owner.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import typing as t

from .._io import write_atomic

FOLDER = "/var/tmp"  # noqa: S108 - a folder of our own is made in it, and its owner and mode are checked


def folder(base: str = FOLDER) -> str:
    """Where this user's are kept."""
    return os.path.join(base, f"nuxeo-platform-{os.geteuid()}")


def _file(conf: str, base: str) -> str:
    name = hashlib.sha256(os.fsencode(os.path.realpath(conf))).hexdigest()[:32]
    return os.path.join(folder(base), name + ".environment")


def _is_own(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def keep(conf: str, environment: t.Mapping[str, str], base: str = FOLDER) -> bool:
    """Keep an environment; False when there is no safe place for it."""
    own = folder(base)
    with contextlib.suppress(FileExistsError):
        os.mkdir(own, 0o700)
    if not _is_own(own):
        return False
    content = b"\0".join(os.fsencode(f"{name}={value}") for name, value in environment.items())
    write_atomic(_file(conf, base), content)
    return True


def kept(conf: str, base: str = FOLDER) -> dict[str, str] | None:
    """The environment that was kept for a nuxeo.conf."""
    if not _is_own(folder(base)):
        return None
    try:
        with open(_file(conf, base), "rb") as stream:
            content = stream.read()
    except OSError:
        return None
    pairs = (os.fsdecode(part).partition("=") for part in content.split(b"\0") if part)
    return {name: value for name, _separator, value in pairs}


def forget(conf: str, base: str = FOLDER) -> None:
    """It runs again: its process has the environment."""
    if _is_own(folder(base)):
        with contextlib.suppress(OSError):
            os.unlink(_file(conf, base))
