# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How nuxeoctl is called: as whom, and in which environment."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import kept
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.service import Service
from servers.nuxeo.ports import free_port


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "home/bin/nuxeo.conf"
    for file, text in (
        (path, f"nuxeo.server.http.port={free_port()}\n"),
        (tmp_path / "home/templates/nuxeo.defaults", "nuxeo.data.dir=nxserver/data\n"),
    ):
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    return path


def started_by(conf: Path, environment: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """How nuxeoctl is called, and in which environment."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def run(argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]:
        calls.append((argv, environment or {}))
        return 1, "", "it is not started here"

    found = resolve(str(conf), str(conf.parent.parent), environment, "2023")
    with pytest.raises(ConfError, match="it is not started here"):
        Service("/bin/true", found, run, 5).start()
    return calls[0]


def test_it_is_started_in_the_environment_that_it_had_with_what_is_given(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "kept", lambda _conf: {"DB": "had", "HAD": "1", "NUXEO_CONF": "/elsewhere"})
    _argv, environment = started_by(conf, {"DB": "given", "NUXEO_HOME": "/elsewhere"})
    assert (environment["DB"], environment["HAD"]) == ("given", "1")
    assert (environment["NUXEO_CONF"], environment["NUXEO_HOME"]) == (str(conf), str(conf.parent.parent))


def test_root_starts_it_as_who_owns_the_data(conf: Path) -> None:
    """Files of root would lock that user out."""
    if os.geteuid() != 0:
        pytest.skip("only root starts it as others")
    data = conf.parent.parent / "nxserver/data"
    os.chown(conf, 12345, 23456)
    setpriv, *words = started_by(conf, {})[0]
    assert (os.path.basename(setpriv), words[:4]) == (
        "setpriv",
        ["--reuid=12345", "--regid=23456", "--clear-groups", "--"],
    )
    data.mkdir(parents=True)
    assert started_by(conf, {})[0][0] == "/bin/true"
    nobody = pwd.getpwnam("nobody")
    os.chown(data, nobody.pw_uid, 23456)
    words = started_by(conf, {})[0][1:5]
    assert words == [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--init-groups", "--"]


AGENT = "-javaagent:/opt/jmx.jar=9404:/etc/jmx.yml"
IPV4 = "-Djava.net.preferIPv4Stack=true -Djava.awt.headless=true"


@pytest.mark.parametrize(
    ("lines", "ran_with", "started_with"),
    [
        (["$JAVA_OPTS " + AGENT], f"-server -Xmx2g {AGENT} {IPV4}", "-Xmx2g"),
        (
            ["$JAVA_OPTS  -Da=1", "$JAVA_OPTS -Db=2"],
            f"--illegal-access=permit -Xmx2g -Da=1 -Db=2 {IPV4} -Dc=3",
            "-Xmx2g",
        ),
        (["$JAVA_OPTS " + AGENT], f"-Xmx2g {AGENT} {IPV4} {AGENT} {IPV4}", "-Xmx2g"),  # it was started so before
        ([], f"-Xmx2g {IPV4}", "-Xmx2g"),
        (["$JAVA_OPTS " + AGENT], f"{AGENT} {IPV4}", ""),
        (["$JAVA_OPTS -Da=1"], "-Xmx2g", "-Xmx2g"),  # as an operator gives it
        (["$JAVA_OPTS -Da=2"], f"-Xmx2g -Da=1 {IPV4}", f"-Xmx2g -Da=1 {IPV4}"),  # nuxeo.conf was changed since
        (["-Xmx1g", "$JAVA_OPTS " + AGENT], f"-Xmx1g {AGENT} {IPV4}", f"-Xmx1g {AGENT} {IPV4}"),  # set anew in any case
    ],
)
def test_what_nuxeoctl_adds_to_the_options_of_java_it_does_not_add_twice(
    conf: Path, lines: list[str], ran_with: str, started_with: str
) -> None:
    """A second agent would find its port taken, and the server that was stopped would not come up again."""
    with conf.open("a", encoding="utf-8") as stream:
        stream.writelines(f"JAVA_OPTS={line}\n" for line in lines)
    assert started_by(conf, {"JAVA_OPTS": ran_with})[1]["JAVA_OPTS"] == started_with
