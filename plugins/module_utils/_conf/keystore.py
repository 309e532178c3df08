# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: secret keys in a JCEKS keystore, the only kind that Nuxeo's encrypted values can name.

A secret key lies in it as a serialised Java object that holds another one, encrypted with the entry's password. Only as
much of Java's serialisation is read here as these two need.
"""

from __future__ import annotations

import hashlib
import typing as t

from .des import decrypt_cbc3

_MAGIC = 0xCECECECE
_SALT = b"Mighty Aphrodite"
_SECRET = 3
_SIZES = {"B": 1, "C": 2, "D": 8, "F": 4, "I": 4, "J": 8, "S": 2, "Z": 1}
_NULL, _REFERENCE, _CLASS, _OBJECT, _STRING, _ARRAY, _END, _ENUM = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x78, 0x7E
_HANDLES = 0x7E0000


class _Unreadable(ValueError):
    """Not a keystore, another password, or an object that is none of ours."""


class _Reader:
    """Big endian values one after the other."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise _Unreadable("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        return self.take(self.number(2)).decode("utf-8", "replace")


class _Class(t.NamedTuple):
    name: str
    fields: list[tuple[str, str]]
    above: t.Any


class _Objects:
    """Reads one object of Java's serialisation; the fields of objects come as dicts."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.handles: list[t.Any] = []

    def value(self) -> t.Any:
        kind = self.reader.number(1)
        if kind == _NULL:
            return None
        if kind == _REFERENCE:
            number = self.reader.number(4) - _HANDLES
            if not 0 <= number < len(self.handles):
                raise _Unreadable("a reference leads to nothing")
            return self.handles[number]
        readers = {
            _STRING: self._string,
            _CLASS: self._class,
            _ARRAY: self._array,
            _OBJECT: self._object,
            _ENUM: self._enum,
        }
        if kind not in readers:
            raise _Unreadable(f"an object of kind {kind:#x}")
        return readers[kind]()

    def _keep(self, value: t.Any) -> t.Any:
        self.handles.append(value)
        return value

    def _string(self) -> str:
        return str(self._keep(self.reader.text()))

    def _class(self) -> _Class:
        name = self.reader.text()
        self.reader.take(8)
        number = len(self.handles)
        self.handles.append(None)
        self.reader.take(1)
        fields = []
        for _count in range(self.reader.number(2)):
            kind = chr(self.reader.number(1))
            fields.append((kind, self.reader.text()))
            if kind in "[L":
                self.value()
        if self.reader.number(1) != _END:
            raise _Unreadable("a class with annotations")
        self.handles[number] = _Class(name, fields, self.value())
        return t.cast(_Class, self.handles[number])

    def _array(self) -> bytes:
        if self.value().name != "[B":
            raise _Unreadable("an array of other things than bytes")
        number = len(self.handles)
        self.handles.append(None)
        self.handles[number] = self.reader.take(self.reader.number(4))
        return t.cast(bytes, self.handles[number])

    def _object(self) -> dict[str, t.Any]:
        described = self.value()
        found: dict[str, t.Any] = self._keep({})
        classes = []
        while described is not None:
            classes.append(described)
            described = described.above
        for one in reversed(classes):
            for kind, name in one.fields:
                found[name] = self.reader.take(_SIZES[kind]) if kind in _SIZES else self.value()
        return found

    def _enum(self) -> t.Any:
        self.value()
        number = len(self.handles)
        self.handles.append(None)
        self.handles[number] = self.value()
        return self.handles[number]


def _object_at(reader: _Reader) -> dict[str, t.Any]:
    if reader.take(4) != b"\xac\xed\x00\x05":
        raise _Unreadable("no serialised object")
    found = _Objects(reader).value()
    if not isinstance(found, dict):
        raise _Unreadable("no object")
    return found


def _sealed_keys(content: bytes) -> dict[str, dict[str, t.Any]]:
    reader = _Reader(content)
    if reader.number(4) != _MAGIC or reader.number(4) not in (1, 2):
        raise _Unreadable("no JCEKS keystore")
    version = int.from_bytes(content[4:8], "big")
    found = {}
    for _count in range(reader.number(4)):
        tag, alias, _date = reader.number(4), reader.text(), reader.take(8)
        if tag == _SECRET:
            found[alias] = _object_at(reader)
            continue
        if tag == 1:
            reader.take(reader.number(4))
        for _certificate in range(reader.number(4) if tag == 1 else 1):
            if version == 2:
                reader.text()
            reader.take(reader.number(4))
    return found


def _unseal(sealed: dict[str, t.Any], password: str) -> bytes:
    """The bytes of a key: PBEWithMD5AndTripleDES, then the key's own object."""
    parameters = _Reader(sealed["encodedParams"])
    if (parameters.number(1), len(parameters.take(1)), parameters.number(1)) != (0x30, 1, 0x04):
        raise _Unreadable("parameters of another kind")
    salt = bytearray(parameters.take(parameters.number(1)))
    parameters.take(1)
    count = parameters.number(parameters.number(1))
    if len(salt) != 8 or not 0 < count < 10_000_000:
        raise _Unreadable("parameters out of range")
    if salt[:4] == salt[4:]:
        salt[:4] = salt[3::-1]  # so that the halves differ
    secret = bytes(ord(char) & 0x7F for char in password)
    derived = b""
    for half in (bytes(salt[:4]), bytes(salt[4:])):
        for _round in range(count):
            half = hashlib.md5(half + secret).digest()  # noqa: S324, PLW2901 - the format of Java
        derived += half
    key = _object_at(_Reader(decrypt_cbc3(derived[:24], derived[24:], sealed["encryptedContent"])))
    found = key.get("key", key.get("encoded"))
    if not isinstance(found, bytes):
        raise _Unreadable("a key of another kind")
    return found


def keys_of(path: str, password: str, alias: str, key_password: str) -> dict[str, bytes]:
    """The keys by algorithm; empty when the keystore cannot be read, which Nuxeo takes as no key."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        digest = hashlib.sha1(password.encode("utf-16-be") + _SALT + content[:-20]).digest()  # noqa: S324 - the format
        if digest != content[-20:]:
            return {}
        sealed = _sealed_keys(content[:-20])
        keys = {}
        for algorithm in ("AES", "DES"):
            found = sealed.get((alias + algorithm).lower())
            if found is not None:
                keys[algorithm] = _unseal(found, key_password)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return keys
