# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every tool that checks the collection, each as one test; a tool that fails shows the end of its output."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from meta.tool import BIN, BUILD, REPO, copy_collection, path_of_programs, run
from servers.tiers import ALL

HOME = REPO / ".cache" / "home"


def _home() -> dict[str, str]:
    """A home folder for ansible-test: its caches, the bootstrap of pip, and the user's settings of pip."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in ("24_2", "25_2"):
        shutil.copy(Path(__file__).with_name("get_pip.py"), cache / f"get_pip_{version}.py")
    listed = subprocess.run([BIN / "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    lines = []
    for line in listed.splitlines():
        name, dummy, value = line.partition("=")
        section, dummy, key = name.strip().rpartition(".")
        if section in {"global", ":env:", "install"} and key not in {"config-file", "no-index", "find-links"}:
            lines.append(f"{key} = {value.strip().strip(chr(39))}")
    settings = HOME / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("\n".join(["[global]", *dict.fromkeys(lines)]) + "\n", encoding="utf-8")
    return {"HOME": str(HOME)}


PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
OLDEST = "3.9"
"""The oldest Python of a node that modules run on."""


def ansible_test(command: str, *words: str, python: str = PYTHON, tree: Path) -> str:
    """Run ansible-test in an environment of its own making."""
    return run(
        "ansible-test",
        command,
        "--venv",
        "--python",
        python,
        "--color",
        "no",
        *words,
        cwd=tree,
        timeout=1200,
        env=_home(),
    )


@pytest.fixture(scope="module")
def tested() -> Path:
    """The copy of the collection for ansible-test; its tests share a worker."""
    return copy_collection("ansible-test")


@pytest.mark.xdist_group("ansible-test")
def test_ansible_test_sanity(tested: Path) -> None:
    """All sanity tests of what is installed and of its unit tests, and not one entry that has them ignore something."""
    assert not list((REPO / "tests" / "sanity").glob("ignore-*"))
    published = ["changelogs/", "docs/", "meta/", "playbooks/", "plugins/", "roles/", "tests/unit/"]
    ansible_test("sanity", *([] if ALL else published), tree=tested)


@pytest.mark.xdist_group("ansible-test")
@pytest.mark.skipif(shutil.which(f"python{OLDEST}", path=path_of_programs()) is None, reason=f"no Python {OLDEST} here")
def test_ansible_test_sanity_on_the_oldest_python(tested: Path) -> None:
    """All plugins compile and import on the oldest Python of a node."""
    ansible_test("sanity", "--test", "compile", "--test", "import", python=OLDEST, tree=tested)


@pytest.mark.xdist_group("ansible-test")
def test_ansible_test_units(tested: Path) -> None:
    """The unit tests of the modules as ansible-test runs them; with all the others they run in this suite too."""
    ansible_test("units", "--num-workers", "2", "tests/unit/modules/", tree=tested)


def test_ruff_lint() -> None:
    """The rules of pyproject.toml, and one format."""
    run("ruff", "check", "--no-cache", ".")
    run("ruff", "format", "--no-cache", "--check", ".")


def test_mypy_of_plugins() -> None:
    """Strict types in all that is installed."""
    link = "build/collections/ansible_collections/nuxeo/platform"
    run("mypy", "--cache-dir", "build/mypy", f"{link}/plugins", env={"MYPYPATH": "build/collections"})


@pytest.mark.parametrize("part", ["conftest.py servers meta demo bench", "servers/nuxeo/program"])
def test_mypy_of_tests(part: str) -> None:
    """Strict types in the test equipment."""
    paths = [REPO / "tests" / name for name in part.split()]
    files = [str(file) for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    files = [file for file in files if "program" in part or "/nuxeo/program/" not in file]
    mypypath = "tests/servers/nuxeo/program" if "program" in part else "tests:build/collections"
    run("mypy", "--cache-dir", f"build/mypy-{len(part)}", *files, env={"MYPYPATH": mypypath})


def test_ansible_lint() -> None:
    """The production profile with no rule skipped, and the stricter rules that are opt-in."""
    assert not (REPO / ".ansible-lint-ignore").exists()
    out = run(
        "ansible-lint",
        "--offline",
        "--nocolor",
        "--strict",
        timeout=900,
        env={"ANSIBLE_HOME": str(BUILD / "lint-home")},
    )
    assert "Passed" in out, out


def test_antsibull_docs_lint() -> None:
    """The documentation of modules, roles and the rest, with every reference to a collection needed looked up."""
    words = ["--plugin-docs", "--validate-collection-refs=dependent", "--disallow-unknown-collection-refs"]
    # Collections installed below the work tree are copied as files, not as what its git has of them: nothing.
    alone = {"GIT_CEILING_DIRECTORIES": str((REPO / ".cache").resolve())}
    run("antsibull-docs", "lint-collection-docs", *words, ".", cwd=copy_collection("docs"), timeout=600, env=alone)


def test_changelog_lint() -> None:
    """antsibull-changelog reads all fragments."""
    run("antsibull-changelog", "lint", cwd=copy_collection("changelog"))


def test_shell_scripts_lint() -> None:
    """shellcheck finds nothing in the few shell scripts of the tests."""
    run("shellcheck", "tests/servers/prepare.sh", ".ci/run")


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `ansible-galaxy collection build` makes, unpacked."""
    copy = copy_collection("artefact")
    out = tmp_path_factory.mktemp("artefact")
    run("ansible-galaxy", "collection", "build", "--output-path", out, cwd=copy)
    archive = next(out.glob("nuxeo-platform-*.tar.gz"))
    assert archive.stat().st_size < 1_000_000
    target = out / "collections" / "ansible_collections" / "nuxeo" / "platform"
    target.mkdir(parents=True)
    run("tar", "-xzf", archive, "-C", target)
    return target


@pytest.mark.xdist_group("artefact")
def test_artefact_holds_no_test_file(artefact: Path) -> None:
    """What a user installs is what they need, under 1 MB."""
    names = {path.name for path in artefact.iterdir()}
    allowed = {"meta", "plugins", "roles", "playbooks", "docs", "changelogs", "FILES.json", "MANIFEST.json"}
    allowed |= {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"}
    assert names <= allowed, names - allowed
    assert {"meta", "plugins", "roles", "playbooks", "README.md"} <= names
    assert not list(artefact.rglob("__pycache__"))


@pytest.mark.xdist_group("artefact")
def test_artefact_works_alone(artefact: Path, tmp_path: Path) -> None:
    """With all but meta, plugins, roles and playbooks deleted modules show their documents and playbooks parse."""
    for path in list(artefact.iterdir()):
        if path.name not in {"meta", "plugins", "roles", "playbooks", "MANIFEST.json"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(artefact.parents[2]), "ANSIBLE_HOME": str(tmp_path)}
    environment["PYTHONPATH"] = ""
    listed: dict[str, t.Any] = json.loads(
        run("ansible-doc", "-l", "-j", "nuxeo.platform", cwd=tmp_path, env=environment)
    )
    modules = {path.stem for path in (REPO / "plugins" / "modules").glob("*.py")}
    assert {name.rsplit(".", 1)[-1] for name in listed} == modules
    run("ansible-doc", "-j", *sorted(listed), cwd=tmp_path, env=environment)
    for playbook in sorted((REPO / "playbooks").glob("*.yml")):
        name = f"nuxeo.platform.{playbook.stem}"
        run("ansible-playbook", "-i", "localhost,", "--syntax-check", name, cwd=tmp_path, env=environment)
