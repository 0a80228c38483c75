"""The conditional writes that decide who works on a job.

Moments are compared as text by the table, so they must come from `times.write_time`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from receipt_dynamo.entities.field_types import (
    LeaseFailure,
    LeaseKind,
    LeaseOutcome,
    LeaseProgress,
    LeaseState,
)
from receipt_dynamo.entities.jobs import RunName
from receipt_dynamo.entities.leases import JobLease
from receipt_dynamo.keys import LEASE_SK, LEASE_STATE, RUN_NAME_PK, RUN_NAME_SK, lease_pk
from receipt_dynamo.operation import Request
from receipt_dynamo.requests.expressions import query, update_item, values_of
from receipt_dynamo.types import Item

_HELD_BY_US: Final = "#state = :held AND #claim_id = :claim_id AND #attempt = :attempt"
_FREE: Final = "#state = :free, #GSI1PK = :index, #expires_at = :due_at, #GSI1SK = :due_at"


def lease_key(kind: LeaseKind, owner_id: str) -> Item:
    """Return the primary key of the lease of a job or an export."""
    return {"PK": {"S": lease_pk(kind, owner_id)}, "SK": {"S": LEASE_SK.build()}}


def claim_lease(  # noqa: PLR0913 - a claim is all of these at once
    table: str,
    owner_id: str,
    *,
    kind: LeaseKind,
    claim_id: str,
    worker: str,
    now: str,
    expires_at: str,
    body: str,
    by_hand: bool = False,
) -> Request:
    """Take a lease that is new, free or expired, and raise its attempt; the first body ever given stays."""
    return update_item(
        table,
        lease_key(kind, owner_id),
        update=(
            "SET #TYPE = :type, #kind = :kind, #state = :held, #GSI1PK = :index, #GSI1SK = :expires_at,"
            " #claim_id = :claim_id, #worker = :worker, #acquired_at = :now, #expires_at = :expires_at,"
            " #attempt = if_not_exists(#attempt, :zero) + :one, #failures = if_not_exists(#failures, :none),"
            " #body = if_not_exists(#body, :body), #by_hand = :by_hand"
        ),
        condition=("attribute_not_exists(#PK) OR #state = :free OR (#state = :held AND #expires_at < :now)"),
        values=values_of(
            {
                "type": JobLease.TYPE,
                "kind": kind,
                "held": "held",
                "free": "free",
                "index": LEASE_STATE.build(state="held"),
                "claim_id": claim_id,
                "worker": worker,
                "now": now,
                "expires_at": expires_at,
                "zero": 0,
                "one": 1,
                "none": [],
                "body": body,
                "by_hand": by_hand,
            }
        ),
    )


def offer_lease(table: str, owner_id: str, *, kind: LeaseKind, body: str, due_at: str) -> Request:
    """Note a request on a lease that is new, or that a cancel has made before any request was known."""
    return update_item(
        table,
        lease_key(kind, owner_id),
        update=(
            f"SET #TYPE = :type, #kind = :kind, {_FREE}, #body = :body,"
            " #attempt = if_not_exists(#attempt, :zero), #failures = if_not_exists(#failures, :none)"
        ),
        condition="attribute_not_exists(#PK) OR (#state = :free AND attribute_not_exists(#body))",
        values=values_of(
            {
                "type": JobLease.TYPE,
                "kind": kind,
                "body": body,
                "zero": 0,
                "none": [],
                **_free(due_at),
            }
        ),
    )


def renew_lease(
    table: str, lease: JobLease, *, expires_at: str, progress: LeaseProgress | None = None
) -> Request:
    """Move the end of a lease that is still ours; the answer shows whether a cancel was requested."""
    update = "SET #expires_at = :expires_at, #GSI1SK = :expires_at"
    values = {"expires_at": expires_at, **_ours(lease)}
    if progress is not None:
        update += ", #progress = :progress"
        values["progress"] = progress
    return update_item(table, lease.key(), update=update, condition=_HELD_BY_US, values=values_of(values))


def release_lease(
    table: str, lease: JobLease, *, due_at: str, failure: LeaseFailure | None = None
) -> Request:
    """Free a lease that is ours, at once claimable; a `failure` is added to its history."""
    update = f"SET {_FREE}"
    values = {**_free(due_at), **_ours(lease)}
    if failure is not None:
        update += ", #failures = list_append(#failures, :failure)"
        values["failure"] = [failure]
    return update_item(table, lease.key(), update=update, condition=_HELD_BY_US, values=values_of(values))


def postpone_lease(table: str, seen: JobLease, *, due_at: str) -> Request:
    """Free a lease that nobody works on, unless something has changed since it was seen."""
    return update_item(
        table,
        seen.key(),
        update=f"SET {_FREE}",
        condition="#state = :seen_state AND #attempt = :attempt AND #expires_at = :seen_end",
        values=values_of(
            {
                "seen_state": seen.state,
                "seen_end": seen.expires_at,
                "attempt": seen.attempt,
                **_free(due_at),
            }
        ),
    )


def decide_lease(
    table: str, lease: JobLease, *, outcome: LeaseOutcome, decision: Mapping[str, Any], now: str
) -> Request:
    """Fix the outcome of a job that is ours; `expires_at` stays, and a sweep leaves us until then."""
    return update_item(
        table,
        lease.key(),
        update=(
            "SET #state = :decided, #GSI1PK = :index, #outcome = :outcome, #decision = :decision,"
            " #decided_at = :now"
        ),
        condition=_HELD_BY_US,
        values=values_of(
            {
                "decided": "decided",
                "index": LEASE_STATE.build(state="decided"),
                "outcome": outcome,
                "decision": decision,
                "now": now,
                **_ours(lease),
            }
        ),
    )


def close_lease(table: str, lease: JobLease) -> Request:
    """Close a decided lease once record, result and request are done; anyone who completed it may."""
    return update_item(
        table,
        lease.key(),
        update="SET #state = :closed, #GSI1PK = :index",
        condition="#state = :decided AND #attempt = :attempt",
        values=values_of(
            {
                "closed": "closed",
                "decided": "decided",
                "index": LEASE_STATE.build(state="closed"),
                "attempt": lease.attempt,
            }
        ),
    )


def request_cancel(table: str, owner_id: str, *, kind: LeaseKind, now: str) -> Request:
    """Note that the job should stop, on its lease or on a new free one that the next claim will find."""
    return update_item(
        table,
        lease_key(kind, owner_id),
        update=(
            "SET #cancel_requested_at = if_not_exists(#cancel_requested_at, :now), #TYPE = :type,"
            " #kind = :kind, #state = if_not_exists(#state, :free),"
            " #attempt = if_not_exists(#attempt, :zero),"
            " #failures = if_not_exists(#failures, :none), #expires_at = if_not_exists(#expires_at, :now),"
            " #GSI1PK = if_not_exists(#GSI1PK, :index), #GSI1SK = if_not_exists(#GSI1SK, :now)"
        ),
        condition="attribute_not_exists(#PK) OR #state = :free OR #state = :held",
        values=values_of(
            {
                "now": now,
                "type": JobLease.TYPE,
                "kind": kind,
                "free": "free",
                "held": "held",
                "zero": 0,
                "none": [],
                "index": LEASE_STATE.build(state="free"),
            }
        ),
    )


def get_lease(table: str, owner_id: str, *, kind: LeaseKind) -> Request:
    """Read a lease as it stands now."""
    key = lease_key(kind, owner_id)
    return Request("get_item", {"TableName": table, "Key": key, "ConsistentRead": True})


def leases_before(table: str, kind: LeaseKind, state: LeaseState, before: str) -> Request:
    """Find leases of one kind and state whose `expires_at` lies before a moment, the earliest first.

    One whose kind is missing or unknown is found with each kind: left out, nobody would ever see it.
    """
    kinds = {f"kind_{name}": name for name in get_args(LeaseKind)}
    unknown = " AND ".join(f"#kind <> :{name}" for name in kinds)
    return query(
        table,
        "#GSI1PK = :state AND #GSI1SK < :before",
        {"state": LEASE_STATE.build(state=state), "before": before, "kind": kind, **kinds},
        index="GSI1",
        keep=f"#kind = :kind OR attribute_not_exists(#kind) OR ({unknown})",
    )


def claim_run_name(table: str, wanted: RunName, *, former: str | None) -> Request:
    """Take a name that is new, ours already, or still that of the `former` job."""
    item = wanted.to_item()
    keys = {"PK": item.pop("PK"), "SK": item.pop("SK")}
    return update_item(
        table,
        keys,
        update="SET " + ", ".join(f"#{name} = :{name}" for name in item),
        condition="attribute_not_exists(#PK) OR #job_id = :job_id OR #job_id = :former",
        values={f":{name}": value for name, value in item.items()} | values_of({"former": former}),
    )


def get_run_name(table: str, name: str) -> Request:
    """Read which job has a name now."""
    key = {"PK": {"S": RUN_NAME_PK.build(name=name)}, "SK": {"S": RUN_NAME_SK.build()}}
    return Request("get_item", {"TableName": table, "Key": key, "ConsistentRead": True})


def _free(due_at: str) -> dict[str, Any]:
    return {"free": "free", "index": LEASE_STATE.build(state="free"), "due_at": due_at}


def _ours(lease: JobLease) -> dict[str, Any]:
    return {"held": "held", "claim_id": lease.claim_id, "attempt": lease.attempt}
