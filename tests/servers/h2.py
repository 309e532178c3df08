# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real H2 from the Maven registry: its jar per version, and SQL on a database file by H2's own Shell."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "h2"
VERSIONS = ("1.4.200", "2.2.224")


def jar(version: str) -> Path:
    """The jar of that version, fetched once."""
    path = CACHE / f"h2-{version}.jar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            artifact = f"-Dartifact=com.h2database:h2:{version}"
            command = ["mvn", "-q", "-B", "dependency:copy", artifact, f"-DoutputDirectory={CACHE}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=CACHE)
            if not path.exists():
                raise RuntimeError(f"h2 {version} could not be fetched: {done.stdout}{done.stderr}")
    return path


def shell(h2_jar: Path, database: Path, sql: str) -> str:
    """What H2's Shell prints for a statement. ``database`` is the file without ``.mv.db``; nobody may have it open."""
    url = f"jdbc:h2:{database};IFEXISTS=TRUE"
    command = [
        "java",
        "-cp",
        str(h2_jar),
        "org.h2.tools.Shell",
        "-url",
        url,
        "-user",
        "sa",
        "-password",
        "",
        "-sql",
        sql,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode or "Exception" in done.stderr:
        raise RuntimeError(f"h2: {done.stdout}{done.stderr}")
    return done.stdout


def column(h2_jar: Path, database: Path, sql: str) -> list[str]:
    """The values of the first column."""
    lines = shell(h2_jar, database, sql).splitlines()
    return [line.split("|")[0].strip() for line in lines[1:] if not line.startswith("(")]


if __name__ == "__main__":
    for wanted in sys.argv[1:] or VERSIONS:
        print(jar(wanted))
