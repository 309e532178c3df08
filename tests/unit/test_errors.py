# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of a message, and that it is told once."""

from __future__ import annotations

import errno
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError, fail_json_on_error


class Failed(Exception):
    """What fail_json does to a module."""


class Module:
    """As much of a module as is used."""

    def fail_json(self, **result: t.Any) -> None:
        raise Failed(result)


class StoreError(PlatformError):
    """A store's own."""


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("Dump of database 'x' on h:1", "no space", "Free some"), "Dump of database 'x' on h:1: no space. Free some."),
        (("Dump of 'x'", "no space.", "Free some."), "Dump of 'x': no space. Free some."),
        (("Dump of 'x'", "no space..."), "Dump of 'x': no space."),
        (("Dump of 'x'", "no space", ""), "Dump of 'x': no space."),
        (("Copy of 'caf\udce9 é'", "no"), "Copy of 'caf\\udce9 é': no."),
    ],
)
def test_form(parts: tuple[str, ...], text: str) -> None:
    assert str(PlatformError(*parts)) == text


def test_told_once_with_the_result() -> None:
    with pytest.raises(Failed) as caught, fail_json_on_error(t.cast(t.Any, Module())):
        raise StoreError("Dump of 'x'", "no", "Do", {"missing": 3})
    assert caught.value.args == ({"msg": "Dump of 'x': no. Do.", "missing": 3},)


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), fail_json_on_error(t.cast(t.Any, Module())):
        divmod(1, 0)
    with fail_json_on_error(t.cast(t.Any, Module())):
        done = True
    assert done


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", b"/tmp/x"), " at '/tmp/x': No space left on device"),
        (OSError(errno.EIO, "Input/output error", 3), ": Input/output error"),
        (TimeoutError("it took too long"), ": it took too long"),
    ],
)
def test_what_the_system_refuses_is_told_in_words(error: OSError, told: str) -> None:
    with pytest.raises(Failed) as caught, fail_json_on_error(t.cast(t.Any, Module())):
        raise error
    assert caught.value.args == ({"msg": f"Work on this node{told}. Mend that, then run again."},)


def test_an_error_without_a_result_has_an_empty_one_of_its_own() -> None:
    one, other = PlatformError("a", "b"), PlatformError("a", "b")
    one.result["x"] = 1
    assert other.result == {}
