# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running server has otherwise than its nuxeo.conf, which was changed since it was started."""

from __future__ import annotations

import os
import time
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


class Server:
    """One that runs with these files, all of which are older than its start."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for name, text in FILES.items():
            self.write(name, text)
        self.process = home / "proc/7"
        self.dumped = "nuxeo.db.name=nuxeo\nkafka.topicPrefix=nuxeo-\n"
        self.runs(f"-Dnuxeo.data.dir={home}/data")
        self.write("proc/7/stat", "7 (java) S " + "1 " * 20)
        (self.process / "root").symlink_to("/")

    def write(self, name: str, text: str) -> None:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def runs(self, *words: str) -> None:
        """It has these words in its command line, and was started after all that is done from now on."""
        words = ("java", f"-Dnuxeo.conf={self.home}/{CONF}", *words, BOOTSTRAP, "start")
        self.write("proc/7/cmdline", "\0".join(words))
        self.write(DUMP, self.dumped)
        os.utime(self.home / DUMP, (time.time() + 3600,) * 2)

    def change(self, name: str, text: str) -> None:
        """Write a file anew, and nothing else, after a start just now."""
        started = time.time()
        os.utime(self.home / DUMP, (started, started))
        while (self.home / name).stat().st_ctime <= started:  # the clock of files goes by steps
            self.write(name, text)

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
        (CONF, "nuxeo.stream.chronicle.dir=/srv/queues\n", ["nuxeo.stream.chronicle.dir"]),
        (CONF, "audit.elasticsearch.indexName=other-audit\n", ["audit.elasticsearch.indexName"]),
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
    server.change(file, FILES[file] + more)
    assert server.pending(version) == names


def test_what_names_the_engines_of_2025_waits_for_the_next_start(server: Server) -> None:
    index = "nuxeo.audit.backend.default.opensearch1.index.name"
    server.change(CONF, FILES[CONF] + f"{index}=other\nnuxeo.opensearch1.embed.http.port=9300\n")
    assert server.pending("2025") == [index]


def test_a_change_of_what_a_place_refers_to_is_a_change_of_the_place(server: Server) -> None:
    line = "nuxeo.db.name=my-${my.stage}\n"
    server.dumped = f"{line}my.stage=test\nkafka.topicPrefix=nuxeo-\n"
    server.runs()
    for stage, names in (("test", []), ("live", ["nuxeo.db.name"])):
        server.change(CONF, f"{FILES[CONF]}{line}my.stage={stage}\n")
        assert server.pending() == names
    server.change(CONF, FILES[CONF] + "nuxeo.db.name=my-test\n")  # the same without a reference
    assert server.pending() == []


def test_what_a_place_refers_to_may_be_changed_in_a_template(server: Server) -> None:
    server.write(CONF, FILES[CONF] + "nuxeo.db.name=my-${my.stage}\n")
    server.write(TEMPLATE, FILES[TEMPLATE] + "my.stage=test\n")
    server.dumped = "nuxeo.db.name=my-${my.stage}\nmy.stage=test\nkafka.topicPrefix=nuxeo-\n"
    server.runs()
    assert server.pending() == []
    server.change(TEMPLATE, FILES[TEMPLATE] + "my.stage=live\n")
    assert server.pending() == ["nuxeo.db.name"]


def test_what_only_follows_is_not_told_beside_what_was_changed(server: Server) -> None:
    line = "nuxeo.db.jdbc.url=jdbc:postgresql://db/${nuxeo.db.name}\n"
    server.dumped += line
    server.runs()
    server.change(CONF, f"{FILES[CONF]}{line}nuxeo.db.name=other\n")
    assert server.pending() == ["nuxeo.db.name"]


def test_a_place_below_the_data_folder_is_where_that_is(server: Server) -> None:
    """The dump may have the folder by another link."""
    line = "nuxeo.stream.chronicle.dir=${nuxeo.data.dir}/queues\n"
    server.dumped += f"{line}nuxeo.data.dir={server.home}/link/data\n"
    server.runs()
    server.change(CONF, FILES[CONF] + line)
    assert server.pending() == []


def test_a_file_put_in_place_with_an_older_time_is_a_change(server: Server) -> None:
    """As by rsync -a or cp -p."""
    server.change(CONF, FILES[CONF] + "nuxeo.db.name=other\n")
    os.utime(server.home / CONF, (1, 1))
    assert server.pending() == ["nuxeo.db.name"]


def test_what_the_server_holds_by_an_encrypted_value_is_not_known(server: Server) -> None:
    server.dumped = "nuxeo.db.name=${my.secret}\nmy.secret={$$c2VjcmV0}\nkafka.topicPrefix=nuxeo-\n"
    server.runs()
    server.change(CONF, FILES[CONF] + "nuxeo.db.name=other\n")
    assert server.pending() == []


def test_how_a_value_is_written_makes_no_difference(server: Server) -> None:
    server.write(CONF, FILES[CONF] + "nuxeo.db.name=other\n")
    server.runs()
    assert server.pending() == []


def test_by_which_links_the_data_folder_is_named_makes_no_difference(server: Server) -> None:
    (server.home / "nxserver/data").mkdir()
    (server.home / "link").symlink_to(server.home)
    server.change(CONF, "nuxeo.force.generation=true\n# its place is the default\n")
    for words in ([f"-Dnuxeo.data.dir={server.home}{path}/data"] for path in ("/link/nxserver", "/nxserver")):
        server.runs(*words)
        assert server.pending() == server.pending("10.10") == []


def test_a_data_folder_that_a_template_names_in_vain_is_no_change(server: Server) -> None:
    server.change(TEMPLATE, FILES[TEMPLATE] + "nuxeo.data.dir=/srv/template\n")
    server.write(CONF, "nuxeo.force.generation=true\n")
    for folder in (f"{server.home}/nxserver/data", "/srv/template"):
        server.runs(f"-Dnuxeo.data.dir={folder}")
        assert server.pending("10.10") == []


def test_blanks_behind_a_value_are_no_change(server: Server) -> None:
    server.change(CONF, FILES[CONF] + "nuxeo.db.name=nuxeo  \n")
    assert server.pending() == []


def test_a_server_that_is_stopped_takes_nuxeo_conf_as_it_is(server: Server) -> None:
    server.change(CONF, FILES[CONF] + "nuxeo.db.name=other\nnuxeo.data.dir=/srv/other\n")
    assert server.pending() == ["nuxeo.db.name", "nuxeo.data.dir"]
    (server.process / "cmdline").unlink()
    assert server.pending() == []


def test_nobody_knows_what_a_server_without_a_dump_was_started_with(server: Server) -> None:
    server.change(CONF, FILES[CONF] + "nuxeo.db.name=other\n")
    (server.home / DUMP).unlink()
    assert server.pending() == []


def test_where_nothing_is_generated_the_dump_is_not_of_the_start(server: Server) -> None:
    """The data folder alone is heeded there, and the command line tells it."""
    server.write("conf/Catalina/localhost/nuxeo.xml", "")
    server.change(CONF, "nuxeo.data.dir=data\nnuxeo.db.name=other\n")
    assert server.pending() == []
    server.change(CONF, "nuxeo.data.dir=/srv/other\nnuxeo.db.name=other\n")
    assert server.pending() == ["nuxeo.data.dir"]
    server.runs("-Dnuxeo.data.dir=/srv/other")
    assert server.pending() == []
    server.runs("-Dnuxeo.data.dir=${my.folder}/data")  # of what launcher and server make different things
    assert server.pending() == []
    server.change(CONF, "nuxeo.data.dir=data\nnuxeo.db.name=other\nnuxeo.force.generation=once\n")
    assert server.pending() == ["nuxeo.db.name"]
