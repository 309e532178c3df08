# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: one snapshot, made once whatever happens to the call, and believed only when it is whole.

A snapshot's name is unique in its repository. So a call whose answer was lost is made good by looking for the name, and
by asking again under the same name when it is not there: the engine refuses a second one.
"""

from __future__ import annotations

import typing as t

from .client import Answer, Client, path
from .errors import Lost, SearchError, error_types, reason, refused
from .repository import lost_catalogue, must
from .wait import Deadline

RUNNING = ("IN_PROGRESS", "STARTED", "INIT", "ABORTED")
_TAKEN = {"invalid_snapshot_name_exception", "snapshot_name_already_in_use_exception"}
_MOST = 20
Beat = t.Callable[[int, t.Optional[int]], None]


def silent(done: int, total: int | None) -> None:
    """A beat that tells nobody."""


def describe(found: dict[str, t.Any]) -> dict[str, t.Any]:
    """A snapshot as modules return it."""
    failures = [
        f"{each.get('index')}[{each.get('shard_id', each.get('shard'))}]: {each.get('reason')}"[:300]
        for each in found.get("failures", [])
    ]
    return {
        "name": found["snapshot"],
        "uuid": found.get("uuid", ""),
        "state": found.get("state", ""),
        "indices": sorted(found.get("indices", [])),
        "started": found.get("start_time", ""),
        "ended": found.get("end_time", "") if found.get("state") not in RUNNING else "",
        "duration": found.get("duration_in_millis", 0) / 1000.0,
        "shards": found.get("shards", {"total": 0, "successful": 0, "failed": 0}),
        "failures": sorted(failures)[:_MOST],
        "version": str(found.get("version", "")),
        "version_id": int(found.get("version_id", 0)),
        "metadata": found.get("metadata") or {},
    }


def _unpack(answer: Answer) -> tuple[list[dict[str, t.Any]], list[t.Any]]:
    """Snapshots and errors of a listing: engines wrap them in two ways, and answer 200 with errors inside."""
    groups = [answer.body, *answer.body.get("responses", [])]
    snapshots = [each for group in groups for each in group.get("snapshots") or []]
    errors = [error for group in groups for error in (group.get("failures") or {}).values()]
    errors += [group["error"] for group in groups if group.get("error")]
    return snapshots, errors


def find(client: Client, repository: str, name: str) -> dict[str, t.Any] | None:
    """One snapshot, running or ended; None when there is none of that name."""
    answer = client.call("GET", path("_snapshot", repository, name))
    if answer.status == 404 and "snapshot_missing_exception" in error_types(answer.body):
        return None
    what = f"Look-up of snapshot '{name}' in repository '{repository}' on {client.where}"
    if not answer.ok:
        raise refused(what, answer.status, answer.body)
    snapshots, errors = _unpack(answer)
    if errors:
        if all("snapshot_missing_exception" in error_types({"error": error}) for error in errors):
            return None
        raise SearchError(what, reason({"error": errors[0]}), "Check the repository with nuxeo.platform.es_repository")
    found = [each for each in snapshots if each["snapshot"] == name]
    return describe(found[0]) if found else None


def listing(client: Client, repository: str) -> list[dict[str, t.Any]]:
    """Every snapshot of a repository, oldest first. An empty list is believed only as far as it can be checked."""
    what = f"List of snapshots in repository '{repository}' on {client.where}"
    definition = must(client, repository)
    answer = client.call("GET", path("_snapshot", repository, "_all"))
    if not answer.ok:
        raise refused(what, answer.status, answer.body)
    snapshots, errors = _unpack(answer)
    if errors:
        raise SearchError(what, reason({"error": errors[0]}), "Check the repository with nuxeo.platform.es_repository")
    why = "" if snapshots else lost_catalogue(definition)
    if why:
        raise SearchError(what, f"the engine lists none, but {why}", "Bring the store's files back from a copy of it")
    return sorted(map(describe, snapshots), key=lambda each: (each["started"], each["name"]))


def running(client: Client) -> list[tuple[str, str]]:
    """Repository and name of each snapshot that the cluster makes now."""
    answer = client.call("GET", "/_snapshot/_status")
    if not answer.ok:
        raise refused(f"Running snapshots on {client.where}", answer.status, answer.body)
    return sorted((each["repository"], each["snapshot"]) for each in answer.body.get("snapshots", []))


def judge(client: Client, repository: str, found: dict[str, t.Any], indices: t.Sequence[str]) -> None:
    """Raise unless the snapshot is whole and holds exactly these indices. SUCCESS alone says little."""
    what = f"Snapshot '{found['name']}' in repository '{repository}' on {client.where}"
    shards, todo = found["shards"], "Repair the cause, remove this snapshot with state=absent, then run again"
    if found["state"] != "SUCCESS" or shards["failed"] or shards["successful"] != shards["total"] or found["failures"]:
        why = f"it ended {found['state']} with {shards['failed']} of {shards['total']} shards failed"
        raise SearchError(what, "; ".join([why, *found["failures"][:5]]), todo, {"snapshot": found})
    if found["indices"] != sorted(indices):
        held = ", ".join(found["indices"]) or "no index"
        raise SearchError(what, f"it holds {held} instead of {', '.join(sorted(indices))}", todo, {"snapshot": found})
    if not shards["total"]:
        raise SearchError(what, "it holds no shard", todo, {"snapshot": found})


class Maker:
    """Makes one snapshot and waits for its end.

    :param beat: called while waiting with the bytes done and to do; what it raises aborts the snapshot
    """

    def __init__(
        self, client: Client, repository: str, name: str, indices: t.Sequence[str], *, deadline: Deadline, beat: Beat
    ) -> None:
        self.client = client
        self.repository = repository
        self.name = name
        self.indices = list(indices)
        self.deadline = deadline
        self.beat = beat
        self.what = f"Snapshot '{name}' in repository '{repository}' on {client.where}"

    def start(self, metadata: dict[str, t.Any]) -> None:
        """Ask until it is certain that the snapshot runs or has ended under this name, and no other was made."""
        body = {
            "indices": ",".join(self.indices),
            "ignore_unavailable": False,
            "include_global_state": False,
            "partial": False,
        }
        if metadata:
            body["metadata"] = metadata
        while True:
            last = self._ask(body)
            if last is None or self._is_there():
                return
            if self.deadline.expired:
                todo = "Wait until the cluster answers and no other snapshot runs, then run again with the same name"
                raise SearchError(self.what, f"it was not started in {self.deadline.seconds:g} s: {last.why}", todo)
            self.beat(0, None)
            self.deadline.pause()

    def _ask(self, body: dict[str, t.Any]) -> Lost | None:
        """None once the engine has taken the name; else why that is not known."""
        try:
            answer = self.client.call(
                "PUT", path("_snapshot", self.repository, self.name), body, params={"wait_for_completion": "false"}
            )
        except Lost as lost:
            return lost
        if answer.ok or (error_types(answer.body) & _TAKEN and "already" in reason(answer.body)):
            return None  # the name was free before: it is a call of ours that has taken it
        raise refused(self.what, answer.status, answer.body, "Nothing was made")

    def _is_there(self) -> bool:
        """Whether there is a snapshot of the name, as far as the engine answers now."""
        try:
            return self.found() is not None
        except Lost:
            return False

    def found(self) -> dict[str, t.Any] | None:
        """The snapshot as it stands."""
        return find(self.client, self.repository, self.name)

    def wait(self) -> dict[str, t.Any]:
        """Its final state, by our own deadline, however long the engine is away meanwhile."""
        missing = 0
        while True:
            try:
                now = self.found()
            except Lost:
                if self.deadline.expired:
                    raise
                self.deadline.pause()
                continue
            if now and now["state"] not in RUNNING:
                return now
            missing = 0 if now else missing + 1
            if missing > 3:
                raise SearchError(self.what, "it was started and is gone", "See the log of the cluster's master")
            if self.deadline.expired:
                todo = "It goes on by itself: run again with the same name to wait for it, or remove it by state=absent"
                why = f"it is {now['state'] if now else 'unknown'} after {self.deadline.seconds:g} s"
                raise SearchError(self.what, why, todo, {"snapshot": now} if now else None)
            self._tell()
            self.deadline.pause()

    def _tell(self) -> None:
        if self.beat is silent:
            return
        done, total = 0, None
        try:
            answer = self.client.call("GET", path("_snapshot", self.repository, self.name, "_status"))
        except Lost:  # the engine may be away as long as the deadline allows
            answer = Answer(503, {})
        if answer.ok and answer.body.get("snapshots"):
            stats = answer.body["snapshots"][0].get("stats", {})
            done = stats.get("processed", {}).get("size_in_bytes", stats.get("processed_size_in_bytes", 0))
            total = stats.get("incremental", {}).get("size_in_bytes", stats.get("total_size_in_bytes"))
        self.beat(done, total)


def make(maker: Maker, metadata: dict[str, t.Any]) -> dict[str, t.Any]:
    """Make it, wait, and give its final state. Whoever stops us by the beat leaves no snapshot behind."""
    try:
        maker.start(metadata)
        return maker.wait()
    except SearchError:
        raise
    except Exception:
        remove(maker.client, maker.repository, maker.name, Deadline(30))
        raise


def bytes_of(client: Client, repository: str, name: str) -> dict[str, int]:
    """Bytes of the snapshot in all, and of what it added to the repository."""
    answer = client.call("GET", path("_snapshot", repository, name, "_status"))
    snapshots = answer.body.get("snapshots") if answer.ok else None
    stats = snapshots[0].get("stats", {}) if snapshots else {}
    whole = stats.get("total", {}).get("size_in_bytes", stats.get("total_size_in_bytes", 0))
    return {"bytes": whole, "bytes_added": stats.get("incremental", {}).get("size_in_bytes", whole)}


def sizes_of(client: Client, repository: str, name: str) -> dict[str, int]:
    """Bytes of each index in a snapshot, as far as the engine tells."""
    answer = client.call("GET", path("_snapshot", repository, name, "_status"))
    snapshots = answer.body.get("snapshots") if answer.ok else None
    indices = snapshots[0].get("indices", {}) if snapshots else {}
    stats = {index: found.get("stats", {}) for index, found in indices.items()}
    return {
        index: int(found.get("total", {}).get("size_in_bytes", found.get("total_size_in_bytes", 0)))
        for index, found in stats.items()
    }


def remove(client: Client, repository: str, name: str, deadline: Deadline) -> bool:
    """Remove a snapshot, or abort it when it runs; gone means looked for and not found."""
    what = f"Removal of snapshot '{name}' from repository '{repository}' on {client.where}"
    existed = find(client, repository, name) is not None
    while existed and find(client, repository, name) is not None:
        try:
            answer = client.call("DELETE", path("_snapshot", repository, name), timeout=max(1.0, deadline.left))
            if not answer.ok and "snapshot_missing_exception" not in error_types(answer.body):
                raise refused(what, answer.status, answer.body)
        except Lost as lost:
            if deadline.expired:
                raise SearchError(what, f"it is still there: {lost.why}", "Run again later") from lost
            deadline.pause()
    return existed


def select(
    client: Client, repository: str, found: list[dict[str, t.Any]], names: t.Sequence[str] | None
) -> list[dict[str, t.Any]]:
    """Those of the names asked for; all without any. A name that is not there is an error, never a shorter list."""
    if names is None:
        return found
    missing = sorted(set(names) - {each["name"] for each in found})
    if missing:
        raise SearchError(
            f"Snapshots {', '.join(missing)} in repository '{repository}' on {client.where}",
            f"they are not among the {len(found)} that it lists",
            "Where they should be there, the repository's catalogue may be lost: compare the store with a copy of it",
            {"missing": missing},
        )
    return [each for each in found if each["name"] in set(names)]
