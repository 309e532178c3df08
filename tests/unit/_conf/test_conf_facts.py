# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stores that a configuration names, per line of versions, and that no secret is told."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.facts import facts
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import read_version, resolve

VERSIONS = ["8.10", "9.10", "10.10", "2021", "2023", "2025"]
OLD = ["8.10", "9.10", "10.10", "2021", "2023"]
KEYS = {
    *("version", "conf", "home", "templates", "properties", "data_dir", "log_dir", "database", "blobs"),
    *("search", "audit", "sequences", "streams", "cluster", "unread", "pending_restart", "key_problems"),
}
# what the stock templates of each line say, as far as it matters here
COMMON_OLD = """elasticsearch.enabled=true
elasticsearch.addressList=
elasticsearch.indexName=nuxeo
audit.elasticsearch.enabled=false
audit.elasticsearch.indexName=${elasticsearch.indexName}-audit
seqgen.elasticsearch.indexName=${elasticsearch.indexName}-uidgen
"""
COMMON = """nuxeo.server.http.port=8080
kafka.enabled=false
kafka.bootstrap.servers=localhost:9092
kafka.topicPrefix=nuxeo-
kafka.sasl.enabled=false
kafka.security.protocol=SASL_PLAINTEXT
kafka.sasl.mechanism=SCRAM-SHA-256
kafka.ssl=false
"""
MANAGERS = {
    **dict.fromkeys(("8.10", "9.10", "10.10", "2021"), "org.nuxeo.ecm.core.blob.binary.DefaultBinaryManager"),
    **dict.fromkeys(("2023", "2025"), "org.nuxeo.ecm.core.blob.LocalBlobProvider"),
}
CLIENT = "client.server=${nuxeo.opensearch1.client.server:=${elasticsearch.addressList:=}}\n"
AUDIT = "nuxeo.audit.backend.default"
PACKAGES = {
    "opensearch1-search-client": "nuxeo.search.client.default.name=opensearch\n"
    "nuxeo.search.client.default.opensearch1.index.name=${elasticsearch.indexName:=nuxeo}\n"
    "nuxeo.search.client.default.opensearch1." + CLIENT,
    "opensearch1-audit": f"{AUDIT}.factory=org.nuxeo.audit.opensearch1.OpenSearchAuditBackendFactory\n"
    f"{AUDIT}.opensearch1.index.name=${{audit.elasticsearch.indexName:=${{elasticsearch.indexName:=nuxeo}}-audit}}\n"
    f"{AUDIT}.opensearch1." + CLIENT,
    "sql-audit": f"{AUDIT}.factory=org.nuxeo.audit.sql.SQLAuditBackendFactory\n",
    "mongodb-audit": f"{AUDIT}.factory=org.nuxeo.audit.mongodb.MongoDBAuditBackendFactory\n"
    f"{AUDIT}.mongodb.collection.name=${{nuxeo.mongodb.audit.collection.name:=audit}}\n"
    # as it is shipped: a closing brace is missing in a value that nobody here uses
    f"{AUDIT}.mongodb.truststore.type=${{nuxeo.mongodb.truststore.type\n",
    "opensearch1-uidgen": "nuxeo.uidsequencer.default.class=org.nuxeo.uidgen.opensearch1.OpenSearchUIDSequencer\n"
    "nuxeo.uidsequencer.default.opensearch1.index.name="
    "${seqgen.elasticsearch.indexName:=${elasticsearch.indexName:=nuxeo}-uidgen}\n",
    "sql-uidgen": "nuxeo.uidsequencer.default.class=org.nuxeo.ecm.platform.uidgen.JPAUIDSequencerImpl\n",
    "opensearch1-embed": "nuxeo.opensearch1.embed.enabled=true\nnuxeo.opensearch1.embed.dataPath=\n",
}
Facts = t.Callable[..., t.Dict[str, t.Any]]


def stock(version: str) -> dict[str, str]:
    """Files of a small home of a version."""
    store = "" if version in ("8.10", "9.10") else "${nuxeo.binarystores.root}/binaries"
    top = f"nuxeo.data.dir=nxserver/data\nnuxeo.mongodb.server=\nrepository.binary.store={store}\n"
    if store:
        top += "nuxeo.binarystores.root=${nuxeo.data.dir}\n"
    base = COMMON + f"nuxeo.core.binarymanager={MANAGERS[version]}\n" + (COMMON_OLD if version != "2025" else "")
    url = "nuxeo.db.jdbc.url=jdbc:h2:$${nuxeo.data.dir}/h2/nuxeo\nnuxeo.db.user=sa\nnuxeo.db.name=nuxeo\n"
    templates = {"common": base, "default": "nuxeo.template.includes=common\n" + url}
    templates["mongodb"] = "nuxeo.template.includes=default\nnuxeo.mongodb.server=localhost:27017\n"
    templates["postgresql"] = (
        "nuxeo.template.includes=common\nnuxeo.db.host=localhost\nnuxeo.db.port=5432\nnuxeo.db.name=nuxeo\n"
        "nuxeo.db.jdbc.url=jdbc:postgresql://${nuxeo.db.host}:${nuxeo.db.port}/${nuxeo.db.name}\n"
    )
    templates.update(PACKAGES if version == "2025" else {"mongodb-audit": "nuxeo.template.includes=mongodb\n"})
    files = {f"templates/{name}/nuxeo.defaults": text for name, text in templates.items()}
    files["templates/nuxeo.defaults"] = top
    files["templates/common/config/distribution.properties"] = f"org.nuxeo.distribution.version={version}-HF01\n"
    return files


@pytest.fixture
def read(tmp_path: Path) -> Facts:
    def make(version: str, conf: str = "", *wanted: str) -> dict[str, t.Any]:
        home = tmp_path / "home"
        for name, text in {**stock(version), "bin/nuxeo.conf": conf}.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        found = facts(resolve(str(home / "bin/nuxeo.conf"), str(home), {}), wanted)
        assert set(found) == KEYS
        return t.cast(t.Dict[str, t.Any], json.loads(json.dumps(found).replace(str(home), "<home>")))

    return make


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_is_read(read: Facts, version: str) -> None:
    found = read(version)
    assert found["version"] == f"{version}-HF01"
    assert found["conf"] == "<home>/bin/nuxeo.conf"
    assert found["home"] == "<home>"
    assert found["templates"] == ["common", "default"]
    assert found["data_dir"] == "<home>/nxserver/data"
    assert found["log_dir"] == "<home>/log"
    assert found["cluster"] == {"enabled": False, "id": None, "redis": None}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("closed", ["postgresql", "postgresql/nuxeo.defaults"])
def test_a_template_that_may_not_be_looked_at_is_not_taken_for_absent(
    read: Facts, version: str, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def stat(path: t.Any, *more: t.Any, **words: t.Any) -> os.stat_result:
        if str(path).endswith(f"templates/{closed}"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *more, **words)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(ConfError, match=f"templates/{closed}': Permission denied. Run as root"):
        read(version, "nuxeo.templates=postgresql\n")


@pytest.mark.parametrize("version", VERSIONS)
def test_blobs_by_default(read: Facts, version: str) -> None:
    store = {
        "provider": "default",
        "path": "<home>/nxserver/data/binaries",
        "kind": "file",
        "digest": "MD5",
        "depth": 2,
    }
    assert read(version)["blobs"] == [store]


@pytest.mark.parametrize(
    ("version", "lines", "path"),
    [
        ("9.10", "repository.binary.store=/mnt/b\n", "/mnt/b"),
        ("9.10", "repository.binary.store=b\n", "<home>/nxserver/data/b"),
        ("10.10", "nuxeo.binarystores.root=/mnt/shared\n", "/mnt/shared/binaries"),
        ("2023", "nuxeo.data.dir=/mnt/data/\n", "/mnt/data/binaries"),
        ("10.10", "nuxeo.data.dir=/mnt/data/\n", "/mnt/data/binaries"),
        ("2023", "repository.binary.store=/mnt/b/\n", "/mnt/b"),
        ("2023", "repository.binary.store=../b\n", "<home>/nxserver/b"),
        ("9.10", "repository.binary.store=../b\n", "<home>/nxserver/data/../b"),
    ],
)
def test_where_blobs_are(read: Facts, version: str, lines: str, path: str) -> None:
    assert read(version, lines)["blobs"][0]["path"] == path


@pytest.mark.parametrize(
    ("manager", "kind"),
    [
        ("org.nuxeo.ecm.core.blob.binary.AESBinaryManager", "encrypted"),
        ("org.nuxeo.ecm.core.blob.AESBlobProvider", "encrypted"),
        ("org.nuxeo.ecm.blob.s3.S3BlobProvider", "s3"),
        ("org.nuxeo.ecm.core.storage.sql.S3BinaryManager", "s3"),
        ("org.nuxeo.ecm.core.storage.gcp.GoogleStorageBlobProvider", "gcs"),
        ("org.nuxeo.ecm.core.storage.gcp.GoogleStorageBinaryManager", "gcs"),
        ("org.nuxeo.ecm.blob.azure.AzureBlobProvider", "azure"),
        ("org.nuxeo.ecm.blob.azure.AzureBinaryManager", "azure"),
        ("org.nuxeo.ecm.core.storage.mongodb.blob.GridFSBlobProvider", "gridfs"),
        ("com.example.Mine", "other"),
    ],
)
def test_kinds_of_stores(read: Facts, manager: str, kind: str) -> None:
    found = read("2023", f"nuxeo.core.binarymanager={manager}\n")["blobs"][0]
    assert found["kind"] == kind
    assert (found["path"] is None) == (kind != "encrypted")


@pytest.mark.parametrize(
    ("manager", "lines", "bucket"),
    [
        ("S3BlobProvider", "nuxeo.s3storage.bucket=acme\nnuxeo.s3storage.bucket_prefix=prod/\n", "s3:acme/prod"),
        (
            "S3BinaryManager",
            "nuxeo.s3storage.endpoint=https://u:canary@minio:9000\nnuxeo.s3storage.bucket=${my.bucket}\nmy.bucket=b\n",
            "s3:https://********@minio:9000/b",
        ),
        ("S3BlobProvider", "nuxeo.s3storage.bucket_prefix=prod/\n", None),
        ("GoogleStorageBlobProvider", "nuxeo.gcp.project=p\nnuxeo.gcp.storage.bucket=acme\n", "gcs:p/acme"),
        (
            "AzureBlobProvider",
            "nuxeo.storage.azure.account.name=a\nnuxeo.storage.azure.account.key=canary\n"
            "nuxeo.storage.azure.container=c\nnuxeo.storage.azure.prefix=prod\n",
            "azure:a/c/prod",
        ),
        ("GridFSBlobProvider", "nuxeo.s3storage.bucket=acme\n", None),
    ],
)
def test_the_bucket_of_an_object_store(read: Facts, manager: str, lines: str, bucket: str | None) -> None:
    found = read("2023", f"nuxeo.core.binarymanager=org.nuxeo.ecm.{manager}\n{lines}")["blobs"][0]
    assert found["bucket"] == bucket


@pytest.mark.parametrize(("version", "digest"), [("10.10", "SHA-256"), ("2021", "SHA-256"), ("2023", "MD5")])
def test_the_digest_of_a_store(read: Facts, tmp_path: Path, version: str, digest: str) -> None:
    folder = tmp_path / "home/nxserver/data/binaries"
    folder.mkdir(parents=True)
    text = "<?xml version='1.0'?><binary-store><digest>SHA-256</digest><depth>3</depth></binary-store>"
    (folder / "config.xml").write_text(text, encoding="utf-8")
    found = read(version)["blobs"][0]
    assert (found["digest"], found["depth"]) == (digest, 3)


def test_a_broken_config_xml_is_an_error(read: Facts, tmp_path: Path) -> None:
    folder = tmp_path / "home/nxserver/data/binaries"
    folder.mkdir(parents=True)
    (folder / "config.xml").write_text("<binary-store>", encoding="utf-8")
    with pytest.raises(ConfError, match=r"config\.xml"):
        read("2023")


@pytest.mark.parametrize("version", ["10.10", "2021", "2023", "2025"])
def test_fulltext_in_blobs(read: Facts, version: str) -> None:
    found = read(version, "nuxeo.vcs.fulltext.storedInBlob=true\n")["blobs"]
    assert [(store["provider"], store["path"]) for store in found][1] == ("fulltext", "<home>/nxserver/data/fulltext")
    renamed = read(version, "nuxeo.fulltext.storedInBlob=true\n")["blobs"]
    assert renamed == (found if version == "2025" else found[:1])


@pytest.mark.parametrize("version", OLD)
def test_search_audit_and_sequences_up_to_2023(read: Facts, version: str) -> None:
    shipped = "audit.elasticsearch.enabled=true\nelasticsearch.httpEnabled=true\nelasticsearch.client=RestClient\n"
    found = read(version, shipped)
    assert (found["search"]["kind"], found["search"]["embedded"]) == ("elasticsearch", True)
    assert found["search"]["path"] == "<home>/nxserver/data/elasticsearch"
    assert found["search"]["home"] == (None if version == "8.10" else "<home>/tmp/elasticsearch")
    assert found["audit"] == {"kept": "elasticsearch", "index": "nuxeo-audit"}
    assert found["sequences"] == {"kept": "elasticsearch", "index": "nuxeo-uidgen"}
    found = read(version, "elasticsearch.indexName=x\n")
    assert found["audit"] == {"kept": "sql", "table": "NXP_LOGS"}
    assert found["sequences"] == {"kept": "elasticsearch", "index": "x-uidgen"}
    found = read(version, "elasticsearch.enabled=false\naudit.elasticsearch.enabled=true\n")
    assert found["search"]["kind"] == "none"
    assert found["audit"] == {"kept": "sql", "table": "NXP_LOGS"}
    assert found["sequences"] == {"kept": "sql", "table": "NXP_UIDSEQ"}


@pytest.mark.parametrize("version", ["9.10", "10.10", "2021", "2023"])
def test_the_home_of_an_embedded_engine_is_as_java_writes_it(read: Facts, version: str) -> None:
    assert read(version, "nuxeo.tmp.dir=/var/tmp/nuxeo/\n")["search"]["home"] == "/var/tmp/nuxeo/elasticsearch"


@pytest.mark.parametrize("version", ["9.10", "10.10", "2021", "2023"])
def test_audit_in_mongodb_wins_over_elasticsearch(read: Facts, version: str) -> None:
    found = read(version, "nuxeo.templates=mongodb,mongodb-audit\naudit.elasticsearch.enabled=true\n")
    assert found["database"]["kind"] == "mongodb"
    assert found["audit"] == {"kept": "mongodb", "collection": "audit"}
    assert found["sequences"] == {"kept": "mongodb", "collection": "sequence"}
    assert found["search"]["kind"] == "elasticsearch"


@pytest.mark.parametrize(
    ("version", "lines", "client", "urls"),
    [
        ("10.10", "elasticsearch.client=RestClient\n", "rest", ["http://a:9200", "https://b:9200"]),
        ("10.10", "", "transport", ["a:9200", "https://b:9200"]),
        ("2023", "elasticsearch.client=RestClient\n", "rest", ["http://a:9200", "https://b:9200"]),
    ],
)
@pytest.mark.parametrize("login", ["", "u:canary@", "u:can/ary@", "u:1/canary@", "u:c@nary@", "u:can,ary@"])
def test_addresses_of_the_search_engine(
    read: Facts, version: str, lines: str, client: str, urls: list[str], login: str
) -> None:
    found = read(version, lines + f"elasticsearch.addressList=a:9200,https://{login}b:9200\n")["search"]
    urls = [url.replace("https://", "https://********@") if login else url for url in urls]
    assert (found["embedded"], found["client"], found["url"], found["path"]) == (False, client, urls, None)


def test_2025_by_default(read: Facts) -> None:
    found = read("2025", "audit.elasticsearch.enabled=true\nelasticsearch.enabled=true\n")
    assert found["search"]["kind"] == "none"
    assert found["audit"] == {"kept": "memory"}
    assert found["sequences"] == {"kept": "sql", "table": "kv_sequence"}
    assert found["streams"] == {"kind": "memory"}


def test_2025_with_the_old_names(read: Facts) -> None:
    lines = "nuxeo.templates=default,opensearch1-search-client,opensearch1-audit,opensearch1-uidgen\n"
    found = read("2025", lines + "elasticsearch.addressList=a:9200,b:9200\nelasticsearch.indexName=docs\n")
    assert (found["search"]["kind"], found["search"]["index"]) == ("opensearch", "docs")
    assert found["search"]["url"] == ["http://a:9200", "http://b:9200"]
    assert (found["audit"]["kept"], found["audit"]["index"]) == ("elasticsearch", "docs-audit")
    assert found["audit"]["url"] == ["http://a:9200", "http://b:9200"]
    assert (found["sequences"]["kept"], found["sequences"]["index"]) == ("elasticsearch", "docs-uidgen")
    found = read("2025", lines + "nuxeo.opensearch1.client.server=https://c:9200\naudit.elasticsearch.indexName=x\n")
    assert found["search"]["url"] == ["https://c:9200"]
    assert found["audit"]["index"] == "x"


def test_2025_embedded(read: Facts) -> None:
    lines = "nuxeo.templates=default,opensearch1-search-client,opensearch1-embed\nnuxeo.data.dir=/mnt/data\n"
    found = read("2025", lines)["search"]
    assert (found["kind"], found["embedded"], found["url"]) == ("opensearch", True, [])
    assert found["path"] == "<home>/nxserver/data/opensearch"  # wherever the data folder is
    found = read("2025", lines + "nuxeo.opensearch1.embed.dataPath=nxserver/data/search\n")["search"]
    assert found["path"] == "<home>/nxserver/data/search"


def test_2025_packages(read: Facts) -> None:
    found = read("2025", "nuxeo.templates=default,sql-audit,sql-uidgen\n")
    assert found["audit"] == {"kept": "sql", "table": "NXP_LOGS"}
    assert found["sequences"] == {"kept": "sql", "table": "NXP_UIDSEQ"}
    found = read("2025", "nuxeo.templates=mongodb,mongodb-audit\n", "nuxeo.audit.*")
    assert found["audit"] == {"kept": "mongodb", "collection": "audit"}
    assert found["sequences"] == {"kept": "mongodb", "collection": "kv.sequence"}
    left = found["properties"]["nuxeo.audit.backend.default.mongodb.truststore.type"]
    assert left == "${nuxeo.mongodb.truststore.type"


@pytest.mark.parametrize("version", ["10.10", "2021", "2023", "2025"])
def test_the_bodies_of_works_that_are_too_big_for_a_record(read: Facts, version: str) -> None:
    words = "nuxeo.stream.work.computation.filter"
    lines = f"kafka.enabled=true\nnuxeo.stream.work.enabled=true\n{words}.enabled=true\nnuxeo.binarystores.root=/mnt\n"
    assert read(version, lines)["streams"]["big_works"] == "/mnt/binaries_transient_default"
    assert read(version, f"{lines}{words}.storeName=x\n")["streams"]["big_works"] == "/mnt/binaries_transient_x"
    store = "org.nuxeo.ecm.core.work.KeyValueStoreOverflowRecordFilter"
    for more in ("nuxeo.stream.work.enabled=false", f"{words}.enabled=false", f"{words}.class={store}"):
        assert "big_works" not in read(version, f"{lines}{more}\n")["streams"]
    s3 = "nuxeo.core.binarymanager=org.nuxeo.ecm.blob.s3.S3BlobProvider\n"
    assert "big_works" not in read(version, lines + s3)["streams"]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("8.10", {"kind": "none"}),
        ("9.10", {"kind": "chronicle", "path": "<home>/nxserver/data/stream"}),
        ("10.10", {"kind": "chronicle", "path": "<home>/nxserver/data/stream"}),
        ("2021", {"kind": "chronicle", "path": "<home>/nxserver/data/stream"}),
        ("2023", {"kind": "memory"}),
        ("2025", {"kind": "memory"}),
    ],
)
def test_streams_without_kafka(read: Facts, version: str, expected: dict[str, str]) -> None:
    assert read(version)["streams"] == expected


@pytest.mark.parametrize("folder", ["${nuxeo.data.dir}/queues", "nxserver/data/queues"])
def test_a_chronicle_folder_of_its_own(read: Facts, folder: str) -> None:
    """A relative one is that of the server's working directory, its home, and not of whoever asks."""
    found = read("10.10", f"nuxeo.stream.chronicle.dir={folder}\n")
    assert found["streams"]["path"] == "<home>/nxserver/data/queues"


@pytest.mark.parametrize(
    ("lines", "security", "mechanism"),
    [
        ("kafka.security.protocol=SASL_SSL\n", "PLAINTEXT", None),
        ("kafka.ssl=true\n", "SSL", None),
        ("kafka.sasl.enabled=true\n", "SASL_PLAINTEXT", "SCRAM-SHA-256"),
        ("kafka.sasl.enabled=true\nkafka.ssl=true\nkafka.security.protocol=SASL_SSL\n", "SASL_SSL", "SCRAM-SHA-256"),
        ("kafka.sasl.enabled=true\nkafka.security.protocol=sasl_ssl\n", "SASL_SSL", "SCRAM-SHA-256"),
    ],
)
def test_kafka(read: Facts, lines: str, security: str, mechanism: str | None) -> None:
    more = "kafka.enabled=true\nkafka.bootstrap.servers=a:1, b:2\nkafka.topicPrefix=docs\n"
    found = read("2023", more + lines)["streams"]
    assert found["bootstrap_servers"] == ["a:1", "b:2"]
    assert (found["kind"], found["prefix"]) == ("kafka", "docs")
    assert (found["security"], found["sasl_mechanism"]) == (security, mechanism)


@pytest.mark.parametrize(
    ("version", "lines", "enabled", "identity"),
    [
        ("10.10", "repository.clustering.enabled=true\nrepository.clustering.id=1\n", True, "1"),
        ("10.10", "nuxeo.cluster.enabled=true\n", False, None),
        ("2021", "nuxeo.cluster.enabled=true\nnuxeo.cluster.nodeid=n1\n", True, "n1"),
        ("2023", "repository.clustering.enabled=true\nrepository.clustering.id=7\n", True, "7"),
        ("2023", "nuxeo.cluster.enabled=false\nrepository.clustering.enabled=true\n", False, None),
    ],
)
def test_cluster(read: Facts, version: str, lines: str, enabled: bool, identity: str | None) -> None:
    found = read(version, lines)["cluster"]
    assert (found["enabled"], found["id"]) == (enabled, identity)


def test_redis(read: Facts) -> None:
    lines = "nuxeo.redis.enabled=true\nnuxeo.redis.host=r\nnuxeo.redis.password=hidden\n"
    found = read("10.10", lines)["cluster"]["redis"]
    assert found == {"host": "r", "port": 6379, "database": 0, "prefix": "nuxeo:", "sentinel": None}
    assert read("2023", lines)["cluster"]["redis"] is None
    with pytest.raises(ConfError, match=r"^Reading of nuxeo\.redis\.port: 'x' is no number\."):
        read("10.10", f"{lines}nuxeo.redis.port=x\n")


SECRETS = """nuxeo.db.password=canary1
nuxeo.s3storage.awssecret=canary2
nuxeo.s3storage.awsid=canary3
kafka.sasl.jaas.config=module required username="u" password="canary4";
server.status.key=canary5
nuxeo.jwt.secret=canary6
my.url=https://user:canary7@host/path
my.reference=<${nuxeo.db.password}>
my.option=-Da=b -Dx.password=canary8 -Dc=d
nuxeo.db.jdbc.url=jdbc:oracle:thin:nuxeo/${nuxeo.db.password}@h:1:n
my.variable=a-${env:MY_PASSWORD}-b
nuxeo.core.binarymanager_key=password=canary10
nuxeo.mongodb.truststore.password=canary11
my.api.key=canary12
my.chain=${my.reference}
my.link=postgresql://h/n?user=u&password=canary13
"""


@pytest.mark.parametrize("wanted", [["*"], ["nuxeo.db.password", "*secret*", "my.*", "*key*", "*url*", "*password*"]])
def test_no_secret_is_told(tmp_path: Path, wanted: list[str]) -> None:
    home = tmp_path / "home"
    for name, text in {**stock("2023"), "bin/nuxeo.conf": SECRETS}.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    found = facts(resolve(str(home / "bin/nuxeo.conf"), str(home), {"MY_PASSWORD": "canary9"}), wanted)
    assert "canary" not in json.dumps(found)
    shown = found["properties"]
    assert shown["my.url"] == "https://********@host/path"
    assert shown["my.option"] == "-Da=b -Dx.password=******** -Dc=d"
    assert shown["my.reference"] == "<********>"
    assert shown["nuxeo.db.jdbc.url"] == "jdbc:oracle:thin:********@h:1:n"
    assert found["database"]["user"] == "nuxeo"


def test_encrypted_values(read: Facts) -> None:
    # made by openssl with the key of the secret s3cret: "db.example.com" and "canary"
    values = {"nuxeo.db.host": "db.example.com", "my.thing": "canary", "nuxeo.db.password": "canary"}
    lines = "server.status.key=s3cret\nnuxeo.templates=postgresql\n"
    for name, clear in values.items():
        command = ["openssl", "enc", "-aes-128-ecb", "-K", hashlib.sha1(b"s3cret").hexdigest()[:32], "-base64", "-A"]
        coded = subprocess.run(command, input=clear.encode(), capture_output=True, check=True).stdout.decode()
        lines += f"{name}={{$${coded}}}\n"
    found = read("2023", lines, "*")
    assert found["database"]["host"] == found["properties"]["nuxeo.db.host"] == "db.example.com"
    assert found["properties"]["nuxeo.db.jdbc.url"] == "jdbc:postgresql://db.example.com:5432/nuxeo"
    assert "my.thing" not in found["properties"]
    assert "canary" not in json.dumps(found)


def test_an_encrypted_value_that_is_used_and_cannot_be_read(read: Facts) -> None:
    with pytest.raises(ConfError, match="its encrypted value cannot be decrypted"):
        read("2023", "server.status.key=x\nnuxeo.templates=postgresql\nnuxeo.db.user={$$AAAAAAAAAAAAAAAAAAAAAA==}\n")


def test_globs(read: Facts) -> None:
    found = read("2023", "a.b=1\na.c=${a.b}\na.d=${none}\nab=2\n", "a.*", "nothing", "ab")
    assert found["properties"] == {"a.b": "1", "a.c": "1", "a.d": "${none}", "ab": "2"}
    assert read("2023", "a.b=1\n")["properties"] == {}


def test_an_open_reference_in_what_is_used(read: Facts) -> None:
    with pytest.raises(ConfError, match=r"'nuxeo\.data\.dir' at .*/bin/nuxeo\.conf:2: the reference \$\{nowhere\}"):
        read("2023", "a=1\nnuxeo.data.dir=/x/${nowhere}\n")


def test_no_version(tmp_path: Path) -> None:
    with pytest.raises(ConfError, match=r"distribution\.properties"):
        read_version(str(tmp_path))


@pytest.mark.parametrize("version", ["7.10", "12.3", "x", ""])
def test_unknown_versions(read: Facts, tmp_path: Path, version: str) -> None:
    read("2023")
    with pytest.raises(ConfError, match="version"):
        resolve(str(tmp_path / "home/bin/nuxeo.conf"), str(tmp_path / "home"), {}, version or "x")
