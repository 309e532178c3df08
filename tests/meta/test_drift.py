# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said in two places is the same in both: specs and defaults, READMEs, action groups, versions, commands."""

from __future__ import annotations

import functools
import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from meta.tool import REPO, run, work_files

ROLES = sorted(path.name for path in (REPO / "roles").iterdir() if (path / "tasks").is_dir())
MODULES = sorted(path.stem for path in (REPO / "plugins" / "modules").glob("*.py"))
PLAYBOOKS = sorted(path.stem for path in (REPO / "playbooks").glob("*.yml"))
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((REPO / "docs").glob("*.md")))]


def load(path: str) -> t.Any:
    """A YAML file of the work tree."""
    return yaml.safe_load((REPO / path).read_text(encoding="utf-8"))


def spec_of(role: str) -> dict[str, dict[str, t.Any]]:
    """All options of all entry points of a role."""
    points: dict[str, t.Any] = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    options: dict[str, dict[str, t.Any]] = {}
    for point in points.values():
        options.update(point.get("options") or {})
    return options


@pytest.mark.parametrize("role", ROLES)
def test_specs_and_defaults_agree(role: str) -> None:
    """Each variable is in both, with the same default; what has none stands commented out, or is required.

    A dictionary by a template is in the defaults alone: antsibull-docs takes only a literal one in a spec.
    """
    text = (REPO / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8")
    defaults: dict[str, t.Any] = yaml.safe_load(text)
    commented = set(re.findall(r"^# (\w+):", text, re.MULTILINE))
    options = spec_of(role)
    assert set(options) == set(defaults) | commented
    different = {
        name: (option["default"], defaults.get(name))
        for name, option in options.items()
        if "default" in option and option["default"] != defaults.get(name)
    }
    assert not different
    templates = {
        name for name, option in options.items() if option.get("type") == "dict" and "{{" in str(defaults.get(name))
    }
    for name, option in options.items():
        with_none = option.get("required") or name in commented or name in templates
        assert "default" in option or with_none, f"{name} has no default"
        assert option.get("type"), f"{name} has no type"
        assert option.get("description"), f"{name} has no description"
        assert name.startswith(f"{role}_"), f"{name} does not begin with the role's name"


@pytest.mark.parametrize("role", ROLES)
def test_entry_points_agree(role: str) -> None:
    """An option means and defaults to the same in every entry point, and each entry point has its task file."""
    points: dict[str, t.Any] = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    seen: dict[str, t.Any] = {}
    for name, point in points.items():
        assert (REPO / "roles" / role / "tasks" / f"{name}.yml").exists()
        assert point.get("description")
        for option, value in (point.get("options") or {}).items():
            assert seen.setdefault(option, value).get("default") == value.get("default")


@pytest.mark.parametrize("role", ROLES)
def test_variables_that_tasks_use_exist(role: str) -> None:
    """Every variable with the role's prefix that a task names is in the defaults; internals begin with ``__``."""
    known = set(spec_of(role)) | set(
        load(f"roles/{role}/vars/main.yml") if (REPO / f"roles/{role}/vars").exists() else {}
    )
    used: set[str] = set()
    for path in sorted((REPO / "roles" / role).rglob("*.yml")):
        if path.parent.name in {"tasks", "handlers"}:
            used |= set(re.findall(rf"(?<![\w./-]){role}_[a-z0-9_]+\b(?!\s*:)", path.read_text(encoding="utf-8")))
    files = {
        f"{role}_{name}"
        for name in ("set", "preflight", "plan", "marker", "target_info", "set_info", "set_verify", "run")
    }
    tags = {f"{role}_{path.stem}" for path in (REPO / "roles" / role / "tasks").glob("*.yml")}
    assert used - known - set(MODULES) - files - tags == set()


@pytest.mark.parametrize("role", ROLES)
def test_role_readme_names_every_variable(role: str) -> None:
    """The README of a role has each of its variables with its default, and names none that does not exist."""
    text = (REPO / "roles" / role / "README.md").read_text(encoding="utf-8")
    options = spec_of(role)
    missing = [name for name in options if f"`{name}`" not in text]
    assert not missing
    for name, option in options.items():
        line = next(line for line in text.splitlines() if f"`{name}`" in line)
        default = option.get("default")
        if isinstance(default, bool):
            assert str(default).lower() in line.lower(), line
        elif isinstance(default, (int, str)) and default != "" and "{{" not in str(default):
            assert str(default) in line, line
    named = set(re.findall(rf"`({role}_[a-z_]+)`", text))
    assert named - set(options) - set(MODULES) == set()


def test_action_groups_hold_the_modules() -> None:
    """Every module is in the group nuxeo, and those of an engine in theirs; the fragment says so."""
    groups: dict[str, list[str]] = load("meta/runtime.yml")["action_groups"]
    assert sorted(groups["nuxeo"]) == groups["nuxeo"] == MODULES
    for group, prefix in (("search", "es_"), ("kafka", "kafka_")):
        expected = [name for name in MODULES if name.startswith(prefix)]
        assert groups.get(group, []) == expected
    for name in MODULES:
        text = (REPO / "plugins" / "modules" / f"{name}.py").read_text(encoding="utf-8")
        assert "nuxeo.platform.attributes" in text, f"{name} does not use the fragment of attributes"


def tasks_of(value: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """Every task of a file of tasks, those of its blocks too."""
    for task in value or []:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks_of(task.get(part))


@pytest.mark.parametrize("role", ROLES)
def test_long_steps_are_waited_for_by_the_plugin_that_sees_them_end(role: str) -> None:
    """Ansible itself would wait for a step that is no more."""
    routed = load("meta/runtime.yml")["plugin_routing"]["modules"]
    own = [path.stem for path in (REPO / "plugins" / "action").glob("*.py") if "(LongStep)" in path.read_text()]
    seen = {name for name, route in routed.items() if route == {"action_plugin": "nuxeo.platform.long_step"}} | set(own)
    for path in sorted((REPO / "roles" / role / "tasks").glob("*.yml")):
        for task in tasks_of(yaml.safe_load(path.read_text(encoding="utf-8"))):
            if "async" in task and task["poll"] != 0:
                assert {f"nuxeo.platform.{name}" for name in seen} & set(task), f"{path.name}: {task['name']}"


@functools.cache
def all_documents() -> dict[str, t.Any]:
    """What ansible-doc knows of every module."""
    return dict(json.loads(run("ansible-doc", "-j", *(f"nuxeo.platform.{name}" for name in MODULES))))


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_documented_alike(module: str) -> None:
    """Version, author, attributes, examples by full name with options that exist, and typed returns."""
    out = all_documents()[f"nuxeo.platform.{module}"]
    doc, returns = out["doc"], out["return"] or {}
    assert doc["version_added"] == "1.0.0"
    author = doc["author"] if isinstance(doc["author"], list) else [doc["author"]]
    assert author == ["Nuxeo Platform collection contributors (@nuxeo)"]
    assert {"check_mode", "diff_mode", "idempotent", "action_group"} <= set(doc["attributes"])
    assert all(attribute.get("support") for attribute in doc["attributes"].values()), doc["attributes"]
    tasks = yaml.safe_load(out["examples"])
    plays = [task for entry in tasks for task in entry.get("tasks", [entry])]
    calls = [task[f"nuxeo.platform.{module}"] or {} for task in plays if f"nuxeo.platform.{module}" in task]
    assert calls, "no example uses the module by its full name"
    known = set(doc["options"]) | {alias for o in doc["options"].values() for alias in o.get("aliases", [])}
    assert {option for call in calls for option in call} <= known
    assert all(value.get("type") and value.get("returned") for value in returns.values())


def users_of(module: str, value: t.Any) -> t.Iterator[str]:
    """The options that tasks give to a module, wherever they stand in a YAML value."""
    if isinstance(value, dict):
        given = value.get(f"nuxeo.platform.{module}")
        yield from given if isinstance(given, dict) else ()
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from users_of(module, each)


@pytest.mark.parametrize("module", MODULES)
def test_every_option_has_a_user(module: str) -> None:
    """A role sets each option that is the module's own, or an example of its documentation does."""
    text = (REPO / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    documented, examples = (
        yaml.safe_load(re.findall(rf'^{name} = r"""\n(.*?)"""', text, re.MULTILINE | re.DOTALL)[0])
        for name in ("DOCUMENTATION", "EXAMPLES")
    )
    tasks = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (REPO / "roles").glob("*/tasks/*.yml")]
    assert set(documented.get("options") or ()) - set(users_of(module, [examples, *tasks])) == set()


def test_versions_agree() -> None:
    """galaxy.yml, the changelog, runtime.yml, README and the checks tell of the same versions."""
    galaxy, runtime = load("galaxy.yml"), load("meta/runtime.yml")
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    floor = re.fullmatch(r">=(2\.\d+)\.0", runtime["requires_ansible"])
    assert floor is not None
    assert floor.group(1) in readme
    released = list(load("changelogs/changelog.yaml").get("releases") or {})
    fragments = list((REPO / "changelogs" / "fragments").glob("*.y*ml"))
    assert galaxy["version"] in released or fragments
    python = load("tests/config.yml")["modules"]["python_requires"].removeprefix(">=")
    assert f"Python {python}" in readme
    for name in galaxy["dependencies"]:
        assert name in readme


def blocks(page: str) -> list[str]:
    """The lines of the code blocks of a page."""
    text = (REPO / page).read_text(encoding="utf-8")
    found = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in found for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_what_exists(page: str) -> None:
    """Commands, playbooks, modules and links of a page exist."""
    text = (REPO / page).read_text(encoding="utf-8")
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(
        r"(?:^|`|\s)make ([a-z][a-z-]+)(?:`|\s|$)", "\n".join(blocks(page) + re.findall(r"`[^`]+`", text))
    ):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"
    names = {*MODULES, *ROLES, *PLAYBOOKS}
    for name in re.findall(r"nuxeo\.platform\.([a-z0-9_]+)", text):
        assert name in names | {"git", "nuxeo"}, f"nuxeo.platform.{name}"
    for path in re.findall(r"(?<![\w/.])((?:playbooks|roles|plugins|docs|tests|molecule)/[\w./-]*\w)", text):
        assert (REPO / path).exists() or (REPO / f"{path}.yml").exists(), path
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert ((REPO / page).parent / link).exists(), link


def test_readme_names_every_playbook_and_role() -> None:
    """A newcomer finds all doors."""
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    missing = [
        name for name in PLAYBOOKS if f"nuxeo.platform.{name}" not in readme and f"playbooks/{name}.yml" not in readme
    ]
    assert not missing
    assert [role for role in ROLES if f"roles/{role}" not in readme and f"`{role}`" not in readme] == []


def test_variables_of_readme_exist() -> None:
    """Every variable that README names is one of a role, or one that the roles read."""
    known = {name for role in ROLES for name in spec_of(role)}
    texts = [path.read_text(encoding="utf-8") for path in sorted((REPO / "roles").rglob("*.yml"))]
    texts += [path.read_text(encoding="utf-8") for path in sorted((REPO / "playbooks").glob("*.yml"))]
    known |= {name for text in texts for name in re.findall(r"nuxeo_[a-z_]+", text)}
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w./-])((?:backup|restore|nuxeo)_[a-z_]+)", readme))
    assert named - known - set(MODULES) == set()


def test_execution_environment_names_files_that_exist() -> None:
    """With lower bounds only, and not Ansible itself."""
    dependencies = load("meta/execution-environment.yml")["dependencies"]
    assert all((REPO / path).exists() for path in dependencies.values())
    lines = (REPO / dependencies["python"]).read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9_-]+(\[[a-z]+\])?>=[\d.]+", line) and "ansible" not in line for line in wanted)


def test_build_ignores_what_is_not_for_users() -> None:
    """The top level of the tree is either shipped on purpose or named in build_ignore."""
    ignored = set(load("galaxy.yml")["build_ignore"])
    shipped = {"meta", "plugins", "roles", "playbooks", "docs", "changelogs", "galaxy.yml"}
    shipped |= {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"}
    top = {Path(name).parts[0] for name in work_files()}
    assert top - shipped - ignored == set()


def test_unit_requirements_are_among_the_others() -> None:
    """What ansible-test installs for the unit tests is what the other environment has."""

    def wanted(name: str) -> set[str]:
        lines = (REPO / "tests" / name).read_text(encoding="utf-8").splitlines()
        return {line for line in lines if line and not line.startswith(("#", "-r"))}

    assert wanted("unit/requirements.txt") <= wanted("requirements.txt") | wanted("requirements-demo.txt")
