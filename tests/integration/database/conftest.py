# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run as processes of their own, as Ansible runs them; a database in Nuxeo's form to try them on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

MODULES = "ansible_collections.nuxeo.platform.plugins.modules"
COMMUNITY = "ansible_collections.community.postgresql.plugins.modules"

Run = t.Callable[..., t.Dict[str, t.Any]]

CONTENT = """
CREATE TABLE {schema}content (id varchar(36) NOT NULL, name varchar, "mime-type" varchar, encoding varchar,
  data varchar, digest varchar, length bigint);
"""

REPOSITORY = (
    """
CREATE TABLE hierarchy (id varchar(36) PRIMARY KEY, parentid varchar(36) REFERENCES hierarchy ON DELETE CASCADE,
  primarytype varchar, made timestamptz DEFAULT clock_timestamp());
CREATE INDEX hierarchy_parentid ON hierarchy (parentid);
"""
    + CONTENT.format(schema="")
    + """
CREATE TABLE dublincore (id varchar(36) REFERENCES hierarchy ON DELETE CASCADE, title text, created timestamp);
CREATE TABLE "we""ird na'me" (a int PRIMARY KEY, "B%b" text);
CREATE TABLE nothing_in_it (a int);
CREATE TABLE "new
line" (a int);
INSERT INTO "new
line" VALUES (1);
CREATE UNLOGGED TABLE cluster_nodes (nodeid bigint);
INSERT INTO cluster_nodes VALUES (1);
CREATE TABLE parts (a int, b text) PARTITION BY RANGE (a);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (50);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (50) TO (100);
INSERT INTO parts SELECT i, 'p' || i FROM generate_series(0, 99) i;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM parts;
CREATE SEQUENCE hierarchy_seq;
SELECT setval('hierarchy_seq', 4711);
CREATE FUNCTION nx_one() RETURNS int LANGUAGE sql AS 'SELECT 1';
INSERT INTO hierarchy (id, parentid, primarytype)
  SELECT md5(i::text), CASE WHEN i > 1 THEN md5((i / 2)::text) END, 'File' FROM generate_series(1, {rows}) i;
INSERT INTO content SELECT md5(i::text), 'file' || i, 'text/plain', NULL, md5((i % 700)::text), md5((i % 700)::text), i
  FROM generate_series(1, {rows}) i;
INSERT INTO content (id, data) VALUES ('none', NULL), ('other', 'other:0123456789abcdef0123456789abcdef');
INSERT INTO dublincore SELECT md5(i::text), E'title \\\\\\t\\n' || repeat('Grüße ', i % 50), now()
  FROM generate_series(1, {rows}) i;
INSERT INTO "we""ird na'me" VALUES (1, E'\\\\.'), (2, NULL), (3, '');
SELECT lo_from_bytea(0, 'large'::bytea);
"""
)


class Started:
    """A module that runs."""

    def __init__(
        self, name: str, arguments: dict[str, t.Any], folder: Path, prefix: t.Sequence[str], check: bool, package: str
    ) -> None:
        self.arguments = folder / f"{name}-{time.monotonic_ns()}.json"
        given = {**arguments, "_ansible_check_mode": check}
        self.arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": given}, default=str))
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", f"{package}.{name}", str(self.arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self, timeout: float = 60) -> dict[str, t.Any]:
        """Its result."""
        out, err = self.process.communicate(timeout=timeout)
        try:
            return t.cast(t.Dict[str, t.Any], json.loads(out.strip().splitlines()[-1]))
        except (IndexError, ValueError):
            raise AssertionError(f"code {self.process.returncode}, stdout {out!r}, stderr {err!r}") from None

    def children(self) -> dict[int, str]:
        """Its descendants: process id to command line."""
        return descendants(self.process.pid)

    def child(self, word: str, timeout: float = 20) -> int:
        """The process id of the descendant with that in its command line, as soon as it is there."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            for pid, line in self.children().items():
                if word in line:
                    return pid
            time.sleep(0.02)
        raise AssertionError(f"nothing with {word} was started: {self.process.communicate()}")


def descendants(pid: int) -> dict[int, str]:
    """The children of a process and theirs."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid:
                    found[int(folder.name)] = (folder / "cmdline").read_text()
                    found.update(descendants(int(folder.name)))
    return found


def alive(pid: int) -> bool:
    """Whether a process still works."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(autouse=True)
def both_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's client is found in its place; the wheel's must be on the path, the first on it even."""
    from servers.postgresql import bin_dir

    monkeypatch.setenv("PATH", f"{bin_dir('18')}:{os.environ['PATH']}")


@pytest.fixture
def start_module(tmp_path: Path) -> t.Iterator[t.Callable[..., Started]]:
    """Starts a module: ``start_module("postgresql_dump", dest=...)``; it is killed after the test if it still runs."""
    folder = tmp_path / "arguments"
    folder.mkdir(mode=0o700)
    begun: list[Started] = []

    def start(
        name: str,
        package: str = MODULES,
        /,
        *,
        prefix: t.Sequence[str] = (),
        check: bool = False,
        **arguments: t.Any,
    ) -> Started:
        begun.append(Started(name, arguments, folder, prefix, check, package))
        return begun[-1]

    yield start
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


@pytest.fixture
def run_module(start_module: t.Callable[..., Started]) -> t.Callable[..., dict[str, t.Any]]:
    """Runs a module to its end; its result."""

    def run(name: str, package: str = MODULES, /, **arguments: t.Any) -> dict[str, t.Any]:
        return start_module(name, package, **arguments).wait()

    return run


def login(database: t.Any, **more: t.Any) -> dict[str, t.Any]:
    """The options that log in to a database as its owner."""
    return {
        "login_host": database.host,
        "login_port": database.port,
        "login_user": database.user,
        "login_password": database.password,
        "name": database.name,
        **more,
    }


def node_of(home: Path, database: t.Any, url: str) -> dict[str, t.Any]:
    """The options that read the login of a database's owner, and what its JDBC URL says, from a nuxeo.conf."""
    (home / "templates" / "default").mkdir(parents=True)
    (home / "templates" / "nuxeo.defaults").write_text("nuxeo.templates=default\n")
    (home / "templates" / "default" / "nuxeo.defaults").write_text("")
    conf = home / "nuxeo.conf"
    conf.write_text(
        f"nuxeo.db.jdbc.url=jdbc:postgresql://{url}\n"
        f"nuxeo.db.user={database.user}\nnuxeo.db.password={database.password}\n"
    )
    return {"nuxeo_conf": conf, "nuxeo_home": home, "nuxeo_version": "2023.31"}


def as_owner(database: t.Any, sql: str) -> str:
    """What psql prints for statements of the database's owner."""
    environment = database.server.environment(database.name, PGUSER=database.user, PGPASSWORD=database.password)
    done = subprocess.run(
        [database.server.program("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"],
        input=sql,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert not done.returncode, done.stderr
    return done.stdout.rstrip("\n")


def sums(server: t.Any, name: str) -> dict[str, str]:
    """Every table of a database: its number of rows and a checksum over them, by psql."""
    tables = server.psql(
        "SELECT replace(quote_ident(nspname) || '.' || quote_ident(relname), E'\\n', '\\n') FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm', 'S')"
        " AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
        name,
    )
    found = {}
    for table in tables.splitlines():
        real = table.replace("\\n", "\n")
        columns = "last_value, is_called" if table.endswith("_seq") else "*"
        found[table] = server.psql(
            f"SELECT count(*), md5(string_agg(s::text, '|' ORDER BY s::text)) FROM (SELECT {columns} FROM {real}) AS s",
            name,
        )
    found["large objects"] = server.psql("SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1", name)
    return found


@pytest.fixture
def fill_database() -> t.Callable[..., None]:
    """Fills a database with what a repository has."""

    def fill(database: t.Any, rows: int = 2000) -> None:
        sql = REPOSITORY.replace("{rows}", str(rows))
        if database.server.major < 10:  # it knows no partitions
            sql = re.sub(r"CREATE TABLE parts_.*\n| PARTITION BY RANGE \(a\)", "", sql)
        as_owner(database, sql)

    return fill


@pytest.fixture
def standby15(postgresql15: t.Any, tmp_path: Path) -> t.Iterator[t.Any]:
    """A standby of PostgreSQL 15 with the databases that are there by then."""
    from servers.postgresql import Server

    standby = Server(tmp_path / "standby", version="15")
    standby.folder.mkdir()
    subprocess.run(
        [postgresql15.program("pg_basebackup"), "-D", str(standby.data), "-R", "--checkpoint=fast", "--no-sync"],
        check=True,
        env=postgresql15.environment(),
    )
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "nobody:nogroup", str(standby.data)], check=True)
    standby.password = postgresql15.password
    with standby:
        yield standby


# -- a dump and where it goes to


class Dumped(t.NamedTuple):
    """A database and its dump."""

    source: t.Any
    src: Path


@pytest.fixture
def dump_of(
    postgresql_of: t.Any, make_database: t.Any, fill_database: t.Any, run_module: Run, tmp_path: Path
) -> t.Callable[..., Dumped]:
    """Makes a filled database on a version, and dumps it."""

    def make(version: str, more: str = "", **options: t.Any) -> Dumped:
        source = make_database(postgresql_of(version))
        fill_database(source)
        if more:
            source.server.psql(more.format(**source._asdict()), source.name)
        result = run_module("postgresql_dump", dest=tmp_path / f"dump-{source.name}", **login(source, **options))
        assert result.get("changed"), result
        return Dumped(source, tmp_path / f"dump-{source.name}")

    return make


@pytest.fixture
def target_on(postgresql_of: t.Any, make_database: t.Any) -> t.Iterator[t.Callable[[str], t.Any]]:
    """Makes an empty database with an owner of its own; it goes afterwards, with those named after it."""
    made: list[t.Any] = []

    def make(version: str) -> t.Any:
        made.append(make_database(postgresql_of(version)))
        return made[-1]

    yield make
    for target in made:
        for name in databases(target):
            target.server.drop_database(name)


@pytest.fixture
def make_ready(run_module: Run) -> Run:
    """Asks what a restore needs and lets community.postgresql make it, as the role does. Returns the answer."""

    def make(src: Path, **options: t.Any) -> dict[str, t.Any]:
        foreseen = run_module("postgresql_restore", check=True, src=src, **options)
        if foreseen.get("failed") or not foreseen["changed"]:
            return foreseen
        admin = "admin" if options.get("admin_user") else "login"
        given = {key: options[f"login_{key}"] for key in ("host", "port")}
        given.update({key: options[f"{admin}_{key}"] for key in ("user", "password")})
        login = {f"login_{key}": value for key, value in given.items()}
        create, done = foreseen["create"], []
        inside = {**login, "login_db": create.get("name", options["name"])}
        if create:
            done.append(run_module("postgresql_db", COMMUNITY, template="template0", **login, **create))
        for name in foreseen["schemas"]:
            done.append(run_module("postgresql_schema", COMMUNITY, name=name, owner=foreseen["owner"], **inside))
        for extension in foreseen["extensions"]:
            done.append(run_module("postgresql_ext", COMMUNITY, **extension, **inside))
        assert all(one.get("changed") for one in done), done
        return foreseen

    return make


@pytest.fixture
def restore(run_module: Run, make_ready: Run) -> Run:
    """Restores as the role does; what stood in the way when something did."""

    def run(src: Path, **options: t.Any) -> dict[str, t.Any]:
        foreseen = make_ready(src, **options)
        if foreseen.get("failed") or not foreseen["changed"]:
            return foreseen
        return run_module("postgresql_restore", src=src, temporary=foreseen["create"].get("name"), **options)

    return run


def databases(target: t.Any) -> list[str]:
    """The databases whose names begin like the target's."""
    found = target.server.psql(f"SELECT datname FROM pg_database WHERE datname LIKE '{target.name}\\_%' ORDER BY 1")
    mine = target.server.psql(f"SELECT datname FROM pg_database WHERE datname = '{target.name}'")
    return [name for name in (mine + "\n" + found).splitlines() if name]


def as_admin(target: t.Any, **more: t.Any) -> dict[str, t.Any]:
    """The target's login, and the superuser to do the work."""
    return login(target, admin_user=target.server.user, admin_password=target.server.password, **more)
