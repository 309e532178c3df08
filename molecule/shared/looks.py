# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the scenarios look at a host: by psql, md5sum, sha256sum and curl, never by the collection's own modules."""

from __future__ import annotations

import json
import shlex
import typing as t
from datetime import datetime


def psql(host: t.Any, sql: str, database: str = "nuxeo") -> list[str]:
    """The lines that psql prints, as the superuser of the host's own PostgreSQL."""
    command = f"runuser -u postgres -- psql -X -A -t -d {database} -c {shlex.quote(sql)}"
    return str(host.check_output("sh -c %s", f"cd / && {command}")).split()


def curl(host: t.Any, path: str) -> str:
    """What the server answers."""
    return str(host.check_output("curl -sS --max-time 60 %s", f"http://127.0.0.1:8080/nuxeo/{path}"))


def newest_set(host: t.Any, instance: str, backups: str = "/var/backups/nuxeo") -> tuple[str, dict[str, t.Any]]:
    """The folder of the newest set and its manifest."""
    sets = f"{backups}/{instance}/sets"
    folder = sets + "/" + str(host.check_output("sh -c %s", f"ls {sets} | grep '^2' | sort | tail -n 1"))
    return folder, json.loads(host.check_output("cat %s", f"{folder}/manifest.json"))


def sums(host: t.Any, folder: str) -> dict[str, str]:
    """The MD5 of each file of a blob store, by its name."""
    lines = str(host.check_output("sh -c %s", f"cd {folder} && find . -type f -path './*/*/*' -exec md5sum {{}} +"))
    return {line[34:].rsplit("/", 1)[-1]: line[:32] for line in lines.splitlines()}


def ledger(host: t.Any, cut: str, path: str = "/opt/nuxeo/server/standin/ledger.jsonl") -> tuple[set[str], set[str]]:
    """The documents that must and those that may be there after a restore to the cut."""
    moment = datetime.fromisoformat(cut.replace("Z", "+00:00")).timestamp()
    must: set[str] = set()
    may: set[str] = set()
    for line in str(host.check_output("cat %s", path)).splitlines():
        entry = json.loads(line)
        made = entry["what"] == "created"
        if entry["began"] <= moment:
            (may.add if made else must.discard)(entry["id"])
        if entry["ended"] < moment:
            (must.add if made else may.discard)(entry["id"])
    return must, may
