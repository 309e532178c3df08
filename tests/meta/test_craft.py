# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, headers and forbidden things."""

from __future__ import annotations

import ast
import re
import tokenize
import typing as t
from pathlib import Path

import pytest
from meta.tool import REPO, work_files

HEADER = (
    "Copyright (c) 2026 Nuxeo Platform collection contributors",
    "GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "SPDX-License-Identifier: GPL-3.0-or-later",
)
FILES = [REPO / name for name in work_files()]
PLUGINS = [path for path in FILES if path.suffix == ".py" and path.is_relative_to(REPO / "plugins")]
DOCUMENTS = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
SIZES = {"module": 90, "function": 40, "file": 400}


def documents(tree: ast.Module) -> set[int]:
    """The lines of documentation blocks and docstrings."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            lines |= set(range(body[0].lineno, (body[0].end_lineno or 0) + 1))
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in DOCUMENTS:
            lines |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


def code_lines(path: Path) -> set[int]:
    """The lines that hold code: no blanks, comments, docstrings or documentation blocks."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines: set[int] = set()
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type not in skipped:
                lines |= set(range(token.start[0], token.end[0] + 1))
    return lines - documents(ast.parse(path.read_text(encoding="utf-8")))


def short(paths: t.Iterable[Path]) -> list[str]:
    """Paths as they are in the tree."""
    return sorted(str(path.relative_to(REPO)) for path in paths)


def test_modules_are_thin() -> None:
    """No module has more lines of code than fit on a screen or two; the work is done in module_utils."""
    modules = [path for path in PLUGINS if path.parent.name == "modules"]
    assert modules
    large = {path.name: len(code_lines(path)) for path in modules if len(code_lines(path)) > SIZES["module"]}
    assert not large


def test_functions_are_short() -> None:
    """No function has more than 40 lines of code."""
    large: dict[str, int] = {}
    for path in PLUGINS:
        lines = code_lines(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                size = len([line for line in lines if node.lineno <= line <= (node.end_lineno or 0)])
                if size > SIZES["function"]:
                    large[f"{path.name}:{node.name}"] = size
    assert not large


def test_files_are_short() -> None:
    """No file of the plugins is over 400 lines, documentation of modules not counted."""
    large = {}
    for path in PLUGINS:
        text = path.read_text(encoding="utf-8")
        size = len(text.splitlines()) - (len(documents(ast.parse(text))) if path.parent.name == "modules" else 0)
        if size > SIZES["file"]:
            large[path.name] = size
    assert not large


def test_every_program_says_its_licence() -> None:
    """The three lines stand at the head of each program."""
    programs = [path for path in FILES if path.suffix in {".py", ".sh", ".java"} or path.name in {"Makefile", "run"}]
    programs = [path for path in programs if path.is_file() and not path.is_symlink()]
    without = [
        path
        for path in programs
        if not all(line in path.read_text(encoding="utf-8")[:700] for line in HEADER) and path.stat().st_size > 0
    ]
    assert short(without) == []


FORBIDDEN = {
    "shell": r"shell=True|use_unsafe_shell|os\.system\(|os\.popen\(",
    "old": r"module_utils\.six|module_utils\._text|import distutils|from distutils",
    "markup": r"\bI\([a-z]",
    "unverified": r"validate_certs\s*[=:]\s*(?:False|false|no)\b|CERT_NONE",
}


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_plugins_do_without(what: str) -> None:
    """No shell, nothing that ansible-core has given up, no markup that nobody checks, no unverified TLS."""
    found = [path for path in PLUGINS if re.search(FORBIDDEN[what], path.read_text(encoding="utf-8"))]
    assert short(found) == []


def test_children_are_started_in_one_place() -> None:
    """subprocess is imported by _process.py alone; everything else goes through it or through run_command."""
    found = [
        path for path in PLUGINS if re.search(r"^\s*(?:import|from) subprocess", path.read_text(encoding="utf-8"), re.M)
    ]
    assert short(found) == ["plugins/module_utils/_process.py"]


def test_module_utils_are_private() -> None:
    """Each begins with an underscore, or lies in a package that does, so that it is no interface to keep."""
    utils = [path.relative_to(REPO / "plugins" / "module_utils") for path in PLUGINS if "module_utils" in path.parts]
    assert [str(path) for path in utils if not path.parts[0].startswith("_")] == []


def test_third_party_libraries_are_optional() -> None:
    """Plugins import only the standard library and Ansible at their top; what else they need is asked for by _deps."""
    foreign = {
        "psycopg",
        "psycopg2",
        "confluent_kafka",
        "fastavro",
        "elasticsearch",
        "yaml",
        "requests",
        "cryptography",
    }
    found = []
    for path in PLUGINS:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if foreign & {name.split(".", maxsplit=1)[0] for name in names}:
                found.append(path)
    assert short(found) == []


def test_roles_run_no_shell_and_hide_no_error() -> None:
    """No shell, no ignored errors, no fixed names of groups."""
    found = []
    for path in sorted((REPO / "roles").rglob("*.yml")) + sorted((REPO / "playbooks").glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"ansible\.builtin\.(?:shell|raw|script)\b|ignore_errors: true|groups\[['\"](?!all)", text):
            found.append(path)
    assert short(found) == []


def test_nothing_names_the_machine_it_was_written_on() -> None:
    """No path of the workshop."""
    pattern = re.compile("/" + r"work/(?:main|shared|scratch|\.)")
    texts = [path for path in FILES if path.is_file() and path.suffix not in {".jar", ".gz", ".zip", ".p12", ".jks"}]
    found = [path for path in texts if pattern.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert short(found) == []
