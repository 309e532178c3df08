# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: JAVA_OPTS as it was before nuxeoctl has added to it.

Where it is a variable of the environment, the server's own environment has it with what nuxeoctl adds: the lines
``JAVA_OPTS=$JAVA_OPTS ...`` of nuxeo.conf, then options of its own. A start in that environment would add them again,
and with an agent among them, which then finds its port taken, the server would not come up.
"""

from __future__ import annotations

OWN = "-Djava.net.preferIPv4Stack=true"
"""Of its own options the first; others may follow."""
BEFORE = (
    "-server",
    "--illegal-access=permit",
    "--add-opens=java.base/sun.net.www.protocol.jar=ALL-UNNAMED",
    "--add-modules",
    "java.se.ee",
)
"""What it puts before all others, in one version or another."""


def before_nuxeoctl(value: str, conf: str) -> str:
    """The value without what nuxeoctl has added.

    :param conf: the text of nuxeo.conf
    """
    added = _added(conf)
    if added is None:
        return value
    words = value.split()
    found = (at for at, word in enumerate(words) if word == OWN and words[max(0, at - len(added)) : at] == added)
    at = next(found, None)
    if at is None:
        return value
    words = words[: at - len(added)]
    while words and words[0] in BEFORE:
        del words[0]
    return " ".join(words)


def _added(conf: str) -> list[str] | None:
    """What the lines of nuxeo.conf append; None where one of them sets it anew, whatever it was."""
    words: list[str] = []
    for line in conf.splitlines():
        name, _sep, text = line.partition("=")
        if name == "JAVA_OPTS":  # from the first column and without blanks, as nuxeoctl looks for it
            if not text.lstrip().startswith("$JAVA_OPTS"):
                return None
            words += text.lstrip()[len("$JAVA_OPTS ") :].split()
    return words
