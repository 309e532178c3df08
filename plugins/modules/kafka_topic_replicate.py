#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_topic_replicate
short_description: Copy an instance's topics up to a cut under a new prefix, with every consumer group where it was
version_added: 1.0.0
description:
  - Copies the topics of a Nuxeo instance from O(source_prefix) to O(target_prefix), in the same Kafka cluster or to
    another, up to the offsets that a backup has recorded (O(streams)) or up to a time (O(until)).
  - Partition, order, key, value, headers and timestamp of every record are kept. Records of aborted transactions are
    not copied. The settings of the topics come over; the number of replicas is the target's.
  - Every consumer group gets its recorded position under the new prefix, translated to the first copied record at or
    after it.
  - Retention and compaction are held on the new topics, since copied records are old. Call the module once more with
    O(retention=released) when Nuxeo has caught up.
  - A run that was killed is finished by running it again. No record comes twice. A finished copy is not changed by
    running it again, whatever Nuxeo has done with it since.
  - With O(archive_dest) the records of unfinished work are written to files instead, and with O(archive) read from
    such.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
options:
  source_prefix:
    description: The prefix of the topics and groups to copy. Default is C(kafka.topicPrefix) of O(nuxeo_conf).
    type: str
  target_prefix:
    description:
      - The prefix of the new topics and groups.
      - They must not hold anything, except what an earlier run of this very copy has written there.
    type: str
  source:
    description:
      - How the source cluster is reached, where the options and O(nuxeo_conf) are those of the target cluster.
      - Needs C(bootstrap_servers). Nothing is taken from O(nuxeo_conf).
    type: dict
    suboptions: &cluster
      bootstrap_servers: {description: Brokers to begin with., type: list, elements: str}
      security_protocol:
        description: How to speak to the brokers.
        type: str
        choices: [PLAINTEXT, SASL_PLAINTEXT, SASL_SSL, SSL]
      sasl_mechanism:
        description: How to log in.
        type: str
        choices: [PLAIN, SCRAM-SHA-256, SCRAM-SHA-512]
      sasl_username: {description: The user to log in as., type: str}
      sasl_password: {description: Its password., type: str}
      ssl_cafile: {description: "Certificates of the authorities to trust, PEM.", type: path}
      ssl_certfile: {description: "This client's certificate, PEM.", type: path}
      ssl_keyfile: {description: "Its private key, PEM.", type: path}
      ssl_key_password: {description: The password of the private key., type: str}
      ssl_check_hostname:
        description: Whether the name in the broker's certificate must be the one that it was reached by.
        type: bool
        default: true
      extra_config: {description: Further settings of librdkafka., type: dict}
  target:
    description:
      - How the target cluster is reached, where the options and O(nuxeo_conf) are those of the source cluster. By
        default it is the source cluster.
      - Needs C(bootstrap_servers). Nothing is taken from O(nuxeo_conf).
    type: dict
    suboptions: *cluster
  streams:
    description:
      - The C(streams.json) of a backup, as M(nuxeo.platform.kafka_topic_info) has written it. Its topics are copied
        up to its stable end offsets, and its positions are translated.
    type: path
  until:
    description:
      - The cut by time, ISO 8601 with a zone, compared with the timestamp of every record; the moment itself is within.
      - Records may be out of order in a partition, so each partition is read to its end.
      - With O(streams) the positions and topics are those of the backup, without it those of today, see O(positions).
    type: str
  positions:
    description:
      - Where groups begin that have no usable position. These are all groups where the copy is by O(until) alone,
        and with O(streams) those whose position was past the end of its partition.
      - V(start) repeats work, V(end) skips work. There is no default, so that nobody does either unknowingly.
    type: str
    choices: [start, end]
  state:
    description:
      - A file on the host that runs the module in which the copy keeps whose topics it has made and how far it is.
      - Needed with O(target_prefix). Keep it until retention is released.
    type: path
  archive:
    description: Read the records from an archive that O(archive_dest) has written. Needs O(streams) of the same backup.
    type: path
  archive_dest:
    description:
      - Write the records of unfinished work to this folder, one Avro object container file per partition, from the
        lowest position of any group to the end. Needs O(streams).
      - A topic that no group has a position on is written whole.
    type: path
  include:
    description:
      - As in M(nuxeo.platform.kafka_topic_info). With O(streams) it changes nothing, all topics of the backup are the
        instance's.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - As in M(nuxeo.platform.kafka_topic_info). With O(streams) these topics of the backup are left out.
    type: list
    elements: str
    default: []
  empty:
    description: Globs on what follows the prefix. These topics are created without records, since theirs are useless
      later.
    type: list
    elements: str
    default: [pubsub, pubsub-*, internal-*, input-null]
  accept_gaps:
    description:
      - Go on where the source has lost records that are wanted (expired below a position, topic deleted or made
        anew). With O(archive) also where that was so when it was written.
      - What is lost is returned in RV(gaps), and a warning names it.
      - Also write the time 1970-01-01T00:00:00.001Z for a record of one millisecond before, which the client library
        cannot write; see RV(timestamps_altered).
    type: bool
    default: false
  replication_factor:
    description:
      - Replicas of the new topics. V(-1) is the default of the target's brokers.
      - Brokers before 2.4 give no default. There V(-1) is the number of the source's topic, and at most one for each
        broker.
    type: int
    default: -1
  retention:
    description:
      - V(held) copies, and leaves retention and compaction of the new topics off, but for those of O(empty).
      - V(released) copies nothing. It sets both of a finished copy to what they were on the source. It needs the
        prefixes and O(state) of the copy, and neither its source nor the set.
      - It waits for the groups, see O(wait_for_groups). Nobody is known to work off a topic on which no group has a
        position, so it does not wait there, but a warning names the topic, in check mode too.
    type: str
    choices: [held, released]
    default: held
  count:
    description:
      - How check mode tells how many records there are.
      - V(records) reads them all. V(offsets) reads none and tells how many there are at most, and no bytes.
    type: str
    choices: [records, offsets]
    default: records
  wait_for_groups:
    description:
      - Whether O(retention=released) fails while a group has not caught up with what was copied.
      - A group that reads a topic has to work off each of its partitions, those too that it had no position on at the
        backup. A group that began after the copy counts as well.
    type: bool
    default: true
  verify:
    description: Whether all that was written is read back and its SHA-256 compared.
    type: bool
    default: true
  compression_type:
    description: How new batches are compressed. A topic whose own setting names a codec is stored with that one.
    type: str
    choices: [none, gzip, snappy, lz4, zstd]
    default: none
  workers:
    description:
      - How many processes copy. Each takes whole partitions.
      - Default is one for each processor, at most four.
    type: int
  stall_timeout:
    description: After how many seconds without any record read or acknowledged the copy fails. It can be run again.
    type: float
    default: 300.0
  report:
    description: A file for the report per partition, JSON, mode 0600.
    type: path
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.kafka
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.nuxeo_properties
  - nuxeo.platform.progress
attributes:
  check_mode:
    support: full
    details: Tells every problem and how many records would be copied, see O(count), and writes nothing.
  diff_mode:
    support: full
    details: Shows the topics and the group positions.
  idempotent:
    support: full
notes:
  - Needs READ on the topics of the source; on those of the target CREATE, WRITE, READ and ALTER_CONFIGS; READ on the
    groups of the target; before Kafka 2.8 also IDEMPOTENT_WRITE on the cluster. Without O(streams) also
    DESCRIBE_CONFIGS on the topics and DESCRIBE on the groups of the source. DELETE on the target's topics is only used
    when a topic of this copy has to be begun anew.
  - A topic whose timestamps are those of the broker (C(LogAppendTime)) keeps the times of its copied records, which are
    marked as C(CreateTime) then, since Kafka lets no client do otherwise. The setting itself comes over.
  - The digest in the report is that of all records of a partition in order. Of each it takes the timestamp (8
    bytes), the lengths of key and value and the number of headers (4 bytes each, -1 for null), key, value, and of
    each header the lengths of name and value, name and value. All numbers are big-endian.
seealso:
  - module: nuxeo.platform.kafka_topic_info
requirements:
  - fastavro >= 1.9.0 (Python library) for O(archive) and O(archive_dest), with its extra C(zstandard) to compress by
    zstd and to read what was
"""

EXAMPLES = r"""
- name: Archive the unfinished work in the set
  nuxeo.platform.kafka_topic_replicate:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    streams: /srv/backup/prod/sets/.partial-1f2e/streams.json
    archive_dest: /srv/backup/prod/sets/.partial-1f2e/streams

- name: Copy the topics of a set under a new prefix
  nuxeo.platform.kafka_topic_replicate:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    source_prefix: nuxeo-
    target_prefix: nuxeo-20261123-
    streams: /srv/backup/prod/sets/20261123T020004Z/streams.json
    state: /var/lib/nuxeo/restore-streams.json
    report: /var/lib/nuxeo/restore-streams-report.json

- name: The same, into the Kafka of nuxeo.conf from another one that still has the topics
  nuxeo.platform.kafka_topic_replicate:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    source:
      bootstrap_servers: [old-kafka1:9092]
    source_prefix: nuxeo-
    target_prefix: nuxeo-20261123-
    streams: /srv/backup/prod/sets/20261123T020004Z/streams.json
    state: /var/lib/nuxeo/restore-streams.json

- name: All of an instance to another Kafka, once it is stopped
  nuxeo.platform.kafka_topic_replicate:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    target:
      bootstrap_servers: [new-kafka1:9092]
    source_prefix: nuxeo-
    target_prefix: nuxeo-moved-
    until: "2026-11-23T02:00:04Z"
    positions: end
    include: [acme-*]
    exclude: [test-*]
    empty: [pubsub, internal-*]
    replication_factor: 3
    compression_type: zstd
    verify: false
    stall_timeout: 900
    state: /var/lib/nuxeo/moved-streams.json

- name: Let retention work again
  nuxeo.platform.kafka_topic_replicate:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    source_prefix: nuxeo-
    target_prefix: nuxeo-20261123-
    state: /var/lib/nuxeo/restore-streams.json
    retention: released

- name: The documented procedure, by time alone
  nuxeo.platform.kafka_topic_replicate:
    bootstrap_servers: [kafka1:9092]
    source_prefix: nuxeo-
    target_prefix: restored-
    until: "2026-11-23T02:00:04.512Z"
    positions: start
    state: /var/lib/nuxeo/restore-streams.json
"""

RETURN = r"""
phase:
  description: V(finished) or V(released) after a copy, V(copying) in check mode, V(archived) with O(archive_dest).
  type: str
  returned: success
topics:
  description: The topics, sorted by their source's name, at most 200.
  type: list
  elements: dict
  returned: success
  contains:
    source: {description: The source topic., type: str}
    target: {description: The target topic., type: str}
    empty: {description: Whether it is created without records., type: bool}
    partitions: {description: How many partitions it has., type: int}
    records: {description: How many records were or would be copied., type: int}
    bytes: {description: "The size of their keys, values and headers.", type: int}
topic_count: {description: How many topics there are., type: int, returned: success}
partitions: {description: How many partitions there are., type: int, returned: success}
records: {description: How many records were or would be copied., type: int, returned: success}
bytes: {description: "The size of their keys, values and headers.", type: int, returned: success}
groups: {description: How many groups got positions., type: int, returned: success}
positions: {description: How many positions there are., type: int, returned: success}
missing_positions:
  description:
    - Partitions without a position for a group that has one elsewhere in the topic. It begins there with the first
      record, as it would have done on the source. At most 20.
  type: list
  elements: dict
  returned: success
missing_position_count: {description: How many there are., type: int, returned: success}
gaps:
  description: What is wanted and was not to be had, with topic, partition, offsets and number of records. At most 20.
  type: list
  elements: dict
  returned: success or when they are an error
gap_count: {description: How many there are., type: int, returned: success or when they are an error before the copy}
timestamps_altered: {description: Records whose time could not be kept., type: int, returned: success}
until: {description: The cut by time., type: str, returned: success}
beyond_cut_records:
  description: Records beyond the cut that were taken in. At most one more fetch of each partition was under way.
  type: int
  returned: success
lag:
  description: Groups that have not come to the end of what was copied, with the number of records. At most 20.
  type: list
  elements: dict
  returned: success or when they keep retention from being released
unread:
  description: Topics with copied records on which no group has a position, with the number of records. At most 20.
  type: list
  elements: dict
  returned: success
settings_changed: {description: Topics whose retention was released., type: list, elements: dict, returned: success}
duration: {description: "How long it took, in seconds.", type: float, returned: success}
problems:
  description: What stands in the way of the copy. At most 20.
  type: list
  elements: str
  returned: when the check of the target found something
missing_rights:
  description: The rights that the login lacks, for example V(WRITE on topic 'nuxeo-clone-audit'). At most 20.
  type: list
  elements: str
  returned: when rights are missing, or with RV(problems)
ambiguous:
  description: Topics of which nothing tells whose they are, for O(include) or O(exclude). At most 20.
  type: list
  elements: str
  returned: when there are any, without O(streams)
"""

import os
import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import (
    NUXEO_CONF,
    NUXEO_PROPERTIES,
    PROGRESS,
    Spec,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error
from ansible_collections.nuxeo.platform.plugins.module_utils._streams import connection, entry, options, plan

SPEC: Spec = {
    "source_prefix": {"type": "str"},
    "target_prefix": {"type": "str"},
    "source": {"type": "dict", "options": options.CONNECTION},
    "target": {"type": "dict", "options": options.CONNECTION},
    "streams": {"type": "path"},
    "until": {"type": "str"},
    "positions": {"type": "str", "choices": ["start", "end"]},
    "state": {"type": "path"},
    "archive": {"type": "path"},
    "archive_dest": {"type": "path"},
    "include": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "empty": {"type": "list", "elements": "str", "default": ["pubsub", "pubsub-*", "internal-*", "input-null"]},
    "accept_gaps": {"type": "bool", "default": False},
    "replication_factor": {"type": "int", "default": -1},
    "retention": {"type": "str", "choices": ["held", "released"], "default": "held"},
    "count": {"type": "str", "choices": ["records", "offsets"], "default": "records"},
    "wait_for_groups": {"type": "bool", "default": True},
    "verify": {"type": "bool", "default": True},
    "compression_type": {"type": "str", "choices": ["none", "gzip", "snappy", "lz4", "zstd"], "default": "none"},
    "workers": {"type": "int"},
    "stall_timeout": {"type": "float", "default": 300.0},
    "report": {"type": "path"},
}


def diff(result: dict[str, t.Any]) -> dict[str, str]:
    """What a diff shows: the topics that come into being, and settings that change."""
    lines = [f"{topic['target']}: {topic['records']} records" for topic in result["topics"] if result["changed"]]
    before = []
    if result["settings_changed"]:
        lines = [f"{one['topic']}: {sorted(one['after'].items())}" for one in result["settings_changed"]]
        before = [f"{one['topic']}: {sorted(one['before'].items())}" for one in result["settings_changed"]]
    return {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in lines)}


def main() -> None:
    """Entry point."""
    module = EnvironmentModule(
        argument_spec={**SPEC, **options.CONNECTION, **options.TIMES, **NUXEO_CONF, **NUXEO_PROPERTIES, **PROGRESS},
        mutually_exclusive=[
            ("target_prefix", "archive_dest"),
            ("archive", "archive_dest"),
            ("archive", "until"),
            ("source", "target"),
            ("source", "archive"),
            ("source", "archive_dest"),
        ],
        required_one_of=[
            ("source_prefix", "nuxeo_conf"),
            ("target_prefix", "archive_dest"),
        ],
        required_if=[("retention", "held", ("streams", "until"), True)],
        required_by={"target_prefix": ("state",), "archive": ("streams",), "archive_dest": ("streams",)},
        supports_check_mode=True,
        secrets=connection.secrets_in,
    )
    params = module.params
    params["workers"] = params["workers"] or min(4, len(os.sched_getaffinity(0)))
    if not 1 <= params["workers"] <= 64:
        module.fail_json(msg=f"Option workers is {params['workers']}: it must be from 1 to 64.")
    with fail_json_on_error(module), options.client_settings(params, module.run_command, module.tmpdir) as make:
        prefix = options.prefix_of(params, "source_prefix")
        result = entry.run(params, make, module.check_mode, prefix)
    if result["gap_count"]:
        lost = plan.described(result["gaps"], result["gap_count"])
        module.warn(f"{result['gap_count']} ranges of records were lost at the source: {lost}.")
    if result["missing_position_count"]:
        module.warn(f"{result['missing_position_count']} positions are missing, see missing_positions.")
    if result["unread"] and result["settings_changed"]:
        topics = ", ".join(f"{one['topic']} ({one['records']} records)" for one in result["unread"])
        module.warn(f"No group has a position on topics whose retention works again: {topics}.")
    module.exit_json(diff=diff(result), **result)


if __name__ == "__main__":
    main()
