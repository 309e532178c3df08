# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole trip through the playbooks: an instance whose audit and sequences are in a search engine, read by curl."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from servers.nuxeo import proof
from servers.playbook import wait_for
from servers.search.proxy import Fault, Proxy
from servers.search.security import PASSWORD

if t.TYPE_CHECKING:
    from servers.nuxeo.instance import Instance
    from servers.search.nuxeo_indices import Curl

    from .conftest import Trip


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
    if trip.engine.name == "es7":
        pytest.skip("it makes the trips below")
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
    name = other.conf.read_text().split("nuxeo.db.name=")[1].split()[0]
    wrong = site.run("restore", **site.admin(postgresql15), restore_overwrite=True, restore_nuxeo_password="wrong")
    assert "Rebuilding of the index of documents of instance 'staging'" in " ".join(wrong.failures)
    assert not curl.exists("nuxeo") or curl.count("nuxeo") == 0
    again = site.restore(postgresql15, restore_nuxeo_password="Administrator")
    assert "was there already" in again.stdout
    assert curl.count("nuxeo") == len(proof.documents(postgresql15, name)) > 0, "the index of documents is rebuilt"
    check_audit(curl, "nuxeo", before, kept)
    assert curl.count("acme-audit") == source, "the source is as it was"
    assert list(curl.ok("GET", "/_snapshot")) == ["nuxeo-acme"], "the repository for the restore is forgotten"


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
    plain = site.root / "acme"
    assert plain.stat().st_mode & 0o777 == 0o711
    assert {path.name for path in plain.iterdir() if path.stat().st_mode & 0o077} == {"audit"}
    other = trip.instance("acme")
    site.hosts.clear()
    trip.add("staging", other, restore_from_instance="acme")
    refused = site.run("restore", "--check", **site.admin(postgresql15), restore_overwrite=True)
    assert "would take the source's own index acme-audit, acme-uidgen" in " ".join(refused.failures)


@pytest.fixture
def elsewhere(trip: Trip, tmp_path: Path) -> t.Iterator[t.Callable[[], Path]]:
    """Puts the node onto another volume than the engine has at the place of the backup root: a copy without snapshots.

    What that is called on the node itself is returned.
    """
    held: list[subprocess.Popen[bytes]] = []

    def part() -> Path:
        copy, root = tmp_path / "copy", trip.site.root
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("snap-*"))
        (copy / "acme").chmod(0o711)
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
        held.append(subprocess.Popen([*words, f"mount --bind {copy} {root} && exec sleep 1000"]))
        wait_for(lambda: Path(f"/proc/{held[0].pid}/root{root}").samefile(copy))
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nexec nsenter -t {held[0].pid} -m {sys.executable} "$@"\n')
        python.chmod(0o755)
        names = ("ansible_python_interpreter", "nuxeo_client_python")
        trip.site.hosts["acme"].update(dict.fromkeys(names, str(python)))
        return copy

    yield part
    for each in held:
        each.terminate()
        each.wait()


def test_an_engine_that_writes_elsewhere_is_no_backup(trip: Trip, elsewhere: t.Callable[[], Path]) -> None:
    """As on a host where the mount was forgotten: its nodes agree, and the root has nothing of it."""
    if trip.engine.name != "es7":
        pytest.skip("one engine shows it")
    site, curl = trip.site, trip.curl
    instance = trip.instance("acme").start()
    trip.add("acme", instance)
    instance.create_documents(3)
    site.backup()
    site.run("verify").check()
    before = dict(site.hosts["acme"])
    copy = elsewhere()
    known = f"snap-{site.manifest('acme')['audit']['uuid']}.dat"
    for playbook in ("verify", "backup"):
        (told,) = site.run(playbook).failures[:1]
        assert f"in '{site.root}/acme/audit': it is not there" in told and "Mount the same volume" in told
        assert (known in told) == (playbook == "verify")
    assert len(list(copy.glob("acme/sets/*"))) == 1
    assert {path.name for path in site.root.glob("acme/audit/snap-*")} == {known}, "what it made is removed"
    assert curl.ok("GET", "/_snapshot") == {}, "mounted, the folder is another one: known, it would count as destroyed"
    site.hosts["acme"] = before
    site.backup()
    site.run("verify").check()


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
    made = f"/_snapshot/nuxeo-acme/{site.manifest('acme')['audit']['snapshot']}"
    indices = ",".join(curl.ok("GET", made)["snapshots"][0]["indices"])
    curl.ok("DELETE", made)
    gone = " ".join(site.run("verify").failures)
    assert "they are not among the 0 that it lists" in gone
    curl.ok("PUT", f"{made}?wait_for_completion=true", {"indices": indices, "include_global_state": False})
    another = " ".join(site.run("verify").failures)
    assert "it is not what the set says, but SUCCESS with 0 failed shards" in another


def test_two_instances_on_one_cluster(trip: Trip, postgresql15: t.Any) -> None:
    """Names with dashes, one the beginning of the other; indices behind aliases, as manageAlias has them."""
    if trip.engine.name not in ("es7", "os2"):
        pytest.skip("one engine of each kind shows it")
    site, curl = trip.site, trip.curl
    for index, names in {
        "acme-dms-0000": ["acme-dms", "acme-dms-write"],
        "acme-dms-audit-01": ["acme-dms-audit"],
    }.items():
        curl.create(index)
        curl.ok("POST", "/_aliases", {"actions": [{"add": {"index": index, "alias": name}} for name in names]})
    first = trip.instance("acme-dms", **{"elasticsearch.manageAlias.enabled": "true"}).start()
    second = trip.instance("acme-dms-2").start()
    for name, instance in (("acme-dms", first), ("acme-dms-2", second)):
        trip.add(name, instance)
        instance.create_documents(10)
    site.backup()
    held = {name: curl.ok("GET", f"/_snapshot/nuxeo-{name}/_all")["snapshots"] for name in site.hosts}
    assert [sorted(each["indices"]) for each in held["acme-dms"]] == [["acme-dms-audit-01", "acme-dms-uidgen"]]
    assert [sorted(each["indices"]) for each in held["acme-dms-2"]] == [["acme-dms-2-audit", "acme-dms-2-uidgen"]]
    for instance in (first, second):
        instance.create_documents(3)
    del site.hosts["acme-dms-2"]
    site.restore(postgresql15, restore_overwrite=True, restore_drop_index=True)
    assert curl.ids("acme-dms-audit") == list(range(1, 11)) and curl.count("acme-dms-audit-01") == 13
    assert "acme-dms-0000" not in curl.indices(), "the index behind the alias of the documents is dropped"
    assert curl.next_number("acme-dms-uidgen", "audit") == 11
    assert curl.ids("acme-dms-2-audit") == list(range(1, 14)) and curl.count("acme-dms-2") == 13
    assert curl.next_number("acme-dms-2-uidgen", "audit") == 14, "the other instance is as it was"
    assert sorted(curl.ok("GET", "/_snapshot")) == ["nuxeo-acme-dms", "nuxeo-acme-dms-2"]


def test_a_proxy_that_loses_answers_makes_one_snapshot_and_one_restore(trip: Trip, postgresql15: t.Any) -> None:
    if trip.engine.name not in ("es5", "os1"):
        pytest.skip("one engine of each kind shows it")
    site, curl = trip.site, trip.curl
    put, get = r"^PUT /_snapshot/nuxeo-acme/set-", r"^GET /_snapshot/nuxeo-acme/set-"
    restore = r"^POST /_snapshot/nuxeo-acme~restore/set-[^/]*/_restore"
    faults = [Fault(put, status, forward=False) for status in (429, 504)]
    faults += [
        Fault(put, "cut"),
        Fault(get, "delay", seconds=1.0),
        Fault(get, 504, after=put),
        Fault(get, 429, after=put),
    ]
    faults += [
        Fault(restore, 504, forward=False),
        Fault(restore, "cut"),
        Fault(r"^POST /_aliases", "cut", after=restore),
    ]
    with Proxy(trip.engine.urls[0], faults) as proxy:
        instance = trip.instance("acme", **{"elasticsearch.addressList": proxy.url}).start()
        trip.add("acme", instance)
        instance.create_documents(10)
        site.backup()
        kept = site.manifest("acme")["audit"]
        (made,) = curl.ok("GET", "/_snapshot/nuxeo-acme/_all")["snapshots"]
        assert (made["snapshot"], made["uuid"], made["state"]) == (kept["snapshot"], kept["uuid"], "SUCCESS")
        instance.create_documents(3)
        site.restore(postgresql15, restore_overwrite=True)
        assert not any(fault.times for fault in faults), faults
        assert curl.ids("acme-audit") == list(range(1, 11)) and curl.next_number("acme-uidgen", "invoice") == 11
        assert [index for index in curl.indices() if index.startswith("acme-audit")] == list(
            curl.ok("GET", "/acme-audit")
        )


def test_a_login_without_the_rights_is_told_before_anything_is_dumped(trip: Trip) -> None:
    if not trip.engine.tls:
        pytest.skip("it asks for no login")
    site = trip.site
    trip.add("acme", trip.instance("acme").start(), backup_search_user="guest", backup_search_password=PASSWORD)
    refused = site.run("backup")
    told = " ".join(refused.failures)
    assert "the login lacks these privileges" in told and "cluster:admin/snapshot/create" in told
    assert site.sets("acme") == [] and site.partial("acme") == []
    assert PASSWORD not in refused.stdout + refused.stderr
    assert trip.curl.ok("GET", "/_snapshot") == {}
