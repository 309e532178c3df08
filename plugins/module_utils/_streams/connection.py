# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how a Kafka cluster is reached: options first, nuxeo.conf's kafka.* for the rest."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from .._conf.engines import kafka_protocol
from .._conf.secrets import values_under
from .errors import StreamsError
from .stores import Run, certificates, private_key_store

TLS = {"ssl_cafile": "ssl.ca.location", "ssl_certfile": "ssl.certificate.location", "ssl_keyfile": "ssl.key.location"}
SASL = {"sasl_mechanism": "sasl.mechanism", "sasl_username": "sasl.username", "sasl_password": "sasl.password"}
WITH_PASSWORD = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SECRET = re.compile(r"password|secret|jaas|token|credential|\.pem$", re.IGNORECASE)

Settings = t.Dict[str, t.Any]


class Configuration(t.Protocol):
    """What is asked of a resolved nuxeo.conf."""

    @property
    def environment(self) -> t.Mapping[str, str]: ...
    @property
    def home(self) -> str: ...
    def get(self, name: str) -> t.Optional[str]: ...


def parse_jaas(text: str) -> tuple[str, dict[str, str]]:
    """A Java login module line: its class and its options, quotes taken off."""
    found = re.match(r"\s*([\w.$]+)\s+(\w+)(.*)", text, re.DOTALL)
    if not found:
        raise StreamsError("Reading of kafka.sasl.jaas.config in nuxeo.conf", "it does not name a login module")
    options = {}
    pattern = r"""([\w.$-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s;]+))"""
    for name, double, single, bare in re.findall(pattern, found.group(3)):
        options[name] = bare or re.sub(r"\\(.)", r"\1", double or single)
    return found.group(1), options


def _mechanism(conf: Configuration, given: t.Mapping[str, t.Any]) -> str:
    extra = given.get("extra_config") or {}
    told = given.get("sasl_mechanism") or extra.get("sasl.mechanism") or extra.get("sasl.mechanisms")
    mechanism = str(told or conf.get("kafka.sasl.mechanism") or "SCRAM-SHA-256").strip()
    if not told and mechanism not in WITH_PASSWORD:
        raise StreamsError(
            "Connection to Kafka as nuxeo.conf has it",
            f"its kafka.sasl.mechanism '{mechanism}' is not one of {', '.join(WITH_PASSWORD)}",
            "Give security_protocol, and sasl.mechanism with what it needs in extra_config",
        )
    return mechanism


def _login(conf: Configuration) -> Settings:
    _class, options = parse_jaas(conf.get("kafka.sasl.jaas.config") or "")
    if "username" not in options or "password" not in options:
        raise StreamsError(
            "Connection to Kafka as nuxeo.conf has it",
            "its kafka.sasl.jaas.config has no username and password",
            "Give sasl_username and sasl_password",
        )
    return {"sasl.username": options["username"], "sasl.password": options["password"]}


def from_nuxeo(conf: Configuration, given: t.Mapping[str, t.Any], folder: str, run: Run) -> Settings:
    """Settings from a resolved nuxeo.conf, except those that the operator has given.

    :param folder: a private folder for what has to be converted; it must live as long as the clients
    """
    protocol = given.get("security_protocol") or kafka_protocol(conf.get)
    found: Settings = {"security.protocol": protocol}
    servers = (conf.get("kafka.bootstrap.servers") or "").strip()
    if servers:
        found["bootstrap.servers"] = servers
    if protocol.startswith("SASL"):
        found["sasl.mechanism"] = _mechanism(conf, given)
        if found["sasl.mechanism"] in WITH_PASSWORD and not given.get("sasl_username"):
            found.update(_login(conf))
    if protocol.endswith("SSL"):
        for kind, option in (("truststore", "ssl_cafile"), ("keystore", "ssl_certfile")):
            path = conf.get(f"kafka.{kind}.path")
            if path and not given.get(option):
                store_type = (conf.get(f"kafka.{kind}.type") or "JKS").strip().upper()
                convert = certificates if kind == "truststore" else private_key_store
                path = os.path.join(conf.home, path)  # the server's working directory
                found.update(convert(path, store_type, conf.get(f"kafka.{kind}.password") or "", folder, run))
    return found


def settings(options: t.Mapping[str, t.Any], conf: t.Optional[Configuration], folder: str, run: Run) -> Settings:
    """The settings of every client of one cluster. An explicit option wins over nuxeo.conf.

    :param options: the module's options of the kafka fragment; unset ones are None
    """
    found: Settings = from_nuxeo(conf, options, folder, run) if conf is not None else {}
    if options.get("bootstrap_servers"):
        found["bootstrap.servers"] = ",".join(options["bootstrap_servers"])
    if options.get("security_protocol"):
        found["security.protocol"] = options["security_protocol"]
    for names in (TLS, SASL):
        found.update({setting: options[name] for name, setting in names.items() if options.get(name)})
    if options.get("ssl_key_password"):
        found["ssl.key.password"] = options["ssl_key_password"]
    if options.get("ssl_check_hostname") is False:
        found["ssl.endpoint.identification.algorithm"] = "none"
    extra = options.get("extra_config") or {}
    for name in extra:
        if SECRET.search(name):
            raise StreamsError(
                f"Option extra_config with '{name}'",
                "a secret there would be shown in results",
                "Use the option made for it",
            )
    found.update(extra)
    if found.get("security.protocol"):
        found["security.protocol"] = str(found["security.protocol"]).upper()  # the library takes any case
    if not found.get("bootstrap.servers"):
        raise StreamsError(
            "Connection to Kafka",
            "neither bootstrap_servers nor kafka.bootstrap.servers in nuxeo.conf says where it is",
            "Give bootstrap_servers or nuxeo_conf",
        )
    _check_files(found)
    return found


def secrets_in(params: t.Mapping[str, t.Any]) -> set[str]:
    """What :func:`settings` refuses of all clusters that a module is told of, for it is shown with the refusal."""
    clusters = [one for one in (params, params.get("source"), params.get("target")) if isinstance(one, dict)]
    return set().union(*(values_under(SECRET.search, one.get("extra_config")) for one in clusters))


def _check_files(found: Settings) -> None:
    for name, path in found.items():
        if name.endswith(".location"):
            try:
                with contextlib.closing(os.fdopen(os.open(path, os.O_RDONLY))):
                    pass
            except OSError as error:
                raise StreamsError(f"Reading of '{path}' for {name}", error.strerror or str(error)) from error
