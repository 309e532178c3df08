# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SASL, TLS and rights: from nuxeo.conf's own kafka.*, and the missing right by its name."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._streams import wire
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from servers.kafka.kafka_server import USERS, Kafka
from servers.kafka.proxy import Relay
from servers.kafka.tools import Failed, Site, module

from .conftest import VERSION, Copying

pytestmark = pytest.mark.xdist_group("streams-2")

NOW = int(time.time() * 1000)
STORE_PASSWORD = "st0re pa'ss"


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    with Kafka(VERSION, str(tmp_path_factory.mktemp("secure")), secure=True) as kafka:
        yield kafka


@pytest.fixture()
def copying(secure, tmp_path):
    found = Copying(Site(secure.bootstrap), tmp_path)
    found.site.create(found.name("work-a"), 2)
    found.site.send(found.name("work-a"), [(n % 2, NOW, b"k", b"%d" % n) for n in range(50)])
    found.site.commit(found.name("work-a"), {(found.name("work-a"), 0): 3})
    return found


def stores(kafka, folder):
    """Java's own stores, made by Java's own tool."""
    tls = f"{kafka.folder}/tls"
    trust, key = str(folder / "trust.jks"), str(folder / "key.jks")
    quiet = {"capture_output": True, "timeout": 60}
    subprocess.run(
        [
            "keytool",
            "-importcert",
            "-noprompt",
            "-alias",
            "a",
            "-file",
            f"{tls}/authority.pem",
            "-keystore",
            trust,
            "-storetype",
            "JKS",
            "-storepass",
            STORE_PASSWORD,
        ],
        check=True,
        **quiet,
    )
    subprocess.run(
        [
            "openssl",
            "pkcs12",
            "-export",
            "-in",
            f"{tls}/client.pem",
            "-inkey",
            f"{tls}/client.key",
            "-name",
            "c",
            "-out",
            str(folder / "c.p12"),
            "-passout",
            f"pass:{STORE_PASSWORD}",
        ],
        check=True,
        **quiet,
    )
    subprocess.run(
        [
            "keytool",
            "-importkeystore",
            "-noprompt",
            "-srckeystore",
            str(folder / "c.p12"),
            "-srcstoretype",
            "PKCS12",
            "-srcstorepass",
            STORE_PASSWORD,
            "-destkeystore",
            key,
            "-deststoretype",
            "JKS",
            "-deststorepass",
            STORE_PASSWORD,
        ],
        check=True,
        **quiet,
    )
    return trust, key


def conf(folder, prefix, **properties):
    home = folder / "home"
    (home / "templates/common/config").mkdir(parents=True)
    (home / "templates/common/nuxeo.defaults").write_text("")
    (home / "templates/nuxeo.defaults").write_text("")
    (home / "templates/default").mkdir()
    (home / "templates/default/nuxeo.defaults").write_text("nuxeo.template.includes=common\n")
    (home / "templates/common/config/distribution.properties").write_text("org.nuxeo.distribution.version=10.10\n")
    (home / "bin").mkdir()
    lines = {"nuxeo.templates": "default", "kafka.enabled": "true", "kafka.topicPrefix": prefix, **properties}
    path = home / "bin/nuxeo.conf"
    path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    return {"nuxeo_conf": str(path), "nuxeo_home": str(home), "nuxeo_environment": {}, "nuxeo_version": "10.10"}


def jaas(user, login):
    secret = USERS[user].replace("\\", "\\\\").replace('"', '\\"').replace("\\", "\\\\")
    return f'org.apache.kafka.common.security.{login} required username="{user}" password="{secret}";'


WAYS = {
    "plain": ("SASL_PLAINTEXT", "PLAIN", "nuxeo", "plain.PlainLoginModule"),
    "scram-256": ("SASL_PLAINTEXT", "SCRAM-SHA-256", "admin", "scram.ScramLoginModule"),
    "scram-512 over TLS": ("SASL_SSL", "SCRAM-SHA-512", "admin", "scram.ScramLoginModule"),
    "TLS": ("SSL", None, None, None),
}


@pytest.mark.parametrize("way", WAYS)
def test_nuxeo_conf_is_enough(secure, copying, tmp_path, way, monkeypatch):
    converted = tmp_path / "converted"
    converted.mkdir()
    monkeypatch.setenv("TMPDIR", str(converted))
    protocol, mechanism, user, login = WAYS[way]
    properties = {"kafka.bootstrap.servers": secure.addresses(protocol)[0]}
    if mechanism:
        properties.update(
            {
                "kafka.sasl.enabled": "true",
                "kafka.security.protocol": protocol,
                "kafka.sasl.mechanism": mechanism,
                "kafka.sasl.jaas.config": jaas(user, login),
            }
        )
    if protocol.endswith("SSL"):
        trust, key = stores(secure, tmp_path)
        properties.update(
            {
                "kafka.ssl": "true",
                "kafka.truststore.path": trust,
                "kafka.truststore.password": STORE_PASSWORD,
                "kafka.keystore.path": key,
                "kafka.keystore.password": STORE_PASSWORD,
            }
        )
    if user == "nuxeo":
        allow(copying, "nuxeo", READER)
    if protocol == "SSL":
        allow(copying, "CN=client", READER)
    options = conf(tmp_path, copying.source, **properties)
    result = module("kafka_topic_info", {**options, "dest": copying.streams})
    assert result["topic_count"] == 1 and result["groups"][0]["lag"] == 22
    text = json.dumps(result) + Path(copying.streams).read_text()
    assert STORE_PASSWORD not in text and "secret" not in text
    assert Path(copying.streams).stat().st_mode & 0o777 == 0o600
    assert not list(converted.iterdir()), "a key that was converted is left"


def test_a_wrong_password_and_an_unknown_authority_are_named(secure, copying):
    base = {"prefix": copying.source, "timeout": 4}
    with pytest.raises(Failed, match="(?i)authentication") as error:
        module(
            "kafka_topic_info",
            {
                **base,
                "bootstrap_servers": secure.addresses("SASL_PLAINTEXT"),
                "sasl_mechanism": "PLAIN",
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_username": "admin",
                "sasl_password": "wr0ng!",
            },
        )
    assert "wr0ng!" not in json.dumps(error.value.result["msg"])
    with pytest.raises(Failed, match="(?i)certificate|ssl"):
        module(
            "kafka_topic_info",
            {
                **base,
                "bootstrap_servers": secure.addresses("SASL_SSL"),
                "sasl_mechanism": "PLAIN",
                "security_protocol": "SASL_SSL",
                "sasl_username": "admin",
                "sasl_password": "admin-secret",
            },
        )
    with pytest.raises(Failed, match="Use the option made for it"):
        module(
            "kafka_topic_info",
            {**base, "bootstrap_servers": secure.addresses(), "extra_config": {"sasl.password": "x"}},
        )


READER = [("TOPIC", "source", "DESCRIBE"), ("TOPIC", "source", "DESCRIBE_CONFIGS"), ("GROUP", "source", "DESCRIBE")]
COPIER = [
    ("TOPIC", "source", "READ"),
    *[("TOPIC", "target", right) for right in ("CREATE", "WRITE", "READ", "ALTER_CONFIGS")],
    ("GROUP", "target", "READ"),
]


def allow(copying, user, rights):
    bindings = [
        AclBinding(
            ResourceType[kind],
            getattr(copying, prefix),
            ResourcePatternType.PREFIXED,
            f"User:{user}",
            "*",
            AclOperation[right],
            AclPermissionType.ALLOW,
        )
        for kind, prefix, right in rights
    ]
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{user}", None, AclOperation.ANY, AclPermissionType.ANY
    )
    for future in copying.site.admin.delete_acls([everything]).values():
        future.result(20)
    for future in copying.site.admin.create_acls(bindings).values():
        future.result(20)
    time.sleep(0.5)


def as_copier(secure):
    return {
        "bootstrap_servers": secure.addresses("SASL_PLAINTEXT"),
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_username": "copier",
        "sasl_password": USERS["copier"],
    }


def test_just_the_rights_that_are_told_are_enough(secure, copying):
    allow(copying, "copier", READER)
    copying.backup(**as_copier(secure))
    allow(copying, "copier", COPIER)
    assert copying.restore(check=True, **as_copier(secure))["records"] == 50
    assert copying.restore(**as_copier(secure))["records"] == 50
    assert copying.site.positions(copying.copied("work-a")) == {(copying.copied("work-a"), 0): 3}


@pytest.mark.parametrize("lacking", COPIER, ids="-".join)
def test_one_right_fewer_is_named_before_the_first_change(secure, copying, lacking):
    copying.backup()
    allow(copying, "copier", [right for right in COPIER if right != lacking])
    with pytest.raises(Failed) as error:
        copying.restore(**as_copier(secure))
    where = f"on {lacking[0].lower()} '{getattr(copying, lacking[1])}work-a'"
    named = [f"{right} {where}" for right in (lacking[2], "DESCRIBE")]  # without READ on the source not even DESCRIBE
    assert set(named) & set(error.value.result["missing_rights"]), error.value.result["msg"]
    assert where in error.value.result["msg"]
    assert copying.copied("work-a") not in copying.site.admin.list_topics(timeout=10).topics
    assert not Path(copying.state).exists()
    allow(copying, "copier", COPIER)
    assert copying.restore(**as_copier(secure))["records"] == 50


@pytest.mark.parametrize("lacking", ["WRITE", "READ", "ALTER_CONFIGS"])
def test_with_a_key_in_a_java_store_the_right_is_named_before_any_record(secure, copying, tmp_path, lacking):
    """Python reads no such key, so nothing can be asked about a topic that is not there."""
    trust, key = stores(secure, tmp_path)
    way = conf(
        tmp_path,
        copying.source,
        **{
            "kafka.bootstrap.servers": secure.addresses("SSL")[0],
            "kafka.ssl": "true",
            "kafka.truststore.path": trust,
            "kafka.truststore.password": STORE_PASSWORD,
            "kafka.keystore.path": key,
            "kafka.keystore.password": STORE_PASSWORD,
        },
    )
    copying.backup()
    new = copying.copied("work-a")
    allow(copying, "CN=client", [right for right in COPIER if right != ("TOPIC", "target", lacking)])
    with pytest.raises(Failed) as error:
        copying.restore(**way, bootstrap_servers=None)
    assert error.value.result["missing_rights"] == [f"{lacking} on topic '{new}'"]
    assert copying.site.rows(new) == copying.site.rows(new, 1) == []
    allow(copying, "CN=client", COPIER)
    assert copying.restore(**way, bootstrap_servers=None)["records"] == 50


def test_without_any_right_on_the_new_prefix_all_are_named(secure, copying):
    copying.backup()
    allow(copying, "copier", [right for right in COPIER if right[1] == "source"])
    with pytest.raises(Failed) as error:
        copying.restore(**as_copier(secure))
    new = copying.copied("work-a")
    assert set(error.value.result["missing_rights"]) == {
        *[f"{right} on topic '{new}'" for right in ("CREATE", "WRITE", "READ", "ALTER_CONFIGS")],
        f"READ on group '{new}'",
    }


LOGINS = {
    "plain": ("SASL_PLAINTEXT", {"sasl.mechanism": "PLAIN"}),
    "scram-256": ("SASL_PLAINTEXT", {"sasl.mechanism": "SCRAM-SHA-256"}),
    "scram-512 over TLS": ("SASL_SSL", {"sasl.mechanism": "SCRAM-SHA-512"}),
    "TLS": ("SSL", {"certificate": "client"}),
}


@pytest.mark.parametrize("login", LOGINS)
def test_what_may_be_done_on_a_topic_that_is_not_there(secure, copying, login):
    protocol, settings = LOGINS[login]
    settings = {**secure.client(protocol, "copier"), **settings}
    if settings.pop("certificate", None):
        tls = f"{secure.folder}/tls"
        settings.update({"ssl.certificate.location": f"{tls}/client.pem", "ssl.key.location": f"{tls}/client.key"})
    user = "CN=client" if login == "TLS" else "copier"
    allow(copying, user, [("TOPIC", "target", right) for right in ("CREATE", "WRITE")])
    new = copying.copied("work-a")
    found = wire.operations(settings, [new, copying.name("work-a")], 10)
    assert found == {new: {"CREATE", "WRITE", "DESCRIBE"}, copying.name("work-a"): frozenset()}
    assert new not in copying.site.admin.list_topics(timeout=10).topics


def test_what_may_be_done_is_asked_of_the_next_broker_and_never_for_ever(secure, copying):
    silent, new = Relay(), copying.copied("work-a")
    settings = secure.client("SASL_PLAINTEXT", "admin", "SCRAM-SHA-256")
    alone = {**settings, "bootstrap.servers": f"127.0.0.1:{silent.port}"}
    assert wire.operations(alone, [new], 1) == {}
    both = {**settings, "bootstrap.servers": f"127.0.0.1:{silent.port},{settings['bootstrap.servers']}"}
    assert {"READ", "WRITE", "ALTER_CONFIGS"} <= wire.operations(both, [new], 4)[new]
    assert wire.operations({**settings, "sasl.password": "wr0ng!"}, [new], 4) == {}
    assert wire.operations({**settings, "sasl.mechanism": "GSSAPI"}, [new], 4) == {}
    silent.close()


def test_who_may_write_nothing_may_not_write_in_order(secure, copying):
    """Brokers before 2.8 ask for a right of its own and answer in the same way."""
    settings, silent = {**secure.client("SASL_PLAINTEXT", "copier"), "sasl.mechanism": "SCRAM-SHA-256"}, Relay()
    allow(copying, "copier", [right for right in COPIER if right[2] != "WRITE"])
    assert not wire.may_write_in_order(settings, 10)
    allow(copying, "copier", COPIER)
    assert wire.may_write_in_order(settings, 10)
    assert wire.may_write_in_order({**settings, "bootstrap.servers": f"127.0.0.1:{silent.port}"}, 1)
    silent.close()


@pytest.mark.parametrize("lacking", READER, ids="-".join)
def test_a_backup_that_may_not_see_all_fails(secure, copying, lacking):
    allow(copying, "copier", [right for right in READER if right != lacking])
    with pytest.raises(Failed, match="(?i)authoriz|no right DESCRIBE"):
        copying.backup(**as_copier(secure))
    assert not Path(copying.streams).exists()


@pytest.mark.parametrize("conf_is_of", ["source", "target"])
def test_from_one_cluster_into_another_each_with_its_own_login(secure, broker, copying, conf_is_of):
    copying.backup()
    there, here = {"bootstrap_servers": [broker.bootstrap]}, {**as_copier(secure), "sasl_username": "admin"}
    here["sasl_password"] = USERS["admin"]
    way = {**here, "target": there} if conf_is_of == "source" else {**there, "source": here}
    assert copying.restore(check=True, **way)["records"] == 50
    done = copying.restore(**way)
    assert done["records"] == 50 and USERS["admin"] not in json.dumps(done)
    new, other = copying.copied("work-a"), Site(broker.bootstrap)
    for number in range(2):
        assert other.rows(new, number) == copying.site.rows(copying.name("work-a"), number)
    assert other.positions(new) == {(new, 0): 3}
    assert new not in copying.site.admin.list_topics(timeout=10).topics
    assert not copying.restore(**way)["changed"]
    assert not copying.restore(retention="released", wait_for_groups=False, **there)["gaps"]
    assert other.configs(new) == copying.site.configs(copying.name("work-a"))
