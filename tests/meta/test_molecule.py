# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every molecule scenario, each on hosts of its own."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from meta.tool import REPO, run
from servers.hosts import Lab, make_tree
from servers.playbook import CALLBACKS, MODULE_CODE, PACKED_MODULES, keep_code, keep_packed

SCENARIOS = sorted(
    path.parent.name for path in (REPO / "molecule").glob("*/molecule.yml") if path.parent.name != "default"
)
TREE = REPO / ".cache" / "tree"


@pytest.fixture(scope="module")
def tree() -> Path:
    """The base tree of the hosts, made once."""
    assert os.geteuid() == 0, "The hosts of the molecule scenarios need root"
    make_tree(TREE)
    return TREE


@pytest.fixture
def state(tmp_path: Path) -> t.Iterator[Path]:
    """The folder of the hosts; none of them is left."""
    yield tmp_path / "lab"
    Lab(tmp_path / "lab").down()


@pytest.mark.xdist_group("molecule")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_molecule(scenario: str, tree: Path, state: Path, tmp_path: Path) -> None:
    """Hosts are made, the scenario runs from prepare to verify, hosts are removed."""
    code = keep_code(MODULE_CODE)
    variables = {
        **code,
        **keep_packed(PACKED_MODULES),
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "kept_modules",
        "LAB_STATE": str(state),
        "LAB_TREE": str(tree),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "PYTHONPATH": os.pathsep.join(
            [code["PYTHONPATH"], str(REPO / "build" / "collections"), str(REPO / "molecule")]
        ),
    }
    out = run("molecule", "test", "-s", scenario, timeout=1200, env=variables)
    assert "passed" in out, out[-5000:]


def test_scenarios_leave_no_step_out() -> None:
    """The shared sequence has every step; no scenario takes one away."""
    shared = (REPO / "molecule" / "config.yml").read_text(encoding="utf-8")
    assert all(f"    - {step}\n" in shared for step in ("prepare", "check", "converge", "side_effect", "verify"))
    for scenario in SCENARIOS:
        text = (REPO / "molecule" / scenario / "molecule.yml").read_text(encoding="utf-8")
        assert "test_sequence" not in text
        for step in ("prepare", "converge", "side_effect"):
            assert (REPO / "molecule" / scenario / f"{step}.yml").exists()
        assert list((REPO / "molecule" / scenario / "tests").glob("test_*.py"))
