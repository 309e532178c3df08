# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries that are there, too old, or not there."""

from __future__ import annotations

import pathlib
import sys

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._deps import numbers, require
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("2.16.1", (2, 16, 1)),
        ("2.9.9 (dt dec pq3)", (2, 9, 9)),
        ("15.4", (15, 4)),
        ("2.0.0rc1", (2, 0, 0)),
        ("18beta1", (18,)),
        ("", ()),
        ("x.1", ()),
    ],
)
def test_numbers(version: str, wanted: tuple[int, ...]) -> None:
    assert numbers(version) == wanted


def test_numbers_are_compared_as_numbers() -> None:
    assert numbers("2.10") > numbers("2.9") and numbers("3") > numbers("2.9.9")


@pytest.fixture
def library(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("newlib", "oldlib", "barelib"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name, version in (("newlib", "'3.0'"), ("oldlib", "'2.9.9 (x)'"), ("barelib", None)):
        (tmp_path / f"{name}.py").write_text(f"__version__ = {version}\n" if version else "")
    return tmp_path


def test_the_first_that_will_do(library: pathlib.Path) -> None:
    assert require(("newlib", "oldlib"), "newlib", "2.10", "to test").__name__ == "newlib"
    assert require(("nolib", "oldlib"), "newlib", "2.10", "to test").__name__ == "oldlib"  # a minimum is the first's
    assert require(("oldlib",), "oldlib", "2.9", "to test").__name__ == "oldlib"


def test_too_old_names_the_file(library: pathlib.Path) -> None:
    for name, version in (("oldlib", r"2\.9\.9 \(x\)"), ("barelib", "0")):
        told = f"only {name} {version} found at {library}/{name}.py. Install pack>=2.10"
        with pytest.raises(PlatformError, match=told):
            require((name,), "pack", "2.10", "to test")


def test_not_there_names_reason_and_interpreter() -> None:
    with pytest.raises(PlatformError) as caught:
        require(("no_such_library", "nor_this"), "some-package", "1.2", "to hold the snapshot")
    text = str(caught.value)
    assert text.startswith(
        f"Import of Python library no_such_library or nor_this on {sys.executable}: it is not installed"
    )
    assert "needed to hold the snapshot. Install some-package>=1.2 for that interpreter" in text
