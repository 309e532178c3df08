#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_topic_info
short_description: Read an instance's topics, their offsets, its consumer groups and their positions
version_added: 1.0.0
description:
  - Tells which topics and consumer groups of a Kafka cluster belong to the Nuxeo instance with a given prefix, their
    settings, their start and end offsets, and the committed positions of the groups.
  - The whole goes to a file, C(streams.json) of a backup set. The task's result is a summary.
  - A backup calls it twice. First with O(dest) alone, before the database snapshot, for the positions. Then with
    O(positions) directly after the snapshot, for the ends.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
options:
  prefix:
    description:
      - C(kafka.topicPrefix) of the instance, verbatim.
      - Topics of another instance whose prefix only begins the same are told by the names that every Nuxeo uses, and
        left out. Where that cannot be decided the module fails and names the topics.
      - Default is that of O(nuxeo_conf).
    type: str
  include:
    description: Globs on what follows the prefix. These topics are the instance's, whatever they look like.
    type: list
    elements: str
    default: []
  exclude:
    description: Globs on what follows the prefix. These topics are not the instance's. Wins over O(include).
    type: list
    elements: str
    default: []
  dest:
    description: The file that everything is written to, JSON, mode 0600. Without it only the summary is returned.
    type: path
  positions:
    description:
      - A file that this module has written earlier. Its positions stand, and only the topics and their ends are read
        now.
      - The file may be the same as O(dest).
    type: path
  cut:
    description:
      - With O(positions), everything is made ready, and the ends are read one second after this file says that the
        database snapshot is taken. Nuxeo appends works when their transaction is committed, so some are on their way.
      - Start the task in the background before the dump, with the path that
        O(nuxeo.platform.postgresql_dump#module:cut) has.
    type: path
  state:
    description:
      - The state file of the M(nuxeo.platform.kafka_topic_replicate) that has made the topics, if one has.
      - While that holds retention and compaction, the settings that it will set in the end are recorded instead.
    type: path
  cut_timeout:
    description: How many seconds to wait for it.
    type: float
    default: 600.0
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.attributes.read_only
  - nuxeo.platform.kafka
  - nuxeo.platform.nuxeo_conf
notes:
  - Needs the rights DESCRIBE and DESCRIBE_CONFIGS on the topics and DESCRIBE on the groups with the prefix.
  - The file O(dest) is the only thing that is written, in check mode as well as otherwise.
seealso:
  - module: nuxeo.platform.kafka_topic_replicate
"""

EXAMPLES = r"""
- name: Positions, before the database snapshot
  nuxeo.platform.kafka_topic_info:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    dest: /srv/backup/prod/sets/.partial-1f2e/streams.json

- name: Ends, directly after the database snapshot
  nuxeo.platform.kafka_topic_info:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    positions: /srv/backup/prod/sets/.partial-1f2e/streams.json
    dest: /srv/backup/prod/sets/.partial-1f2e/streams.json

- name: Ends of a hot backup, begun before the dump and read a second after its snapshot
  nuxeo.platform.kafka_topic_info:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    positions: /srv/backup/prod/sets/.partial-1f2e/streams.json
    dest: /srv/backup/prod/sets/.partial-1f2e/streams.json
    cut: /srv/backup/prod/sets/.partial-1f2e/progress-cut.json
  async: 3600
  poll: 0

- name: Look at another instance on the same brokers
  nuxeo.platform.kafka_topic_info:
    bootstrap_servers: [kafka1:9092, kafka2:9092]
    prefix: nuxeo-test-
  register: __streams
"""

RETURN = r"""
cluster_id:
  description: The id that the cluster was given when it was made.
  type: str
  returned: success
  sample: 4L6g3nShT-eMCtK--X86sw
prefix:
  description: The prefix that was looked for.
  type: str
  returned: success
positions_taken:
  description: When the positions were read, by this host's clock.
  type: str
  returned: success
  sample: "2026-11-23T02:00:03.120441Z"
ends_taken:
  description: When the last end offset had been read, by this host's clock.
  type: str
  returned: success
  sample: "2026-11-23T02:00:04.731002Z"
cut:
  description: When the database snapshot had been taken, by this host's clock. Empty without O(cut).
  type: str
  returned: success
  sample: "2026-11-23T02:00:04.512345Z"
topics:
  description: The topics, sorted by name, at most 200.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: The topic's name., type: str}
    partitions: {description: How many partitions it has., type: int}
    offsets: {description: "How many offsets lie between start and end, over all partitions.", type: int}
topic_count:
  description: How many topics there are.
  type: int
  returned: success
groups:
  description: The consumer groups, sorted by name, at most 200.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: The group's name., type: str}
    state: {description: "Its state as Kafka names it, for example V(STABLE).", type: str}
    members: {description: How many consumers are active in it., type: int}
    positions: {description: How many partitions it has a position on., type: int}
    lag: {description: How many offsets it has still to work off., type: int}
group_count:
  description: How many groups there are.
  type: int
  returned: success
left_out:
  description:
    - Topics and groups that begin with the prefix and are not the instance's, with the reason. At most 20.
    - Of topics that are taken for another instance's by nothing but their names, a warning tells the prefix.
  type: list
  elements: dict
  returned: success
open_transactions:
  description: Partitions with records behind a transaction that is open. Those records are not in the cut. At most 20.
  type: list
  elements: dict
  returned: success
unusable_positions:
  description:
    - Positions whose next records Kafka has deleted, or that are past the end of their partition. At most 20.
    - A copy of them asks for O(nuxeo.platform.kafka_topic_replicate#module:accept_gaps) or
      O(nuxeo.platform.kafka_topic_replicate#module:positions).
  type: list
  elements: dict
  returned: success
missing_rights:
  description: The rights that the login lacks, for example V(DESCRIBE on topics 'nuxeo-*'). At most 20.
  type: list
  elements: str
  returned: when it may not see all topics and groups of the prefix, or not their settings
ambiguous:
  description: Topics of which nothing tells whose they are, for O(include) or O(exclude). At most 20.
  type: list
  elements: str
  returned: when there are any
remade:
  description:
    - Topics of O(positions) that were deleted or made anew since. At most 20.
    - Positions on them are left out, as Kafka forgets them with the topic.
  type: list
  elements: str
  returned: success
duration:
  description: How long it took, in seconds.
  type: float
  returned: success
"""

import time
import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import NUXEO_CONF
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._cut import wait
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error
from ansible_collections.nuxeo.platform.plugins.module_utils._streams import connection, options, snapshot
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.cluster import Cluster
from ansible_collections.nuxeo.platform.plugins.module_utils._streams.topics import lasting


def summary(found: snapshot.Snapshot) -> dict[str, t.Any]:
    """What the task shows of a snapshot."""
    stable = {
        (topic["name"], part["partition"]): part["stable"] for topic in found["topics"] for part in topic["partitions"]
    }
    groups = [
        {
            "name": group["name"],
            "state": group["state"],
            "members": group["members"],
            "positions": len(group["positions"]),
            "lag": sum(max(0, stable.get((p["topic"], p["partition"]), 0) - p["offset"]) for p in group["positions"]),
        }
        for group in found["groups"]
    ]
    topics = [
        {
            "name": topic["name"],
            "partitions": topic["partition_count"],
            "offsets": sum(part["end"] - part["start"] for part in topic["partitions"]),
        }
        for topic in found["topics"]
    ]
    return {
        **{key: found[key] for key in ("cluster_id", "prefix", "positions_taken", "ends_taken")},
        "topics": topics[:200],
        "topic_count": len(topics),
        "groups": groups[:200],
        "group_count": len(groups),
        "left_out": found["left_out"][:20],
        "open_transactions": snapshot.open_transactions(found)[:20],
        "unusable_positions": snapshot.unusable(found)[:20],
    }


def wait_for_cut(cluster: Cluster, prefix: str, params: dict[str, t.Any]) -> str:
    """Get ready, and wait until the ends may be read; when the database snapshot was taken."""
    snapshot.ready(cluster, prefix, params["include"], params["exclude"])
    cut = wait(params["cut"], params["cut_timeout"])
    time.sleep(snapshot.APPENDING)
    return cut


def main() -> None:
    """Entry point."""
    module = EnvironmentModule(
        argument_spec={
            "prefix": {"type": "str"},
            "include": {"type": "list", "elements": "str", "default": []},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "dest": {"type": "path"},
            "positions": {"type": "path"},
            "cut": {"type": "path"},
            "state": {"type": "path"},
            "cut_timeout": {"type": "float", "default": 600.0},
            **options.CONNECTION,
            **options.TIMES,
            **NUXEO_CONF,
        },
        required_one_of=[("prefix", "nuxeo_conf")],
        required_by={"cut": ("positions",)},
        supports_check_mode=True,
        secrets=connection.secrets_in,
    )
    params, started = module.params, time.monotonic()
    with fail_json_on_error(module), options.client_settings(params, module.run_command, module.tmpdir) as settings:
        cluster = Cluster(settings(None), params["timeout"])
        prefix = options.prefix_of(params, "prefix")
        earlier = snapshot.load(params["positions"]) if params["positions"] else None
        cut = wait_for_cut(cluster, prefix, params) if params["cut"] else ""
        found = snapshot.take(cluster, prefix, params["include"], params["exclude"], earlier)
        unread = lasting(found["topics"], params["state"])
        if params["dest"]:
            snapshot.save(params["dest"], found)
        result = {**summary(found), "cut": cut, "remade": snapshot.remade(earlier, found)[:20] if earlier else []}
    for warning in [unread, *snapshot.warnings(found, result["remade"])]:
        if warning:
            module.warn(f"{warning}.")
    module.exit_json(changed=False, duration=round(time.monotonic() - started, 3), **result)


if __name__ == "__main__":
    main()
