# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site: instances of the stand-in on real databases, one backup root, one inventory; driven by the playbooks."""

from __future__ import annotations

import hashlib
import json
import subprocess
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from servers.nuxeo.instance import Instance
    from servers.playbook import Result, Run
    from servers.postgresql import Server

Vars = t.Dict[str, t.Any]


class Site:
    """Runs the playbooks on an inventory and looks at what they left, by other means than the collection.

    ``detached``: long steps run apart from their connection, as they do on a node that is not this machine.
    """

    detached = False

    def __init__(self, root: Path, inventory: t.Callable[..., Path], start: t.Callable[..., Run]) -> None:
        self.root = root
        self.root.mkdir(exist_ok=True)
        self._inventory = inventory
        self._start = start
        self.hosts: dict[str, Vars] = {}

    def add(self, name: str, instance: Instance, **more: t.Any) -> None:
        """A host of the inventory, with the variables that a site sets."""
        self.hosts[name] = {
            "nuxeo_backup_root": str(self.root),
            "nuxeo_home": str(instance.home),
            "nuxeo_conf_path": str(instance.conf),
            "backup_poll": 1,
            "restore_poll": 1,
            **more,
        }

    def start(self, playbook: str, *words: str, **variables: t.Any) -> Run:
        """Start a playbook."""
        if self.detached and "--check" not in words:
            variables = {"__backup_async": 604800, "__restore_async": 604800, **variables}
        return self._start(f"{playbook}.yml", self._inventory(**self.hosts), variables, *words)

    def run(self, playbook: str, *words: str, **variables: t.Any) -> Result:
        """Run a playbook to its end, however it ends."""
        return self.start(playbook, *words, **variables).wait(600)

    def backup(self, *words: str, **variables: t.Any) -> Result:
        """A backup that has to succeed."""
        return self.run("backup", *words, **variables).check()

    def restore(self, server: Server | None, *words: str, **variables: t.Any) -> Result:
        """A restore that has to succeed, with the right to make databases where there is a server."""
        return self.run("restore", *words, **self.admin(server), **variables).check()

    @staticmethod
    def admin(server: Server | None) -> Vars:
        """Who may make databases."""
        if server is None:
            return {}
        return {"restore_database_admin_user": server.user, "restore_database_admin_password": server.password}

    def sets(self, instance: str) -> list[Path]:
        """The published sets, oldest first."""
        folder = self.root / instance / "sets"
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []

    def partial(self, instance: str) -> list[str]:
        """What lies beside the published sets."""
        folder = self.root / instance / "sets"
        return sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) if folder.is_dir() else []

    def manifest(self, instance: str) -> Vars:
        """The manifest of the newest set."""
        return dict(json.loads((self.sets(instance)[-1] / "manifest.json").read_text()))

    def assert_all_verify(self, instance: str) -> None:
        """Every published set is whole, by coreutils."""
        for path in self.sets(instance):
            done = subprocess.run(
                ["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=path, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stdout


def tree_hash(folder: Path, skip: t.Sequence[str] = ()) -> str:
    """Names, modes, contents and times of files below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if any(part in skip for part in path.relative_to(folder).parts):
            continue
        status = path.lstat()
        found.update(f"{path} {status.st_mode:o} {status.st_uid}".encode())
        if path.is_file() and not path.is_symlink():
            found.update(f"{status.st_mtime_ns}".encode() + path.read_bytes())
    return found.hexdigest()
