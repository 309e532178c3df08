# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a copy of a configuration is made of, and what it refuses to be made of."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.copy import Restorer, save
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.facts import facts
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.locate import Place
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.parts import parts
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import Configuration, resolve


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    for name, text in {
        "bin/nuxeo.conf": "nuxeo.templates=default,own,own/below,../more/beside\n",
        "templates/nuxeo.defaults": "nuxeo.data.dir=nxserver/data\n",
        "templates/nuxeo.production": "a=1\n",
        "templates/default/nuxeo.defaults": "b=1\n",
        "templates/own/nuxeo.defaults": "kafka.keystore.path=keys/kafka.jks\n",
        "templates/own/inside.jks": "in the template\n",
        "templates/own/below/nuxeo.defaults": "c=1\n",
        "more/beside/nuxeo.defaults": "d=1\n",
        "keys/kafka.jks": "kafka\n",
        "keys/aes.jks": "aes\n",
        "keys/crypt.jceks": "crypt\n",
        "keys/a secret": "s3cret\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def read(home: Path, more: str = "") -> Configuration:
    conf = home / "bin/nuxeo.conf"
    with conf.open("a", encoding="utf-8") as stream:
        stream.write(more)
    return resolve(str(conf), str(home), {}, "2023")


def test_what_it_is_made_of(home: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/nuxeo.defaults").touch()
    coded = base64.b64encode(f"file://{home}/keys/a%20secret".encode()).decode()
    found = parts(
        read(
            home,
            f"nuxeo.append.templates.x={tmp_path}/outside\n"
            f"nuxeo.core.binarymanager_key=keyStoreType=JCEKS,keyStoreFile={home}/keys/aes.jks,keyAlias=a\n"
            "server.crypt.keystore.path=keys/crypt.jceks\n"
            f"nuxeo.mongodb.truststore.path={home}/templates/own/inside.jks\n"
            "elasticsearch.restClient.truststore.path=keys/none.jks\n"
            f"server.crypt.secretkey={coded}\n",
        )
    )
    assert [(part.name, part.path) for part in found] == [
        ("nuxeo.conf", f"{home}/bin/nuxeo.conf"),
        ("templates/nuxeo.defaults", f"{home}/templates/nuxeo.defaults"),
        ("templates/nuxeo.production", f"{home}/templates/nuxeo.production"),
        ("outside/1-beside", f"{home}/templates/../more/beside"),
        ("templates/default", f"{home}/templates/default"),
        ("templates/own", f"{home}/templates/own"),
        ("outside/2-outside", f"{tmp_path}/outside"),
        ("keys/1-a secret", f"{home}/keys/a secret"),
        ("keys/2-aes.jks", f"{home}/keys/aes.jks"),
        ("keys/3-crypt.jceks", f"{home}/keys/crypt.jceks"),
        ("keys/4-kafka.jks", f"{home}/keys/kafka.jks"),
    ]


MISSING = {
    "nuxeo.core.binarymanager_key=keyStoreType=JCEKS,keyStoreFile={},keyAlias=a": "nuxeo.core.binarymanager_key",
    "server.crypt.keystore.path={}": "server.crypt.keystore.path",
    "server.crypt.secretkey={coded}": "server.crypt.secretkey",
    "nuxeo.s3storage.crypt.keystore.file={}": "nuxeo.s3storage.crypt.keystore.file",
}


@pytest.mark.parametrize("line", MISSING)
@pytest.mark.parametrize(("place", "why"), [("none.jks", "No such file or directory"), ("", "it is no file")])
def test_a_key_that_is_named_is_there(home: Path, tmp_path: Path, line: str, place: str, why: str) -> None:
    """Without it nobody can read what it has encrypted, in no backup: its volume may just not be mounted."""
    file = f"{home}/keys/{place}"
    coded = base64.b64encode(f"file://{file}".encode()).decode()
    configuration = read(home, line.format(file, coded=coded) + f"\nzz.truststore.path={file}\n")
    told = f"Reading of the key file '{file.rstrip('/')}', which {MISSING[line]} names: {why}. Bring it back"
    with pytest.raises(ConfError, match=told):
        save(configuration, str(tmp_path / "dest"))
    assert [problem.startswith(told) for problem in facts(configuration)["key_problems"]] == [True]


@pytest.mark.parametrize("name", ["nuxeo.core.binarymanager_key=keyStoreFile", "kafka.truststore.path"])
def test_a_key_that_may_not_be_looked_at_is_not_taken_for_absent(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    closed = f"{home}/closed/a.jks"
    configuration = read(home, f"{name}={closed}\n")
    stat = os.stat

    def refusing(path: str, **more: bool) -> os.stat_result:
        if path == closed:
            raise PermissionError(13, "Permission denied", path)
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", refusing)
    with pytest.raises(ConfError, match=f"'{closed}'.*: Permission denied"):
        parts(configuration)


def test_a_folder_with_files_of_others(home: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "other").touch()
    with pytest.raises(ConfError, match="the folder is not empty. Give another one"):
        save(read(home), str(dest))
    (dest / "other").unlink()
    dest.chmod(0o755)
    save(read(home), str(dest))
    assert dest.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_cannot_be_saved_with_it(home: Path, tmp_path: Path, kind: str) -> None:
    """A restore would bring back a link to a file that is not there, and say that all is."""
    odd = home / "templates/own/odd"
    if kind == "link":
        odd.symlink_to("/etc/hostname")
    else:
        os.mkfifo(odd)
    with pytest.raises(ConfError, match="own': it holds what cannot be saved with it: .*odd"):
        save(read(home), str(tmp_path / "dest"))


def restorer(home: Path, src: Path) -> Restorer:
    return Restorer(str(src), Place(f"{home}/bin/nuxeo.conf", str(home), {}), None, None, False, "2023")


def test_what_a_killed_restore_has_left_is_in_nobodys_way(home: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    save(read(home), str(dest))
    (home / "templates/own/nuxeo.defaults").write_text("x=1\n", encoding="utf-8")
    left = home / "templates/.own.nuxeo-platform-new"
    left.mkdir()
    (left / "half").touch()
    assert restorer(home, dest).restore(["templates"]).changed == [f"{home}/templates/own"]
    assert not left.exists()
    assert "kafka.keystore" in (home / "templates/own/nuxeo.defaults").read_text(encoding="utf-8")
    assert not (home / "templates/own/half").exists()


def test_a_part_that_the_list_does_not_have(home: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    save(read(home), str(dest))
    listed = dest / "tree.jsonl"
    lines = [line for line in listed.read_text(encoding="utf-8").splitlines(True) if "keys/1-kafka.jks" not in line]
    listed.write_text("".join(lines), encoding="utf-8")
    (home / "keys/kafka.jks").write_text("another\n", encoding="utf-8")
    with pytest.raises(ConfError, match="keys/kafka.jks': 'keys/1-kafka.jks' is not in tree.jsonl. Verify the set"):
        restorer(home, dest).restore(["keys"])


def test_an_owner_that_differs_is_put_back(home: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    save(read(home), str(tmp_path / "dest"))
    os.chown(home / "keys/kafka.jks", 12345, 23456)
    assert restorer(home, tmp_path / "dest").restore(["keys"]).changed == [f"{home}/keys/kafka.jks"]
    found = (home / "keys/kafka.jks").stat()
    assert (found.st_uid, found.st_gid) == (0, 0)


def test_a_nuxeo_conf_is_never_missing(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even between its two names: a kill there would leave an instance that nobody can start."""
    save(read(home), str(tmp_path / "dest"))
    conf = home / "bin/nuxeo.conf"
    conf.write_text("x=1\n", encoding="utf-8")
    real = os.rename

    def rename(old: str, new: str) -> None:
        assert conf.exists()
        real(old, new)

    monkeypatch.setattr(os, "rename", rename)
    (aside,) = restorer(home, tmp_path / "dest").restore(["conf"]).kept_aside
    assert Path(aside).read_text(encoding="utf-8") == "x=1\n"
    assert conf.read_text(encoding="utf-8").startswith("nuxeo.templates")
