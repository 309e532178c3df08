# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real engines, each started once, one at a time or two; every test begins with an empty one."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pathlib
import subprocess
import sys
import typing as t
import uuid

import pytest
from ansible.module_utils.testing import patch_module_args
from servers.deployment import Site
from servers.search.engines import EVERY_RUN, NoJdk, wanted
from servers.search.nuxeo_indices import Curl
from servers.search.security import PASSWORD
from servers.search.server import Server

if t.TYPE_CHECKING:
    from servers.nuxeo.instance import Instance

REPO = pathlib.Path(__file__).resolve().parents[3]
WITH_LOGINS = ("es8", "es819")
"""Everything is tried on these with TLS and a password in front, as on os2sec, which has no other way."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups, also when this file is loaded before it
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A few engines are tried in one worker, one at a time; many in two, since one would need more than an hour."""
    engines = wanted()
    lanes = ("search", "search-2") if len(engines) > len(EVERY_RUN) else ("search",)
    for item in items:
        if "integration/search" in str(item.path):
            given = getattr(item, "callspec", None)
            name = given.params.get("engine") if given else None
            lane = lanes[engines.index(name) % len(lanes)] if name in engines else lanes[0]
            item.add_marker(pytest.mark.xdist_group(lane))


@pytest.fixture(scope="session", params=wanted())
def engine(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A running server of each engine in turn."""
    try:
        server = Server(request.param, tls=request.param in WITH_LOGINS)
    except NoJdk as error:
        if request.param in EVERY_RUN:  # the tests that everybody runs would be gone without a word
            raise
        pytest.skip(f"{request.param}: {error}")
    with server:
        yield server


@pytest.fixture
def curl(engine: Server) -> Curl:
    """The emptied engine, by curl."""
    found = Curl(engine)
    found.clean()
    return found


class Location(t.Protocol):
    """Makes a folder for a repository."""

    def __call__(self, name: str = "") -> str: ...


def folder_for(server: Server, name: str = "") -> str:
    """A new folder in the server's path.repo, the server's user its owner."""
    path = server.repository / (name or uuid.uuid4().hex[:8])
    path.mkdir()
    server.give(path)
    return str(path)


@pytest.fixture
def location(engine: Server) -> Location:
    """Folders for repositories of this test."""
    return lambda name="": folder_for(engine, name)


class Result(dict[str, t.Any]):
    """What a module printed."""

    @property
    def failed(self) -> bool:
        return bool(self.get("failed"))


def arguments(server: Server, user: str = "backup") -> dict[str, t.Any]:
    """Options that reach a server."""
    out: dict[str, t.Any] = {"url": server.urls}
    if server.tls:
        out.update(url_username=user, url_password=PASSWORD, ca_cert=server.ca)
    if server.client_auth:
        folder = server.root / "certificates"
        out.update(client_cert=str(folder / "client.crt"), client_key=str(folder / "client.key"))
    return out


def start_module(name: str, options: dict[str, t.Any], check: bool = False) -> subprocess.Popen[str]:
    """A module in a process of its own, as Ansible runs it."""
    given = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
    environment = {**os.environ, "PYTHONPATH": str(REPO / "build" / "collections")}
    child = subprocess.Popen(
        [sys.executable, "-m", f"ansible_collections.nuxeo.platform.plugins.modules.{name}"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": given}))
        child.stdin.close()
    child.stdin = None
    return child


def run_module(name: str, options: dict[str, t.Any], check: bool = False) -> Result:
    """Run it to its end in this process, which is quicker."""
    given = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
    module = importlib.import_module(f"ansible_collections.nuxeo.platform.plugins.modules.{name}")
    out = io.StringIO()
    with patch_module_args(given), contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        module.main()
    assert PASSWORD not in out.getvalue()
    return Result(json.loads(out.getvalue()))


class Run(t.Protocol):
    """Runs a module against the engine of the test."""

    def __call__(self, module: str, /, check: t.Any = False, **options: t.Any) -> Result: ...


@pytest.fixture
def run(engine: Server) -> Run:
    """Failures are returned, not raised: ``result.failed``."""

    def call(module: str, /, check: t.Any = False, **options: t.Any) -> Result:
        return run_module(module, {**arguments(engine), **options}, check)

    return call


@pytest.fixture
def good(run: Run) -> Run:
    """As ``run``, for calls that must succeed."""

    def call(module: str, /, check: t.Any = False, **options: t.Any) -> Result:
        result = run(module, check, **options)
        assert not result.failed, result["msg"]
        return result

    return call


Make = t.Callable[..., t.Any]


class Trip(t.NamedTuple):
    """A site whose backup root the engine can reach, and how instances are made for it."""

    site: Site
    engine: Server
    curl: Curl
    make_nuxeo: Make
    database: t.Callable[[], t.Any]

    def instance(self, prefix: str, version: str = "10.10", **more: str) -> Instance:
        """An instance whose indices begin with a prefix of its own, on a database of its own."""
        properties = {
            "elasticsearch.enabled": "true",
            "elasticsearch.addressList": ",".join(self.engine.urls),
            "elasticsearch.indexName": prefix,
            "audit.elasticsearch.enabled": "true",
            **more,
        }
        if self.engine.tls:
            properties["elasticsearch.restClient.username"] = "backup"
            properties["elasticsearch.restClient.password"] = PASSWORD
            properties["standin.search.ca"] = str(self.engine.ca)
        return t.cast("Instance", self.make_nuxeo(self.database(), version, properties=properties))

    def add(self, name: str, instance: Instance, **more: t.Any) -> None:
        """A host of the inventory."""
        owner = {"backup_audit_owner": "nobody"} if self.engine.user else {}
        if self.engine.tls:
            owner.update(backup_search_ca_cert=str(self.engine.ca), restore_search_ca_cert=str(self.engine.ca))
        self.site.add(name, instance, nuxeo_client_python=sys.executable, **owner, **more)


@pytest.fixture
def make_trip(
    make_nuxeo: Make, make_database: Make, postgresql15: t.Any, local_inventory: Make, start_playbook: Make
) -> t.Callable[[Server], Trip]:
    """The same for any server."""

    def make(server: Server) -> Trip:
        site = Site(server.shared / uuid.uuid4().hex[:8], local_inventory, start_playbook)
        return Trip(site, server, Curl(server), make_nuxeo, lambda: make_database(postgresql15))

    return make


@pytest.fixture
def trip(engine: Server, curl: Curl, make_trip: t.Callable[[Server], Trip]) -> Trip:
    """The same for the emptied engine of the test."""
    assert curl.server is engine
    return make_trip(engine)
