# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of a restored instance, looked up by other means than the collection: psql and md5sum.

I1: each row of ``content`` names a blob that is there, and whose bytes have that digest.
Documents: those whose commit had come back before the cut are there, unless their removal had begun before it.
"""

from __future__ import annotations

import json
import subprocess
import typing as t
from datetime import datetime
from pathlib import Path

if t.TYPE_CHECKING:
    from ..postgresql import Server


class Proof(t.NamedTuple):
    """What was looked up and what was not as it must be."""

    rows: int
    blobs: int
    missing: list[str]
    wrong: list[str]

    @property
    def good(self) -> bool:
        """Nothing is missing or wrong, and there was something to look at."""
        return self.rows > 0 and not self.missing and not self.wrong


def md5sums(paths: t.Sequence[Path]) -> dict[Path, str]:
    """The MD5 of each file by coreutils; a file that is not there is left out."""
    found: dict[Path, str] = {}
    for start in range(0, len(paths), 500):
        part = [str(path) for path in paths[start : start + 500]]
        done = subprocess.run(["md5sum", "-z", "--", *part], capture_output=True, text=True, check=False)
        for line in filter(None, done.stdout.split("\0")):
            found[Path(line[34:])] = line[:32]
    return found


def check_keys(keys: t.Sequence[str], store: Path) -> Proof:
    """I1 for these keys (one for each row) and a store of depth 2."""
    paths = {key: store / "data" / key[:2] / key[2:4] / key for key in set(keys)}
    sums = md5sums(list(paths.values()))
    missing = sorted(key for key, path in paths.items() if path not in sums)
    wrong = sorted(key for key, path in paths.items() if path in sums and sums[path] != key)
    return Proof(len(keys), len(paths), missing, wrong)


def check_blobs(server: Server, database: str, store: Path) -> Proof:
    """I1 for a database of that PostgreSQL and the store."""
    return check_keys(server.psql("select data from content where data is not null", database).split(), store)


def documents(server: Server, database: str) -> set[str]:
    """The ids of the documents that the database holds."""
    return set(server.psql("select id from hierarchy where primarytype = 'File'", database).split())


def seconds(moment: str) -> float:
    """An ISO 8601 time as seconds since 1970."""
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def expected(ledger: Path, cut: str | float) -> tuple[set[str], set[str]]:
    """The ids that must be there after a restore to the cut, and those that may be there."""
    moment = seconds(cut) if isinstance(cut, str) else cut
    must: set[str] = set()
    may: set[str] = set()
    for line in ledger.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["what"] == "created":
            if entry["began"] <= moment:
                may.add(entry["id"])
            if entry["ended"] < moment:
                must.add(entry["id"])
        else:
            if entry["began"] <= moment:
                must.discard(entry["id"])
            if entry["ended"] < moment:
                may.discard(entry["id"])
    return must, may
