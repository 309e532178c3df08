# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the Maven registry, each fetched once and known by its SHA-256."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import subprocess
import sys
import typing as t
from pathlib import Path

COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


def download(coordinates: str, sha256: str, folder: Path, kind: str = "jar") -> Path:
    """The file of ``group:artifact:version`` in a folder."""
    _group, artifact, version = coordinates.split(":")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{artifact}-{version}.{kind}"
    if not path.exists():
        argv = ["mvn", "-B", "-q", COPY, f"-Dartifact={coordinates}:{kind}", f"-DoutputDirectory={folder}"]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, cwd=folder)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        path.unlink()
        raise RuntimeError(f"{path.name}: sha256 is {digest}, wanted {sha256}")
    return path


@contextlib.contextmanager
def one_at_a_time(lock: Path) -> t.Iterator[None]:
    """Nobody else fetches the same meanwhile."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
