# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that the modules are compared with."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

from blobs.place import ROOT
from blobs.process import Ran, run

NEEDED = ("rsync", "restic", "borg", "rclone", "find", "tar", "cp", "openssl", "strace", "ssh")
RESTIC = {"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(ROOT / "restic")}
BORG = {"BORG_BASE_DIR": str(ROOT / "borg-base"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}


def look() -> None:
    """End at once, and not after an hour, when one is missing."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"not found: {', '.join(missing)}. Run tests/servers/prepare.sh system and bench")


def begin() -> None:
    """The repositories of those that have one."""
    run(["restic", "init", "-q"], env=RESTIC)
    run(["borg", "init", "-e", "none", ROOT / "borg"], env=BORG)


def backups(data: Path) -> dict[str, t.Callable[[], Ran]]:
    """A backup by each of them."""
    copies = ROOT / "noop"
    name = f"{ROOT / 'borg'}::{{now:%Y-%m-%dT%H:%M:%S.%f}}"
    return {
        "noop_rsync": lambda: run(["rsync", "-a", f"{data}/", f"{copies / 'rsync'}/"]),
        "noop_restic": lambda: run(["restic", "backup", "-q", data], env=RESTIC),
        "noop_borg": lambda: run(["borg", "create", name, data], env=BORG),
        "noop_rclone": lambda: run(["rclone", "copy", data, copies / "rclone"]),
    }
