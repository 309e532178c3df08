# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search engine that Nuxeo embeds where no address is configured: a real node, with Nuxeo's own list of settings.

Where HTTP is off it answers on a port that nobody knows but the stand-in, since Nuxeo speaks to it without HTTP.
"""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path

from configuration import Configuration

HERE = Path(__file__).resolve().parent


def is_embedded(configuration: Configuration) -> bool:
    """Whether the configuration wants an engine and names none, and the test has given the engine's jars."""
    wanted = configuration.get("elasticsearch.enabled") == "true" and not configuration.get("elasticsearch.addressList")
    return wanted and bool(configuration.get("standin.search.classpath"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(configuration: Configuration) -> str:
    """Of OpenSearch, which LTS 2023 embeds, the classes have their names but for the first word."""
    source = HERE / "EmbeddedNode.java"
    if "opensearch" not in configuration.get("standin.search.classpath"):
        return str(source)
    own = configuration.folder("nuxeo.tmp.dir") / source.name
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(source.read_text(encoding="utf-8").replace("org.elasticsearch", "org.opensearch"), encoding="utf-8")
    return str(own)


class EmbeddedEngine:
    """A running node; it ends with the process that has started it."""

    def __init__(self, configuration: Configuration) -> None:
        shown = configuration.get("elasticsearch.httpEnabled") == "true"
        port = int(configuration.get("standin.search.port", "9200")) if shown else _free_port()
        settings = {
            "cluster.name": configuration.get("elasticsearch.clusterName"),
            "node.name": "nuxeoNode",
            "network.host": "127.0.0.1",
            "http.port": str(port),
            "path.home": str(configuration.folder("nuxeo.tmp.dir") / "elasticsearch"),
            "path.data": str(configuration.folder("nuxeo.data.dir") / "elasticsearch"),
            "discovery.type": "single-node",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
        }
        words = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        words += ["-cp", configuration.get("standin.search.classpath"), _program(configuration)]
        words += [f"{name}={value}" for name, value in settings.items()]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}"
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/_cluster/health?wait_for_status=yellow", timeout=30):
                    return
            except (OSError, HTTPException):
                time.sleep(0.2)
        self.stop()
        raise OSError(f"the embedded search engine did not start, {self.process.returncode}")

    def stop(self) -> None:
        """End it in good order."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
