# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: keeps an instance from being started while its restore is not finished.

A block at the head of nuxeo.conf holds a malformed unicode escape. java.util.Properties refuses the whole file for it,
so the launcher of every version stops, whoever starts it and however.
"""

from __future__ import annotations

import os
import re

from .errors import ConfError
from .load import BEGUN_BY, GUARD, read_bytes

BEGIN = "### nuxeo.platform restore guard: begin ###"
END = "### nuxeo.platform restore guard: end ###"
_BLOCK = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END) + r"(?:\r\n|\n|\r|$)", re.DOTALL)
_KEPT = "# The file as it was before: "
_TEXT = """{begin}
# A restore of the backup set {set_id} onto this instance has begun and has not ended.
{by}# Its database, its blobs and its files do not belong together yet. The line below keeps Nuxeo from starting with
# them.
# Run the restore again when it is not on any more: it takes this block out when all is in its place.
{key}=\\u(unfinished)
{end}
"""


def find(path: str) -> str:
    """The text of the block that is in a file, or nothing."""
    return find_in(read_bytes(path))


def find_in(content: bytes) -> str:
    """The text of the block in a content."""
    found = _BLOCK.search(content.decode("iso-8859-1"))
    return found.group() if found else ""


def is_armed(path: str) -> bool:
    """Whether a restore onto this nuxeo.conf has begun and not ended."""
    return bool(find(path))


def armed(content: bytes, set_id: str, by: str = "") -> bytes:
    """The content of a nuxeo.conf with the block of a set at its head, instead of any other.

    :param by: whose restore it is, for those who find the block
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", set_id):
        raise ConfError("Arming of the restore guard", f"'{set_id}' is no id of a backup set", "Give the id of the set")
    text = disarmed(content).decode("iso-8859-1")
    plain = re.sub(r"[^ -~]|\\", "?", by)  # whatever a host or a user is called: one line, in any encoding
    begun = f"{BEGUN_BY}{plain}\n" if by else ""
    block = _TEXT.format(begin=BEGIN, end=END, key=GUARD, set_id=set_id, by=begun)
    if "\r\n" in text:
        block = block.replace("\n", "\r\n")
    return (block + text).encode("iso-8859-1")


def noted(content: bytes, copy: str) -> bytes:
    """The content, whose block names the copy of the file as it was before the restore: the next run tells it too."""
    block = find_in(content)
    if not block or not copy or kept(block):
        return content
    start = content.index(BEGIN.encode()) + len(BEGIN)
    end = b"\r\n" if content.startswith(b"\r\n", start) else b"\n"
    return content[:start] + end + _KEPT.encode() + os.fsencode(copy) + content[start:]


def kept(block: str) -> str:
    """The copy that a block names, or nothing."""
    found = re.search(re.escape(_KEPT) + r"([^\r\n]+)", block)
    return os.fsdecode(found.group(1).encode("iso-8859-1")) if found else ""


def disarmed(content: bytes) -> bytes:
    """The content without the block: what it was before, to the byte."""
    return _BLOCK.sub("", content.decode("iso-8859-1")).encode("iso-8859-1")
