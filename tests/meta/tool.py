# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the tools that check the collection, and copies the work tree to where some of them want it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
BUILD = REPO / "build"


def path_of_programs() -> str:
    """PATH: this environment, then real interpreters in place of pyenv's shims, which answer 127 for most versions."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    versions = sorted(str(path) for path in pyenv.glob("3.*/bin"))
    others = [part for part in os.environ.get("PATH", "").split(os.pathsep) if "shims" not in part]
    return os.pathsep.join([str(BIN), *versions, *others, "/usr/sbin", "/sbin"])


def run(*words: str | Path, cwd: Path = REPO, timeout: float = 600, env: t.Mapping[str, str] | None = None) -> str:
    """Run a tool of this environment; an AssertionError with the end of what it printed when it fails."""
    program = BIN / str(words[0])
    command = [str(program) if program.exists() else str(words[0]), *(str(word) for word in words[1:])]
    environment = {**os.environ, "PATH": path_of_programs(), "NO_COLOR": "1", "PY_COLORS": "0"}
    environment["ANSIBLE_COLLECTIONS_PATH"] = environment["PYTHONPATH"] = str(BUILD / "collections")
    environment.update(env or {})
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            cwd=cwd,
            env=environment,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{' '.join(command)} took more than {timeout:.0f} s:\n{error.stdout!r}") from error
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-12000:]}")
    return done.stdout


def work_files() -> list[str]:
    """The files of the work tree that git has, or would take."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPO,
    )
    return sorted({name for name in listed.stdout.split("\0") if name and os.path.lexists(REPO / name)})


def copy_collection(name: str, *, only: tuple[str, ...] = ()) -> Path:
    """A copy of the collection as a git tree of its own in ``build/<name>/ansible_collections/nuxeo/platform``."""
    target = BUILD / name / "ansible_collections" / "nuxeo" / "platform"
    shutil.rmtree(target, ignore_errors=True)
    for file in work_files():
        if only and file.split("/", 1)[0] not in only:
            continue
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / file, target / file, follow_symlinks=False)
    run("git", "init", "-q", cwd=target)
    run("git", "add", "-A", cwd=target)
    return target
