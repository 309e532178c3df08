# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: encrypted values of nuxeo.conf, ``{$algorithm$ciphertext}``.

Reading them needs no library: AES and DES decryption of a few bytes, written for size and not for speed. Nothing is
ever encrypted here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import typing as t

from .aes import decrypt_ecb as aes_ecb
from .des import decrypt_ecb as des_ecb
from .java import is_blank

_LOOSE = re.compile(r"\{\$(.*)\$(.+)\}")
_STRICT = re.compile(r"\{\$([^$]*)\$([^$]+)\}")
AES = "AES"
DES = "DES"
_FAMILY = {AES: AES, "AES/ECB/PKCS5Padding": AES, DES: DES, "DES/ECB/PKCS5Padding": DES}


def is_encrypted(value: str | None, strict: bool) -> bool:
    """Whether a value has the form of an encrypted one."""
    return value is not None and bool((_STRICT if strict else _LOOSE).fullmatch(value))


def decode_base64(text: str) -> bytes:
    """Base64 as commons-codec reads it: unknown characters are skipped, and it ends at the first padding."""
    digits = re.sub(r"[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/").split("=")[0])
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4))
    except binascii.Error:
        return b""


class Crypto:
    """Decrypts with one secret, or with keys by algorithm."""

    def __init__(self, secret: bytes | None = None, keys: t.Mapping[str, bytes] | None = None) -> None:
        self._keys = dict(keys or {})
        if secret:  # an empty one is none
            digest = hashlib.sha1(secret).digest()  # noqa: S324 - the format of Nuxeo
            self._keys = {AES: digest[:16], DES: digest[:8]}

    def decrypt(self, value: str, strict: bool) -> str:
        """The clear text, or the value itself when it cannot be decrypted: just as Nuxeo takes it."""
        found = (_STRICT if strict else _LOOSE).fullmatch(value)
        if not found:
            return value
        algorithm = decode_base64(found.group(1)).decode("utf-8", "replace")
        family = _FAMILY.get("AES" if is_blank(algorithm) else algorithm)
        key = self._keys.get(family or "")
        if key is None:
            return value
        try:
            clear = (aes_ecb if family == AES else des_ecb)(key, decode_base64(found.group(2)))
        except ValueError:
            return value
        return clear.decode("utf-8", "replace")
