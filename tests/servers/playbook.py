# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks of the collection as a user does, from the work tree, and gives back what each task returned."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
COLLECTIONS = REPO / "build" / "collections"
CALLBACKS = REPO / "tests" / "servers" / "callback"
MODULE_CODE = REPO / "build" / "module-code"
PACKED_MODULES = REPO / "build" / "packed-modules"
CONFIGURATION = "[defaults]\ninternal_poll_interval = 0.01\nany_errors_fatal = true\n"
"""Ansible looks a thousand times in a second whether a task has ended, which several runs at once cannot afford. That
one host's failure ends the run of all is what a site may have there; the playbooks do not go by it."""


@dataclasses.dataclass
class Task:
    """One result of one host. ``status``: ok, changed, failed, ignored, skipped or unreachable."""

    status: str
    host: str
    task: str
    action: str
    result: dict[str, t.Any]


@dataclasses.dataclass
class Result:
    """What a run of ansible-playbook left."""

    rc: int
    stdout: str
    stderr: str
    tasks: list[Task]
    stats: dict[str, dict[str, int]]

    def check(self) -> Result:
        """Itself when it went well; else an error with the output."""
        if self.rc:
            raise AssertionError(
                f"ansible-playbook ended with {self.rc}:\n{self.stdout[-6000:]}\n{self.stderr[-2000:]}"
            )
        return self

    def of(self, name: str) -> list[Task]:
        """The results whose action is ``name`` (short or in full) or whose task's name holds it; none skipped."""
        short = name.rsplit(".", maxsplit=1)[-1]
        return [
            task
            for task in self.tasks
            if task.status != "skipped" and (task.action.rsplit(".", maxsplit=1)[-1] == short or name in task.task)
        ]

    @property
    def failures(self) -> list[str]:
        """The messages of the tasks that failed."""
        return [str(task.result.get("msg")) for task in self.tasks if task.status in {"failed", "unreachable"}]

    @property
    def changed(self) -> list[str]:
        """The names of the tasks that changed something."""
        return [task.task for task in self.tasks if task.status == "changed"]


def wait_for(what: t.Callable[[], bool], seconds: float = 180) -> None:
    """Until a run in the background has come to that."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def link_collection() -> Path:
    """Make the tree in which Ansible finds the work tree as nuxeo.platform; the folder for ANSIBLE_COLLECTIONS_PATH."""
    link = COLLECTIONS / "ansible_collections" / "nuxeo" / "platform"
    link.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(REPO)
    return COLLECTIONS


def environment(home: Path) -> dict[str, str]:
    """The environment of an ansible command that takes nothing from the user's own settings."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "ansible.cfg").write_text(CONFIGURATION, encoding="utf-8")
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(link_collection()),
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_REMOTE_TEMP": str(home / "tmp"),
        "ANSIBLE_ASYNC_DIR": str(home / "async"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "recorder",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**{k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}, **settings, "PATH": path}


def keep_code(folder: Path) -> dict[str, str]:
    """Variables with which Python keeps in a folder what it compiles of zip files; see module_code/sitecustomize.py."""
    folder.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(Path(__file__).parent / "module_code"), os.environ.get("PYTHONPATH", "")])
    return {"NUXEO_TEST_MODULE_CODE": str(folder), "PYTHONPATH": path}


@functools.cache
def state_of_modules(plugins: Path = REPO / "plugins") -> str:
    """A digest of all that is packed with modules, as it is when this is asked first."""
    packages = ("ansible-core", "ansible")  # with the second come the other collections
    total = hashlib.sha256(" ".join(map(importlib.metadata.version, packages)).encode())
    for path in sorted(plugins.rglob("*.py")):
        total.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def keep_packed(folder: Path) -> dict[str, str]:
    """Variables with which Ansible keeps the modules that it packs; see callback/kept_modules.py."""
    enabled = "recorder,kept_modules"
    return {"ANSIBLE_CALLBACKS_ENABLED": enabled, "NUXEO_TEST_PACKED_MODULES": str(folder / state_of_modules())}


def local_inventory(path: Path, hosts: t.Mapping[str, t.Mapping[str, t.Any]], group: str = "nuxeo") -> Path:
    """An inventory of hosts that are all this machine, with variables of their own, in one group."""
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    members = {name: dict(values) for name, values in hosts.items()}
    path.write_text(json.dumps({group: {"vars": common, "hosts": members}}, indent=2) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def _descendants(pid: int) -> list[int]:
    """The processes that this one has started, and those that they have started; forks lead sessions of their own."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = path.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
            parents.setdefault(int(words[1]), []).append(int(path.parent.name))
    found = parents.get(pid, [])
    return found + [below for child in found for below in _descendants(child)]


class Run:
    """A run of ansible-playbook that has been started; kill it, or wait for its result."""

    def __init__(self, folder: Path, command: t.Sequence[str], variables: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._record = folder / "record.jsonl"
        self._record.unlink(missing_ok=True)
        self._out = folder / "stdout"
        self._err = folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**environment(folder / "home"), "RECORDER_FILE": str(self._record), **variables},
                cwd=folder,
                start_new_session=True,
            )

    def tasks(self) -> list[Task]:
        """The results so far."""
        return [Task(**line) for line in self._lines() if "stats" not in line]

    @property
    def shown(self) -> str:
        """What it has printed so far."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def warned(self) -> str:
        """The same of its standard error."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def _lines(self) -> list[dict[str, t.Any]]:
        if not self._record.exists():
            return []
        lines = self._record.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def wait(self, timeout: float = 600) -> Result:
        """Wait for the end of it."""
        try:
            rc = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        stats: dict[str, dict[str, int]] = next((line["stats"] for line in self._lines() if "stats" in line), {})
        out, err = (path.read_text(encoding="utf-8", errors="replace") for path in (self._out, self._err))
        return Result(rc, out, err, self.tasks(), stats)

    def kill(self, modules: bool = True) -> None:
        """SIGKILL to ansible-playbook and its forks, and to the modules that run on this machine unless told not to."""
        victims = [self.process.pid, *(_descendants(self.process.pid) if modules else [])]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait(30)


def start(
    folder: Path,
    playbook: str | Path,
    inventory: str | Path,
    extra_vars: t.Mapping[str, t.Any] | None = None,
    *words: str,
    variables: t.Mapping[str, str] | None = None,
) -> Run:
    """Start a playbook: a name below ``playbooks`` or a path. ``words`` go to the command line as they are."""
    path = playbook if Path(playbook).is_absolute() else REPO / "playbooks" / playbook
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), str(path), *words]
    if extra_vars:
        command += ["-e", json.dumps(extra_vars)]
    return Run(folder, command, dict(variables or {}))
