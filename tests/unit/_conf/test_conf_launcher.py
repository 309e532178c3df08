# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resolver gives the answers that Nuxeo's own launcher of each version gave for the same files.

launcher_answers.json holds small homes and what the launchers of all six lines made of them:
the templates in the order taken and the expanded values of the names that were asked for, or that they refused.
``<home>`` stands for the folder. Values with the ``$${`` escape were expanded twice, as the running server does.
"""

from __future__ import annotations

import base64
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve

CASES = json.loads((Path(__file__).parent / "launcher_answers.json").read_text(encoding="utf-8"))
DEFAULTS = """nuxeo.data.dir=nxserver/data
nuxeo.templates=default
"""
ADDRESS = """nuxeo.bind.address=0.0.0.0
nuxeo.server.http.port=8080
org.nuxeo.ecm.contextPath=/nuxeo
"""


def _answers() -> t.Iterator[t.Any]:
    for case in CASES:
        for answer in case["answers"]:
            for version in answer["versions"]:
                yield pytest.param(case, version, answer["expect"], id=f"{version}-{case['name']}")


def lay_out(home: Path, case: dict[str, t.Any]) -> Path:
    """Write the files of a case; its nuxeo.conf."""

    def text(value: str) -> bytes:
        return value.replace("<home>", str(home)).encode()

    files = {
        "bin/nuxeo.conf": text(case.get("conf", "")),
        "templates/nuxeo.defaults": text(case.get("defaults", DEFAULTS) + ADDRESS),
    }
    if "conf_base64" in case:
        files["bin/nuxeo.conf"] = base64.b64decode(case["conf_base64"])
    for name, content in case.get("templates", {"default": ""}).items():
        template, _separator, file = name.partition("|")
        files[f"templates/{template}/{file or 'nuxeo.defaults'}"] = text(content)
    for folder in case.get("folders", ()):
        (home / folder).mkdir(parents=True)
    (home / "templates").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return home / "bin/nuxeo.conf"


@pytest.mark.parametrize(("case", "version", "expect"), list(_answers()))
def test_as_the_launcher(tmp_path: Path, case: dict[str, t.Any], version: str, expect: t.Any) -> None:
    home = tmp_path / "home"
    conf = lay_out(home, case)
    before = conf.read_bytes()
    if expect == "refused":
        with pytest.raises(ConfError) as error:
            resolve(str(conf), str(home), case.get("environment", {}), version)
        assert str(home) in str(error.value)
        return
    found = resolve(str(conf), str(home), case.get("environment", {}), version)
    values = {name: found.get(name) for name in case["asked"] if name in found}
    shown = {name: value.replace(str(home), "<home>") for name, value in values.items() if value is not None}
    assert shown == expect["properties"]
    assert [template.replace(str(home), "<home>") for template in found.templates] == expect["templates"]
    assert conf.read_bytes() == before
    assert sorted(path.name for path in home.iterdir()) == sorted({"bin", "templates"} | _outside(case))


def _outside(case: dict[str, t.Any]) -> set[str]:
    return {name.split("/")[1] for name in case.get("templates", {}) if name.startswith("../")}


def test_the_table_is_about_all_versions() -> None:
    assert len(CASES) >= 90
    for case in CASES:
        versions = sorted(version for answer in case["answers"] for version in answer["versions"])
        assert versions == sorted(["8.10", "9.10", "10.10", "2021", "2023", "2025"]), case["name"]
        assert case["asked"], case["name"]
