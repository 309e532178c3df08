# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the blob keys that a repository refers to, in one snapshot, in a sorted file.

The repository keeps one row per blob in a table ``content``, the key in its column ``data``. Further repositories have
the same table in another schema. They are found by the catalogue, in lower or upper case.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import typing as t

from .._blobs.names import refusal
from .._io import fsync_directory
from .error import DatabaseError
from .postgresql import Database

COLUMNS = ("data", "digest", "id", "length", "mime-type", "name")
"""What makes a table ``content`` one of Nuxeo's."""

BATCH = 20000

TABLES = """
SELECT format('%%I.%%I', n.nspname, c.relname), format('%%I', a.attname), format('%%I', i.attname),
  format('%%I', d.attname), n.nspname::text, c.relname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND lower(a.attname) = 'data'
JOIN pg_attribute i ON i.attrelid = c.oid AND i.attnum > 0 AND NOT i.attisdropped AND lower(i.attname) = 'id'
JOIN pg_attribute d ON d.attrelid = c.oid AND d.attnum > 0 AND NOT d.attisdropped AND lower(d.attname) = 'digest'
WHERE c.relkind IN ('r', 'p') AND lower(c.relname) = 'content'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
  AND %s = (SELECT count(*) FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attnum > 0 AND NOT o.attisdropped
            AND lower(o.attname) = ANY (%s::text[]))
ORDER BY 1
"""


_KEYS = "SELECT {} FROM {}"
_PAIRS = "SELECT {}, {} FROM {}"
_SORTED = """
DECLARE nuxeo_blob_keys NO SCROLL CURSOR FOR
SELECT DISTINCT k COLLATE "C" FROM ({}) AS s(k) WHERE k IS NOT NULL ORDER BY 1
"""


_OF_RECORDS = """
DECLARE nuxeo_record_digests NO SCROLL CURSOR FOR
SELECT DISTINCT k COLLATE "C", d COLLATE "C" FROM ({1}) AS s(k, d)
WHERE CASE WHEN k = d OR right(k, length(d) + 1) = ':' || d THEN false ELSE k !~ '(^|:)({0})$' AND d ~ '^({0})$' END
ORDER BY 1, 2
"""
"""Nearly all keys are the digest itself: to try the patterns on each took as long as the dump."""
_DIGEST = "|".join(f"[0-9a-f]{{{length}}}" for length in (32, 40, 56, 64, 96, 128))
"""Of MD5 and the SHA family, which the length tells."""


class Table(t.NamedTuple):
    """A table with blob keys; names as the server quotes them, the last two as they are."""

    name: str
    data: str
    id: str
    digest: str
    schema: str
    bare: str


def tables(database: Database) -> list[Table]:
    """The tables of the database's repositories."""
    wanted = "{" + ",".join(f'"{name}"' for name in COLUMNS) + "}"
    return [Table(*row) for row in database.rows(TABLES, len(COLUMNS), wanted)]


def required(database: Database, found: t.Sequence[Table]) -> None:
    """No repository is an error: its blobs would be missing from the set, and nobody would know."""
    if not found:
        raise DatabaseError(
            f"Search for blob keys in {database.subject}",
            "it has no table 'content' with the columns " + ", ".join(COLUMNS) + ", so it holds no Nuxeo repository",
            "Check that it is the right database, or say require_blob_keys=false when its repository is elsewhere",
        )


def provider(key: str) -> str:
    """The blob store that a key names before its first colon; nothing where it is the repository's own."""
    return key.partition(":")[0] if ":" in key else ""


def write_record_digests(database: Database, found: t.Sequence[Table], path: str) -> None:
    """Write the digests of blobs whose key is none, as a record's: a key, a tab and a digest on each line, sorted.

    Under such a key other bytes can be later. Call it inside the transaction whose snapshot counts, after the keys, of
    which it is known then that each is a line of text.
    """
    with open(path, "xb") as stream:
        os.fchmod(stream.fileno(), 0o600)
        if found:
            pairs = " UNION ALL ".join(_PAIRS.format(table.data, table.digest, table.name) for table in found)
            database.rows(_OF_RECORDS.format(_DIGEST, pairs))
            while rows := database.rows(f"FETCH {BATCH} FROM nuxeo_record_digests"):
                stream.write("".join(f"{key}\t{digest}\n" for key, digest in rows).encode())
            database.rows("CLOSE nuxeo_record_digests")
        stream.flush()
        os.fsync(stream.fileno())
    fsync_directory(os.path.dirname(path))


def writing(database: Database, found: t.Sequence[Table], path: str, providers: set[str]) -> t.Iterator[int]:
    """Write the keys to a file, one on each line, sorted as in ``LC_ALL=C``, each once; yields the number so far.

    The providers that they name are added to ``providers``.

    Call it inside the transaction whose snapshot counts. The server sorts, so memory is bounded here whatever the
    number of keys. The file has its name only when it is whole and durable.
    """
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            count = 0
            for batch in batches(database, found):
                stream.write(batch.lines)
                count += batch.number
                providers |= batch.providers
                yield count
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        fsync_directory(folder)
    except OSError as error:
        raise DatabaseError(
            f"Writing of the blob keys to '{path}'", str(error.strerror), "Free space on that volume, then run again"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


class Batch(t.NamedTuple):
    """Some lines of the file."""

    lines: bytes
    number: int
    providers: t.Set[str]


def is_line(key: str) -> bool:
    """Whether a key can be one line of UTF-8. Names of files, which some stores have as keys, may hold any blank."""
    return bool(key) and refusal(key.encode("utf-8", "surrogatepass")) is None


def batches(database: Database, found: t.Sequence[Table]) -> t.Iterator[Batch]:
    """The lines of the file, some at a time; inside a transaction."""
    if not found:
        return
    database.rows(_SORTED.format(" UNION ALL ".join(_KEYS.format(table.data, table.name) for table in found)))
    last = b""
    while True:
        keys = [row[0] for row in database.rows(f"FETCH {BATCH} FROM nuxeo_blob_keys")]
        if not keys:
            break
        encoded = [key.encode() for key in keys]
        for key, raw in zip(keys, encoded):
            if not is_line(key) or not raw > last:
                _refuse(database, found, key)
            last = raw
        yield Batch(b"\n".join(encoded) + b"\n", len(keys), {provider(key) for key in keys})
    database.rows("CLOSE nuxeo_blob_keys")


def _refuse(database: Database, found: t.Sequence[Table], key: str) -> t.NoReturn:
    """A key that is no line of text can't be the name of a blob: better named now than missed at the restore."""
    for table in found:
        where = f"FROM {table.name} WHERE {table.data} = ".replace("%", "%%")
        rows = database.rows(f"SELECT {table.id} {where} %s LIMIT 3", key)
        if rows:
            who = ", ".join(f"'{row[0]}'" for row in rows)
            raise DatabaseError(
                f"Reading of the blob keys of {database.subject}",
                f"table {table.name} holds {key!r}, which can't be a blob's key, in the rows with id {who}",
                "Repair these rows, then run again",
            )
    raise DatabaseError(
        f"Reading of the blob keys of {database.subject}",
        f"{key!r} is not in the order of its bytes",
        "The database's encoding is not supported for keys that are not ASCII",
    )
