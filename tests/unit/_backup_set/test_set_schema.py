# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest is what its published schema says."""

from __future__ import annotations

import copy
import json
import pathlib
import typing as t

import jsonschema
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import schema
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place
from ansible_collections.nuxeo.platform.tests.unit._backup_set.sets import Json, make

DOCS = pathlib.Path(__file__).resolve().parents[3] / "docs"


def test_the_published_schema_is_the_one_that_is_used(place: Place) -> None:
    assert json.loads((DOCS / "manifest.schema.json").read_text()) == schema.SCHEMA
    jsonschema.Draft202012Validator.check_schema(schema.SCHEMA)


def mutations(value: Json) -> t.Iterator[Json]:
    """All but what the two do not agree in: JSON has one kind of number, and Python's $ takes a line's end too."""
    wrong: t.List[t.Any] = [
        None,
        "",
        "x",
        0,
        -1,
        1,
        1.5,
        True,
        [],
        [1],
        ["a"],
        [""],
        {},
        {"kind": 1},
        {"version": "1"},
    ]
    for key in [*value, "unknown"]:
        less = copy.deepcopy(value)
        if less.pop(key, None) is not None:
            yield less
        for bad_value in wrong:
            yield {**copy.deepcopy(value), key: bad_value}
    for date in (
        "2026-11-23T02:00:04.1234567Z",
        "2026-11-23 02:00:04Z",
        "2026-11-23T02:00:04.5Z",
    ):
        yield {**copy.deepcopy(value), "backup_date": date}
    for key in ("version", "database"):
        for bad_value in wrong:
            yield {**copy.deepcopy(value), "nuxeo": {**value["nuxeo"], key: bad_value}}


def test_our_validation_is_that_of_jsonschema(place: Place) -> None:
    theirs = jsonschema.Draft202012Validator(schema.SCHEMA)
    manifest = make(place)["manifest"]
    assert theirs.is_valid(manifest) and schema.problems(manifest) == []
    count = 0
    for value in mutations(manifest):
        count += 1
        assert theirs.is_valid(value) == (schema.problems(value) == []), value
    assert count > 200
    assert schema.problems({**manifest, "backup_date": manifest["backup_date"] + "\n"})
    for text in ("null", "[]", '"x"', "1"):
        assert schema.problems(json.loads(text)) == ["manifest is not of type object"]
