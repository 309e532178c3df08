# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the door of the package: what the modules call."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from .._progress import Progress
from .errors import BlobError
from .keylist import read_about
from .options import RSH, Options
from .passes import Pass
from .places import open_home, source_maker
from .store import read_config, settings

if t.TYPE_CHECKING:
    from .pool import Home
    from .verify import Verdict


def copy(options: Options, progress: t.Optional[str]) -> t.Dict[str, t.Any]:
    """Copy in the direction that the layouts say."""
    if options.src_layout == options.dest_layout:
        raise BlobError(
            f"Copy of '{options.src}' to '{options.dest}'",
            "src_layout and dest_layout are the same",
            "Copy from a store to a pool, or from a pool to a store",
        )
    store = options.src if options.src_layout == "store" else options.dest
    if not os.path.isabs(store):
        raise BlobError(f"Reading of '{store}'", "it is not an absolute path", "Write it in full")
    if options.src_layout == "store":
        return Pass(options, progress).run().result()
    from .deliver import Delivery  # noqa: PLC0415 - a pass in which nothing is new is over before that is read

    return Delivery(options, progress).run().result()


def parse_subset(text: str) -> t.Tuple[int, int]:
    """``n/t`` as two numbers."""
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if not found or not 1 <= int(found.group(1)) <= int(found.group(2)):
        raise BlobError(f"Reading of subset {text!r}", "it is not n/t with n from 1 to t", "Write e.g. 1/7")
    return int(found.group(1)), int(found.group(2))


@dataclasses.dataclass
class Question:
    """The options of blob_verify, see its documentation."""

    pool: t.Optional[str] = None
    store: t.Optional[str] = None
    keys: t.Optional[str] = None
    depth: t.Optional[int] = None
    subset: str = "1/1"
    set_aside: bool = True
    jobs: int = 0
    rsh: t.Sequence[str] = RSH


def prove(question: Question, progress: t.Optional[str]) -> t.Dict[str, t.Any]:
    """Read a pool or a store again; raises when a blob is rotten or missing."""
    from .verify import StoreSource, Subject, verify  # noqa: PLC0415 - as above

    told = Progress(progress, "verify", unit="blobs")
    jobs = Options("", "", jobs=question.jobs).workers
    subset = parse_subset(question.subset)
    if question.store:
        kind = str(read_about(t.cast(str, question.keys))["kind"])
        level = settings(read_config(question.store), f"{question.store}/config.xml", kind, question.depth, None)[0]
        data = os.fsencode(os.path.join(question.store, "data"))
        what = Subject(lambda: StoreSource(data, level), lambda: iter(()))
        verdict = verify(what, keys=question.keys, subset=subset, jobs=jobs, progress=told)
        return _told(verdict, question.store, "Bring them back from the pool of the set")
    pool = t.cast(str, question.pool)
    home = open_home(pool, question.rsh)
    try:
        what = Subject(source_maker(pool, question.rsh), home.all_names)
        verdict = verify(what, keys=question.keys, subset=subset, jobs=jobs, progress=told)
        of_none = bool(question.keys) and read_about(str(question.keys))["keys"] == 0
        if len(verdict.missing) == verdict.checked and not of_none:
            _refuse_what_is_no_pool(pool, home, verdict)
        failure = None
        if question.set_aside and (verdict.rotten or verdict.missing):
            try:
                home.set_aside([name for _key, name in verdict.rotten])
            except BlobError as error:
                failure = error
    finally:
        home.end()
    mend = "The next backup copies them again when the source still has them"
    if not question.set_aside:
        mend = "Verify with set_aside=true: the next backup then copies them again when the source still has them"
    return _told(verdict, pool, mend, failure)


def _refuse_what_is_no_pool(pool: str, home: Home, verdict: Verdict) -> None:
    """Nothing was found. That is a verdict only where there are others, or was a backup. No other place gets a mark."""
    if not home.look()["generation"] and next(home.all_names(), None) is None:
        why = "it holds no blob and has no mark of a backup, as if its volume were not mounted"
        raise BlobError(f"Reading of pool '{pool}'", why, "Mount its volume", {**verdict.result(), "changed": False})


def _told(verdict: Verdict, root: str, mend: str, failure: t.Optional[BlobError] = None) -> t.Dict[str, t.Any]:
    """The result, when nothing is wrong; else all that is, and why the next backup cannot mend it."""
    result = verdict.result()
    wrong = verdict.in_words()
    if not wrong:
        return result
    why, todo = f"among {verdict.checked} blobs: {wrong}", []
    if failure:
        why += f". The next backup will not mend that: {failure.what}: {failure.why}"
        todo.append(failure.todo)
    elif verdict.rotten or verdict.missing:
        todo.append(mend)
    if verdict.unread:
        todo.append("What is not proven stays: mend the disk, the rights or what lies there, and verify again")
    raise BlobError(f"Verification of blobs in '{root}'", why, ". ".join(todo), {**result, "changed": False})
