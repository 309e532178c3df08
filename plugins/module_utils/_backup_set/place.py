# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: where everything of an instance lies below the backup root."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import typing as t

from .._errors import PlatformError

ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")
"""A set is named by the UTC second of its cut."""
PARTIAL = ".partial-"
ABANDONED = ".abandoned-"
BEAT = re.compile(r"progress[^/]*\.json|\.progress[^/]*\.tmp")
"""Files in a partial set whose modification time is a sign of life. They are no part of the set."""
_INSTANCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


class SetError(PlatformError):
    """A backup set could not be begun, published, listed or verified."""


def is_instance(name: str) -> bool:
    """Whether an instance may have this name."""
    return _INSTANCE.fullmatch(name) is not None


def ancestors(path: str) -> list[set[t.Any]]:
    """A path and all above it, each by its name and by device and inode: bind mounts and links deceive a name."""
    chain: list[set[t.Any]] = []
    name = os.path.realpath(path)
    while True:
        keys: set[t.Any] = {name}
        with contextlib.suppress(OSError):
            found = os.stat(name)
            keys.add((found.st_dev, found.st_ino))
        chain.append(keys)
        if name == os.path.dirname(name):
            return chain
        name = os.path.dirname(name)


@dataclasses.dataclass(frozen=True)
class Place:
    """The folder of one instance below a backup root."""

    root: str
    instance: str
    may_be_linked: t.ClassVar[bool] = True
    """Whether the folder, or that of its sets, may be a link, which an administrator has made."""
    mode: t.ClassVar[int] = 0o700
    """Of the folder, at least."""

    def __post_init__(self) -> None:
        if not is_instance(self.instance):
            raise SetError(
                f"Use of '{self.instance}' as a folder of '{self.root}'",
                "the name of an instance has letters, digits, '.', '_' and '-' only and does not begin with '.' or '-'",
                "Give it another one, by nuxeo_instance where it is the host's name",
            )

    @property
    def what(self) -> str:
        """What a run does here, for messages."""
        return f"backup of '{self.instance}' in '{self.root}'"

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of a partial set."""
        return ("database", "blobs", "files", "conf")

    @property
    def folder(self) -> str:
        return os.path.join(self.root, self.instance)

    @property
    def sets(self) -> str:
        return os.path.join(self.folder, "sets")

    @property
    def lease(self) -> str:
        return os.path.join(self.folder, "lease.json")

    @property
    def lock(self) -> str:
        return os.path.join(self.folder, ".lock")

    @property
    def failed(self) -> str:
        return os.path.join(self.folder, "failed.json")

    def set(self, name: str) -> str:
        return os.path.join(self.sets, name)

    def pool(self, where: str) -> str:
        """Where a pool is that a manifest names: on another host, or below the instance's folder."""
        return where if ":" in where else os.path.join(self.folder, where)

    def partial(self, run_id: str) -> str:
        return os.path.join(self.sets, PARTIAL + run_id)


class Target(Place):
    """The data folder that restores go to. They take turns by the same rules as backups, and leave no set."""

    may_be_linked = False  # Nuxeo's user may make links there, and the restore may be root's
    mode = 0o711  # and who backs up, as another user, has to see whether one is on

    def __init__(self, data_dir: str) -> None:
        super().__init__(data_dir, ".nuxeo-platform-run")

    def __post_init__(self) -> None:
        """The name is our own."""

    @property
    def what(self) -> str:
        return f"restore into '{self.root}'"

    @property
    def folders(self) -> tuple[str, ...]:
        return ()
