# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decryption against openssl, which encrypts, and against the values that the launchers decrypted."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import aes, des, table
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.crypto import Crypto, decode_base64, is_encrypted
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.keystore import keys_of
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.table import find_crypto

LEGACY = ["-provider", "legacy", "-provider", "default"]


def openssl(cipher: str, key: bytes, clear: bytes) -> bytes:
    more = LEGACY if cipher.startswith("des") else []
    command = ["openssl", "enc", f"-{cipher}", *more, "-K", key.hex()]
    return subprocess.run(command, input=clear, capture_output=True, check=True).stdout


@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 16, 17, 100])
@pytest.mark.parametrize("bits", [128, 192, 256])
def test_aes(bits: int, size: int) -> None:
    key, clear = os.urandom(bits // 8), os.urandom(size)
    assert aes.decrypt_ecb(key, openssl(f"aes-{bits}-ecb", key, clear)) == clear


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100])
def test_des(size: int) -> None:
    key, clear = os.urandom(8), os.urandom(size)
    assert des.decrypt_ecb(key, openssl("des-ecb", key, clear)) == clear


def encrypted(secret: str, clear: str, algorithm: str = "") -> str:
    digest = hashlib.sha1(secret.encode()).digest()
    cipher, key = ("des-ecb", digest[:8]) if algorithm.startswith("DES") else ("aes-128-ecb", digest[:16])
    coded = (base64.b64encode(part).decode() for part in (algorithm.encode(), openssl(cipher, key, clear.encode())))
    return "{${}${}}".replace("{}", "%s") % tuple(coded)


@pytest.mark.parametrize("algorithm", ["", "AES", "AES/ECB/PKCS5Padding", "DES", "DES/ECB/PKCS5Padding"])
def test_values(algorithm: str) -> None:
    value = encrypted("s3cret", "pässword", algorithm)
    assert is_encrypted(value, True)
    assert Crypto(b"s3cret").decrypt(value, True) == "pässword"


@pytest.mark.parametrize("algorithm", ["aes", "AES/CBC/PKCS5Padding", "Blowfish"])
def test_other_algorithms_stay(algorithm: str) -> None:
    value = encrypted("s3cret", "x", algorithm)
    assert Crypto(b"s3cret").decrypt(value, True) == value


@pytest.mark.parametrize("value", ["{$$}", "plain", "{$$AAAA}", "{$$!!}", "x{$$AAAA}"])
def test_what_is_none_stays(value: str) -> None:
    if value != "{$$!!}":  # no base64 at all: the launchers make an empty text of it
        assert Crypto(b"s3cret").decrypt(value, True) == value


def test_another_key_leaves_the_value() -> None:
    value = encrypted("s3cret", "a text that is longer than one block")
    assert Crypto(b"other").decrypt(value, True) == value


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by keytool: two secret keys, and a private key with its certificate between them."""
    path = tmp_path_factory.mktemp("keys") / "crypt.jceks"
    common = ["-storetype", "JCEKS", "-keystore", str(path), "-storepass", "store pass", "-keypass", "statuskey"]
    for words in (
        ["-genseckey", "-alias", "nuxeoAES", "-keyalg", "AES", "-keysize", "128"],
        ["-genkeypair", "-alias", "pair", "-keyalg", "RSA", "-keysize", "1024", "-dname", "CN=x"],
        ["-genseckey", "-alias", "nuxeoDES", "-keyalg", "DES", "-keysize", "56"],
    ):
        subprocess.run(["keytool", *words, *common], check=True, capture_output=True)
    return path


def test_keystore(keystore: Path, tmp_path: Path) -> None:
    keys = keys_of(str(keystore), "store pass", "nuxeo", "statuskey")
    assert {name: len(key) for name, key in keys.items()} == {"AES": 16, "DES": 8}
    value = "{$$" + base64.b64encode(openssl("aes-128-ecb", keys["AES"], b"clear")).decode() + "}"
    conf = tmp_path / "home/bin/nuxeo.conf"
    for path, text in (
        (conf, f"server.status.key=statuskey\nserver.crypt.keyalias=nuxeo\nserver.crypt.keystore.path={keystore}\n"),
        (tmp_path / "home/templates/nuxeo.defaults", "nuxeo.data.dir=nxserver/data\n"),
    ):
        path.parent.mkdir(parents=True)
        coded = base64.b64encode(b"store pass").decode()
        path.write_text(f"{text}server.crypt.keystore.pass={coded}\na={value}\n", encoding="utf-8")
    for version in ("8.10", "10.10", "2023"):
        assert resolve(str(conf), str(tmp_path / "home"), {}, version).get("a") == "clear"


@pytest.mark.parametrize(
    ("store", "alias", "key"),
    [("wrong", "nuxeo", "statuskey"), ("store pass", "x", "statuskey"), ("store pass", "nuxeo", "x")],
)
def test_keystore_that_cannot_be_read(keystore: Path, store: str, alias: str, key: str) -> None:
    assert keys_of(str(keystore), store, alias, key) == {}
    assert keys_of(str(keystore) + ".none", store, alias, key) == {}


def test_keystore_that_is_damaged(keystore: Path, tmp_path: Path) -> None:
    content = keystore.read_bytes()[:-20]
    for end in range(0, len(content), 7):
        part = content[:end]
        digest = hashlib.sha1("p".encode("utf-16-be") + b"Mighty Aphrodite" + part).digest()
        (tmp_path / "damaged").write_bytes(part + digest)
        assert keys_of(str(tmp_path / "damaged"), "p", "nuxeo", "statuskey") == {}


def test_base64_is_read_as_loosely_as_the_launcher_does() -> None:
    assert decode_base64("YW Jj\nZA==") == b"abcd"
    assert decode_base64("YWJjZA") == b"abcd"
    assert decode_base64("_-8=") == b"\xff\xef"
    assert decode_base64("") == b""


def test_a_key_that_only_the_network_has_is_none() -> None:
    """Nobody asks there, and the address is not the key."""
    for url, known in (("http://127.0.0.1:1/key", False), ("HTTPS://h/key", False), ("plain:key", True)):
        settings = {"server.crypt.secretkey": base64.b64encode(url.encode()).decode(), "server.status.key": "k"}
        assert (find_crypto(settings.get) is not None) == known


@pytest.mark.parametrize(
    ("more", "password"),
    [
        ({}, "changeit"),
        ({"javax.net.ssl.keyStorePassword": "of Java"}, "of Java"),
        ({"javax.net.ssl.keyStorePassword": "of Java", "server.crypt.keystore.pass": "b3du"}, "own"),
    ],
)
def test_the_password_of_a_keystore(monkeypatch: pytest.MonkeyPatch, more: dict[str, str], password: str) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(table, "keys_of", lambda *words: asked.append(words) or {})
    settings = {"server.crypt.keyalias": "a", "javax.net.ssl.keyStore": "/k", "server.status.key": "s", **more}
    assert find_crypto(settings.get) is None
    assert asked == [("/k", password, "a", "s")]


def test_the_first_line_of_a_file_is_the_key(tmp_path: Path) -> None:
    (tmp_path / "a key").write_text("s3cret\r\nmore\n", encoding="utf-8")
    coded = base64.b64encode(f"file://{tmp_path}/a%20key".encode()).decode()
    found = find_crypto({"server.crypt.secretkey": coded}.get)
    assert found and found.decrypt(encrypted("s3cret", "clear"), True) == "clear"
