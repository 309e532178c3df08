# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The internal role that gives an interpreter with an engine's client: made once, completed, named, or refused."""

from __future__ import annotations

import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path

import pytest
import yaml
from servers import playbook

SHOW = {"name": "Show it", "ansible.builtin.debug": {"msg": "PYTHON={{ __clients_python }}"}}


def wheel(folder: Path, name: str) -> None:
    """A library of one file, as pip takes it from a folder."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "WORD = 'there'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


class Caller:
    """A role that uses the internal one, as backup and restore do, and a play with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / "made" / "clients"
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        tasks = folder / "roles" / "caller" / "tasks"
        tasks.mkdir(parents=True)
        use = {"ansible.builtin.include_role": {"name": "nuxeo.platform.clients"}}
        (tasks / "main.yml").write_text(yaml.safe_dump([{"name": "Use it", **use}, SHOW]))
        self.play("caller")

    def play(self, role: str) -> None:
        play = {"name": "Clients", "hosts": "all", "gather_facts": False, "roles": [{"role": role}]}
        (self.folder / "play.yml").write_text(yaml.safe_dump([play]))

    def run(self, *words: str, hosts: t.Sequence[str] = ("node",), **variables: t.Any) -> playbook.Result:
        values = {
            "nuxeo_client_venv": str(self.venv),
            "nuxeo_client_base_python": sys.executable,
            "nuxeo_client_pip_args": ["--no-index", "--find-links", str(self.wheels)],
            **variables,
        }
        inventory = playbook.local_inventory(self.folder / "inventory.json", {host: {} for host in hosts})
        return playbook.start(self.folder, self.folder / "play.yml", inventory, values, *words).wait(300)


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


def test_environment_is_made_once_and_completed(caller: Caller) -> None:
    """Check mode makes nothing; then it is made, left alone, and completed; the index is asked only when needed."""
    wheel(caller.wheels, "first")
    predicted = caller.run("--check", clients_requirements=["first>=1"]).check()
    assert not caller.venv.parent.exists()
    assert "would be made" in predicted.stdout
    made = caller.run(clients_requirements=["first>=1"]).check()
    python = str(caller.venv / "bin" / "python")
    assert f"PYTHON={python}" in made.stdout
    assert subprocess.check_output([python, "-c", "import first; print(first.WORD)"]) == b"there\n"
    again = caller.run(clients_requirements=["first>=1"], nuxeo_client_pip_args=["--find-links", "/nowhere"]).check()
    assert again.changed == []
    wheel(caller.wheels, "second")
    words = f"--no-index,--find-links={caller.wheels}"  # as -e gives it
    caller.run(clients_requirements=["first>=1", "second"], nuxeo_client_pip_args=words).check()
    assert subprocess.check_output([python, "-c", "import first, second; print(second.WORD)"]) == b"there\n"


def test_instances_of_one_host_make_one_environment(caller: Caller) -> None:
    """At the same time, each with a library that the other has no need of."""
    hosts = {f"node{number}": f"library{number}" for number in range(3)}
    for library in hosts.values():
        wheel(caller.wheels, library)
    calls, base = caller.folder / "calls", caller.folder / "python"
    base.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nsleep 1\nexec {sys.executable} "$@"\n')
    base.chmod(0o755)
    wanted = "{{ ['library' ~ inventory_hostname[4:]] }}"
    caller.run(hosts=list(hosts), clients_requirements=wanted, nuxeo_client_base_python=str(base)).check()
    assert calls.read_text() == f"-m venv {caller.venv}\n"
    words = [str(caller.venv / "bin" / "python"), "-c", f"import {', '.join(hosts.values())}"]
    subprocess.run(words, check=True)


def gone(venv: Path) -> None:
    """The Python that it was made of is gone."""
    for link in (venv / "bin").glob("python*"):
        link.unlink()
    (venv / "bin" / "python").symlink_to("python3")
    (venv / "bin" / "python3").symlink_to("/nowhere/bin/python3")


def of_another_version(venv: Path) -> None:
    """The link leads to a newer Python, which does not look into the folder of the older one."""
    (folder,) = (venv / "lib").iterdir()
    folder.rename(venv / "lib" / "python3.0")


@pytest.mark.parametrize("change", [gone, of_another_version])
def test_environment_outlives_an_upgrade_of_the_python(caller: Caller, change: t.Callable[[Path], None]) -> None:
    """What is needed is installed again, and what a site has put there stays."""
    wheel(caller.wheels, "first")
    caller.run(clients_requirements=["first>=1"]).check()
    (caller.venv / "notes").write_text("ours\n")
    change(caller.venv)
    predicted = caller.run("--check", clients_requirements=["first>=1"]).check()
    assert "would be made" in predicted.stdout and predicted.changed == []
    caller.run(clients_requirements=["first>=1"]).check()
    python = str(caller.venv / "bin" / "python")
    assert subprocess.check_output([python, "-c", "import first; print(first.WORD)"]) == b"there\n"
    assert caller.run(clients_requirements=["first>=1"]).check().changed == []
    assert (caller.venv / "notes").read_text() == "ours\n"


def test_what_is_nowhere_is_told(caller: Caller) -> None:
    """The library and what to set are in the message."""
    failed = caller.run(clients_requirements=["nowhere-to-be-had"])
    assert failed.rc != 0
    assert "nowhere-to-be-had" in failed.failures[-1]
    assert "nuxeo_client_pip_args" in failed.failures[-1]


def test_interpreter_of_the_site_wins(caller: Caller) -> None:
    """Nothing is made."""
    done = caller.run(clients_requirements=["first"], nuxeo_client_python="/opt/site/python").check()
    assert "PYTHON=/opt/site/python" in done.stdout
    assert not caller.venv.parent.exists()


def test_direct_use_is_refused(caller: Caller) -> None:
    """It is no interface."""
    caller.play("nuxeo.platform.clients")
    failed = caller.run(clients_requirements=["first"])
    assert failed.rc != 0
    assert "internal" in failed.failures[-1]
