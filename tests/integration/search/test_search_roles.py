# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole trip through the playbooks: an instance whose audit and sequences are in a search engine, read by curl."""

from __future__ import annotations

import json
import sys
import time
import typing as t
import uuid
from pathlib import Path

import pytest
from servers.deployment import Site
from servers.nuxeo import proof
from servers.search.security import PASSWORD
from servers.search.server import Server

if t.TYPE_CHECKING:
    from servers.nuxeo.instance import Instance
    from servers.search.nuxeo_indices import Curl

Make = t.Callable[..., t.Any]


class Trip(t.NamedTuple):
    """A site whose backup root the engine can reach, and how instances are made for it."""

    site: Site
    engine: Server
    curl: Curl
    make_nuxeo: Make
    database: t.Callable[[], t.Any]

    def instance(self, prefix: str, version: str = "10.10", **more: str) -> Instance:
        """An instance whose indices begin with a prefix of its own, on a database of its own."""
        properties = {
            "elasticsearch.enabled": "true",
            "elasticsearch.addressList": ",".join(self.engine.urls),
            "elasticsearch.indexName": prefix,
            "audit.elasticsearch.enabled": "true",
            **more,
        }
        if self.engine.tls:
            properties["elasticsearch.restClient.username"] = "backup"
            properties["elasticsearch.restClient.password"] = PASSWORD
            properties["standin.search.ca"] = str(self.engine.ca)
        return t.cast("Instance", self.make_nuxeo(self.database(), version, properties=properties))

    def add(self, name: str, instance: Instance, **more: t.Any) -> None:
        """A host of the inventory."""
        owner = {"backup_audit_owner": "nobody"} if self.engine.user else {}
        if self.engine.tls:
            owner.update(backup_search_ca_cert=str(self.engine.ca), restore_search_ca_cert=str(self.engine.ca))
        self.site.add(name, instance, nuxeo_client_python=sys.executable, **owner, **more)


@pytest.fixture
def trip(
    engine: Server,
    curl: Curl,
    make_nuxeo: Make,
    make_database: Make,
    postgresql15: t.Any,
    local_inventory: Make,
    start_playbook: Make,
) -> Trip:
    site = Site(engine.shared / uuid.uuid4().hex[:8], local_inventory, start_playbook)
    return Trip(site, engine, curl, make_nuxeo, lambda: make_database(postgresql15))


def audited(instance: Instance) -> list[dict[str, t.Any]]:
    """What the stand-in noted when an audit entry was there."""
    text = instance.ledger.with_name("ledger-audit.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def check_audit(curl: Curl, prefix: str, before: list[dict[str, t.Any]], kept: dict[str, t.Any]) -> None:
    """I4, and the sequences."""
    ids = curl.ids(f"{prefix}-audit")
    assert len(set(ids)) == len(ids)
    assert {line["id"] for line in before} <= set(ids), "entries from before the cut are lost"
    (counted,) = [each for each in kept["indices"] if each["name"] == "acme-audit"]
    assert counted["documents"] in (None, len(ids)), "the count differs from the set's"
    assert counted["documents_at_least"] <= len(ids) <= counted["documents_at_most"]
    assert curl.next_number(f"{prefix}-uidgen", "invoice") > max(line["number"] for line in before)
    versions = curl.ok("GET", f"/{prefix}-uidgen/{'seqId' if curl.typed else '_doc'}/audit")["_version"]
    assert versions >= max(ids), "the next number is above every entry's"


def test_audit_and_sequences_make_the_whole_trip(trip: Trip, postgresql15: t.Any) -> None:
    """Saved while entries are written, and brought back as another instance's in the same cluster."""
    site, curl = trip.site, trip.curl
    instance = trip.instance("acme").start()
    trip.add("acme", instance)
    instance.create_documents(20)
    instance.write(30)
    site.backup()
    instance.write(0)
    cut = proof.seconds(site.manifest("acme")["backup_date"])
    kept = json.loads((site.sets("acme")[0] / "audit.json").read_text())
    assert kept["requested"] == {"acme-audit": ["acme-audit"], "acme-uidgen": ["acme-uidgen"]}
    assert curl.snapshots("nuxeo-acme") == {site.manifest("acme")["audit"]["snapshot"]: "SUCCESS"}
    site.assert_all_verify("acme")
    before = [line for line in audited(instance) if line["ended"] < cut]
    assert len(before) > 20, "entries from before the cut"
    source = curl.count("acme-audit")
    other = trip.instance("nuxeo")
    site.hosts.clear()
    trip.add("staging", other, restore_from_instance="acme", restore_drop_index=True, restore_reindex=True)
    address = {"restore_nuxeo_url": other.url, "restore_nuxeo_password": "Administrator"}
    site.restore(postgresql15, restore_overwrite=True, **address)
    check_audit(curl, "nuxeo", before, kept)
    assert curl.count("acme-audit") == source, "the source is as it was"
    assert list(curl.ok("GET", "/_snapshot")) == ["nuxeo-acme"], "the repository for the restore is forgotten"
    name = other.conf.read_text().split("nuxeo.db.name=")[1].split()[0]
    assert curl.count("nuxeo") == len(proof.documents(postgresql15, name)) > 0, "the index of documents is rebuilt"


def test_in_place_with_a_cut_at_the_backup_date(trip: Trip, postgresql15: t.Any) -> None:
    if trip.engine.name != "es7":
        pytest.skip("one engine shows it")
    site, curl = trip.site, trip.curl
    instance = trip.instance("acme").start()
    trip.add("acme", instance)
    instance.write(30)
    site.backup()
    instance.write(0)
    assert "the search engine has snapshot" in site.run("verify").check().stdout
    cut = proof.seconds(site.manifest("acme")["backup_date"])
    kept = json.loads((site.sets("acme")[0] / "audit.json").read_text())
    before = [line for line in audited(instance) if line["ended"] < cut]
    curl.ok("DELETE", "/acme-audit")
    site.restore(postgresql15, restore_overwrite=True, restore_audit_trim=True)
    found = curl.ok("GET", "/acme-audit/_search?size=10000")["hits"]["hits"]
    assert {line["id"] for line in before} <= {hit["_source"]["id"] for hit in found}
    assert max(hit["_source"]["eventDate"] for hit in found) <= cut * 1000
    assert len(found) < kept["indices"][0]["documents_at_least"], "something newer was cut off"
    again = site.restore(postgresql15, restore_audit_trim=True)
    assert again.changed == []
    instance.create_documents(1)
    assert audited(instance)[-1]["id"] > kept["sequences"]["values"]["audit"], "no number is given twice"
    refused = site.run("restore", **site.admin(postgresql15), restore_audit_trim=True)
    assert "Restore of the audit: an alias 'acme-audit' exists" in " ".join(refused.failures)
    plain: Path = site.root / "acme"
    assert plain.stat().st_mode & 0o777 == 0o711
    assert {path.name for path in plain.iterdir() if path.stat().st_mode & 0o077} == {"audit"}


def test_a_killed_run_leaves_no_snapshot_for_long(trip: Trip) -> None:
    if trip.engine.name != "es7":
        pytest.skip("one engine shows it")
    site, curl = trip.site, trip.curl
    trip.add("acme", trip.instance("acme").start())
    run = site.start("backup")
    deadline = time.monotonic() + 300
    while curl("GET", "/_snapshot/nuxeo-acme/_all")[1].get("snapshots", []) == []:
        assert time.monotonic() < deadline and run.process.poll() is None
        time.sleep(0.1)
    run.kill()
    (left,) = curl.snapshots("nuxeo-acme")
    site.backup()
    assert curl.snapshots("nuxeo-acme") == {site.manifest("acme")["audit"]["snapshot"]: "SUCCESS"}
    assert left not in curl.snapshots("nuxeo-acme")
