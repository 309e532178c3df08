// Copyright (c) 2026 Nuxeo Platform collection contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

import java.util.Map;
import org.apache.kafka.common.Configurable;
import org.apache.kafka.connect.mirror.ReplicationPolicy;

/** Lets MirrorMaker 2 copy inside one cluster: a topic's copy has a prefix, and everything of its own is internal. */
public class PrefixPolicy implements ReplicationPolicy, Configurable {
    private String prefix = "";

    @Override
    public void configure(Map<String, ?> settings) {
        Object given = settings.get("replication.policy.bench.prefix");
        prefix = given == null ? "" : given.toString();
    }

    private boolean copied(String topic) {
        return !prefix.isEmpty() && topic.startsWith(prefix);
    }

    @Override
    public String formatRemoteTopic(String source, String topic) {
        return prefix + topic;
    }

    @Override
    public String topicSource(String topic) {
        return copied(topic) ? "source" : null;
    }

    @Override
    public String upstreamTopic(String topic) {
        return copied(topic) ? topic.substring(prefix.length()) : null;
    }

    @Override
    public boolean isInternalTopic(String topic) {
        return topic.endsWith(".internal") || topic.startsWith("__") || topic.contains("heartbeats");
    }
}
