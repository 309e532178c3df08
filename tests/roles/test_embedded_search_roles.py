# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit in a real search engine inside of the server: opened for a snapshot, and closed again whatever happens."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import typing as t

import pytest
from servers.nuxeo import proof
from servers.search import engines, server

if t.TYPE_CHECKING:
    from servers.deployment import Site
    from servers.nuxeo.instance import Instance

Make = t.Callable[..., t.Any]
HTTP = "elasticsearch.httpEnabled"


class Embedded(t.NamedTuple):
    """An instance with an engine inside, and the port on which that answers when it may."""

    instance: Instance
    port: int

    def curl(self, path: str) -> t.Any:
        """What the engine answers, None when nobody does."""
        words = ["curl", "-sS", "-m", "30", f"http://127.0.0.1:{self.port}{path}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def audited(self) -> list[dict[str, t.Any]]:
        """What the stand-in noted when an audit entry was there."""
        text = self.instance.ledger.with_name("ledger-audit.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def assert_closed(self) -> None:
        """As it was before: no HTTP, no file of ours, the server running."""
        assert self.instance.running
        assert self.curl("/") is None
        lines = [line for line in self.instance.conf.read_text().splitlines() if line.startswith(HTTP)]
        assert lines[-1] == f"{HTTP}=false"
        home = self.instance.home / "tmp" / "elasticsearch"
        assert not (home / "config" / "elasticsearch.yml").exists()
        assert not (home / "nuxeo-platform").exists()


@pytest.fixture
def embedded(site: Site, make_nuxeo: Make, make_database: Make, postgresql15: t.Any) -> Embedded:
    jars = engines.fetch("es7")
    port = server.free_ports(1)[0]
    properties = {
        "elasticsearch.enabled": "true",
        "audit.elasticsearch.enabled": "true",
        HTTP: "false",
        "standin.search.classpath": f"{jars}/lib/*:{jars}/modules/transport-netty4/*",
        "standin.search.port": str(port),
    }
    instance = make_nuxeo(make_database(postgresql15), "2021.48", properties=properties).start()
    url = [f"http://127.0.0.1:{port}"]
    site.add("acme", instance, nuxeo_client_python=sys.executable, backup_search_url=url, restore_search_url=url)
    return Embedded(instance, port)


def test_saved_hot_and_brought_back(site: Site, embedded: Embedded, postgresql15: t.Any) -> None:
    instance = embedded.instance
    instance.create_documents(20)
    done = site.backup()
    assert "Nuxeo was restarted twice" in done.stdout
    embedded.assert_closed()
    cut = proof.seconds(site.manifest("acme")["backup_date"])
    before = [line for line in embedded.audited() if line["ended"] < cut]
    assert len(before) == 20
    site.assert_all_verify("acme")
    site.run("verify").check()
    instance.create_documents(5)
    site.restore(postgresql15, restore_overwrite=True)
    embedded.assert_closed()
    instance.stop()
    instance.conf.write_text(instance.conf.read_text().replace(f"{HTTP}=false", f"{HTTP}=true"))
    instance.start()
    hits = embedded.curl("/nuxeo-audit/_search?size=1000")["hits"]["hits"]
    assert sorted(hit["_source"]["id"] for hit in hits) == sorted(line["id"] for line in before)
    assert embedded.curl("/nuxeo-uidgen/_doc/invoice")["_version"] >= max(line["number"] for line in before)
    assert embedded.curl("/_snapshot") == {}
    instance.create_documents(1)
    assert embedded.audited()[-1]["id"] > max(line["id"] for line in before), "no number is given twice"


def test_killed_while_it_is_open(site: Site, embedded: Embedded) -> None:
    embedded.instance.create_documents(3)
    run = site.start("backup")
    deadline = time.monotonic() + 120
    while not list(site.root.glob("acme/sets/.partial-*/progress-cut.json")) and time.monotonic() < deadline:
        time.sleep(0.2)
    run.kill()
    assert embedded.curl("/") is not None, "it is left open"
    assert site.sets("acme") == []
    site.backup()
    embedded.assert_closed()
    assert len(site.sets("acme")) == 1
