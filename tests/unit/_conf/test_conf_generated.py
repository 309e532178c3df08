# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running server has otherwise than its nuxeo.conf, which was changed since it was started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.generated import pending_restart
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import BOOTSTRAP
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve

CONF, STOCK, TEMPLATE = "bin/nuxeo.conf", "templates/nuxeo.defaults", "templates/default/nuxeo.defaults"
OTHER = "templates/other/nuxeo.defaults"
DUMP = "nxserver/config/configuration.properties"
FILES = {
    CONF: "nuxeo.force.generation=true\nnuxeo.data.dir=data\n",
    STOCK: "nuxeo.templates=default\nnuxeo.mongodb.server=\n",
    TEMPLATE: "nuxeo.db.name=nuxeo\nkafka.topicPrefix=nuxeo-\nmail.transport.port=25\n",
    OTHER: "nuxeo.db.name=other\nkafka.topicPrefix=nuxeo-\n",
}
STARTED, LATER = 1_800_000_000, 1_800_000_060


class Server:
    """One that runs with these files."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for name, text in FILES.items():
            self.write(name, text, STARTED)
        self.write(DUMP, f"nuxeo.data.dir={home}/data\nnuxeo.db.name=nuxeo\nkafka.topicPrefix=nuxeo-\n", STARTED)
        self.process = home / "proc/7"
        self.write("proc/7/cmdline", f"java\0-Dnuxeo.conf={home}/{CONF}\0{BOOTSTRAP}\0start", STARTED)
        self.write("proc/7/stat", "7 (java) S " + "1 " * 20, STARTED)
        (self.process / "root").symlink_to("/")

    def write(self, name: str, text: str, when: int = LATER) -> None:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, (when, when))

    def pending(self, version: str = "2023") -> list[str]:
        configuration = resolve(str(self.home / CONF), str(self.home), {}, version)
        return pending_restart(configuration, str(self.home / "proc"))


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.mark.parametrize("version", ["10.10", "2023"])
@pytest.mark.parametrize(
    ("file", "more", "names"),
    [
        (CONF, "nuxeo.db.name=other\n", ["nuxeo.db.name"]),
        (CONF, "kafka.topicPrefix=other-\nnuxeo.db.name=other\n", ["nuxeo.db.name", "kafka.topicPrefix"]),
        (CONF, "nuxeo.data.dir=/srv/other\n", ["nuxeo.data.dir"]),
        (CONF, "nuxeo.templates=other\n", ["nuxeo.db.name"]),
        (TEMPLATE, "nuxeo.db.name=other\n", ["nuxeo.db.name"]),
        (CONF, "mail.transport.port=26\n", []),
        (CONF, "nuxeo.db.name=nuxeo\n", []),
    ],
)
def test_what_was_changed_since_the_start_waits_for_the_next(
    server: Server, version: str, file: str, more: str, names: list[str]
) -> None:
    """The backup would be of what nuxeo.conf names, and not of what the server works with."""
    assert server.pending(version) == []
    server.write(file, FILES[file] + more)
    assert server.pending(version) == names


def test_how_a_value_is_written_makes_no_difference(server: Server) -> None:
    server.write(CONF, FILES[CONF] + "nuxeo.db.name=other\n", STARTED)
    assert server.pending() == []


def test_by_which_links_the_data_folder_is_named_makes_no_difference(server: Server) -> None:
    (server.home / "nxserver/data").mkdir()
    (server.home / "link").symlink_to(server.home)
    server.write(CONF, "nuxeo.force.generation=true\n# its place is the default\n")
    for dumped in (f"{server.home}/link/nxserver/data", f"{server.home}/nxserver/data", ""):
        line = f"nuxeo.data.dir={dumped}\n" if dumped else ""
        server.write(DUMP, f"{line}nuxeo.db.name=nuxeo\nkafka.topicPrefix=nuxeo-\n", STARTED)
        assert server.pending() == server.pending("10.10") == []


def test_a_server_that_is_stopped_takes_nuxeo_conf_as_it_is(server: Server) -> None:
    server.write(CONF, FILES[CONF] + "nuxeo.db.name=other\n")
    assert server.pending() == ["nuxeo.db.name"]
    (server.process / "cmdline").unlink()
    assert server.pending() == []


def test_nobody_knows_what_a_server_without_a_dump_was_started_with(server: Server) -> None:
    server.write(CONF, FILES[CONF] + "nuxeo.db.name=other\n")
    (server.home / DUMP).unlink()
    assert server.pending() == []


def test_where_nothing_is_generated_the_dump_is_not_of_the_start(server: Server) -> None:
    """As a data folder that was changed long ago, and the server started anew since."""
    server.write("conf/Catalina/localhost/nuxeo.xml", "", STARTED)
    server.write(CONF, "nuxeo.data.dir=/srv/other\n")
    assert server.pending() == []
    server.write(CONF, "nuxeo.data.dir=/srv/other\nnuxeo.force.generation=once\n")
    assert server.pending() == ["nuxeo.data.dir"]
