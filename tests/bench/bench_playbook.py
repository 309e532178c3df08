# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of playbooks/backup.yml, as a user waits for it, on an instance in which nothing is new.

Adds ``noop_playbook_s`` (the median, in seconds) to the report of bench_dump. Beside it stands the floor: a playbook of
as many tasks that do nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests"))

from servers.nuxeo.instance import make_instance  # noqa: E402
from servers.playbook import Result, local_inventory, start  # noqa: E402
from servers.postgresql import Server  # noqa: E402

OUT = REPO / "build" / "bench" / "dump.json"
LOGIN = {"name": "nuxeo", "user": "nuxeo", "password": "secret"}


def timed(folder: Path, playbook: str | Path, inventory: Path) -> tuple[float, Result]:
    """Seconds from the start of ansible-playbook to its end."""
    began = time.monotonic()
    result = start(folder, playbook, inventory).wait(600).check()
    return round(time.monotonic() - began, 2), result


def measure(folder: Path, documents: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round, ours and the floor in turn, after a first backup that brings everything."""
    with Server(folder / "server", version="15") as server:
        server.create_database(LOGIN["name"], LOGIN["user"], LOGIN["password"])
        instance = make_instance(folder / "home", {"host": server.host, "port": server.port, **LOGIN}).start()
        try:
            for _hundred in range(documents // 100):
                instance.create_documents(100)
            (folder / "root").mkdir()
            host = {"nuxeo_backup_root": str(folder / "root"), "nuxeo_home": str(instance.home)}
            inventory = local_inventory(
                folder / "inventory.json", {"acme": {**host, "nuxeo_conf_path": str(instance.conf)}}
            )
            tasks = len({task.task for task in timed(folder / "first", "backup.yml", inventory)[1].tasks})
            floor = folder / "floor.yml"
            ping = [{"name": f"Nothing {number}", "ansible.builtin.ping": {}} for number in range(tasks)]
            floor.write_text(json.dumps([{"hosts": "nuxeo", "gather_facts": False, "tasks": ping}]))
            times: dict[str, list[float]] = {"noop_playbook": [], "empty_tasks": []}
            for number in range(rounds):
                times["noop_playbook"].append(timed(folder / f"run{number}", "backup.yml", inventory)[0])
                times["empty_tasks"].append(timed(folder / f"floor{number}", floor, inventory)[0])
            return times
        finally:
            instance.stop()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Benchmark of a backup in which nothing is new.")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        times = measure(Path(name), args.documents, args.rounds)
    report = json.loads(args.out.read_text()) if args.out.exists() else {}
    report.setdefault("ratios", {})["noop_playbook_s"] = statistics.median(times["noop_playbook"])
    report.setdefault("seconds", {})["empty_tasks_playbook"] = statistics.median(times["empty_tasks"])
    report.setdefault("times", {}).update(times)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report["ratios"], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
