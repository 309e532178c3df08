# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgresql_dump against pg_dump alone, on a real PostgreSQL, in one run, each round in another order.

Writes build/bench/dump.json: the ratios of the medians, the medians in seconds, every single time, sizes and machine.
What others have written into that file (noop_playbook_s) stays. Our module is run as Ansible runs it, in a process of
its own, and does all its checks. The server keeps its default durability; the database is read once before the first
round, so that all start with what the system can cache.

    dump_vs_fd_j2        ours / pg_dump -Fd -j2, both as they come: ours compresses by gzip at level 1, pg_dump at 6
    dump_vs_fc           pg_dump -Fc / ours
    same_level_vs_fd_j2  ours at pg_dump's own level 6 / pg_dump -Fd -j2: what snapshot, checks, keys and Python cost
    floor_vs_dump        the same snapshot's rows by COPY, two at a time, thrown away / ours
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests"))

from servers.postgresql import Server  # noqa: E402

OUT = REPO / "build" / "bench" / "dump.json"
MODULE = "ansible_collections.nuxeo.platform.plugins.modules.postgresql_dump"
PASSWORD = "bench"
PER_PGBENCH_SCALE = 15.0
PER_DOCUMENT = 1050.0
"""Bytes on disk."""

NUXEO = """
CREATE TABLE hierarchy (id varchar(36) PRIMARY KEY, parentid varchar(36), name varchar, primarytype varchar,
  mixintypes varchar, isversion boolean, pos bigint);
CREATE TABLE content (id varchar(36), name varchar, "mime-type" varchar, encoding varchar, data varchar, digest varchar,
  length bigint);
CREATE TABLE dublincore (id varchar(36) PRIMARY KEY, title varchar, description varchar, creator varchar,
  created timestamp, modified timestamp, lastcontributor varchar);
CREATE TABLE fulltext (id varchar(36) PRIMARY KEY, jobid varchar, simpletext text);
INSERT INTO hierarchy SELECT md5(i::text), md5((i / 20)::text), 'document-' || i,
  (ARRAY['File', 'Note', 'Folder'])[1 + i % 3], NULL, i % 5 = 0, i % 20 FROM generate_series(1, {rows}) i;
INSERT INTO content SELECT md5(i::text), 'report ' || i || '.pdf', 'application/pdf', NULL, md5((i * 7)::text),
  md5((i * 7)::text), (random() * 1e7)::bigint FROM generate_series(1, {rows}) i;
INSERT INTO dublincore SELECT md5(i::text), 'Report number ' || i,
  md5(i::text) || ' ' || repeat('about the quarter ', i % 6), 'user' || i % 997,
  now() - i * interval '1 s', now(), 'user' || i % 89 FROM generate_series(1, {rows}) i;
INSERT INTO fulltext SELECT md5(i::text), NULL, (SELECT string_agg(substr(md5((i * 31 + j)::text), 1, 3 + j % 6), ' ')
  FROM generate_series(1, 40) j) FROM generate_series(1, {rows}) i;
CREATE INDEX ON hierarchy (parentid);
CREATE INDEX ON content (id);
"""


class Bench:
    """A filled server, and the things to measure."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.environment = server.environment("nuxeo", PGUSER="nuxeo", PGPASSWORD=PASSWORD)
        self.bytes: dict[str, int] = {}

    def fill(self, megabytes: int) -> int:
        """Make a database of about that size, a half of it pgbench's; its size."""
        self.server.create_database("nuxeo", "nuxeo", PASSWORD)
        scale = max(1, round(megabytes / 2 / PER_PGBENCH_SCALE))
        words = [self.server.program("pgbench"), "--initialize", "--quiet", f"--scale={scale}"]
        subprocess.run(words, env=self.environment, check=True, capture_output=True)
        rows = max(1000, round(megabytes / 2 * 2**20 / PER_DOCUMENT))
        sql = NUXEO.replace("{rows}", str(rows))
        words = [self.server.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        subprocess.run(words, input=sql, text=True, env=self.environment, check=True)
        self.server.psql("VACUUM ANALYZE", "nuxeo")
        self.server.psql("CHECKPOINT")
        return int(self.server.psql("SELECT pg_database_size('nuxeo')"))

    def measure(self, name: str, what: t.Callable[[Path], None]) -> float:
        """The seconds that it takes to make something, which is looked at and removed afterwards."""
        target = self.folder / name
        os.sync()
        began = time.monotonic()
        what(target)
        seconds = time.monotonic() - began
        if target.exists():
            files = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
            self.bytes[name] = sum(path.stat().st_size for path in files)
            if target.is_file():
                target.unlink()
            else:
                shutil.rmtree(target)
        return seconds

    def ours(self, compression: str) -> t.Callable[[Path], None]:
        """Our module as Ansible runs it."""

        def run(target: Path) -> None:
            arguments = self.folder / "arguments.json"
            options = {
                "dest": str(target),
                "name": "nuxeo",
                "login_host": self.server.host,
                "login_port": self.server.port,
                "login_user": "nuxeo",
                "login_password": PASSWORD,
                "jobs": 2,
                "compression": compression,
                "bin_dir": str(self.server.bin_dir),
            }
            arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}), encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-m", MODULE, str(arguments)],
                env={**os.environ, "PYTHONPATH": str(REPO / "build" / "collections")},
                capture_output=True,
                text=True,
                check=False,
            )
            result = json.loads(done.stdout.strip().splitlines()[-1])
            assert result.get("changed") and result["blob_keys"] > 0, result

        return run

    def pg_dump(self, *words: str) -> t.Callable[[Path], None]:
        """pg_dump alone."""

        def run(target: Path) -> None:
            subprocess.run(
                [self.server.program("pg_dump"), *words, f"--file={target}"], env=self.environment, check=True
            )

        return run

    def floor(self, _target: Path) -> None:
        """The rows of every table by COPY, two tables at a time, thrown away."""
        tables = self.server.psql(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " ORDER BY relpages DESC",
            "nuxeo",
        ).splitlines()

        def copy(table: str) -> None:
            words = [self.server.program("psql"), "-X", "-q", "-c", f'COPY "{table}" TO STDOUT']
            subprocess.run(words, env=self.environment, check=True, stdout=subprocess.DEVNULL)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(copy, tables))

    def rounds(self, number: int) -> dict[str, list[float]]:
        """Every thing once in each round, in another order each time."""
        things: dict[str, t.Callable[[Path], None]] = {
            "ours": self.ours("auto"),
            "fd_j2": self.pg_dump("--format=directory", "--jobs=2"),
            "fc": self.pg_dump("--format=custom"),
            "ours_gzip_6": self.ours("gzip:6"),
            "floor": self.floor,
        }
        times: dict[str, list[float]] = {name: [] for name in things}
        self.floor(self.folder / "warm")
        names = list(things)
        for turn in range(number):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                times[name].append(round(self.measure(name, things[name]), 3))
            print(f"round {turn + 1} of {number}:", {name: value[-1] for name, value in times.items()}, flush=True)
        return times


def machine(server: Server) -> dict[str, t.Any]:
    """What it was measured on."""
    with open("/proc/meminfo", encoding="utf-8") as stream:
        memory = int(stream.readline().split()[1]) * 1024
    return {
        "processors": len(os.sched_getaffinity(0)),
        "memory": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": server.psql("SHOW server_version"),
        "load_before": os.getloadavg()[0],
    }


def write(report: dict[str, t.Any], out: Path) -> None:
    """Write the report; keys of others stay."""
    out.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, t.Any] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    for key, value in report.items():
        known[key] = {**known[key], **value} if isinstance(value, dict) and isinstance(known.get(key), dict) else value
    out.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Benchmark of postgresql_dump.")
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the database (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--version", default="15", choices=["15", "18"], help="PostgreSQL (default 15)")
    parser.add_argument("--out", type=Path, default=OUT, help="the report (default build/bench/dump.json)")
    args = parser.parse_args()
    options = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "256MB"}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        os.chmod(name, 0o755)
        with Server(Path(name) / "server", version=args.version, options=options) as server:
            about = machine(server)
            bench = Bench(server, Path(name))
            size = bench.fill(args.megabytes)
            times = bench.rounds(args.rounds)
    median = {key: round(statistics.median(values), 3) for key, values in times.items()}
    ratios = {
        "dump_vs_fd_j2": median["ours"] / median["fd_j2"],
        "dump_vs_fc": median["fc"] / median["ours"],
        "same_level_vs_fd_j2": median["ours_gzip_6"] / median["fd_j2"],
        "floor_vs_dump": median["floor"] / median["ours"],
    }
    report = {
        "ratios": {key: round(value, 3) for key, value in ratios.items()},
        "seconds": median,
        "times": times,
        "bytes": {**bench.bytes, "database": size},
        "machine": about,
        "rounds": args.rounds,
    }
    write(report, args.out)
    print(json.dumps(report["ratios"], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
