# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the README of a role from its argument specs: ``python tests/meta/role_readme.py`` writes all of them.

What is not in the specs (how it behaves, examples) comes from ``meta/about.md`` of the role.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parents[2]


def _markdown(text: str) -> str:
    """Ansible's markup in Markdown. Of an option or a value of another plugin or role it is said whose it is."""
    text = re.sub(r"\b(?:O|RV)\(\w+\.\w+\.(\w+)#\w+:(?:\w+:)?([^)]*)\)", r"`\2` of `\1`", text)
    text = re.sub(r"\b(?:[VCE]|RV)\(([^)]*)\)", r"`\1`", text)
    return re.sub(r"\b[MPOR]\((?:nuxeo\.platform\.)?([^)#]*)(?:#\w+)?\)", r"`\1`", text)


def _sentences(description: str | list[str]) -> str:
    parts = [description] if isinstance(description, str) else description
    return _markdown(" ".join(part.strip() for part in parts)).replace("|", "\\|").replace("\n", " ")


def _default(option: dict[str, t.Any]) -> str:
    if option.get("required"):
        return "required"
    if "default" not in option:
        return ""
    value = option["default"]
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in ("", [], {}):
        return {"str": '`""`', "list": "`[]`", "dict": "`{}`"}[type(value).__name__]
    return f"`{value}`".replace("|", "\\|")


def _rows(options: dict[str, dict[str, t.Any]]) -> list[str]:
    rows = ["| variable | meaning | type | default |", "|---|---|---|---|"]
    for name, option in options.items():
        kind = f"{option['type']} of {option['elements']}" if option.get("elements") else option["type"]
        rows.append(f"| `{name}` | {_sentences(option['description'])} | {kind} | {_default(option)} |")
        for inner, value in (option.get("options") or {}).items():
            default = _default(value)
            rows.append(
                f"| &nbsp;&nbsp;`{inner}` of it | {_sentences(value['description'])} | {value['type']} | {default} |"
            )
    return rows


def render(role: str) -> str:
    """The README of a role."""
    points = yaml.safe_load((REPO / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    lines = [f"# nuxeo.platform.{role}", ""]
    for name, point in points.items():
        if name != "main":
            lines += [f"## Entry point `{name}`", ""]
        lines += [_markdown(line.strip()) for line in _list(point["description"])]
        lines += ["", *_rows(point["options"]), ""]
        if name == "main":
            lines += [(REPO / "roles" / role / "meta" / "about.md").read_text().strip(), ""]
    return "\n".join(lines).rstrip() + "\n"


def _list(description: str | list[str]) -> list[str]:
    return [description] if isinstance(description, str) else description


if __name__ == "__main__":
    for path in sorted((REPO / "roles").glob("*/meta/argument_specs.yml")):
        readme = path.parents[1] / "README.md"
        readme.write_text(render(path.parents[1].name))
        print(readme)
