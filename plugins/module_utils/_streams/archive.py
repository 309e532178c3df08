# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: records in Avro object container files, one per partition, and their index.

Written and read by fastavro; the format is Apache Avro's own (deflate is in every reader, zstandard in most). A
folder is complete when its ``archive.json`` is there: it is written last.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import typing as t

from .._deps import require
from .._io import fsync_directory, sha256_file, write_json
from .cluster import Partition
from .copier import Fields, Task
from .errors import StreamsError
from .feed import BATCH_BYTES, Piece
from .records import Headers, Record

INDEX = "archive.json"
AT_ONCE = 1000
SCHEMA: dict[str, t.Any] = {
    "type": "record",
    "name": "Record",
    "namespace": "nuxeo.platform.streams",
    "doc": "One record of a Kafka topic partition; records are in the partition's order.",
    "fields": [
        {"name": "offset", "type": "long", "doc": "Its offset in the source partition."},
        {"name": "timestamp", "type": "long", "doc": "Milliseconds since 1970-01-01T00:00:00Z, -1 for none."},
        {"name": "timestamp_type", "type": "int", "doc": "0 none, 1 CreateTime, 2 LogAppendTime."},
        {"name": "key", "type": ["null", "bytes"]},
        {"name": "value", "type": ["null", "bytes"]},
        {
            "name": "headers",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Header",
                    "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
                },
            },
            "doc": "In order; names may repeat.",
        },
    ],
}


def fastavro() -> t.Any:
    """The library, or an error that says how to get it."""
    return require(("fastavro",), "fastavro", "1.9.0", "to write and read archives of records")


def codec() -> str:
    """``zstandard`` where this Python can, else ``deflate``."""
    writer = require(("fastavro._write_py",), "fastavro", "0", "to write archives of records")
    missing = getattr(writer.BLOCK_WRITERS.get("zstandard"), "__name__", "missing")
    return "zstandard" if missing == "zstandard_write_block" else "deflate"


def file_name(topic: str, partition: int) -> str:
    """A partition's file inside the archive. Kafka's topic names are safe as file names; they never begin a path."""
    return f"{topic}.{partition}.avro"


class ArchiveRecord:
    """A record read back, with the methods of a client library's message."""

    __slots__ = ("_content",)

    def __init__(self, content: dict[str, t.Any]) -> None:
        self._content = content

    def offset(self) -> int:
        """The source offset."""
        return int(self._content["offset"])

    def timestamp(self) -> tuple[int, int]:
        """Type and milliseconds."""
        return self._content["timestamp_type"], self._content["timestamp"]

    def key(self) -> t.Optional[bytes]:
        """The key."""
        return t.cast(t.Optional[bytes], self._content["key"])

    def value(self) -> t.Optional[bytes]:
        """The value."""
        return t.cast(t.Optional[bytes], self._content["value"])

    def headers(self) -> Headers:
        """Names and values in order, None when there are none."""
        found = [(header["name"], header["value"]) for header in self._content["headers"]]
        return found or None


class ArchiveFeed:
    """Reads partitions from an archive, one file after the other."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.beyond = 0
        self._open: dict[Partition, tuple[t.Iterator[t.Any], int, t.BinaryIO]] = {}
        self._reader = fastavro().reader

    def open(self, partition: Partition, start: int, end: int) -> None:
        """Begin with one more partition, at the first record whose offset is ``start`` or higher."""
        with self._reading(partition) as path:
            stream = open(path, "rb")  # noqa: SIM115 - closed when its last record was read
            self._open[partition] = (iter(()), end, stream)
            records = iter(self._reader(stream))
        self._open[partition] = (itertools.dropwhile(lambda record: record["offset"] < start, records), end, stream)

    @contextlib.contextmanager
    def _reading(self, partition: Partition) -> t.Iterator[str]:
        path = os.path.join(self.folder, file_name(*partition))
        try:
            yield path
        except OSError as error:
            raise StreamsError(f"Reading of archive file '{path}'", str(error.strerror or error)) from error
        except Exception as error:  # decoders of three libraries have errors of their own
            raise StreamsError(f"Reading of archive file '{path}'", f"it is damaged: {error}") from error

    def read(self) -> list[Piece]:
        """Some records of one partition."""
        partition, (records, end, stream) = next(iter(self._open.items()))
        found: list[Record] = []
        size = 0
        with self._reading(partition):
            for content in records:
                if content["offset"] >= end:
                    self.beyond += 1
                    break
                found.append(ArchiveRecord(content))
                size += len(content["value"] or b"")
                if len(found) == AT_ONCE or size >= BATCH_BYTES:
                    return [Piece(partition, found, False)]
        stream.close()
        del self._open[partition]
        return [Piece(partition, found, True)]

    def close(self) -> None:
        """Close all files."""
        for _records, _end, stream in self._open.values():
            stream.close()


class ArchiveSink:
    """Writes each partition's records to its own file; durable after :meth:`finish`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._writers: dict[Partition, tuple[t.Any, t.BinaryIO]] = {}
        self._writer = fastavro().write.Writer
        self._codec = codec()

    def open(self, topic: str, partition: int) -> t.Any:
        """The writer of one partition; what an interrupted run has left there is written anew."""
        key = (topic, partition)
        if key not in self._writers:
            path = os.path.join(self.folder, file_name(topic, partition))
            stream = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb")
            os.fchmod(stream.fileno(), 0o600)
            self._writers[key] = (self._writer(stream, SCHEMA, codec=self._codec, sync_interval=1 << 18), stream)
        return self._writers[key][0]

    def put(self, task: Task, record: Record, timestamp: int, content: Fields) -> None:
        """Append one record."""
        kind, _time = record.timestamp()
        headers = [{"name": name, "value": said} for name, said in content[2] or ()]
        self.open(task.topic, task.partition).write(
            {
                "offset": record.offset(),
                "timestamp": timestamp,
                "timestamp_type": kind,
                "key": content[0],
                "value": content[1],
                "headers": headers,
            }
        )

    def serve(self) -> None:
        """Nothing waits."""

    def ended(self, task: Task) -> None:
        """Write what is left of one partition and make it durable. One without records has a file too."""
        self.open(task.topic, task.partition)
        writer, stream = self._writers.pop((task.topic, task.partition))
        with stream:
            writer.flush()
            stream.flush()
            os.fsync(stream.fileno())

    def finish(self) -> None:
        """Make the files' names durable."""
        fsync_directory(self.folder)


def write_index(folder: str, content: dict[str, t.Any]) -> None:
    """Say what the folder holds: from now on it is an archive."""
    write_json(os.path.join(folder, INDEX), {**content, "schema": 1, "kind": "nuxeo.platform/streams-archive"})
    fsync_directory(folder)


def read_index(folder: str, streams: str) -> dict[str, t.Any]:
    """What an archive holds; an error where it is none, unfinished, or of another backup than ``streams``."""
    path = os.path.join(folder, INDEX)
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
        digest = sha256_file(streams)
    except (OSError, ValueError) as error:
        raise StreamsError(
            f"Reading of archive '{folder}'",
            str(error),
            "Give a folder with archive.json, and the streams.json of the same backup",
        ) from error
    if not isinstance(content, dict) or content.get("schema") != 1:
        raise StreamsError(f"Reading of archive '{folder}'", "it is of a schema that this version does not know")
    if content.get("streams_sha256") != digest:
        raise StreamsError(
            f"Reading of archive '{folder}'",
            f"it holds the records of another backup than '{streams}'",
            "Give the folder and the streams.json of the same backup",
        )
    return content
