# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real H2 from the Maven registry: its jar per version, and SQL on a database file by H2's own Shell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from servers.maven import download, one_at_a_time

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "h2"
VERSIONS = {
    "1.4.177": "f281673f3248a4b5cb03fdc0cc39b944fe978366be959d0e8106fcc3197f4705",
    "1.4.200": "3ad9ac4b6aae9cd9d3ac1c447465e1ed06019b851b893dd6a8d76ddb6d85bca6",
    "2.1.214": "d623cdc0f61d218cf549a8d09f1c391ff91096116b22e2475475fce4fbe72bd0",
    "2.2.224": "b9d8f19358ada82a4f6eb5b174c6cfe320a375b5a9cb5a4fe456d623e6e55497",
    "2.4.240": "29b70e427cc1c40cdc376283adbb0cc62853073797bb5fe5761f81fe73d57ce0",
}
"""And the SHA-256 of its jar."""


def jar(version: str) -> Path:
    """The jar of that version, fetched once."""
    with one_at_a_time(CACHE / "lock"):
        return download(f"com.h2database:h2:{version}", VERSIONS[version], CACHE)


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
