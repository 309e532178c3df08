# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: DES decryption, ECB with PKCS#5 padding. The tables are those of FIPS 46-3."""

from __future__ import annotations

from .aes import unpad

BLOCK = 8

_INITIAL = [first - 8 * column for first in (58, 60, 62, 64, 57, 59, 61, 63) for column in range(8)]
_FINAL = [_INITIAL.index(bit) + 1 for bit in range(1, 65)]
_EXPANSION = [(4 * group + bit - 1) % 32 + 1 for group in range(8) for bit in range(6)]
_PERMUTATION = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
    2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
]  # fmt: skip
_CHOICE_1 = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
]  # fmt: skip
_CHOICE_2 = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
]  # fmt: skip
_SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]
_BOXES = [
    [int(digit, 16) for digit in box]
    for box in (
        "e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d",
        "f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9",
        "a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c",
        "7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e",
        "2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453",
        "c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d",
        "4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c",
        "d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b",
    )
]


def _pick(value: int, width: int, table: list[int]) -> int:
    """The bits of a number that a table names, counted from the left, from 1."""
    picked = 0
    for bit in table:
        picked = (picked << 1) | (value >> (width - bit)) & 1
    return picked


def _round_keys(key: bytes) -> list[int]:
    chosen = _pick(int.from_bytes(key, "big"), 64, _CHOICE_1)
    left, right = chosen >> 28, chosen & 0xFFFFFFF
    keys = []
    for shift in _SHIFTS:
        left = (left << shift | left >> (28 - shift)) & 0xFFFFFFF
        right = (right << shift | right >> (28 - shift)) & 0xFFFFFFF
        keys.append(_pick(left << 28 | right, 56, _CHOICE_2))
    return keys


def _scramble(half: int, key: int) -> int:
    mixed = _pick(half, 32, _EXPANSION) ^ key
    out = 0
    for number, box in enumerate(_BOXES):
        six = (mixed >> (42 - 6 * number)) & 0x3F
        row = (six >> 4) & 2 | six & 1
        out = out << 4 | box[16 * row + ((six >> 1) & 0xF)]
    return _pick(out, 32, _PERMUTATION)


def _crypt_block(keys: list[int], block: bytes) -> bytes:
    """Encrypts with the round keys in their order, decrypts with them reversed."""
    value = _pick(int.from_bytes(block, "big"), 64, _INITIAL)
    left, right = value >> 32, value & 0xFFFFFFFF
    for key in keys:
        left, right = right, left ^ _scramble(right, key)
    return _pick(right << 32 | left, 64, _FINAL).to_bytes(BLOCK, "big")


def decrypt_cbc3(key: bytes, vector: bytes, data: bytes) -> bytes:
    """Three keys (decrypt, encrypt, decrypt), CBC, PKCS#5; ValueError when data or padding have not the right form."""
    if len(key) != 3 * BLOCK or not data or len(data) % BLOCK:
        raise ValueError("not Triple DES")
    first, second, third = (_round_keys(key[start : start + BLOCK]) for start in (0, BLOCK, 2 * BLOCK))
    clear = b""
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK]
        middle = _crypt_block(second, _crypt_block(third[::-1], block))
        clear += bytes(a ^ b for a, b in zip(_crypt_block(first[::-1], middle), vector))
        vector = block
    return unpad(clear, BLOCK)


def decrypt_ecb(key: bytes, data: bytes) -> bytes:
    """The clear bytes; ValueError when data or padding have not the right form."""
    if len(key) != BLOCK:
        raise ValueError("not a DES key")
    if not data:
        return b""
    if len(data) % BLOCK:
        raise ValueError("not a whole number of blocks")
    keys = _round_keys(key)[::-1]
    clear = b"".join(_crypt_block(keys, data[start : start + BLOCK]) for start in range(0, len(data), BLOCK))
    return unpad(clear, BLOCK)
