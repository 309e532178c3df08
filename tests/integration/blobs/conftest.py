# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blob stores as Nuxeo lays them out, and the modules run as processes, as Ansible runs them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

RUN = """
import json, runpy, sys
import ansible.module_utils.basic as basic
name, arguments = sys.argv[1], sys.argv[2]
basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.loads(arguments)}).encode()
basic._ANSIBLE_PROFILE = "legacy"
sys.argv = [name]
runpy.run_module("ansible_collections.nuxeo.platform.plugins.modules." + name, run_name="__main__")
"""

NAMES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}


class Done(t.NamedTuple):
    """What a run of a module said."""

    rc: int
    result: dict[str, t.Any]
    output: str


class Lab:
    """A store, a backup root, and the modules between them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "binaries"
        self.instance = root / "backup" / "prod"
        self.pool = self.instance / "blobs" / "default"
        self.random = random.Random(4)
        self.digest = "MD5"
        self.depth = 2
        (self.instance / "sets").mkdir(parents=True)

    # --- the store

    def make(self, count: int, digest: str = "MD5", depth: int = 2, size: int = 300) -> list[str]:
        """A store with so many blobs, and folders of a time long past."""
        self.digest, self.depth = digest, depth
        (self.store / "data").mkdir(parents=True, exist_ok=True)
        (self.store / "tmp").mkdir(exist_ok=True)
        (self.store / "config.xml").write_text(
            f"<binary-store>\n  <digest>{digest}</digest>\n  <depth>{depth}</depth>\n</binary-store>\n"
        )
        return [self.add(self.random.randbytes(self.random.randint(0, size))) for dummy in range(count)]

    def folder(self, key: str) -> Path:
        """Where Nuxeo puts a key."""
        data = self.store / "data"
        if self.depth and len(key) < 2 * self.depth:
            return data / "000"
        return data.joinpath(*(key[2 * n : 2 * n + 2] for n in range(self.depth)))

    def path(self, key: str) -> Path:
        return self.folder(key) / key

    def add(self, content: bytes, key: str | None = None) -> str:
        """Write a blob as Nuxeo does: under a temporary name, then renamed."""
        key = key or hashlib.new(NAMES[self.digest], content).hexdigest()
        self.folder(key).mkdir(parents=True, exist_ok=True)
        temporary = self.store / "tmp" / f"create_{key[:8]}.tmp"
        temporary.write_bytes(content)
        temporary.rename(self.path(key))
        return key

    # --- the modules

    def argv(self, name: str, **options: t.Any) -> list[str]:
        return [sys.executable, "-c", RUN, name, json.dumps(options)]

    def run(self, name: str, prefix: t.Sequence[str] = (), **options: t.Any) -> Done:
        """Run a module as a process of its own."""
        ended = subprocess.run(
            [*prefix, *self.argv(name, **options)], capture_output=True, text=True, check=False, timeout=120
        )
        lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
        return Done(ended.returncode, json.loads(lines[-1]) if lines else {}, ended.stdout + ended.stderr)

    def options(self, **more: t.Any) -> dict[str, t.Any]:
        return {
            "src": str(self.store),
            "dest": str(self.pool),
            "state": str(self.instance / "state" / "blobs-default"),
            **more,
        }

    def prefix(self, name: str) -> str:
        """Where a set has its list."""
        return str(self.instance / "sets" / name / "blobs" / "default")

    def backup(self, name: str | None = None, strace: t.Sequence[str] = (), **more: t.Any) -> Done:
        """A pass; with a name it writes the list of that set."""
        if name:
            more["set_keys"] = self.prefix(name)
        return self.run("blob_rsync", prefix=strace, **self.options(**more))

    def restore(self, name: str, dest: Path, **more: t.Any) -> Done:
        if not dest.exists():
            dest.mkdir()
            dest.chmod(0o755)
        options = {"src": str(self.pool), "src_layout": "pool", "dest": str(dest), "dest_layout": "store"}
        return self.run("blob_rsync", **{**options, "keys": self.prefix(name), **more})

    def verify(self, **more: t.Any) -> Done:
        options = {"pool": str(self.pool), **more}
        if "store" in options:
            del options["pool"]
        return self.run("blob_verify", **options)

    # --- what is there, by other means

    def kept(self) -> dict[str, bytes]:
        """The blobs of the pool by their path, without what is not a blob."""
        return {
            str(path.relative_to(self.pool)): path.read_bytes()
            for path in sorted(self.pool.rglob("*"))
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(self.pool).parts)
        }

    def unfinished(self) -> list[Path]:
        """What waits for its name in the pool, wherever it is."""
        return [path for path in self.pool.rglob("*") if ".tmp/" in f"{path.relative_to(self.pool)}/"]

    def expected(self, keys: t.Iterable[str]) -> dict[str, bytes]:
        """What the pool should hold of digest-named blobs."""
        return {f"{key[:2]}/{key[2:4]}/{key}": self.path(key).read_bytes() for key in sorted(set(keys))}

    def age(self) -> None:
        """Wait until the folders' times can be trusted."""
        time.sleep(2.1)


def tree(root: Path) -> dict[str, t.Any]:
    """All that is below a folder: kind, mode, bytes."""
    found: dict[str, t.Any] = {}
    for folder, folders, files in os.walk(root):
        for name in folders:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = oct(path.lstat().st_mode)
        for name in files:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = (oct(path.lstat().st_mode), path.read_bytes())
    return found


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(scope="session")
def new_lab() -> t.Callable[[Path], Lab]:
    return Lab


@pytest.fixture
def tree_of() -> t.Callable[[Path], dict[str, t.Any]]:
    return tree


@pytest.fixture
def strace() -> t.Callable[..., list[str]]:
    """A command prefix that makes system calls on a path fail."""
    binary = shutil.which("strace")
    assert binary, "strace is needed: install the package of that name"

    def prefix(calls: str, what: str, path: Path | None = None) -> list[str]:
        chosen = ["-P", str(path)] if path else []
        return [binary, "-f", "-qq", "-o", "/dev/null", *chosen, "-e", f"trace={calls}", "-e", f"inject={calls}:{what}"]

    return prefix


@pytest.fixture
def far(tmp_path: Path) -> list[str]:
    """Another host, as far as the module can tell: takes what ssh takes, and keeps no state."""
    script = tmp_path / "rsh"
    script.write_text('#!/bin/sh\nshift\nexec sh -c "$1"\n')
    script.chmod(0o755)
    return [str(script)]
