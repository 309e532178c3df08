# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd puts into the lines of a unit: what is sure, and what only the stopped server's environment tells."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import locate as locate_module
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.locate import locate
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.unit import units
from ansible_collections.nuxeo.platform.tests.unit._conf.layout import home_at, write_unit

INSTANCE = "etc/systemd/system/nuxeo@a\\x2db.service"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host of its own, where no process runs."""
    (tmp_path / "proc").mkdir()
    return tmp_path


def environment(root: Path, lines: str, name: str = "etc/systemd/system/nuxeo.service") -> dict[str, str]:
    """What a stopped server of this unit is taken to have run in."""
    home = root / "opt/nuxeo/server"
    if not home.exists():
        home_at(root)
    write_unit(root, f"[Service]\n{lines}\nExecStart={home}/bin/nuxeoctl startbg\n", name)
    return dict(locate(None, str(home), None, str(root / "proc"), str(root)).environment)


def test_what_systemd_puts_in(root: Path) -> None:
    folders = "A=%S/nuxeo B=%C C=%L D=%t E=%E"
    assert environment(root, f'Environment={folders} F=%H G=ab%%nc H=%n,%N I=100%;5% "J=a b%%"') == {
        "A": "/var/lib/nuxeo",
        "B": "/var/cache",
        "C": "/var/log",
        "D": "/run",
        "E": "/etc",
        "F": socket.gethostname(),
        "G": "ab%nc",
        "H": "nuxeo.service,nuxeo",
        "I": "100%;5%",
        "J": "a b%",
    }


def test_what_systemd_puts_into_an_instance_of_a_template(root: Path) -> None:
    write_unit(root, "DB=of the instance\n", "etc/nuxeo/a\\x2db.env")
    lines = "User=%p\nEnvironment=A=%i B=%p C=%n\nEnvironmentFile=/etc/nuxeo/%i.env"
    found = {"A": "a\\x2db", "B": "nuxeo", "C": "nuxeo@a\\x2db.service", "DB": "of the instance"}
    assert environment(root, lines, INSTANCE) == found
    assert [unit.user for unit in units(str(root))] == ["nuxeo"]


def test_the_program_of_a_unit_may_be_named_by_what_systemd_puts_in(root: Path) -> None:
    home = home_at(root, "srv/nuxeo")
    write_unit(root, f"[Service]\nEnvironment=DB=a\nExecStart={root}/srv/%N/bin/nuxeoctl startbg\n")
    assert [unit.home for unit in units(str(root))] == [str(home)]


@pytest.mark.parametrize("text", ["%h/data", "%q", "p%20x"])
def test_what_is_not_known_is_what_the_stopped_server_had(
    root: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    conf = str(root / "opt/nuxeo/server/bin/nuxeo.conf")
    monkeypatch.setattr(locate_module, "kept", {conf: {"A": "/var/lib/nuxeo", "B": "old", "C": "sourced"}}.get)
    assert environment(root, f"Environment=A={text} B=new") == {"A": "/var/lib/nuxeo", "B": "new", "C": "sourced"}


@pytest.mark.parametrize("kept", [None, {"B": "old"}])
def test_what_nothing_tells_is_asked_for(
    root: Path, monkeypatch: pytest.MonkeyPatch, kept: dict[str, str] | None
) -> None:
    monkeypatch.setattr(locate_module, "kept", lambda _conf: kept)
    why = r"nuxeo\.service: what systemd makes of A, Z is not known.*Start Nuxeo first, or give it by nuxeo_environment"
    with pytest.raises(ConfError, match=why):
        environment(root, "Environment=Z=%m A=%h B=b")
    write_unit(root, "A=1\nZ=2\n", "etc/default/nuxeo")
    told = environment(root, "Environment=Z=%m A=%h B=b\nEnvironmentFile=/etc/default/nuxeo")
    assert told == {"A": "1", "B": "b", "Z": "2"}, "its files win"


def test_a_file_that_is_not_known_may_overrule_each_variable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "Environment=A=a\nEnvironmentFile=-%h/env"
    with pytest.raises(ConfError, match=r"what systemd makes of -%h/env is not known"):
        environment(root, lines)
    monkeypatch.setattr(locate_module, "kept", lambda _conf: {"A": "of the file"})
    assert environment(root, lines) == {"A": "of the file"}


def test_a_nuxeo_conf_that_is_not_known_may_be_any(root: Path) -> None:
    lines = "Environment=NUXEO_CONF=%h/nuxeo.conf DB=a"
    with pytest.raises(ConfError, match="what systemd makes of NUXEO_CONF is not known"):
        environment(root, lines)
    with pytest.raises(ConfError, match="what systemd makes of NUXEO_CONF is not known"):
        locate("/etc/nuxeo.conf", str(root / "opt/nuxeo/server"), None, str(root / "proc"), str(root))
