# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: AES decryption, ECB with PKCS#5 padding, for keys of 16, 24 and 32 bytes."""

from __future__ import annotations

BLOCK = 16


def _double(value: int) -> int:
    value <<= 1
    return value ^ 0x11B if value & 0x100 else value


def _times(left: int, right: int) -> int:
    product = 0
    while right:
        if right & 1:
            product ^= left
        left = _double(left)
        right >>= 1
    return product


def _boxes() -> tuple[bytes, bytes]:
    """The substitution box and its inverse: multiplicative inverse in GF(2^8), then an affine map."""
    box = [0] * 256
    power, inverse = 1, 1
    while True:
        power = power ^ _double(power)
        for shift in (1, 2, 4):
            inverse ^= (inverse << shift) & 0xFF
        if inverse & 0x80:
            inverse ^= 0x09
        rotated = [((inverse << n) | (inverse >> (8 - n))) & 0xFF for n in range(5)]
        box[power] = rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63
        if power == 1:
            break
    box[0] = 0x63
    back = [0] * 256
    for value, substitute in enumerate(box):
        back[substitute] = value
    return bytes(box), bytes(back)


_BOX, _BACK = _boxes()
_PRODUCTS = {factor: bytes(_times(value, factor) for value in range(256)) for factor in (9, 11, 13, 14)}


def _round_keys(key: bytes) -> list[bytes]:
    words = [key[start : start + 4] for start in range(0, len(key), 4)]
    size = len(words)
    constant = 1
    for index in range(size, 4 * (size + 7)):
        word = words[-1]
        if index % size == 0:
            word = bytes(_BOX[b] for b in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _double(constant)
        elif size > 6 and index % size == 4:
            word = bytes(_BOX[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(words[index - size], word)))
    return [b"".join(words[start : start + 4]) for start in range(0, len(words), 4)]


def _unmix(state: bytes) -> bytes:
    nine, eleven, thirteen, fourteen = (_PRODUCTS[factor] for factor in (9, 11, 13, 14))
    out = []
    for start in range(0, BLOCK, 4):
        a, b, c, d = state[start : start + 4]
        out += [
            fourteen[a] ^ eleven[b] ^ thirteen[c] ^ nine[d],
            nine[a] ^ fourteen[b] ^ eleven[c] ^ thirteen[d],
            thirteen[a] ^ nine[b] ^ fourteen[c] ^ eleven[d],
            eleven[a] ^ thirteen[b] ^ nine[c] ^ fourteen[d],
        ]
    return bytes(out)


def _decrypt_block(keys: list[bytes], block: bytes) -> bytes:
    state = bytes(a ^ b for a, b in zip(block, keys[-1]))
    for number in range(len(keys) - 2, -1, -1):
        # the rows are shifted back, then each byte is substituted back
        state = bytes(_BACK[state[(index - 4 * (index % 4)) % BLOCK]] for index in range(BLOCK))
        state = bytes(a ^ b for a, b in zip(state, keys[number]))
        if number:
            state = _unmix(state)
    return state


def unpad(clear: bytes, size: int) -> bytes:
    """Take the PKCS#5 padding off; ValueError when it is none."""
    count = clear[-1] if clear else 0
    if not 1 <= count <= size or clear[-count:] != bytes([count]) * count:
        raise ValueError("the padding is wrong: another key")
    return clear[:-count]


def decrypt_ecb(key: bytes, data: bytes) -> bytes:
    """The clear bytes; ValueError when data or padding have not the right form."""
    if len(key) not in (16, 24, 32):
        raise ValueError("not an AES key")
    if not data:
        return b""
    if len(data) % BLOCK:
        raise ValueError("not a whole number of blocks")
    keys = _round_keys(key)
    clear = b"".join(_decrypt_block(keys, data[start : start + BLOCK]) for start in range(0, len(data), BLOCK))
    return unpad(clear, BLOCK)
