# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a copy of an embedded H2 database is opened by the H2 that made it, and read.

Only H2 itself can read its files, and only the same line of versions. It opens a copy of the copy, since opening a file
for reading alone already writes to it. H2's own Shell is spoken to by its standard input, so no password is in the
list of processes.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import glob
import hashlib
import os
import re
import shutil
import tempfile
import time
import typing as t

from .._deps import numbers
from .blob_keys import is_line, provider
from .error import DatabaseError, told
from .sorting import SortedLines

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SUFFIXES = (".mv.db", ".h2.db")
"""Of H2's two file formats. The older one is chosen by MV_STORE=FALSE in the URL, and the facts then name it whole."""

COLUMNS = """
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE UPPER(TABLE_NAME) = 'CONTENT'
"""
TABLES = """
SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES
WHERE TABLE_SCHEMA <> 'INFORMATION_SCHEMA' AND TABLE_TYPE IN ('TABLE', 'BASE TABLE')
"""
NEEDED = {"ID", "NAME", "MIME-TYPE", "DATA", "DIGEST", "LENGTH"}

FAILURE = re.compile(r"^(?:sql> )?((?:Error|Exception in thread|.*Exception): ?.*)$", re.MULTILINE)


class Shell(t.Protocol):
    """Runs a program with these lines on its standard input, in that folder: code, standard output, standard error."""

    def __call__(self, argv: t.List[str], lines: str, folder: str, /) -> t.Tuple[int, str, str]: ...


def shell_of(module: AnsibleModule) -> Shell:
    """Runs programs by the module's own means."""

    def shell(argv: t.List[str], lines: str, folder: str) -> t.Tuple[int, str, str]:
        done: t.Tuple[int, str, str] = module.run_command(
            argv, data=lines, binary_data=True, cwd=folder, expand_user_and_vars=False, umask=0o077
        )
        return done

    return shell


@dataclasses.dataclass(frozen=True)
class H2Request:
    """What is wanted."""

    path: str
    """The database file, with or without its suffix. It is not touched."""
    jar: t.Optional[str] = None
    home: t.Optional[str] = None
    java: t.Optional[str] = None
    user: str = "sa"
    password: str = dataclasses.field(default="", repr=False)
    require_blob_keys: bool = True
    work: t.Optional[str] = None
    """A folder for the copy, on a volume with room for it."""


def read(request: H2Request, shell: Shell, keys: t.Optional[str]) -> dict[str, t.Any]:
    """Open the database and read it.

    :param keys: where the list of blob keys goes, one on each line, sorted as in ``LC_ALL=C``; None to count only
    """
    begun = time.monotonic()
    file, jar = _file(request.path), _jar(request)
    java = _java(request.java)
    with _folder(request) as folder:
        shutil.copyfile(file, os.path.join(folder, "copy" + _suffix(file)))
        session = _Session(request, shell, [java, "-cp", jar, "org.h2.tools.Shell"], folder, file)
        about, columns = session.ask(f"SELECT H2VERSION(), ({TABLES})", COLUMNS)
        ((version, tables),) = about
        contents = _contents(columns)
        if request.require_blob_keys and not contents:
            raise DatabaseError(
                f"Search for blob keys in '{file}'",
                "it has no table CONTENT with the columns of a Nuxeo repository",
                "Check that it is the right file, or say require_blob_keys=false when its repository is elsewhere",
            )
        lines = SortedLines(folder)
        providers = _collect(session, lines, contents)
        count, changed = lines.write(keys)
    return {
        "changed": changed,
        "file": file,
        "bytes": os.path.getsize(file),
        "h2_version": version,
        "jar": jar,
        "tables": int(tables),
        "blob_keys": count,
        "blob_providers": sorted(providers),
        "duration": round(time.monotonic() - begun, 3),
    }


def content(request: H2Request, shell: Shell) -> str:
    """The SHA-256 of all that the database holds, in the words of H2's SCRIPT. Its server may have it open.

    H2 writes to an open file without any change of what it holds, so the file itself does not show that.
    """
    file, jar = _file(request.path), _jar(request)
    with _folder(request) as folder:
        _copy_whole(file, os.path.join(folder, "copy" + _suffix(file)))
        session = _Session(request, shell, [_java(request.java), "-cp", jar, "org.h2.tools.Shell"], folder, file)
        session.write("SCRIPT")
        total = hashlib.sha256()
        with open(session.written(0), "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                total.update(block)
        return total.hexdigest()


def _copy_whole(file: str, copy: str) -> None:
    """Copy a file that its server has open: one that nobody has written to meanwhile is as after a kill."""
    for _attempt in range(10):
        before = os.stat(file)
        shutil.copyfile(file, copy)
        after = os.stat(file)
        if (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino):
            return
        time.sleep(0.5)
    raise DatabaseError(
        f"Copy of the H2 database '{file}'", "it is written to again and again", "Wait until nobody works with it"
    )


def try_out(request: H2Request, shell: Shell) -> dict[str, t.Any]:
    """Let Java start the H2 without the file, which its server may have open; the keys of :func:`read`."""
    begun = time.monotonic()
    jar, java = _jar(request), _java(request.java)
    with _folder(request) as folder:
        words = ["-url", "jdbc:h2:mem:", "-user", "sa", "-password", "", "-sql", "SELECT H2VERSION()"]
        code, out, err = shell([java, "-cp", jar, "org.h2.tools.Shell", *words], "", folder)
    found = re.search(r"^(\d+\.\d+\.\d+\S*)\s*\n\(1 row", out, re.MULTILINE)
    if code or not found:
        raise DatabaseError(
            f"Start of H2 '{jar}' by '{java}'",
            told(f"{out}\n{err}"),
            "Name the H2 of the instance by backup_h2_jar (jar), and have its Java on the PATH of this user (java)",
        )
    nothing = {"changed": False, "file": "", "bytes": 0, "tables": 0, "blob_keys": 0, "blob_providers": []}
    return {**nothing, "h2_version": found.group(1), "jar": jar, "duration": round(time.monotonic() - begun, 3)}


def _suffix(file: str) -> str:
    return next(suffix for suffix in SUFFIXES if file.endswith(suffix))


def file_of(path: str) -> str | None:
    """The file of a database that is named with its suffix or without; None where there is none.

    Without it, that of the newer format counts where both are there, as for H2.
    """
    candidates = [path, *(path + suffix for suffix in SUFFIXES)]
    return next((file for file in candidates if file.endswith(SUFFIXES) and os.path.isfile(file)), None)


def _file(path: str) -> str:
    found = file_of(path)
    if found:
        return found
    raise DatabaseError(
        f"Opening of the H2 database '{path}'",
        "there is no such file, with .mv.db or .h2.db behind it or without",
        "Check nuxeo.db.jdbc.url and the data folder",
    )


def _jar(request: H2Request) -> str:
    """The H2 of the instance: another line of versions could not read the file."""
    if request.jar:
        found = [request.jar] if os.path.isfile(request.jar) else []
        places = request.jar
    else:
        folders = [os.path.join(request.home or "/", *part) for part in (("nxserver", "lib"), ("lib",))]
        places = " or ".join(os.path.join(folder, "h2*.jar") for folder in folders)
        found = next(filter(None, (glob.glob(os.path.join(glob.escape(one), "h2*.jar")) for one in folders)), [])
    if not found:
        raise DatabaseError(
            f"Opening of the H2 database '{request.path}'",
            f"no H2 was found as {places}",
            "Name its file by backup_h2_jar (jar); for a restore it must be there",
        )
    return max(found, key=lambda name: (numbers(os.path.basename(name).replace("h2-", "")), name))


def _java(wanted: str | None) -> str:
    home = os.environ.get("JAVA_HOME")
    candidates = [wanted] if wanted else [os.path.join(home, "bin", "java") if home else "", shutil.which("java") or ""]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise DatabaseError(
        "Start of Java on this host", f"'{wanted or 'java'}' is not there", "Put it on the PATH of this user (java)"
    )


@contextlib.contextmanager
def _folder(request: H2Request) -> t.Iterator[str]:
    """Whatever the system refuses there is told as this store's error."""
    try:
        if request.work:
            os.makedirs(request.work, mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".h2-", dir=request.work) as folder:
            yield folder
    except OSError as error:
        raise DatabaseError(
            f"Reading of a copy of '{request.path}' in '{request.work or tempfile.gettempdir()}'",
            str(error.strerror),
            "Have rights to it and free space there, then run again",
        ) from None


class _Session:
    """Runs queries by H2's Shell; each result goes through a file, since the Shell's own output is not exact."""

    def __init__(self, request: H2Request, shell: Shell, argv: list[str], folder: str, file: str) -> None:
        self._shell = shell
        self._argv = argv
        self._folder = folder
        self._what = f"Reading of the H2 database '{file}' by '{argv[2]}'"
        self._secret = request.password
        # else a H2 before 1.4.200 makes an empty file of the other format beside it
        older = ";MV_STORE=FALSE" if _suffix(file) == ".h2.db" else ""
        self._login = (f"jdbc:h2:./copy;IFEXISTS=TRUE{older}", "", request.user, request.password)
        if any("\n" in word or "\r" in word for word in self._login):
            raise DatabaseError(f"Login to '{file}'", "user or password holds a line break", "Set another")

    def ask(self, *queries: str) -> list[t.Iterator[list[str]]]:
        """The rows of each query, all text; Java starts once for all of them."""
        return [self._rows(number, count) for number, count in enumerate(self.write(*queries))]

    def written(self, number: int) -> str:
        """The file with the rows of a query."""
        return os.path.join(self._folder, f"{number}.csv")

    def write(self, *queries: str) -> list[int]:
        """Let the rows of each query be written to a file; how many they are."""
        if not queries:
            return []
        statements = []
        for number, query in enumerate(queries):
            quoted = " ".join(query.split()).replace("'", "''")
            statements.append(f"CALL CSVWRITE('./{number}.csv', '{quoted}', 'charset=UTF-8');")
        code, out, err = self._run(statements)
        said = FAILURE.search(out.replace("\b", "")) or FAILURE.search(err)
        wrote = re.findall(r"^(\d+)\r?\n\(1 row", out, re.MULTILINE)
        if code or said or len(wrote) != len(queries):
            why = told(said.group(1) if said else f"{out}\n{err}")
            raise DatabaseError(
                self._what,
                why.replace(self._secret, "********") if len(self._secret) > 3 else why,
                "The file must be of a stopped server, and the H2 that of its instance",
            )
        return [int(count) for count in wrote]

    def _run(self, statements: list[str]) -> tuple[int, str, str]:
        """Arguments do where there is no password; else the Shell is answered what it asks for.

        Where it can't connect then, it asks again for its four words, and ends when there is no more input, unless it
        asks for a password just then: so the number of lines is filled up to where it asks for the user.
        """
        url, driver, user, password = self._login
        if not password:
            words = ["-url", url, "-user", user, "-password", "", "-sql", " ".join(statements)]
            return self._shell([*self._argv, *words], "", self._folder)
        ends = ["quit"] * (4 - (len(statements) + 2) % 4)
        lines = [url, driver, user, password, *statements, *ends, ""]
        return self._shell(self._argv, "\n".join(lines), self._folder)

    def _rows(self, number: int, wanted: int) -> t.Iterator[list[str]]:
        """One row after the other; after the last one it is sure that none is missing."""
        count = -1  # the first row holds the names
        with open(self.written(number), encoding="utf-8", newline="") as stream:
            for row in csv.reader(stream):
                count += 1
                if count:
                    yield row
        if count != wanted:
            raise DatabaseError(self._what, f"{wanted} rows were written, {count} were read", "Free space for them")


def _contents(columns: t.Iterable[list[str]]) -> list[tuple[str, str, str]]:
    """The tables with blob keys, and their column of keys."""
    found: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in columns:
        found.setdefault((schema, table), []).append(column)
    return [
        (schema, table, next(name for name in names if name.upper() == "DATA"))
        for (schema, table), names in sorted(found.items())
        if {name.upper() for name in names} >= NEEDED
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _collect(session: _Session, lines: SortedLines, contents: list[tuple[str, str, str]]) -> set[str]:
    queries: list[str] = []
    providers: set[str] = set()
    for schema, table, column in contents:
        where = f"{_quoted(schema)}.{_quoted(table)} WHERE {_quoted(column)} IS NOT NULL"
        queries.append(f"SELECT DISTINCT {_quoted(column)} FROM {where}")  # noqa: S608 - quoted
    for (schema, table, _column), rows in zip(contents, session.ask(*queries)):
        for row in rows:
            key = row[0] if row else ""
            if not is_line(key):
                raise DatabaseError(
                    f"Reading of the blob keys in table {schema}.{table}",
                    f"{key!r} can't be a blob's key",
                    "Repair the rows that hold it, then run again",
                )
            lines.add(key.encode())
            providers.add(provider(key))
    return providers
