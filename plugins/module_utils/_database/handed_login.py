# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a login that modules of other collections use, without the password leaving the node.

The password is in a file that only its owner can read, in memory where the system has a folder for that. There is one
file for each label and login, so what a killed run left is replaced by the next run, and removed when that one has
ended; runs of others on the same node have files of their own.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import secrets
import stat
import tempfile
import typing as t

from .._io import write_atomic
from .error import DatabaseError
from .login import PostgresLogin, passfile_line

MEMORY = "/dev/shm"  # noqa: S108 - the folder below it belongs to this user alone, which is checked
_TOKEN = re.compile("[0-9a-f]{32}-[0-9a-f]{16}")
_OURS = ("host", "port", "user", "dbname", "sslpassword")
"""What is no parameter beside the module's own options; a secret is none at all."""


def hand(login: PostgresLogin, label: str) -> dict[str, t.Any]:
    """Write the password file; where to log in, the parameters of libpq, and what :func:`take_back` wants.

    :param label: tells the file from others: one for each purpose and instance
    """
    name = _name(login, label)
    token = f"{name}-{secrets.token_hex(8)}"
    parameters = {key: value for key, value in login.keywords().items() if key not in _OURS}
    first, several, _others = login.port.partition(",")
    if several:  # the modules' own option takes one
        parameters["port"] = login.port
    if login.password:
        path = os.path.join(_place(), name)
        _make_folder(login, _place())
        try:
            for left in glob.glob(f"{_place()}/.{name}.*"):  # by one killed while it wrote
                os.unlink(left)
            write_atomic(path, f"# {token}\n{passfile_line(login)}".encode())
        except OSError as error:
            raise DatabaseError(
                f"Writing of '{path}'", str(error.strerror), "Make room there, then run again"
            ) from None
        parameters["passfile"] = path
    return {
        "host": login.host,
        "port": int(first or 5432),
        "name": login.name,
        "user": login.user,
        "connect_params": parameters,
        "token": token,
    }


def take_back(token: str) -> bool:
    """Remove the password file unless another run has written it since; whether there was one."""
    if not _TOKEN.fullmatch(token):
        raise DatabaseError(
            "Removal of the password file", f"'{token}' is no token", "Give that of the task that wrote it"
        )
    path = os.path.join(_place(), token.partition("-")[0])
    try:
        with open(path, encoding="utf-8") as stream:
            if stream.readline() != f"# {token}\n":
                return False
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DatabaseError(f"Removal of '{path}'", str(error.strerror), "Remove it by hand") from None
    return True


def _place() -> str:
    root = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else tempfile.gettempdir()
    return os.path.join(root, f"pgpass-{os.geteuid()}")


def _name(login: PostgresLogin, label: str) -> str:
    """Without words: Ansible cuts a password that an option gave out of all that is returned."""
    told = "\0".join((label, login.host, login.port, login.user, login.name))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _make_folder(login: PostgresLogin, path: str) -> None:
    """The folder of this user's password files. Everybody may make names where it lies, so it is looked at closely."""
    try:
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # noqa: S103 - whatever the umask
    except FileExistsError:
        pass
    except OSError as error:
        raise DatabaseError(f"Making of '{path}'", str(error.strerror), "Make room there, then run again") from None
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise DatabaseError(
            f"Login to {login.subject}",
            f"the password would have to go to '{path}', which is not a folder of user {os.geteuid()} alone",
            "Find out who has made it, then remove it",
        )
