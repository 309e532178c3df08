# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: Java key and trust stores made into what a client without Java reads.

Passwords go to keytool in files of mode 0600 inside a private folder, never in an argument.
"""

from __future__ import annotations

import os
import secrets
import typing as t

from .errors import StreamsError

Run = t.Callable[[t.List[str]], t.Tuple[int, str, str]]
"""As AnsibleModule.run_command: exit code, output, errors."""


def _private_file(folder: str, name: str, content: str) -> str:
    path = os.path.join(folder, name)
    with open(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8"
    ) as stream:
        stream.write(content)
    return path


def _keytool(arguments: list[str], store: str, run: Run) -> str:
    try:
        code, output, errors = run(["keytool", *arguments])
    except OSError as error:
        code, output, errors = 127, "", error.strerror or str(error)
    if code != 0:
        said = (errors or output).strip().splitlines()
        raise StreamsError(
            f"Conversion of Java store '{store}' by keytool",
            said[0] if said else f"it ended with exit code {code}",
            "Check kafka.truststore.* and kafka.keystore.* in nuxeo.conf, and that keytool is in JAVA_HOME of Nuxeo "
            "or on the PATH",
        )
    return output


def found_in(homes: t.Iterable[t.Optional[str]], run: Run) -> Run:
    """Runs keytool from the first Java home that has one, else from the PATH."""
    programs = [os.path.join(home, "bin", "keytool") for home in homes if home]
    program = next((name for name in programs if os.access(name, os.X_OK)), None)
    return (lambda command: run([program, *command[1:]])) if program else run


def certificates(path: str, store_type: str, password: str, folder: str, run: Run) -> dict[str, t.Any]:
    """The certificates of a trust store as one PEM file."""
    if store_type == "PEM":
        return {"ssl.ca.location": path}
    secret = _private_file(folder, f"trust-{secrets.token_hex(4)}.pass", password)
    arguments = ["-list", "-rfc", "-keystore", path, "-storetype", store_type]
    text = _keytool(arguments + (["-storepass:file", secret] if password else []), path, run)
    blocks, inside = [], False
    for line in text.splitlines():
        inside = inside or line.startswith("-----BEGIN CERTIFICATE")
        if inside:
            blocks.append(line)
        inside = inside and not line.startswith("-----END CERTIFICATE")
    if not blocks:
        raise StreamsError(f"Conversion of trust store '{path}'", "it holds no certificate")
    return {"ssl.ca.location": _private_file(folder, f"trust-{secrets.token_hex(4)}.pem", "\n".join(blocks) + "\n")}


def private_key_store(path: str, store_type: str, password: str, folder: str, run: Run) -> dict[str, t.Any]:
    """A key store as PKCS#12, which the client reads by itself."""
    if store_type == "PEM":
        found = {"ssl.certificate.location": path, "ssl.key.location": path}
        return {**found, "ssl.key.password": password} if password else found
    if store_type in ("PKCS12", "P12"):
        return {"ssl.keystore.location": path, "ssl.keystore.password": password}
    secret = _private_file(folder, f"key-{secrets.token_hex(4)}.pass", password)
    made = os.path.join(folder, f"key-{secrets.token_hex(4)}.p12")
    arguments = ["-importkeystore", "-noprompt", "-srckeystore", path, "-srcstoretype", store_type]
    arguments += ["-destkeystore", made, "-deststoretype", "PKCS12"]
    _keytool(arguments + ["-srcstorepass:file", secret, "-deststorepass:file", secret], path, run)
    os.chmod(made, 0o600)
    return {"ssl.keystore.location": made, "ssl.keystore.password": password}
