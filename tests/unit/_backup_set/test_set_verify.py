# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage is found, whatever it is, and named."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError
from ansible_collections.nuxeo.platform.tests.unit._backup_set.sets import bad, make, sha256sum, verify


def spoil(folder: pathlib.Path, how: str) -> t.Tuple[str, str]:
    """Damage a set; gives the path and a word of the problem that is to be told."""
    name = "files/n1/data/stream/a.cq4"
    if how == "bit":
        with open(folder / name, "r+b") as stream:
            stream.seek(1 << 20)
            byte = stream.read(1)
            stream.seek(1 << 20)
            stream.write(bytes([byte[0] ^ 4]))
    elif how == "short":
        os.truncate(folder / name, 100)
    elif how == "missing":
        (folder / name).unlink()
        return name, "listed and not there"
    elif how == "extra":
        (folder / "files/extra").write_text("x")
        return "files/extra", "there and not listed"
    elif how == "link":
        (folder / "files/n1/data/link").unlink()
        (folder / "files/n1/data/link").symlink_to("/etc/passwd")
        return "files/n1/data/link", "links.jsonl says 'stream/a.cq4'"
    elif how == "link for file":
        (folder / name).rename(folder.parent / "away")
        (folder / name).symlink_to(folder.parent / "away")
        return name, "links.jsonl says None"
    elif how == "fifo":
        os.mkfifo(folder / "files/fifo")
        return "files/fifo", "neither a file"
    elif how == "links":
        (folder / "links.jsonl").write_text("{}\n")
        return "links.jsonl", "its SHA-256 is"
    elif how == "sums":
        text = (folder / "SHA256SUMS").read_bytes().splitlines(keepends=True)
        (folder / "SHA256SUMS").write_bytes(b"".join(line for line in text if b"toc.dat" not in line))
        return "SHA256SUMS", "which says 13"
    elif how == "base":
        next((folder.parents[1] / "keys").iterdir()).write_text("abce\n")
        return f"keys/{next((folder.parents[1] / 'keys').iterdir()).name}", "missing or damaged"
    elif how == "base gone":
        path = next((folder.parents[1] / "keys").iterdir())
        path.unlink()
        return f"keys/{path.name}", "missing or damaged"
    elif how == "blobs":
        (folder / "blobs/default.json").unlink()
        return "blobs/default.json", "cannot be read"
    elif how == "base elsewhere":
        text = (folder / "blobs/default.json").read_text()
        (folder / "blobs/default.json").write_text(text.replace("keys/", "keys/../keys/../sets/"))
        return "blobs/default.json", "its base is 'sets/default-"
    return name, "its SHA-256 is"


HOWS = ["bit", "short", "missing", "extra", "link", "fifo", "links", "sums", "base", "blobs"] + [
    "link for file",
    "base gone",
    "base elsewhere",
]


@pytest.mark.parametrize("how", HOWS)
def test_damage_is_found(place: Place, how: str) -> None:
    make(place, 1)
    newest = pathlib.Path(make(place, 2)["path"])
    path, problem = spoil(newest, how)
    found = bad(place)
    assert problem in found[path], found
    if not how.startswith("base"):
        assert verify(place, "20261123T020001Z")["bad_count"] == 0
    if how in ("bit", "short", "missing", "links"):
        assert sha256sum(str(newest)).returncode == 1


def test_the_list_of_what_is_bad_is_bounded(place: Place) -> None:
    folder = pathlib.Path(make(place)["path"])
    for number in range(50):
        (folder / f"files/extra{number}").touch()
    with pytest.raises(SetError) as caught:
        verify(place)
    assert (len(caught.value.result["bad"]), caught.value.result["bad_count"]) == (20, 50)
    assert "50 bad, the first: files/extra0: it is there and not listed" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x\n", b"0" * 64 + b"  manifest.json"])
def test_sums_that_cannot_be_read(place: Place, content: bytes) -> None:
    folder = pathlib.Path(make(place)["path"])
    (folder / "SHA256SUMS").write_bytes(content)
    with pytest.raises(SetError):
        verify(place)


def program(folder: pathlib.Path, text: str) -> str:
    path = folder / f"pg_restore{len(list(folder.iterdir()))}"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_the_dump_is_listed_by_a_client_that_is_new_enough(place: Place, tmp_path: pathlib.Path) -> None:
    make(place)
    good = program(tmp_path, f'[ "$*" = "--list {place.sets}/20261123T020000Z/database/dump" ] && echo "1; 2 TABLE x"')
    never = program(tmp_path, "exit 9")
    with pytest.raises(SetError, match="none of PostgreSQL 15 or newer is on this host, .* 14") as caught:
        verify(place, clients={14: never})
    assert (caught.value.result["bad_count"], caught.value.result["dump_listed"]) == (0, False)
    assert verify(place, clients=None)["dump_listed"] is False
    assert verify(place, clients={14: never, 15: good, 18: never})["dump_listed"] is True
    assert "ended with 9" in bad(place, {15: never})["database/dump"]
    assert "0 entries" in bad(place, {15: program(tmp_path, "exit 0")})["database/dump"]
    assert "1 entries: warning" in bad(place, {15: program(tmp_path, "echo warning >&2; echo '1; 2'")})["database/dump"]
