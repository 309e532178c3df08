# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules as Ansible runs them: packed, with an interpreter that has the library, and with one that has not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from servers.kafka.tools import environment

pytestmark = pytest.mark.xdist_group("streams-1")

NOW = int(time.time() * 1000)


def ansible(name, options, *words):
    command = [
        str(Path(sys.executable).with_name("ansible")),
        "localhost",
        "-c",
        "local",
        "-m",
        f"nuxeo.platform.{name}",
        "-a",
        json.dumps(options),
        *words,
    ]
    found = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment(), check=False)
    return found.returncode, found.stdout + found.stderr


def test_packed_by_ansible_it_forks_its_workers_and_leaves_no_secret(copying, tmp_path):
    topic = copying.name("work-a")
    copying.site.create(topic, 4)
    copying.site.send(topic, [(n % 4, NOW, b"k", b"%d" % n) for n in range(400)])
    here = ("-e", f"ansible_python_interpreter={sys.executable}")
    base = {
        "bootstrap_servers": [copying.site.bootstrap],
        "sasl_password": "c4nary-secret",
        "ssl_key_password": "c4nary-key",
    }
    code, told = ansible(
        "kafka_topic_info", {**base, "prefix": copying.source, "dest": copying.streams}, *here, "-vvvv"
    )
    assert code == 0, told
    assert "c4nary" not in told
    options = {**base, **copying.options(), "progress": str(tmp_path / "progress.json")}
    code, told = ansible("kafka_topic_replicate", options, *here, "--diff", "-vvv")
    assert code == 0, told
    assert f"{copying.copied('work-a')}: 400 records" in told and "c4nary" not in told
    assert json.loads((tmp_path / "progress.json").read_text())["unit"] == "records"
    for number in range(4):
        assert copying.site.rows(copying.copied("work-a"), number) == copying.site.rows(topic, number)
    for path in tmp_path.iterdir():
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o600, path
            assert "c4nary" not in path.read_text()


def test_without_the_library_the_message_says_what_to_install(copying):
    import venv

    folder = copying.folder / "bare"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    code, told = ansible(
        "kafka_topic_info",
        {"bootstrap_servers": [copying.site.bootstrap], "prefix": "a-"},
        "-e",
        f"ansible_python_interpreter={python}",
    )
    assert code != 0 and "Install confluent-kafka>=2.5.0" in told and str(python) in told
