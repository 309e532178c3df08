// Copyright (c) 2026 Nuxeo Platform collection contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Properties;
import java.util.TreeSet;

/** Reads one text in Base64 per line, and answers with what java.util.Properties makes of it, in Base64 too. */
public class ReadProperties {
    private static String encoded(String text) {
        // by hand: the encoder of Java gives half of a pair of surrogates up
        byte[] bytes = new byte[2 * text.length()];
        for (int at = 0; at < text.length(); at++) {
            bytes[2 * at] = (byte) (text.charAt(at) >> 8);
            bytes[2 * at + 1] = (byte) text.charAt(at);
        }
        return Base64.getEncoder().encodeToString(bytes);
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        String line;
        while ((line = in.readLine()) != null) {
            byte[] bytes = Base64.getDecoder().decode(line);
            StringBuilder text = new StringBuilder();
            for (int at = 0; at < bytes.length; at += 2) {
                text.append((char) ((bytes[at] & 0xFF) << 8 | bytes[at + 1] & 0xFF));
            }
            StringBuilder answer = new StringBuilder();
            try {
                Properties properties = new Properties();
                properties.load(new StringReader(text.toString()));
                for (String name : new TreeSet<>(properties.stringPropertyNames())) {
                    answer.append(' ').append(encoded(name)).append(':').append(encoded(properties.getProperty(name)));
                }
            } catch (IllegalArgumentException error) {
                answer.append(" refused");
            }
            System.out.println("=" + answer);
        }
    }
}
