// Copyright (c) 2026 Nuxeo Platform collection contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/**
 * Holds an H2 database open for a program that talks to it on standard input: lines of words in base64, parted by tabs.
 * O url user password; S statement values; C ends a transaction. Answers: rows (R), N after each statement, E, and a dot.
 * The end of the input closes the database in good order.
 */
public class H2Bridge {

    static final PrintStream OUT = new PrintStream(System.out, false);

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        Connection connection = null;
        List<String[]> statements = new ArrayList<>();
        String line;
        while ((line = in.readLine()) != null) {
            String[] words = line.split("\t", -1);
            for (int i = 0; i < words.length; i++) {
                words[i] = new String(Base64.getDecoder().decode(words[i]), StandardCharsets.UTF_8);
            }
            try {
                if (words[0].equals("O")) {
                    connection = DriverManager.getConnection(words[1], words[2], words[3]);
                    connection.setAutoCommit(false);
                    answer(".");
                } else if (words[0].equals("S")) {
                    statements.add(words);
                    continue;
                } else {
                    run(connection, statements);
                    answer(".");
                }
            } catch (SQLException | RuntimeException e) {
                if (connection != null) {
                    connection.rollback();
                }
                answer("E", String.valueOf(e.getMessage()));
            }
            statements.clear();
            OUT.flush();
        }
        if (connection != null) {
            connection.createStatement().execute("SHUTDOWN");
        }
    }

    static void run(Connection connection, List<String[]> statements) throws SQLException {
        if (connection == null) {
            throw new SQLException("No database is open");
        }
        for (String[] words : statements) {
            try (PreparedStatement statement = connection.prepareStatement(words[1])) {
                for (int i = 2; i < words.length; i++) {
                    statement.setObject(i - 1, value(words[i]));
                }
                if (statement.execute()) {
                    rows(statement.getResultSet());
                }
            }
            answer("N");
        }
        connection.commit();
    }

    static Object value(String word) {
        String text = word.substring(1);
        switch (word.charAt(0)) {
        case 'n':
            return null;
        case 'l':
            return Long.valueOf(text);
        case 'b':
            return Boolean.valueOf(text);
        default:
            return text;
        }
    }

    static void rows(ResultSet rows) throws SQLException {
        int columns = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            String[] words = new String[columns + 1];
            words[0] = "R";
            for (int i = 1; i <= columns; i++) {
                String text = rows.getString(i);
                words[i] = text == null ? "n" : "s" + text;
            }
            answer(words);
        }
    }

    static void answer(String... words) {
        StringBuilder line = new StringBuilder();
        for (String word : words) {
            line.append(line.length() == 0 ? "" : "\t")
                .append(Base64.getEncoder().encodeToString(word.getBytes(StandardCharsets.UTF_8)));
        }
        OUT.append(line).append('\n');
    }
}
