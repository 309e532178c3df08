# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the launcher's table of properties, which decrypts values when they are put in."""

from __future__ import annotations

import os
import typing as t
import urllib.parse

from .crypto import Crypto, decode_base64, is_encrypted
from .keystore import keys_of

STATUS_KEY = "server.status.key"
KEY_ALIAS = "server.crypt.keyalias"
CRYPTO_NAMES = (
    STATUS_KEY,
    KEY_ALIAS,
    "server.crypt.keystore.path",
    "javax.net.ssl.keyStore",
    "server.crypt.keystore.pass",
    "javax.net.ssl.keyStorePassword",
    "server.crypt.secretkey",
)


class MissingStatusKey(ValueError):
    """A keystore is named and not the key that opens its entries: the launcher stops."""


class Table:
    """Own values above defaults. An encrypted value is clear from the moment it is put, when the key is known then.

    :param strict: the form of encrypted values, see :class:`.version.Line`
    """

    def __init__(self, defaults: dict[str, str], strict: bool) -> None:
        self.own: dict[str, str] = {}
        self.defaults = defaults
        self.encrypted: set[str] = set()
        self._strict = strict
        self._crypto: Crypto | None = None
        self._id = self._crypto_id()

    def _crypto_id(self) -> tuple[str, ...]:
        return tuple(self.get(name) or "" for name in CRYPTO_NAMES)

    def _reset(self) -> None:
        new = self._crypto_id()
        if new != self._id:
            self._id = new
            if self.get(STATUS_KEY) is None and _names_keystore(self.get):
                raise MissingStatusKey
            self._crypto = find_crypto(self.get)

    def status_key_is_made(self) -> None:
        """The launcher gives a configuration without a status key a new one, and takes the key anew then."""
        if self.get(STATUS_KEY) is None:
            self._crypto = find_crypto(self.get)

    def decrypt(self, value: str) -> str:
        """The clear text of an encrypted value, or the value as it is."""
        if self._crypto is None:
            return value
        return self._crypto.decrypt(value, self._strict)

    def decrypt_now(self, value: str) -> str:
        """The same with the key as it is known in the end; a value may have been put in before its key."""
        if not self.is_encrypted(value):
            return value
        crypto = find_crypto(self.get)
        return value if crypto is None else crypto.decrypt(value, self._strict)

    def is_encrypted(self, value: str | None) -> bool:
        """Whether a value has the form of an encrypted one."""
        return is_encrypted(value, self._strict)

    def get(self, name: str) -> str | None:
        """A value, decrypted where that is possible, not expanded."""
        value = self.own.get(name)
        if value is None:
            value = self.defaults.get(name)
            if value is not None and self.is_encrypted(value):
                self.encrypted.add(name)
                return self.decrypt(value)
        return value

    def put(self, name: str, value: str) -> None:
        """Set one value; a setting of the encryption is never itself encrypted."""
        if name in CRYPTO_NAMES and value != self.get(name):
            self.own[name] = value
            self._reset()
            return
        self._put(name, value)

    def _put(self, name: str, value: str) -> None:
        if self.is_encrypted(value):
            self.encrypted.add(name)
            value = self.decrypt(value)
        self.own[name] = value

    def put_all(self, values: t.Mapping[str, str]) -> None:
        """Set many values, those of the encryption first."""
        for name in CRYPTO_NAMES:
            if name in values:
                self.own[name] = values[name]
        self._reset()
        for name, value in values.items():
            self._put(name, value)

    def remove(self, name: str) -> None:
        """Take an own value away; a default shows again."""
        self.own.pop(name, None)
        self.encrypted.discard(name)


def _first(get: t.Callable[[str], str | None], *names: str) -> str | None:
    """The value of the first name that has one, be it an empty one."""
    return next((value for value in map(get, names) if value is not None), None)


def _keystore(get: t.Callable[[str], str | None]) -> str | None:
    return _first(get, "server.crypt.keystore.path", "javax.net.ssl.keyStore")


def _names_keystore(get: t.Callable[[str], str | None]) -> bool:
    return get(KEY_ALIAS) is not None and _keystore(get) is not None


def find_crypto(get: t.Callable[[str], str | None]) -> Crypto | None:
    """The key: of a JCEKS keystore, else the secret key, else the status key; None when there is none."""
    status = get(STATUS_KEY)
    alias, store = get(KEY_ALIAS), _keystore(get)
    if alias is not None and store is not None:
        coded = get("server.crypt.keystore.pass")
        password = decode_base64(coded).decode("utf-8", "replace") if coded else get("javax.net.ssl.keyStorePassword")
        keys = keys_of(store, "changeit" if password is None else password, alias, status or "")
        return Crypto(keys=keys) if keys else None
    secret = decode_base64(get("server.crypt.secretkey") or "").decode("utf-8", "replace")
    if not secret:
        return Crypto(status.encode()) if status is not None else None
    text = _first_line(secret)
    return Crypto(text.encode()) if text is not None else None


def _first_line(secret: str) -> str | None:
    """The secret itself, or the first line of the file whose URL it is. Nothing is asked over the network."""
    url = urllib.parse.urlsplit(secret)
    if url.scheme.lower() in ("http", "https", "ftp", "jar"):
        return None
    if url.scheme.lower() != "file":
        return secret
    try:
        with open(os.fsencode(urllib.parse.unquote(url.path)), encoding="utf-8", errors="replace") as stream:
            return stream.readline().rstrip("\r\n")
    except OSError:
        return None
