# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Elasticsearch and OpenSearch servers for tests: the server zips of the Maven registry, started as they are.

    engines.py fetch NAME...     download (by Maven, sha256 checked) and unpack into .cache/search

Servers refuse to run as root: when root calls, they run as ``nobody``, and their files lie where nobody can read.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import typing as t
import urllib.error
import urllib.request
import zipfile

REPO = pathlib.Path(__file__).resolve().parents[3]
CACHE = (REPO / ".cache" / "search").resolve()  # servers with a security manager do not follow links
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
PASSWORD = "s3cret-pw"
PASSWORD_BCRYPT = "$2b$04$nuxeoPlatformTestsSale0NtLspau74/iKj2ehbL6KTZY4Vlnl46"


@dataclasses.dataclass(frozen=True)
class Engine:
    """One server zip."""

    coordinates: str
    sha256: str
    java: int = 17
    own_script: bool = False  # by bin/elasticsearch: its main class reads arguments from a pipe
    xpack: bool = False
    plugin: str = ""
    plugin_sha256: str = ""

    @property
    def artifact(self) -> str:
        return self.coordinates.split(":")[1]

    @property
    def version(self) -> str:
        return self.coordinates.split(":")[2]

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def elastic(self) -> bool:
        return self.artifact == "elasticsearch"


TEST_ZIP = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:"
FULL_ZIP = "org.elasticsearch.distribution.zip:elasticsearch:"
OPEN_ZIP = "org.opensearch.distribution.integ-test-zip:opensearch:"
ENGINES = {
    "es5": Engine(FULL_ZIP + "5.6.16", "1f0c74e213c60f050ac3adf584d2bb5d5582932b93965d489bb3f3e9fff2b8bb"),
    "es6": Engine(TEST_ZIP + "6.8.23", "d0499f7103d10c16c4cb575a796a509578053f21130979eda5745968f28b9928"),
    "es7": Engine(TEST_ZIP + "7.17.29", "841ee00be1a72ba8e707b5a2fb55f23fe7a4184369b4585393238b1c903eedaf", xpack=True),
    "es8": Engine(
        TEST_ZIP + "8.8.2",
        "287ea4823a0dd24a2533eb77d3ba9949c8232240b2f464f3046352429b0125b2",
        own_script=True,
        xpack=True,
    ),
    "es819": Engine(
        TEST_ZIP + "8.19.21",
        "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a",
        own_script=True,
        xpack=True,
    ),
    "es9": Engine(
        TEST_ZIP + "9.5.3",
        "bec49f3b8d00e75c8d1cec85c35298635ec9fbd3ae80ef5aeb6bc05abdb3db2d",
        java=21,
        own_script=True,
        xpack=True,
    ),
    "os1": Engine(OPEN_ZIP + "1.3.20", "031e0cdcd14c7a5b9907dff8050fff76c7c2892c7313ea83c4a0bfbaae9265e3"),
    "os2": Engine(OPEN_ZIP + "2.19.6", "71d6d8b1c637f3faecda0752b184b1cc526fc6eaad59ec1408c6327bb00b9293"),
    "os2sec": Engine(
        OPEN_ZIP + "2.19.4",
        "3902e642715210d1d9d7cbdcc8f5abd6f931d1d7a679cea3750937becf16c406",
        plugin="org.opensearch.plugin:opensearch-security:2.19.4.0",
        plugin_sha256="1f673622c462c4171a8c53f9b1ad20e5b839834cb79b0d3b388da180a0e514e8",
    ),
    "os3": Engine(OPEN_ZIP + "3.6.0", "a91faa1dc1cadc78cb278b4f63847e19e1627a4e9de698e14e7efc14ee37b286", java=21),
}
EVERY_RUN = ["es7", "es8", "os1"]
"""The engines of ``make test``; ``NUXEO_TEST_ENGINES=all`` or a list of names widens it."""


class NoJdk(Exception):
    """No JDK that is new enough is on this machine."""


def java_home(least: int) -> pathlib.Path:
    """The oldest JDK of the machine that will do: servers before Elasticsearch 8.19 do not run on 24 and later."""
    named = os.environ.get("JAVA21_HOME" if least > 17 else "JAVA17_HOME")
    if named:
        return pathlib.Path(named)
    default = pathlib.Path(os.path.realpath(shutil.which("java") or "/usr/bin/java")).parent.parent
    found: list[tuple[int, pathlib.Path]] = []
    for folder in {default, *default.parent.glob("*"), *pathlib.Path("/usr/lib/jvm").glob("*")}:
        release = folder / "release"
        if not (release.exists() and (folder / "bin" / "java").exists()):
            continue
        for line in release.read_text().splitlines():
            if line.startswith("JAVA_VERSION="):
                major = line.partition("=")[2].strip('"').split(".")[0].split("-")[0]
                if major.isdigit() and int(major) >= least:
                    found.append((int(major), folder))
    if not found:
        raise NoJdk(f"no JDK of {least} or newer is here")
    return min(found)[1]


def _passable(path: pathlib.Path) -> bool:
    """Whether any user can go down to this path."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def servers_folder() -> pathlib.Path:
    """Where servers are unpacked: in the cache, or in /var/tmp where the checkout is closed to other users."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or _passable(CACHE / "servers"):
        return CACHE / "servers"
    folder = pathlib.Path(f"/var/tmp/nuxeo-platform-search-{os.geteuid()}")
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.stat().st_uid != os.geteuid() or folder.is_symlink():
        raise RuntimeError(f"{folder} belongs to another user")
    return folder


def _download(coordinates: str, sha256: str) -> pathlib.Path:
    dummy, artifact, version = coordinates.split(":")
    zips = CACHE / "zips"
    zips.mkdir(parents=True, exist_ok=True)
    archive = zips / f"{artifact}-{version}.zip"
    if not archive.exists():
        argv = ["mvn", "-B", "-q", COPY, f"-Dartifact={coordinates}:zip", f"-DoutputDirectory={zips}"]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != sha256:
        archive.unlink()
        raise RuntimeError(f"{archive.name}: sha256 is {digest}, wanted {sha256}")
    return archive


def _unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(folder)
        for item in bundle.infolist():  # extractall loses the execute bits
            if (item.external_attr >> 16) & 0o111 and not item.is_dir():
                os.chmod(folder / item.filename, 0o755)
    archive.unlink()  # Maven keeps its own copy


def fetch(name: str) -> pathlib.Path:
    """The folder of the unpacked server; downloads it at first use. One at a time, whoever asks."""
    engine = ENGINES[name]
    home = servers_folder()
    home.mkdir(parents=True, exist_ok=True)
    server = home / name / f"{engine.artifact}-{engine.version}"
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / name / ".complete").exists():
            _fetch(name, home, server)
    return server


def _fetch(name: str, home: pathlib.Path, server: pathlib.Path) -> None:
    engine = ENGINES[name]
    with tempfile.TemporaryDirectory(dir=home, prefix=f".{name}-") as scratch:
        folder = pathlib.Path(scratch) / name
        _unpack(_download(engine.coordinates, engine.sha256), folder)
        if engine.plugin:
            plugins = folder / server.name / "plugins" / engine.plugin.split(":")[1]
            _unpack(_download(engine.plugin, engine.plugin_sha256), plugins)
        (folder / ".complete").touch()
        shutil.rmtree(home / name, ignore_errors=True)
        folder.rename(home / name)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for dummy in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _end_with_parent() -> None:
    """In the child: SIGTERM when the process that started it is gone, however it went."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def make_certificates(folder: pathlib.Path) -> None:
    """A CA, a server's certificate for localhost and a client's; PEM files with plain names."""

    def openssl(*argv: str) -> None:
        subprocess.run(["openssl", *argv], check=True, capture_output=True, cwd=folder)

    new = ["-newkey", "rsa:2048", "-nodes"]
    openssl("req", "-x509", *new, "-days", "30", "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.crt")
    (folder / "node.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    (folder / "client.ext").write_text("extendedKeyUsage=clientAuth\n")
    for name, subject in (("node", "/CN=localhost"), ("client", "/CN=backup")):
        openssl("req", *new, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", f"{name}.ext"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-days", "30", *signing, "-out", f"{name}.crt")


def _file_realm_line(user: str) -> str:
    """A line of x-pack's ``users`` file (PBKDF2, SHA-512)."""
    salt = os.urandom(32)
    key = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 10000, 32)
    return f"{user}:{{PBKDF2}}10000${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}\n"


LOG4J = """rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %marker %m%n
"""
ROLES = """snapshotter:
  cluster: [monitor, 'cluster:admin/repository/*', 'cluster:admin/snapshot/*']
  indices:
    - names: ['nuxeo-audit*', 'nuxeo-uidgen*']
      privileges: [all]
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
        no_path_repo: bool = False,
    ) -> None:
        self.name = name
        self.engine = ENGINES[name]
        self.tls = tls or bool(self.engine.plugin)
        self.client_auth = client_auth
        self.heap = heap
        self.nodes = nodes
        self.extra = settings or {}
        self.no_path_repo = no_path_repo
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
    def secured(self) -> bool:
        return self.tls

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
        }
        if not self.no_path_repo:
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
            out.update(self._xpack())
        if self.engine.plugin:
            out.update(self._security_plugin())
        out.update(self.extra)
        return out

    def _xpack(self) -> dict[str, t.Any]:
        out: dict[str, t.Any] = {"xpack.security.enabled": self.tls}
        if self.engine.major >= 8:
            out["xpack.security.enrollment.enabled"] = False
        if self.tls:
            out["xpack.security.http.ssl.enabled"] = True
            out["xpack.security.http.ssl.key"] = "node.key"
            out["xpack.security.http.ssl.certificate"] = "node.crt"
            out["xpack.security.http.ssl.certificate_authorities"] = ["ca.crt"]
            if self.client_auth:
                out["xpack.security.http.ssl.client_authentication"] = "required"
        return out

    def _security_plugin(self) -> dict[str, t.Any]:
        out: dict[str, t.Any] = {
            "plugins.security.allow_default_init_securityindex": True,
            "plugins.security.ssl.transport.enforce_hostname_verification": False,
            "plugins.security.ssl.http.enabled": True,
            "plugins.security.nodes_dn": ["CN=localhost"],
            "plugins.security.authcz.admin_dn": ["CN=nobody-has-this"],
        }
        for layer in ("transport", "http"):
            out[f"plugins.security.ssl.{layer}.pemcert_filepath"] = "node.crt"
            out[f"plugins.security.ssl.{layer}.pemkey_filepath"] = "node.key"
            out[f"plugins.security.ssl.{layer}.pemtrustedcas_filepath"] = "ca.crt"
        return out

    def _write_security(self, config: pathlib.Path) -> None:
        for name in ("ca.crt", "node.crt", "node.key"):
            shutil.copy(self.root / "certificates" / name, config)
        if self.engine.xpack:
            (config / "users").write_text("".join(map(_file_realm_line, ("backup", "snap", "guest"))))
            (config / "users_roles").write_text("superuser:backup\nsnapshotter:snap\n")
            return
        folder = config / "opensearch-security"
        shutil.copytree(self.home / "plugins" / "opensearch-security" / "config", folder)
        granted = ["cluster_monitor", "cluster:admin/repository/*", "cluster:admin/snapshot/*"]
        granted.append("indices:data/write/bulk")
        on_indices = [{"index_patterns": ["nuxeo-audit*", "nuxeo-uidgen*"], "allowed_actions": ["*"]}]
        users = {
            "backup": {"hash": PASSWORD_BCRYPT, "reserved": True, "backend_roles": ["admin"]},
            "snap": {"hash": PASSWORD_BCRYPT, "backend_roles": ["snapshotter"]},
            "guest": {"hash": PASSWORD_BCRYPT},
        }
        for name, kind, content in (
            ("internal_users", "internalusers", users),
            ("roles", "roles", {"snapshotter": {"cluster_permissions": granted, "index_permissions": on_indices}}),
            (
                "roles_mapping",
                "rolesmapping",
                {
                    "all_access": {"reserved": True, "backend_roles": ["admin"]},
                    "snapshotter": {"backend_roles": ["snapshotter"]},
                },
            ),
        ):
            meta = {"_meta": {"type": kind, "config_version": 2}}
            (folder / f"{name}.yml").write_text(json.dumps({**meta, **content}))

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
            (config / "roles.yml").write_text(ROLES)
            for name in ("users", "users_roles"):
                (config / name).touch()
        if self.tls:
            self._write_security(config)
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
            make_certificates(self.root / "certificates")
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
            request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode())
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


def wanted() -> list[str]:
    """The engines that this run of the tests is to try."""
    asked = os.environ.get("NUXEO_TEST_ENGINES", "")
    if asked == "all":
        return list(ENGINES)
    return asked.replace(",", " ").split() or EVERY_RUN


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "fetch":
        raise SystemExit(__doc__)
    for each_name in sys.argv[2:]:
        print(fetch(each_name))
