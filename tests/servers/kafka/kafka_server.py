# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Kafka brokers on loopback for the tests (jars from the Maven registry, ended by their own process ids).

Those before 3.3 run with a ZooKeeper and without security, all others by KRaft.

    with Kafka("4.3.1", folder) as kafka:                     one broker, no security
    with Kafka("3.9.2", folder, brokers=3) as kafka:          three, to lose one
    with Kafka("4.3.1", folder, secure=True) as kafka:        also SASL, TLS and ACLs

As a command, ``PYTHONPATH=tests python3 -m servers.kafka.kafka_server``, it fetches the jars of the usual version; with
``VERSION FOLDER [BROKERS]`` it runs brokers until its standard input ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
import uuid
from pathlib import Path

from servers.maven import one_at_a_time
from servers.nuxeo.ports import free_ports

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("NUXEO_PLATFORM_CACHE") or os.path.join(HERE, "..", "..", "..", ".cache")
USERS = {"admin": "admin-secret", "nuxeo": "nu,xeo; \"q' secret", "copier": "copier-secret"}
"""Users of the SASL listeners; ``admin`` may do all."""

DEFAULT_VERSION = "4.3.1"


def numbers(version: str) -> tuple[int, ...]:
    """Of a version, to be compared."""
    return tuple(map(int, version.split(".")))


def jars(version: str, profile: str = "") -> str:
    """The folder that holds the jars of one version, filled at the first call. Safe for several callers at once."""
    folder = os.path.abspath(os.path.join(CACHE, "kafka", version + (f"-{profile}" if profile else "")))
    ready = os.path.join(folder, ".complete")
    with one_at_a_time(Path(f"{folder}.lock")):
        if not os.path.exists(ready):
            command = ["mvn", "-q", "-B", "-f", os.path.join(HERE, "pom.xml"), "dependency:copy-dependencies"]
            scala = "2.13" if numbers(version) >= (2, 4) else "2.12"
            command += [f"-DoutputDirectory={folder}", f"-Dkafka.version={version}", f"-Dscala.version={scala}"]
            subprocess.run(command + (["-P", profile] if profile else []), check=True, timeout=900)
            with open(ready, "w", encoding="utf-8"):
                pass
    return folder


def certificates(folder: str) -> None:
    """A CA, a server key store (PEM), a client key; and the same as JKS for the tests of conversion."""
    os.makedirs(folder, exist_ok=True)

    def run(*command: str) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)

    with open(f"{folder}/names.cnf", "w", encoding="utf-8") as stream:
        stream.write("subjectAltName = DNS:localhost, IP:127.0.0.1\n")
    run(
        "openssl",
        "req",
        "-x509",
        "-nodes",
        "-newkey",
        "rsa:2048",
        "-days",
        "60",
        "-subj",
        "/CN=Test authority",
        "-keyout",
        "authority.key",
        "-out",
        "authority.pem",
    )
    for who in ("server", "client"):
        run(
            "openssl",
            "req",
            "-nodes",
            "-newkey",
            "rsa:2048",
            "-subj",
            f"/CN={who}",
            "-keyout",
            f"{who}.key",
            "-out",
            f"{who}.csr",
        )
        run(
            "openssl",
            "x509",
            "-req",
            "-days",
            "60",
            "-in",
            f"{who}.csr",
            "-CA",
            "authority.pem",
            "-CAkey",
            "authority.key",
            "-CAcreateserial",
            "-extfile",
            "names.cnf",
            "-out",
            f"{who}.pem",
        )
    with open(f"{folder}/server.store.pem", "wb") as store:
        for part in ("server.key", "server.pem", "authority.pem"):
            store.write(Path(f"{folder}/{part}").read_bytes())


class Kafka:
    """One cluster. ``bootstrap`` is the plain listener; :meth:`client` gives the settings of a confluent-kafka
    client."""

    def __init__(
        self,
        version: str,
        folder: str,
        brokers: int = 1,
        *,
        secure: bool = False,
        heap: str = "256m",
        settings: t.Mapping[str, object] | None = None,
        quick: bool = True,
    ) -> None:
        self.version, self.folder, self.secure, self.heap = version, os.path.abspath(folder), secure, heap
        self.brokers = brokers
        self.options = ["-XX:TieredStopAtLevel=1"] if quick else []  # starts sooner, or runs faster
        self.settings = dict(settings or {})
        self.zookeeper: subprocess.Popen[bytes] | None = None
        self.processes: list[subprocess.Popen[bytes]] = []
        self.listeners = ["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "SSL"] if secure else ["PLAINTEXT"]
        ports = iter(free_ports(brokers * (len(self.listeners) + 1)))
        self.ports = [{name: next(ports) for name in [*self.listeners, "CONTROLLER"]} for dummy in range(brokers)]
        self.old = numbers(version) < (3, 3)
        self.cluster = uuid.uuid4().hex[:22].replace("-", "A")

    def addresses(self, listener: str = "PLAINTEXT") -> list[str]:
        return [f"127.0.0.1:{ports[listener]}" for ports in self.ports]

    @property
    def bootstrap(self) -> str:
        return ",".join(self.addresses())

    def client(self, listener: str = "PLAINTEXT", user: str = "admin", mechanism: str = "PLAIN") -> dict[str, object]:
        found: dict[str, object] = {
            "bootstrap.servers": ",".join(self.addresses(listener)),
            "security.protocol": listener,
        }
        if listener.startswith("SASL"):
            found.update({"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": USERS[user]})
        if listener.endswith("SSL"):
            found["ssl.ca.location"] = f"{self.folder}/tls/authority.pem"
        return found

    def _properties(self, node: int) -> dict[str, object]:
        replicas = min(3, self.brokers)
        names = [*self.listeners, *([] if self.old else ["CONTROLLER"])]
        found: dict[str, object] = {
            **(self._of_zookeeper(node) if self.old else self._of_kraft(node)),
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(f"{name}://127.0.0.1:{self.ports[node][name]}" for name in names),
            "listener.security.protocol.map": ",".join(f"{n}:{'PLAINTEXT' if n == 'CONTROLLER' else n}" for n in names),
            "log.dirs": f"{self.folder}/{node}/logs",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 3,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.num.partitions": 3,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "log.retention.ms": -1,
            "log.cleaner.dedupe.buffer.size": 4194304,
            "num.io.threads": 2,
            "num.network.threads": 2,
        }
        if self.secure:
            found.update(self._security())
        return {**found, **self.settings}

    def _of_kraft(self, node: int) -> dict[str, object]:
        return {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": ",".join(
                f"{n}@127.0.0.1:{self.ports[n]['CONTROLLER']}" for n in range(self.brokers)
            ),
            "controller.listener.names": "CONTROLLER",
        }

    def _of_zookeeper(self, node: int) -> dict[str, object]:
        return {"broker.id": node, "zookeeper.connect": f"127.0.0.1:{self.ports[0]['CONTROLLER']}"}

    def _security(self) -> dict[str, object]:
        def quoted(text: str) -> str:
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

        accounts = " ".join(f"user_{name}={quoted(secret)}" for name, secret in USERS.items())
        plain = f"org.apache.kafka.common.security.plain.PlainLoginModule required {accounts};"
        found: dict[str, object] = {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": f"{self.folder}/tls/server.store.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": f"{self.folder}/tls/authority.pem",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:admin",
            "listener.name.ssl.ssl.client.auth": "required",
        }
        for name in ("sasl_plaintext", "sasl_ssl"):
            found[f"listener.name.{name}.plain.sasl.jaas.config"] = plain
            for size in ("256", "512"):
                found[f"listener.name.{name}.scram-sha-{size}.sasl.jaas.config"] = (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                )
        return found

    def java(self, *arguments: str, heap: str = "", profile: str = "", options: t.Sequence[str] = ()) -> list[str]:
        """The command that runs a class of this version's jars."""
        return [
            "java",
            f"-Xmx{heap or self.heap}",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            *options,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            jars(self.version, profile) + "/*",
            *arguments,
        ]

    def _format(self, node: int) -> None:
        home = f"{self.folder}/{node}"
        os.makedirs(home, exist_ok=True)
        with open(f"{home}/server.properties", "w", encoding="utf-8") as stream:
            for name, value in self._properties(node).items():
                stream.write(f"{name}={str(value).replace(chr(92), chr(92) * 2)}\n")
        if self.old:
            return
        command = self.java(
            "kafka.tools.StorageTool",
            "format",
            "-t",
            self.cluster,
            "-c",
            f"{home}/server.properties",
            heap="96m",
            options=["-XX:TieredStopAtLevel=1"],
        )
        if self.secure:
            for name, secret in USERS.items():
                if not set("\",;'") & set(secret):  # the tool's own syntax has no escape
                    for size in ("256", "512"):
                        command += ["--add-scram", f"SCRAM-SHA-{size}=[name={name},password={secret}]"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)

    def _run(self, home: str, log: str, *words: str) -> subprocess.Popen[bytes]:
        with open(f"{home}/{log}", "ab") as stream:
            return subprocess.Popen(
                self.java(
                    *words,
                    options=[
                        *self.options,
                        "-Dzookeeper.admin.enableServer=false",
                        "-Dzookeeper.jmx.log4j.disable=true",
                    ],
                ),
                cwd=home,
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def launch(self, node: int) -> None:
        """Start one broker (again)."""
        home = f"{self.folder}/{node}"
        process = self._run(home, "server.log", "kafka.Kafka", f"{home}/server.properties")
        if node < len(self.processes):
            self.processes[node] = process
        else:
            self.processes.append(process)

    def start(self) -> Kafka:
        if self.secure:
            certificates(f"{self.folder}/tls")
        for node in range(self.brokers):
            self._format(node)
        if self.old:
            keeper = ("org.apache.zookeeper.server.ZooKeeperServerMain", str(self.ports[0]["CONTROLLER"]))
            self.zookeeper = self._run(self.folder, "zookeeper.log", *keeper, f"{self.folder}/zookeeper")
        for node in range(self.brokers):
            self.launch(node)
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def wait(self, seconds: float = 120) -> None:
        """Until every broker is registered; a port that answers is not yet a broker that serves."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        end = time.monotonic() + seconds
        while True:
            for node, process in enumerate(self.processes):
                if process.poll() is not None:
                    with open(f"{self.folder}/{node}/server.log", encoding="utf-8", errors="replace") as log:
                        raise RuntimeError(f"broker {node} ended: {log.read()[-3000:]}")
            with contextlib.suppress(KafkaException):
                client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
                if len(client.list_topics(timeout=2).brokers) >= self.brokers:
                    return
            if time.monotonic() > end:
                raise RuntimeError(f"Kafka did not start in {seconds} s, see {self.folder}/0/server.log")
            time.sleep(0.1)

    def kill(self, node: int) -> None:
        self.processes[node].kill()
        self.processes[node].wait()

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        self._await_ends(self.processes)
        if self.zookeeper:
            self.zookeeper.terminate()
            self._await_ends([self.zookeeper])

    @staticmethod
    def _await_ends(processes: t.Iterable[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Kafka:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


if __name__ == "__main__" and len(sys.argv) < 3:
    print(jars(DEFAULT_VERSION))
elif __name__ == "__main__":
    with Kafka(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1) as running:
        print(json.dumps({"bootstrap": running.bootstrap, "pids": [p.pid for p in running.processes]}), flush=True)
        sys.stdin.read()
