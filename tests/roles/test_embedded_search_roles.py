# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit in a real search engine inside of the server: opened for a snapshot, and closed again whatever happens."""

from __future__ import annotations

import http.server
import json
import signal
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from servers.nuxeo import proof
from servers.playbook import wait_for
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
        assert list((home / "config").iterdir()) == []
        assert not (home / "nuxeo-platform").exists()


@pytest.fixture(params=[("2021.48", "es7")], ids=["es7"])
def embedded(
    request: pytest.FixtureRequest, site: Site, make_nuxeo: Make, make_database: Make, postgresql15: t.Any
) -> Embedded:
    version, engine = request.param
    jars = engines.fetch(engine)
    port = server.free_ports(1)[0]
    properties = {
        "elasticsearch.enabled": "true",
        "audit.elasticsearch.enabled": "true",
        HTTP: "false",
        "standin.search.classpath": f"{jars}/lib/*:{jars}/modules/transport-netty4/*",
        "standin.search.port": str(port),
    }
    instance = make_nuxeo(make_database(postgresql15), version, properties=properties).start()
    url = [f"http://127.0.0.1:{port}"]
    site.add("acme", instance, nuxeo_client_python=sys.executable, backup_search_url=url, restore_search_url=url)
    return Embedded(instance, port)


@pytest.mark.parametrize("embedded", [("2021.48", "es7"), ("2023.6", "os1")], ids=["es7", "os1"], indirect=True)
def test_saved_hot_and_brought_back(site: Site, embedded: Embedded, postgresql15: t.Any) -> None:
    instance = embedded.instance
    instance.create_documents(20)
    done = site.backup()
    assert "Nuxeo was restarted twice" in done.stdout
    (looked,) = done.of("What of it is to be saved")
    assert looked.result["owner"] == str(instance.data_dir.stat().st_uid), "not the user of some engine's packages"
    embedded.assert_closed()
    cut = proof.seconds(site.manifest("acme")["backup_date"])
    before = [line for line in embedded.audited() if line["ended"] < cut]
    assert len(before) == 20
    site.assert_all_verify("acme")
    saved = (site.sets("acme")[-1] / "conf" / "acme" / "nuxeo.conf").read_text().splitlines()
    assert [line for line in saved if line.startswith(HTTP)][-1] == f"{HTTP}=false", "as it is when it is closed"
    site.run("verify").check()
    instance.create_documents(5)
    conf = instance.conf.read_text()
    ctl, seen = instance.home / "bin" / "counting-ctl", instance.home / "seen"
    count = f'grep -c "^nuxeo.*.processing.enabled=false" {instance.conf} >> {seen}'
    ctl.write_text(f'#!/bin/sh\n[ "$2" = startbg ] && {count}\nexec {instance.ctl} "$@"\n')
    ctl.chmod(0o755)
    site.restore(postgresql15, restore_overwrite=True, restore_service=str(ctl))
    assert seen.read_text() == "2\n0\n", "streams and works rest while it is open"
    assert instance.conf.read_text() == conf
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
    wait_for(lambda: list(site.root.glob("acme/sets/.partial-*/progress-cut.json")) != [])
    run.process.send_signal(signal.SIGSTOP)
    refused = site.run("backup")
    assert refused.rc != 0 and "is on since" in " ".join(refused.failures)
    assert embedded.curl("/") is not None, "a run that is refused leaves the other's engine alone"
    run.kill()
    assert embedded.curl("/") is not None, "it is left open"
    assert site.sets("acme") == []
    site.backup()
    embedded.assert_closed()
    assert len(site.sets("acme")) == 1


def test_a_run_that_fails_leaves_nothing_that_stops_the_next_one(site: Site, embedded: Embedded) -> None:
    """Its repository goes when the engine is closed. An engine that knows it still takes it for destroyed."""
    embedded.instance.create_documents(3)
    blob = next(path for path in (embedded.instance.store / "data").glob("*/*/*"))
    blob.rename(blob.with_suffix(".gone"))
    failed = site.run("backup")
    assert failed.rc != 0 and failed.of("Remove the snapshot that no set names") != []
    embedded.assert_closed()
    blob.with_suffix(".gone").rename(blob)
    site.backup()
    embedded.assert_closed()


def test_killed_in_a_restart(site: Site, embedded: Embedded) -> None:
    """The node starts it again, as it does after a cold backup: in the first restart, and in the second."""
    instance = embedded.instance
    instance.create_documents(3)
    note = site.root / "acme" / "stopped-acme"
    for published in (0, 1):
        run = site.start("backup", "-e", "__backup_silence=30")  # not to be waited for; no user gives that
        wait_for(lambda n=published: len(site.sets("acme")) == n and note.exists() and not instance.running)
        run.kill()
        assert not instance.running
        wait_for(lambda: instance.running and not note.exists())
        instance.create_documents(1)
    done = site.backup()
    embedded.assert_closed()
    assert not note.exists()
    ended = done.of("The watch of the node has ended")
    assert [task.result.get("server_started") for task in ended] == [False, False]


class Closing(t.NamedTuple):
    """The end of a backup alone."""

    instance: Instance
    note: Path
    run: t.Callable[[], t.Any]


@pytest.fixture
def closing(
    site: Site,
    make_nuxeo: Make,
    local_inventory: t.Callable[..., Path],
    run_playbook: t.Callable[..., t.Any],
    tmp_path: Path,
) -> Closing:
    instance = make_nuxeo(None).start()
    site.add("acme", instance)
    note = site.root / "acme" / "embedded-acme.json"
    note.parent.mkdir()
    note.write_text('{"http": false, "running": true}')
    search = {"home": str(tmp_path / "engine")}
    where = {"conf": str(instance.conf), "home": str(instance.home), "data_dir": str(instance.data_dir)}
    known = {
        "__backup_node": {"facts": {**where, "version": "10.10", "search": search}},
        "__backup_begun": {"run_id": "r1"},
        "__backup_leader": "acme",
        **dict.fromkeys(("__backup_after", "__backup_watch", "__backup_watch_end"), {}),
    }
    include = {"ansible.builtin.include_role": {"name": "nuxeo.platform.backup", "tasks_from": "audit_embedded_close"}}
    play = tmp_path / "close.yml"
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [include]}]))
    inventory = local_inventory(acme={**site.hosts["acme"], **known})
    return Closing(instance, note, lambda: run_playbook(play, inventory))


def test_the_server_is_started_though_closing_fails(closing: Closing) -> None:
    """Its nuxeo.conf cannot be written. The next run finds the note, and closes it."""
    conf = closing.instance.conf
    subprocess.run(["mount", "--bind", conf, conf], check=True)
    try:
        failed = closing.run()
    finally:
        subprocess.run(["umount", "-l", conf], check=True)
    assert failed.rc != 0 and str(conf) in " ".join(failed.failures)
    assert closing.instance.running and closing.note.exists()
    closing.run().check()
    assert closing.instance.running and not closing.note.exists()
    assert f"{HTTP}=false" in conf.read_text().splitlines()


def test_a_full_backup_root_keeps_no_engine_open(closing: Closing) -> None:
    content, folder = closing.note.read_text(), closing.note.parent
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        closing.note.write_text(content)
        subprocess.run(["dd", "if=/dev/zero", f"of={folder}/filler"], check=False, capture_output=True)
        done = closing.run().check()
        assert closing.instance.running and not closing.note.exists()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
    assert f"{HTTP}=false" in closing.instance.conf.read_text().splitlines()
    assert "Watch of 'acme': " in done.stdout and "if this run is killed meanwhile, start it yourself" in done.stdout


def test_a_server_that_was_stopped_is_left_so(closing: Closing) -> None:
    closing.instance.stop()
    closing.note.write_text('{"http": true, "running": false}')
    conf = closing.instance.conf.read_bytes()
    closing.run().check()
    assert not closing.instance.running and not closing.note.exists()
    assert closing.instance.conf.read_bytes() == conf


@pytest.fixture
def opening(
    make_nuxeo: Make, local_inventory: t.Callable[..., Path], run_playbook: t.Callable[..., t.Any], tmp_path: Path
) -> t.Callable[[str], tuple[Instance, t.Any]]:
    """The opening of an engine alone, on a node whose environment has a proxy: the instance, and the run."""

    def run(url: str) -> tuple[Instance, t.Any]:
        instance = make_nuxeo(None).start()
        where = {"conf": str(instance.conf), "home": str(instance.home), "data_dir": str(instance.data_dir)}
        search = {"home": str(tmp_path / "engine"), "http": False}
        options = {
            "embedded_state": "open",
            "embedded_facts": {**where, "version": "10.10", "search": search},
            "embedded_note": str(tmp_path / "note.json"),
            "embedded_url": url,
            "embedded_service": "nuxeoctl",
            "embedded_service_timeout": 60,
        }
        tasks = tmp_path / "roles" / "user" / "tasks" / "main.yml"
        tasks.parent.mkdir(parents=True)
        tasks.write_text(json.dumps([{"ansible.builtin.include_role": {"name": "nuxeo.platform.embedded"}}]))
        play = tmp_path / "open.yml"
        proxy = {"http_proxy": "http://127.0.0.1:1"}
        use = {"hosts": "all", "gather_facts": False, "environment": proxy, "roles": ["user"]}
        play.write_text(json.dumps([use]))
        return instance, run_playbook(play, local_inventory(acme=options))

    return run


def test_an_address_with_a_login_is_refused_before_it_is_shown(
    opening: t.Callable[[str], tuple[Instance, t.Any]],
) -> None:
    instance, refused = opening("http://elastic:hidden-word/1@127.0.0.1:1")
    assert refused.rc != 0 and "its address has a login in it" in refused.failures[0]
    assert instance.running and "hidden-word" not in refused.stdout


def test_a_file_of_somebody_else_is_not_overwritten(
    opening: t.Callable[[str], tuple[Instance, t.Any]], tmp_path: Path
) -> None:
    own = tmp_path / "engine" / "config" / "elasticsearch.yml"
    own.parent.mkdir(parents=True)
    own.write_text("of: somebody else\n")
    instance, refused = opening("http://127.0.0.1:1")
    assert refused.rc != 0 and f"'{own}' is there already" in " ".join(refused.failures)
    assert own.read_text() == "of: somebody else\n" and refused.changed == [] and instance.running


def _left_open(tmp_path: Path) -> None:
    """What a killed backup leaves, whose note is in the backup root."""
    own = tmp_path / "engine" / "config" / "elasticsearch.yml"
    own.parent.mkdir(parents=True)
    own.write_text(
        "# For the time of a snapshot by nuxeo.platform, which takes it away again.\n"
        f'path.repo: ["{tmp_path}/engine/nuxeo-platform"]\n'
    )


class Other(http.server.BaseHTTPRequestHandler):
    """An engine that is not inside of our server."""

    def do_GET(self) -> None:
        """Who it is."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"nodes": {"n1": {"settings": {"path": {"home": "/other"}}}}}')


@pytest.mark.parametrize("left_open", [False, True])
def test_the_engine_of_somebody_else_is_not_taken(
    left_open: bool, opening: t.Callable[[str], tuple[Instance, t.Any]], tmp_path: Path
) -> None:
    """Its indices would be saved for this instance's, or replaced. A file of our own is no hindrance."""
    if left_open:
        _left_open(tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        _instance, refused = opening(f"http://127.0.0.1:{other.server_port}")
        other.shutdown()
    assert refused.rc != 0 and "has the home '/other', and this server's has" in " ".join(refused.failures)
