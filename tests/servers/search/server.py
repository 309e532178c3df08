# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running Elasticsearch or OpenSearch of one or more nodes."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import pathlib
import pwd
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import typing as t
import urllib.error
import urllib.request

from servers.nuxeo.ports import free_ports
from servers.search import security
from servers.search.engines import ENGINES, fetch, java_home


def _end_with_parent() -> None:
    """In the child: SIGTERM when the process that started it is gone, however it went."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


LOG4J = """rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %marker %m%n
"""


class Server:
    """A running server of one or more nodes; :meth:`stop` ends only the processes that it started.

    :param private_repositories: each node gets a repository root of its own, as where the mount is not shared
    """

    def __init__(
        self,
        name: str,
        *,
        nodes: int = 1,
        tls: bool = False,
        client_auth: bool = False,
        heap: str = "320m",
        settings: dict[str, t.Any] | None = None,
        private_repositories: bool = False,
    ) -> None:
        self.name = name
        self.engine = ENGINES[name]
        self.tls = tls or bool(self.engine.plugin)
        self.client_auth = client_auth
        self.heap = heap
        self.nodes = nodes
        self.extra = settings or {}
        self.home = fetch(name)
        self.java = java_home(self.engine.java)
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"nuxeo-{name}-", dir="/var/tmp"))
        self.root.chmod(0o755)
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.ports = free_ports(2 * nodes)
        self.repositories = [self.root / (f"n{n}-repo" if private_repositories else "repo") for n in range(nodes)]
        self.shared = self.root / "shared"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.seconds = 0.0

    @property
    def urls(self) -> list[str]:
        return [f"{'https' if self.tls else 'http'}://127.0.0.1:{port}" for port in self.ports[::2]]

    @property
    def ca(self) -> str | None:
        return str(self.root / "certificates" / "ca.crt") if self.tls else None

    @property
    def repository(self) -> pathlib.Path:
        return self.repositories[0]

    def _settings(self, number: int) -> dict[str, t.Any]:
        old = self.engine.elastic and self.engine.major < 7
        folder = self.root / f"n{number}"
        out: dict[str, t.Any] = {
            "cluster.name": self.root.name,
            "node.name": f"n{number}",
            "path.data": str(folder / "data"),
            "path.logs": str(folder / "logs"),
            "network.host": "127.0.0.1",
            "http.port": self.ports[2 * number],
            ("transport.tcp.port" if old else "transport.port"): self.ports[2 * number + 1],
            "cluster.routing.allocation.disk.threshold_enabled": False,
            "cluster.info.update.interval": "1h",  # else it takes back a read_only_allow_delete of the tests
        }
        out["path.repo"] = [str(self.repositories[number]), str(self.shared)]
        if self.nodes == 1:
            out["discovery.type"] = "single-node"
        else:
            seeds = [f"127.0.0.1:{port}" for port in self.ports[1::2]]
            if old:
                out["discovery.zen.ping.unicast.hosts"] = seeds
                out["discovery.zen.minimum_master_nodes"] = self.nodes // 2 + 1
            else:
                new = not self.engine.elastic and self.engine.major >= 2
                out["discovery.seed_hosts"] = seeds
                out["cluster.initial_cluster_manager_nodes" if new else "cluster.initial_master_nodes"] = ["n0"]
        if self.engine.xpack:
            out.update(security.xpack(self.engine, tls=self.tls, client_auth=self.client_auth))
        if self.engine.plugin:
            out.update(security.security_plugin(client_auth=self.client_auth))
        out.update(self.extra)
        return out

    def _configure(self, number: int) -> None:
        folder = self.root / f"n{number}"
        for name in ("config", "data", "logs", "tmp"):
            (folder / name).mkdir(parents=True)
        for path in (self.repositories[number], self.shared):
            path.mkdir(exist_ok=True)
        config = folder / "config"
        (config / "log4j2.properties").write_text(LOG4J)
        if self.engine.xpack:
            shutil.copy(self.home / "config" / "role_mapping.yml", config)
            (config / "roles.yml").write_text(security.ROLES)
            for name in ("users", "users_roles"):
                (config / name).touch()
        if self.tls:
            certificates = self.root / "certificates"
            security.write_files(self.engine, config, certificates=certificates, home=self.home)
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in self._settings(number).items()]
        (config / f"{self.engine.artifact}.yml").write_text("".join(lines))

    def _command(self, number: int) -> tuple[list[str], dict[str, str]]:
        folder = self.root / f"n{number}"
        common = [f"-Xms{self.heap}", f"-Xmx{self.heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        common += ["-XX:-UsePerfData", f"-XX:ErrorFile={folder}/logs/hs_err.log", f"-Djava.io.tmpdir={folder}/tmp"]
        if self.engine.own_script:
            (folder / "config" / "jvm.options").write_text("\n".join(common) + "\n")
            (folder / "config" / "jvm.options.d").mkdir(exist_ok=True)
            return [str(self.home / "bin" / "elasticsearch")], {
                "ES_JAVA_HOME": str(self.java),
                "ES_PATH_CONF": str(folder / "config"),
                "ES_TMPDIR": str(folder / "tmp"),
                "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:-UsePerfData",
            }
        prefix = "es" if self.engine.elastic else "opensearch"
        flags = [*common, "-Djna.nosys=true", f"-Djna.tmpdir={folder}/tmp", "-Dfile.encoding=UTF-8"]
        flags += ["-Dio.netty.noUnsafe=true", "-Dio.netty.noKeySetOptimization=true", "-Dlog4j2.disable.jmx=true"]
        flags += ["-Dlog4j.shutdownHookEnabled=false"]
        if not self.engine.elastic and self.engine.major >= 3:
            flags += [f"-javaagent:{self.home}/agent/opensearch-agent.jar", "--add-modules=jdk.incubator.vector"]
        elif self.engine.major >= 6 or not self.engine.elastic:
            flags += ["-Djava.locale.providers=SPI,COMPAT", "--add-opens=java.base/java.io=ALL-UNNAMED"]
        flags += [f"-D{prefix}.path.home={self.home}", f"-D{prefix}.path.conf={folder}/config"]
        flags += [f"-D{prefix}.distribution.flavor=default", f"-D{prefix}.distribution.type=zip"]
        flags += [f"-D{prefix}.bundled_jdk=false"]
        main = f"org.{self.engine.artifact}.bootstrap.{'Elasticsearch' if self.engine.elastic else 'OpenSearch'}"
        tmp = str(folder / "tmp")
        argv = [str(self.java / "bin" / "java"), *flags, "-cp", f"{self.home}/lib/*", main]
        return argv, {"LIBFFI_TMPDIR": tmp, "ES_TMPDIR": tmp, "OPENSEARCH_TMPDIR": tmp}

    def _launch(self, number: int) -> None:
        argv, extra = self._command(number)
        names = ("JAVA_OPTS", "JAVA_TOOL_OPTIONS", "ES_JAVA_OPTS")
        environment = {key: value for key, value in os.environ.items() if key not in names}
        environment.update(extra)
        identity: dict[str, t.Any] = {}
        if self.user:
            identity = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        with open(self.root / f"n{number}.log", "wb") as log:
            self.processes.append(
                subprocess.Popen(
                    argv,
                    cwd=self.root / f"n{number}",
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,  # noqa: PLW1509  a run of the tests that is killed leaves no server
                    **identity,
                )
            )

    def give(self, *paths: pathlib.Path) -> None:
        """Make the server's user the owner of what a test has made."""
        if self.user:
            for top in paths:
                for path in [top, *top.rglob("*")]:
                    os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def start(self, timeout: float = 240) -> Server:
        """Start every node and wait until the cluster answers."""
        began = time.monotonic()
        if self.tls:
            (self.root / "certificates").mkdir()
            security.make_certificates(self.root / "certificates")
        for number in range(self.nodes):
            self._configure(number)
        self.give(*(path for path in self.root.iterdir() if path.name != "certificates"))
        for number in range(self.nodes):
            self._launch(number)
        path = f"/_cluster/health?wait_for_status=yellow&wait_for_nodes={self.nodes}&timeout=10s"
        while True:
            try:
                status, answer = self.call("GET", path, timeout=15)
                if status == 200 and not answer["timed_out"]:
                    break
            except OSError:
                pass
            if time.monotonic() - began > timeout or any(p.poll() is not None for p in self.processes):
                tail = (self.root / "n0.log").read_text(errors="replace")[-3000:]
                self.stop()
                raise RuntimeError(f"{self.name} did not come up; the end of its log:\n{tail}")
            time.sleep(0.1)
        self.seconds = time.monotonic() - began
        return self

    def call(
        self, method: str, path: str, body: t.Any = None, *, user: str = "backup", timeout: float = 60, node: int = 0
    ) -> tuple[int, t.Any]:
        """One call with the standard library, for setting up: status and decoded JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.urls[node] + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self.tls:
            login = base64.b64encode(f"{user}:{security.PASSWORD}".encode()).decode()
            request.add_header("Authorization", f"Basic {login}")
            context = ssl.create_default_context(cafile=self.ca)
            if self.client_auth:
                folder = self.root / "certificates"
                context.load_cert_chain(folder / "client.crt", folder / "client.key")
            handlers.append(urllib.request.HTTPSHandler(context=context))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as answer:
                text = answer.read()
                return answer.status, json.loads(text or b"null")
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text or b"null")
            except ValueError:
                return error.code, text.decode(errors="replace")

    def kill(self, number: int) -> None:
        """SIGKILL to one node and what it has started."""
        os.killpg(self.processes[number].pid, signal.SIGKILL)
        self.processes[number].wait()

    def stop(self) -> None:
        """End the servers that were started here and remove their files."""
        for each in self.processes:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGTERM)  # the session that _launch made: only its own children
        for each in self.processes:
            try:
                each.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(each.pid, signal.SIGKILL)
                each.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
