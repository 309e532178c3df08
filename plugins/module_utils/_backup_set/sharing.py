# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which nodes of an instance have the data folder of their leader.

A client of a network file system remembers for a while that a name was not there, and so for all that is below it. So
each node leaves a file of a random name directly in its folder, and then lists the folder, and asks for the files of
the others, whose names nobody has asked for before. What one node sees and the other does not is no answer.
"""

from __future__ import annotations

import os
import secrets
import typing as t

from .._files.at import MAKE, exists, opened, why
from .place import SetError

HERE = ".nuxeo-platform-here-"

Sight = t.Mapping[str, t.Any]
"""Of one node: ``name`` of its file, or ``reason`` why it has none, or ``absent``; and the names it has ``seen``."""


def leave(data_dir: str, run_id: str) -> dict[str, t.Any]:
    """Leave this node's file in its data folder, where that is there, and remove what killed runs have left."""
    token = {"name": "", "reason": "", "absent": False}
    try:
        if not _is_there(data_dir):
            return {**token, "absent": True}
        for name in os.listdir(data_dir):
            if name.startswith(HERE) and not name.startswith(f"{HERE}{run_id}-"):
                remove(data_dir, name)
        own = f"{HERE}{run_id}-{secrets.token_hex(8)}"
        with opened(os.path.join(data_dir, own), MAKE):
            return {**token, "name": own}
    except OSError as error:  # root of one node may not write where another one's may, and still see whose folder it is
        return {**token, "reason": why(error, data_dir)[0]}


def _is_there(path: str) -> bool:
    """Whether there is such a folder: by trying to make it, since only that is asked of the server."""
    if os.path.isdir(path):
        return True
    if not _is_there(os.path.dirname(os.path.abspath(path))):
        return False
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return True
    os.rmdir(path)  # whoever fills it makes it, for its owner
    return False


def look(data_dir: str, names: t.Sequence[str]) -> list[str]:
    """Which of the files are in this node's data folder."""
    try:
        listed = set(os.listdir(data_dir)) if os.path.isdir(data_dir) else set()
        return [name for name in names if name in listed or exists(os.path.join(data_dir, name))]
    except OSError as error:
        raise SetError(f"Search for the nodes that share '{data_dir}'", *why(error, data_dir)) from error


def remove(data_dir: str, name: str) -> bool:
    """Remove a file that was left; whether it was there."""
    if not name.startswith(HERE) or "/" in name:
        raise SetError(f"Removal of '{name}' from '{data_dir}'", "no run has left a file of such a name", "")
    try:
        os.unlink(os.path.join(data_dir, name))
    except FileNotFoundError:
        return False
    return True


def sharing(leader: str, sights: t.Mapping[str, Sight]) -> list[str]:
    """The nodes that have the data folder of the leader; nobody else's is shared.

    :raises SetError: it cannot be told of a node, or other nodes share one
    """
    for node, sight in sights.items():
        if "seen" not in sight:
            raise _unknown(node, leader, "it has not said what it sees")
        if sight["name"] and sight["name"] not in sight["seen"]:
            raise _unknown(node, leader, f"{node} does not see its own file")
    shared = [node for node in sights if node != leader and _share(node, leader, sights)]
    own = sorted(node for node in sights if node not in (leader, *shared))
    for at, node in enumerate(own):
        for other in own[at + 1 :]:
            if _share(node, other, sights):
                raise SetError(
                    f"Search for the nodes that share a data folder with '{leader}'",
                    f"{node} and {other} have one that {leader} has not, and both would write to it",
                    "Let all nodes share one data folder, or give each its own",
                )
    return shared


def _share(node: str, other: str, sights: t.Mapping[str, Sight]) -> bool:
    one, two = sights[node], sights[other]
    if one["absent"] or two["absent"]:
        return False
    pairs = [
        (node, other, two["name"] in one["seen"], two["name"]),
        (other, node, one["name"] in two["seen"], one["name"]),
    ]
    answers = [sees for _who, _whom, sees, name in pairs if name]
    if len(answers) == 2 and answers[0] != answers[1]:
        who, whom = next((who, whom) for who, whom, sees, _name in pairs if sees)
        raise _unknown(node, other, f"{who} sees a file of {whom}, and {whom} none of {who}")
    if True not in answers and len(answers) < 2:
        which = node if not one["name"] else other
        raise _unknown(node, other, f"{which} could not leave a file there: {sights[which]['reason']}")
    return answers[0]


def _unknown(node: str, other: str, reason: str) -> SetError:
    return SetError(
        f"Search for the nodes that share a data folder with '{other}'",
        f"nobody can tell whether '{node}' has that of '{other}', since {reason}",
        "See what is mounted on these nodes, and that the restore may write to the data folder, then run again",
    )
