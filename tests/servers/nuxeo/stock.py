# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a fresh NUXEO_HOME: the keys and values of Nuxeo's stock files, per version, in our own words."""

from __future__ import annotations

import typing as t

CONFIGURATION = """\
# Settings of this Nuxeo server.
# One key and value in a line; what is set here wins over every template.

## Memory of the Java process
JAVA_OPTS=-Xms512m -Xmx1024m -Dfile.encoding=UTF-8

## Folders. The defaults lie below the home folder
#nuxeo.log.dir=log
#nuxeo.pid.dir=log
#nuxeo.data.dir=nxserver/data
#nuxeo.tmp.dir=tmp

## How the configuration is generated
nuxeo.force.generation=true
nuxeo.templates={templates}

## Where the server listens
nuxeo.bind.address={address}
nuxeo.server.http.port={port}
nuxeo.server.tomcat_admin.port=0

## Search, audit and streams: without servers of their own
elasticsearch.enabled=false
elasticsearch.httpEnabled=true
elasticsearch.client=RestClient
audit.elasticsearch.enabled=false
kafka.enabled=false

## Mail
mail.transport.host=localhost
mail.transport.port=25
nuxeo.notification.eMailSubjectPrefix=[Nuxeo]

## Key of the status page
server.status.key={status_key}
"""

DATABASE = """
## Database
nuxeo.db.host={host}
nuxeo.db.port={port}
nuxeo.db.name={name}
nuxeo.db.user={user}
nuxeo.db.password={password}
"""


def templates(version: str) -> dict[str, str]:
    """Each file below ``templates`` with its text."""
    local = "org.nuxeo.ecm.core.blob.LocalBlobProvider"
    manager = "org.nuxeo.ecm.core.blob.binary.DefaultBinaryManager"
    modern = version.startswith("20")
    newest = version.split(".", maxsplit=1)[0] in {"2023", "2025"}
    cluster = "nuxeo.cluster.enabled=false\nnuxeo.cluster.nodeid=" if modern else "repository.clustering.enabled=false"
    mode = ";MODE=LEGACY" if newest else ""
    h2 = f"jdbc:h2:$${{nuxeo.data.dir}}/h2/${{nuxeo.db.name}};DB_CLOSE_ON_EXIT=false{mode}"
    files: dict[str, t.Sequence[str]] = {
        "nuxeo.defaults": [
            "nuxeo.data.dir=nxserver/data",
            "nuxeo.binarystores.root=${nuxeo.data.dir}",
            "repository.binary.store=${nuxeo.binarystores.root}/binaries",
            *(["nuxeo.transientstores.root=${nuxeo.binarystores.root}"] if modern else []),
            "nuxeo.mongodb.server=",
            *([] if newest else ["nuxeo.redis.enabled=false", "nuxeo.redis.host=localhost", "nuxeo.redis.port=6379"]),
            "nuxeo.server.http.port=8080",
            "nuxeo.bind.address=0.0.0.0",
            "launcher.start.max.wait=300",
            "launcher.stop.max.wait=60",
        ],
        "common-base/nuxeo.defaults": [
            "common-base.target=.",
            f"nuxeo.core.binarymanager={local if newest else manager}",
            "elasticsearch.enabled=true",
            "elasticsearch.addressList=",
            "elasticsearch.clusterName=nuxeoCluster",
            "elasticsearch.indexName=nuxeo",
            "elasticsearch.indexNumberOfReplicas=1",
            "audit.elasticsearch.enabled=false",
            "audit.elasticsearch.indexName=${elasticsearch.indexName}-audit",
            "seqgen.elasticsearch.indexName=${elasticsearch.indexName}-uidgen",
            "kafka.enabled=false",
            "kafka.bootstrap.servers=localhost:9092",
            "kafka.topicPrefix=nuxeo-",
            "kafka.sasl.enabled=false",
            "kafka.security.protocol=SASL_PLAINTEXT",
            "kafka.ssl=false",
            "nuxeo.stream.work.enabled=false",
            *([] if newest else ["nuxeo.stream.chronicle.retention.duration=4d"]),
            cluster,
        ],
        "common/nuxeo.defaults": [
            "nuxeo.template.includes=common-base",
            "common.target=.",
            "nuxeo.db.transactionmanager=nuxeo",
        ],
        "common/config/distribution.properties": [
            "org.nuxeo.distribution.name=server",
            "org.nuxeo.distribution.server=tomcat",
            f"org.nuxeo.distribution.version={version}",
            "org.nuxeo.distribution.date=202601010000",
        ],
        "default/nuxeo.defaults": [
            "nuxeo.template.includes=common",
            "nuxeo.db.type=default",
            "nuxeo.db.name=nuxeo",
            "nuxeo.db.user=sa",
            "nuxeo.db.password=",
            "nuxeo.db.driver=org.h2.Driver",
            f"nuxeo.db.jdbc.url={h2}",
        ],
        "postgresql/nuxeo.defaults": [
            "nuxeo.template.includes=common",
            "postgresql.target=.",
            "nuxeo.db.type=postgresql",
            "nuxeo.db.host=localhost",
            "nuxeo.db.port=5432",
            "nuxeo.db.name=nuxeo",
            "nuxeo.db.user=nuxeo",
            "nuxeo.db.password=password",
            "nuxeo.db.driver=org.postgresql.Driver",
            "nuxeo.db.jdbc.url=jdbc:postgresql://${nuxeo.db.host}:${nuxeo.db.port}/${nuxeo.db.name}",
        ],
    }
    return {name: "\n".join(lines) + "\n" for name, lines in files.items()}
