# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit index: our modules against the bare REST calls with curl, on a real Elasticsearch.

Writes build/bench/audit.json. Modules are run as Ansible runs them, each in a process of its own, with all its checks.
Repositories have the engine's own limits of bytes a second.

    BENCH_AUDIT_DOCUMENTS   audit documents, default 1,000,000
    BENCH_AUDIT_ROUNDS      rounds, default 3; the ratios are of the medians
    BENCH_AUDIT_ENGINE      default es7
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import typing as t

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests"))

from servers.search.nuxeo_indices import Curl  # noqa: E402
from servers.search.server import Server  # noqa: E402

DOCUMENTS = int(os.environ.get("BENCH_AUDIT_DOCUMENTS", "1000000"))
ROUNDS = int(os.environ.get("BENCH_AUDIT_ROUNDS", "3"))
ENGINE = os.environ.get("BENCH_AUDIT_ENGINE", "es7")
INDEX = "nuxeo-audit"
BULK = 2000
Times = t.Dict[str, t.List[float]]


def entry(number: int) -> str:
    """An audit entry as Nuxeo writes it, with its action line."""
    document = {
        "entry": "logEntry",
        "id": number,
        "eventId": ("documentCreated", "documentModified", "download", "loginSuccess")[number % 4],
        "category": "eventDocumentCategory",
        "principalName": f"user{number % 997}",
        "docUUID": f"{number * 2654435761 % 2**32:08x}-7f0e-4c5b-9a51-{number:012x}",
        "docPath": f"/default-domain/workspaces/ws-{number % 113}/document-{number}",
        "docType": "File",
        "docLifeCycle": "project",
        "repositoryId": "default",
        "eventDate": f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}T10:{number % 60:02d}:00.000Z",
        "extended": {},
    }
    return json.dumps({"index": {"_id": str(number)}}) + "\n" + json.dumps(document) + "\n"


def write(server: Server, first: int, last: int) -> None:
    """Entries with these ids."""
    for start in range(first, last + 1, BULK):
        numbers = range(start, min(start + BULK, last + 1))
        status, answer = server.call("POST", f"/{INDEX}/_bulk", "".join(map(entry, numbers)).encode(), timeout=300)
        assert status == 200 and not answer["errors"], answer
    settle(server)


def settle(server: Server) -> None:
    """Wait until nothing is merged any more."""
    server.call("POST", f"/{INDEX}/_flush", timeout=300)
    while server.call("GET", f"/{INDEX}/_stats/merge")[1]["_all"]["total"]["merges"]["current"]:
        time.sleep(0.5)


def ours(module: str, **options: t.Any) -> tuple[float, dict[str, t.Any]]:
    """Seconds that a module took from the start of its process to its end, and its result."""
    environment = {**os.environ, "PYTHONPATH": str(REPO / "build" / "collections")}
    argv = [sys.executable, "-m", f"ansible_collections.nuxeo.platform.plugins.modules.{module}"]
    given = json.dumps({"ANSIBLE_MODULE_ARGS": options})
    began = time.monotonic()
    done = subprocess.run(argv, env=environment, input=given, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    result = json.loads(done.stdout)
    assert not result.get("failed"), result["msg"]
    return seconds, result


def bare(curl: Curl, *calls: tuple[str, str, t.Any]) -> float:
    """Seconds that these calls took with curl."""
    began = time.monotonic()
    for method, path, body in calls:
        status, answer = curl(method, path, body, timeout=3600)
        assert status == 200, answer
    return time.monotonic() - began


def register(server: Server, name: str) -> None:
    """A repository with a new folder."""
    path = server.repository / name
    path.mkdir()
    server.give(path)
    ours("es_repository", name=name, url=server.urls, settings={"location": str(path)})


def round_of(server: Server, curl: Curl, number: int, times: Times) -> None:
    """Everything once; who comes first changes from round to round."""
    last = DOCUMENTS + 1000 * number

    def bare_snapshot() -> None:
        register(server, f"bare{number}")
        body = {"indices": INDEX, "include_global_state": False}
        path = f"/_snapshot/bare{number}/s?wait_for_completion=true"
        times["snapshot_api"].append(bare(curl, ("PUT", path, body)))

    def our_snapshot() -> None:
        register(server, f"ours{number}")
        options = {"repository": f"ours{number}", "url": server.urls, "indices": [INDEX]}
        seconds, result = ours("es_snapshot", name="s", **options)
        times["snapshot"].append(seconds)
        records.append(result["record"])

    def bare_restore() -> None:
        rename = {"rename_pattern": ".+", "rename_replacement": "bare-copy", "include_aliases": False}
        body = {"indices": INDEX, "include_global_state": False, **rename}
        actions = {"actions": [{"add": {"index": "bare-copy", "alias": "bare-audit"}}]}
        calls = [
            ("POST", f"/_snapshot/ours{number}/s/_restore?wait_for_completion=true", body),
            ("POST", "/bare-copy/_refresh", None),
            ("GET", "/bare-copy/_count", None),
            ("POST", "/_aliases", actions),
        ]
        times["restore_api"].append(bare(curl, *calls))
        curl.ok("DELETE", "/bare-copy")

    def our_restore() -> None:
        options = {"repository": f"ours{number}", "name": "s", "url": server.urls, "record": records[0]}
        seconds, result = ours("es_snapshot_restore", rename={INDEX: "our-audit"}, **options)
        times["restore"].append(seconds)
        assert curl.count("our-audit") == last
        curl.ok("DELETE", f"/{result['indices'][0]['index']}")

    records: list[dict[str, t.Any]] = []
    for step in (bare_snapshot, our_snapshot) if number % 2 else (our_snapshot, bare_snapshot):
        step()
    for step in (bare_restore, our_restore) if number % 2 else (our_restore, bare_restore):
        step()
    write(server, last + 1, last + 1000)
    again = {"repository": f"ours{number}", "url": server.urls, "indices": [INDEX]}
    times["incremental"].append(ours("es_snapshot", name="s2", **again)[0])
    for name in (f"ours{number}", f"bare{number}"):
        curl.ok("DELETE", f"/_snapshot/{name}/{'s,s2' if name.startswith('ours') else 's'}")


def main() -> None:
    times: Times = {key: [] for key in ("snapshot", "snapshot_api", "restore", "restore_api", "incremental")}
    with Server(ENGINE, heap="3g") as server:
        curl = Curl(server)
        curl.create(INDEX, shards=5)
        write(server, 1, DOCUMENTS)
        for number in range(ROUNDS):
            round_of(server, curl, number, times)
    middle = {key: statistics.median(values) for key, values in times.items()}
    report = {
        "engine": server.engine.version,
        "documents": DOCUMENTS,
        "seconds": times,
        "medians": middle,
        "ratios": {
            "snapshot_vs_api": middle["snapshot"] / middle["snapshot_api"],
            "restore_vs_api": middle["restore"] / middle["restore_api"],
            "incremental_vs_full": middle["incremental"] / middle["snapshot"],
        },
        "targets": {"snapshot_vs_api": 1.1, "restore_vs_api": 1.1, "incremental_vs_full": 0.2},
    }
    target = REPO / "build" / "bench" / "audit.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report["ratios"], indent=2))


if __name__ == "__main__":
    main()
