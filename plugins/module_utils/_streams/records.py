# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the content of a partition as one SHA-256, and what is told about it.

The digest is that of all records in order, each as: timestamp (8 bytes, signed), length of the key, length of the value
(4 bytes each, -1 for null), number of headers (4 bytes), then key, value, and for each header the length of its
name, the length of its value (4 bytes each, -1 for null), name (UTF-8) and value. Integers are big-endian. Offsets
are not in it, so that a topic and its copy have the same digest.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import struct
import typing as t

_HEAD = struct.Struct(">qiii").pack
_HEADER = struct.Struct(">ii").pack

Headers = t.Optional[t.List[t.Tuple[str, t.Optional[bytes]]]]


class Record(t.Protocol):
    """One record, as confluent-kafka's Message has it; the archive's records answer to the same."""

    def offset(self) -> int: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> t.Optional[bytes]: ...
    def value(self) -> t.Optional[bytes]: ...
    def headers(self) -> Headers: ...


def encode(timestamp: int, key: t.Optional[bytes], value: t.Optional[bytes], headers: Headers) -> list[bytes]:
    """One record as it goes into the digest, in pieces: they are joined once for many records."""
    key_size, value_size = -1 if key is None else len(key), -1 if value is None else len(value)
    if not headers:
        return [_HEAD(timestamp, key_size, value_size, 0), key or b"", value or b""]
    pieces = [_HEAD(timestamp, key_size, value_size, len(headers)), key or b"", value or b""]
    for name, content in headers:
        raw = name.encode()
        pieces += (_HEADER(len(raw), -1 if content is None else len(content)), raw, content or b"")
    return pieces


class Content:
    """What one partition holds: counted and digested while it goes by."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.records = 0
        self.bytes = 0
        self.first_offset: t.Optional[int] = None
        self.last_offset: t.Optional[int] = None
        self.first_time: t.Optional[int] = None
        self.last_time: t.Optional[int] = None

    def add(self, raw: bytes, count: int, size: int) -> None:
        """Take in ``count`` records, encoded one after the other."""
        self.digest.update(raw)
        self.records += count
        self.bytes += size

    def seen(self, offset: int, timestamp: int) -> None:
        """Tell the source offset and the time of the record that was taken last (or first)."""
        if self.first_offset is None:
            self.first_offset, self.first_time = offset, timestamp
        self.last_offset, self.last_time = offset, timestamp

    def report(self) -> dict[str, t.Any]:
        """The partition's line in the report."""
        return {
            "records": self.records,
            "bytes": self.bytes,
            "first_offset": self.first_offset,
            "last_offset": self.last_offset,
            "first_time": iso(self.first_time),
            "last_time": iso(self.last_time),
            "sha256": self.digest.hexdigest(),
        }


def iso(milliseconds: t.Optional[int]) -> t.Optional[str]:
    """A record's timestamp as ISO 8601; None for none, and for what no calendar holds."""
    if milliseconds is None or milliseconds < 0:
        return None
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    try:
        moment = epoch + datetime.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def parse_until(text: str) -> int:
    """An ISO 8601 time with a zone, as the last whole millisecond at or before it."""
    plain = re.sub(r"[zZ]$", "+00:00", text.strip())
    plain = re.sub(
        r"\.(\d+)", lambda digits: "." + digits.group(1)[:6].ljust(6, "0"), plain
    )  # all that Python 3.9 reads
    moment = datetime.datetime.fromisoformat(plain)
    if moment.tzinfo is None:
        raise ValueError("it has no zone; write 2026-11-23T02:00:04.512Z")
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (moment - epoch) // datetime.timedelta(milliseconds=1)
