# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit that is active without a server: one of an old init script after a crash, say. Its start does nothing then."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import service as service_module
from ansible_collections.nuxeo.platform.tests.unit._conf.systemctl import Systemctl, service


def asked(systemctl: Systemctl) -> list[str]:
    """What was to be done, without the questions."""
    return [call[1] for call in systemctl.calls if call[1] != "show"]


def test_a_unit_that_outlived_its_server_is_started_again(conf: Path) -> None:
    systemctl = Systemctl(conf)
    systemctl.active = "active"
    one = service(conf, systemctl, 30)
    try:
        assert one.start().pid == systemctl.child.pid  # type: ignore[union-attr]
        assert asked(systemctl) == ["restart"]
    finally:
        one.stop()


@pytest.mark.parametrize("state", ["inactive", "failed", "activating", "deactivating", ""])
def test_any_other_unit_is_started(conf: Path, state: str) -> None:
    systemctl = Systemctl(conf)
    systemctl.active = state
    one = service(conf, systemctl, 30)
    try:
        one.start()
        assert asked(systemctl) == ["start"]
    finally:
        one.stop()


def test_a_unit_that_somebody_starts_just_then_is_left_alone(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is active by then, and its launcher, or its server, would be ended again."""

    class Overtaken(Systemctl):
        def __call__(self, argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]:
            if argv[2] == "--property=ActiveState" and self.child is None:
                super().__call__(["systemctl", "start"], environment)
                self.active = "active"
            return super().__call__(argv, environment)

    systemctl = Overtaken(conf)
    one = service(conf, systemctl, 30)
    try:
        assert one.start().pid == systemctl.child.pid  # type: ignore[union-attr]
        assert "restart" not in asked(systemctl)
    finally:
        one.stop()
    launcher = Systemctl(conf)
    launcher.active, looks = "active", [False]
    monkeypatch.setattr(service_module, "is_starting", lambda _conf: looks.pop() if looks else True)
    with pytest.raises(service_module.ConfError, match="after 1 s no process"):
        service(conf, launcher, 1).start()
    assert "restart" not in asked(launcher)
