# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all tests. What is real is started on demand, once per pytest worker, and ended by its process id."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import typing as t
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

if t.TYPE_CHECKING:
    from servers.kafka.kafka_server import Kafka
    from servers.nuxeo.instance import Instance
    from servers.playbook import Result, Run
    from servers.postgresql import Server

    ServerOf = t.Callable[[str], Server]

_NUMBERS = itertools.count(1)


LONG_GROUPS = ("search", "search-2", "streams", "molecule")
"""Each is run by one worker, from the beginning on: else the others end long before it."""


@pytest.fixture(autouse=True)
def as_it_was() -> t.Iterator[None]:
    """What a test runs in this process may have made files private; what later ones fetch is for other users, too."""
    mask = os.umask(0o022)
    os.umask(mask)
    yield
    os.umask(mask)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long groups first. Tests of one group share a folder or a server: where the runner ignores that, nothing runs."""
    if not config.getoption("loadgroup", False):
        return
    order = {name: number for number, name in enumerate(LONG_GROUPS)}
    items.sort(key=lambda item: order.get(item.nodeid.rpartition("@")[2], len(order)))
    for item in items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid} has a group that this pytest-xdist does not see")


class Database(t.NamedTuple):
    """A database of a test's own, and the server that it is in."""

    server: Server
    host: str
    port: int
    name: str
    user: str
    password: str

    def login(self) -> dict[str, str | int]:
        """What make_instance wants."""
        keys = ("host", "port", "name", "user", "password")
        return {key: getattr(self, key) for key in keys}

    def psql(self, sql: str) -> str:
        """What psql prints, as the server's superuser."""
        return self.server.psql(sql, self.name)


class MakeNuxeo(t.Protocol):
    """Makes an instance of the stand-in that is stopped after the test."""

    def __call__(self, database: Database | None = None, version: str = "10.10", **options: t.Any) -> Instance: ...


class RunPlaybook(t.Protocol):
    """Runs a playbook of the collection to its end."""

    def __call__(
        self,
        playbook: str | Path,
        inventory: str | Path,
        extra_vars: t.Mapping[str, t.Any] | None = None,
        *words: str,
        **options: t.Any,
    ) -> Result: ...


class StartPlaybook(t.Protocol):
    """Starts a playbook of the collection; it is killed after the test when it still runs."""

    def __call__(
        self,
        playbook: str | Path,
        inventory: str | Path,
        extra_vars: t.Mapping[str, t.Any] | None = None,
        *words: str,
        **options: t.Any,
    ) -> Run: ...


@pytest.fixture(autouse=True)
def no_warnings_of_other_modules() -> t.Iterator[None]:
    """A module that runs in this process leaves its warnings there, and the next test's module would return them."""
    yield
    said = sys.modules.get("ansible.module_utils.common.warnings")
    for name in ("_global_warnings", "_global_deprecations") if said else ():
        vars(said)[name].clear()


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the work tree."""
    return TESTS.parent


@pytest.fixture(scope="session")
def postgresql_of(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[ServerOf]:
    """PostgreSQL of any version: ``postgresql_of("9.6")``. Make databases of your own in it."""
    from servers.postgresql import Server

    begun: dict[str, Server] = {}
    with contextlib.ExitStack() as until_the_end:

        def make(version: str) -> Server:
            if version not in begun:
                server = Server(tmp_path_factory.mktemp(f"postgresql{version}"), version=version)
                begun[version] = until_the_end.enter_context(server)
            return begun[version]

        yield make


@pytest.fixture(scope="session")
def postgresql15(postgresql_of: ServerOf) -> Server:
    """PostgreSQL 15 of Debian's packages. Make databases of your own in it."""
    return postgresql_of("15")


@pytest.fixture(scope="session")
def postgresql18(postgresql_of: ServerOf) -> Server:
    """PostgreSQL 18 of the PyPI wheel. Make databases of your own in it."""
    return postgresql_of("18")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Kafka]:
    """One broker of Kafka 4. Use prefixes of your own in it."""
    from servers.kafka.kafka_server import DEFAULT_VERSION, Kafka

    with Kafka(DEFAULT_VERSION, str(tmp_path_factory.mktemp("kafka")), secure=True) as broker:
        yield broker


@pytest.fixture(params=["15", "18"])
def postgresql(request: pytest.FixtureRequest, postgresql_of: ServerOf) -> Server:
    """Both versions, one after the other."""
    return postgresql_of(request.param)


@pytest.fixture
def make_database() -> t.Iterator[t.Callable[..., Database]]:
    """Makes an empty database with an owner of its own: ``make_database(server, password=...)``."""
    made: list[Database] = []

    def make(server: Server, name: str | None = None, password: str = "p'a ss$1&word") -> Database:
        number = next(_NUMBERS)
        name = name or f"nuxeo{number}"
        server.create_database(name, f"owner{number}", password)
        made.append(Database(server, server.host, server.port, name, f"owner{number}", password))
        return made[-1]

    yield make
    for database in made:
        if database.server.pid is not None:
            database.server.drop_database(database.name)


@pytest.fixture
def make_nuxeo(tmp_path: Path) -> t.Iterator[MakeNuxeo]:
    """Makes instances of the stand-in below the test's folder: on a database, or on embedded H2 when there is none."""
    from servers.h2 import jar
    from servers.nuxeo.instance import make_instance

    made: list[Instance] = []

    def make(database: Database | None = None, version: str = "10.10", **options: t.Any) -> Instance:
        if database is None and "h2_jar" not in options:
            options["h2_jar"] = jar("2.2.224" if version.startswith(("2023", "2025")) else "1.4.200")
        home = options.pop("home", tmp_path / f"nuxeo{len(made) + 1}")
        login = database.login() if database else None
        instance = make_instance(home, login, version, **options)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        with contextlib.suppress(OSError):
            instance.nuxeoctl("stop")


@pytest.fixture(scope="session")
def h2_jar() -> t.Callable[[str], Path]:
    """The jar of a version of H2, fetched once."""
    from servers.h2 import jar

    return jar


@pytest.fixture
def local_inventory(tmp_path: Path) -> t.Callable[..., Path]:
    """Writes an inventory of hosts that are all this machine: ``local_inventory(node1={...}, node2={...})``."""
    from servers.playbook import local_inventory as write

    def make(**hosts: t.Mapping[str, t.Any]) -> Path:
        return write(tmp_path / f"inventory{next(_NUMBERS)}.json", hosts)

    return make


@pytest.fixture
def start_playbook(tmp_path: Path) -> t.Iterator[StartPlaybook]:
    """Starts ``playbooks/<name>`` (or a path) on an inventory, with extra variables and further words."""
    from servers.playbook import MODULE_CODE, PACKED_MODULES, keep_code, keep_packed, start

    runs: list[Run] = []

    def begin(
        playbook: str | Path,
        inventory: str | Path,
        extra_vars: t.Mapping[str, t.Any] | None = None,
        *words: str,
        **options: t.Any,
    ) -> Run:
        options.setdefault("variables", {**keep_code(MODULE_CODE), **keep_packed(PACKED_MODULES)})
        run = start(tmp_path / f"run{next(_NUMBERS)}", playbook, inventory, extra_vars, *words, **options)
        runs.append(run)
        return run

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.kill()


@pytest.fixture
def run_playbook(start_playbook: StartPlaybook) -> RunPlaybook:
    """As start_playbook, but waits for the end (``timeout=`` seconds): rc, stdout, tasks, stats, failures."""

    def run(
        playbook: str | Path,
        inventory: str | Path,
        extra_vars: t.Mapping[str, t.Any] | None = None,
        *words: str,
        **options: t.Any,
    ) -> Result:
        timeout = options.pop("timeout", 600)
        return start_playbook(playbook, inventory, extra_vars, *words, **options).wait(timeout)

    return run
