# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``-e name=value`` and inventories give strings: where a role's option is used it is made what its spec says it is."""

from __future__ import annotations

import typing as t

import jinja2
import pytest
import yaml
from jinja2 import nodes
from meta.tool import REPO

EXPRESSIONS = {"when", "that", "until", "failed_when", "changed_when"}
"""Keys whose values are expressions without braces."""
PARSER = jinja2.Environment(autoescape=True)
FOLDERS = ("roles/*/tasks", "roles/*/vars", "playbooks", "playbooks/tasks")
FILES = [path for folder in FOLDERS for path in sorted(REPO.glob(f"{folder}/*.yml"))]


def options() -> dict[str, str]:
    """The filter that each boolean or integer option of any role needs."""
    found = {}
    for path in sorted(REPO.glob("roles/*/meta/argument_specs.yml")):
        for point in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            given = point["options"].items()
            found.update({name: option["type"] for name, option in given if option["type"] in ("bool", "int")})
    return found


def texts(value: t.Any, *keys: str) -> t.Iterator[tuple[tuple[str, ...], str]]:
    """Every string of a YAML document, with the keys above it."""
    if isinstance(value, str):
        yield keys, value
    for key, inner in value.items() if isinstance(value, dict) else []:
        yield from texts(inner, *keys, str(key))
    for inner in value if isinstance(value, list) else []:
        yield from texts(inner, *keys)


def bare(keys: tuple[str, ...], text: str, filters: dict[str, str]) -> list[str]:
    """The options that are used as they are given, though not as a typed option of a module or of another role."""
    expression = keys[-1:] and keys[-1] in EXPRESSIONS
    tree = PARSER.parse(f"{{{{ {text} }}}}" if expression else text)
    output = tree.body[0] if len(tree.body) == 1 else None
    value = output.nodes[0] if isinstance(output, nodes.Output) and len(output.nodes) == 1 else None
    if isinstance(value, nodes.Filter) and value.name == "default" and value.args == [nodes.Name("omit", "load")]:
        value = value.node
    passed = isinstance(value, nodes.Name)
    if passed and not expression and not any(key.startswith("__") for key in keys):
        return []
    typed = {id(one.node) for one in tree.find_all(nodes.Filter) if one.name in ("bool", "int")}
    return [one.name for one in tree.find_all(nodes.Name) if one.name in filters and id(one) not in typed]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPO)))
def test_options_are_typed_where_they_are_used(path: t.Any) -> None:
    """``| bool`` or ``| int`` stands directly behind each, unless it alone is what a typed option gets."""
    filters = options()
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {name for keys, text in texts(document) for name in bare(keys, text, filters)} == set()


def test_an_option_that_is_not_typed_is_found() -> None:
    filters = {"yes": "bool", "many": "int"}
    assert bare(("when",), "yes", filters) == ["yes"] == bare(("vars", "__x"), "{{ yes }}", filters)
    assert bare(("timeout",), "{{ many + 1 }}", filters) == ["many"] == bare(("n",), "{{ many | string }}", filters)
    assert bare(("timeout",), "{{ many }}", filters) == [] == bare(("when",), "yes | bool and many | int > 1", filters)
