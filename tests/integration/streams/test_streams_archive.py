# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unfinished work in the set: written, read by another reader, and restored after the source is gone."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from servers.kafka.tools import Failed, Row

pytestmark = pytest.mark.xdist_group("streams-1")

NOW = int(time.time() * 1000)


def archived(copying, **options):
    return copying.restore(
        target_prefix=None, state=None, report=None, archive_dest=str(copying.folder / "archive"), **options
    )


@pytest.fixture()
def lost(copying):
    """A source with work left, archived, and then deleted."""
    topic = copying.name("work-a")
    copying.site.create(topic, 3, retention_ms=86_400_000)
    sent = [
        (
            n % 2,
            NOW - n,
            None if n % 7 == 0 else b"%d" % n,
            None if n % 5 == 0 else b"v" * n,
            [("h", b"1"), ("h", None)],
        )
        for n in range(400)
    ]
    copying.site.send(topic, sent)
    copying.site.create(copying.name("work-nobody"))
    copying.site.send(copying.name("work-nobody"), [(0, NOW, b"k", b"v")] * 3)
    copying.site.create(copying.name("internal-metrics"))
    copying.site.send(copying.name("internal-metrics"), [(0, NOW, b"k", b"v")] * 3)
    copying.site.commit(copying.name("work-a"), {(topic, 0): 150, (topic, 1): 20})
    copying.site.commit(copying.name("work-b"), {(topic, 0): 120, (topic, 1): 200, (topic, 2): 0})
    copying.backup()
    copying.rows = {n: copying.site.rows(topic, n) for n in range(3)}
    copying.result = archived(copying)
    return copying


def test_it_holds_what_is_left_to_do_and_any_reader_reads_it(lost):
    from avro.datafile import DataFileReader
    from avro.io import DatumReader

    assert lost.result["records"] == 80 + 180 + 3
    folder = lost.folder / "archive"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    for number, first in ((0, 120), (1, 20)):
        with (folder / f"{lost.name('work-a')}.{number}.avro").open("rb") as stream:
            records = list(DataFileReader(stream, DatumReader()))
        assert [record["offset"] for record in records] == list(range(first, 200))
        found = [
            Row(r["timestamp"], r["key"], r["value"], tuple((h["name"], h["value"]) for h in r["headers"]))
            for r in records
        ]
        assert found == lost.rows[number][first:]
    assert not archived(lost)["changed"]


def test_a_lost_kafka_does_not_end_the_restore(lost):
    for rest in ("work-a", "work-nobody", "internal-metrics"):
        lost.site.delete(lost.name(rest))
    with pytest.raises(Failed, match="deleted"):
        lost.restore()
    result = lost.restore(archive=str(lost.folder / "archive"))
    assert result["records"] == 263 and result["phase"] == "finished"
    new = lost.copied("work-a")
    assert lost.site.rows(new, 0) == lost.rows[0][120:] and lost.site.rows(new, 1) == lost.rows[1][20:]
    assert lost.site.positions(new) == {(new, 0): 30, (new, 1): 0}
    assert lost.site.positions(lost.copied("work-b")) == {(new, 0): 0, (new, 1): 180, (new, 2): 0}
    assert lost.site.rows(lost.copied("internal-metrics")) == []
    assert not lost.restore(archive=str(lost.folder / "archive"))["changed"]


def read_by_another(content):
    """The records of a file, as the reader of Avro's own project gives them; None when it cannot."""
    from avro.datafile import DataFileReader
    from avro.io import DatumReader

    try:
        return list(DataFileReader(io.BytesIO(content), DatumReader()))
    except Exception:
        return None


def with_one_bit_changed(content):
    """A file whose records are others, or none: not each bit of the packed ones makes a difference."""
    records = read_by_another(content)
    assert records
    mark = content[-16:]
    beyond_sizes = content.index(mark) + len(mark) + 16
    for at in range(beyond_sizes, len(content) - len(mark)):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        if read_by_another(changed) != records:
            return changed
    raise AssertionError("no bit of it matters")


def test_an_archive_that_is_damaged_or_unfinished_is_an_error(lost):
    folder = lost.folder / "archive"
    path = folder / f"{lost.name('work-a')}.0.avro"
    content = path.read_bytes()
    path.write_bytes(with_one_bit_changed(content))
    with pytest.raises(Failed, match="damaged|not those that were archived"):
        lost.restore(archive=str(folder))
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(Failed, match="damaged|not those that were archived"):
        lost.restore(archive=str(folder))
    Path(folder / "archive.json").unlink()
    with pytest.raises(Failed, match="archive.json"):
        lost.restore(archive=str(folder))


def test_gaps_of_an_archive_need_consent_at_the_restore_too(copying):
    """Who wrote the archive has accepted them; who restores learns of them before anything is changed."""
    topic, folder = copying.name("work-a"), str(copying.folder / "archive")
    copying.site.create(topic, 2)
    for rest in ("internal-metrics", "work-b"):
        copying.site.create(copying.name(rest))
    copying.site.send(topic, [(0, NOW, b"k", b"%d" % n) for n in range(100)])
    for rest in ("internal-metrics", "work-b"):
        copying.site.send(copying.name(rest), [(0, NOW, b"k", b"%d" % n) for n in range(9)])
        copying.site.commit(copying.name(rest), {(copying.name(rest), 0): 2})
    copying.site.commit(topic, {(topic, 0): 10})
    copying.backup()
    copying.site.delete_records(topic, 0, 60)
    copying.site.delete_records(copying.name("work-b"), 0, 5)
    copying.site.delete_records(copying.name("internal-metrics"), 0, 5)
    with pytest.raises(Failed, match="offsets 10 to 59"):
        archived(copying)
    assert archived(copying, accept_gaps=True)["gap_count"] == 2
    gap = {"topic": topic, "partition": 0, "from": 10, "to": 60, "records": 50, "why": "expired"}
    chosen = {"archive": folder, "exclude": ["work-b"]}
    for check in (True, False):
        with pytest.raises(Failed, match=f"archive '{folder}'.* offsets 10 to 59") as error:
            copying.restore(check=check, **chosen)
        assert error.value.result["gaps"] == [gap]
    assert copying.copied("work-a") not in copying.site.admin.list_topics(timeout=10).topics
    assert copying.restore(check=True, accept_gaps=True, **chosen)["gaps"] == [gap]
    result = copying.restore(accept_gaps=True, **chosen)
    assert result["gaps"] == [gap] and result["records"] == 40
    assert copying.site.positions(copying.copied("work-a")) == {(copying.copied("work-a"), 0): 0}


def test_an_archive_of_another_backup_is_refused(copying):
    topic, folder = copying.name("work-a"), str(copying.folder / "archive")
    copying.site.create(topic)
    copying.site.send(topic, [(0, NOW, b"k", b"%d" % n) for n in range(50)])
    copying.site.commit(topic, {(topic, 0): 10})
    copying.backup()
    archived(copying)
    copying.site.send(topic, [(0, NOW, b"k", b"%d" % n) for n in range(50)])
    copying.site.commit(topic, {(topic, 0): 70})
    copying.backup()
    with pytest.raises(Failed, match="of another backup"):
        copying.restore(archive=folder)
    with pytest.raises(Failed, match="of another backup"):
        archived(copying)
    Path(copying.streams).unlink()
    with pytest.raises(Failed, match=r"No such file .*streams\.json'\. Give a folder with"):
        copying.restore(archive=folder)
