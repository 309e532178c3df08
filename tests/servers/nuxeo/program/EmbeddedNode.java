// Copyright (c) 2026 Nuxeo Platform collection contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

import java.util.Collections;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.transport.Netty4Plugin;

/**
 * A real Elasticsearch node inside of a JVM, as Nuxeo embeds it: from a fixed list of settings, name=value each, through
 * Elasticsearch's own settings preparer. The end of the input closes it in good order.
 */
public class EmbeddedNode extends Node {

    EmbeddedNode(Settings settings) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Collections.emptyMap(), null, () -> "nuxeo"),
            Collections.singletonList(Netty4Plugin.class), true);
    }

    public static void main(String[] args) throws Exception {
        Settings.Builder settings = Settings.builder();
        for (String word : args) {
            int at = word.indexOf('=');
            settings.put(word.substring(0, at), word.substring(at + 1));
        }
        try (EmbeddedNode node = new EmbeddedNode(settings.build())) {
            node.start();
            System.out.println("started");
            while (System.in.read() >= 0) {
                // until whoever has started it ends
            }
        }
    }
}
