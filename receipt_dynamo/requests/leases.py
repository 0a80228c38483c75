"""The conditional writes that decide who works on a job.

Moments are compared as text by the table, so they must come from `times.write_time`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from receipt_dynamo.entities.fields import LeaseFailure, LeaseKind, LeaseOutcome, LeaseState
from receipt_dynamo.entities.job_lease import JobLease
from receipt_dynamo.keys import LEASE_SK, LEASE_STATE, lease_pk
from receipt_dynamo.requests.expressions import query, update_item, values_of
from receipt_dynamo.steps import Request
from receipt_dynamo.values import Item

_HELD_BY_US: Final = "#state = :held AND #claim_id = :claim_id AND #attempt = :attempt"


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
    body: str | None = None,
) -> Request:
    """Take a lease that is new, free or expired, and raise its attempt; without `body` keep the last one."""
    return update_item(
        table,
        lease_key(kind, owner_id),
        update=(
            "SET #TYPE = :type, #kind = :kind, #state = :held, #GSI1PK = :index, #GSI1SK = :expires_at,"
            " #claim_id = :claim_id, #worker = :worker, #acquired_at = :now, #expires_at = :expires_at,"
            " #attempt = if_not_exists(#attempt, :zero) + :one, #failures = if_not_exists(#failures, :none),"
            f" #body = {'if_not_exists(#body, :body)' if body is None else ':body'}"
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
            }
        ),
    )


def renew_lease(table: str, lease: JobLease, *, expires_at: str) -> Request:
    """Move the end of a lease that is still ours; the answer shows whether a cancel was requested."""
    return update_item(
        table,
        lease.key(),
        update="SET #expires_at = :expires_at, #GSI1SK = :expires_at",
        condition=_HELD_BY_US,
        values=values_of({"expires_at": expires_at, **_ours(lease)}),
    )


def release_lease(table: str, lease: JobLease, *, now: str, failure: LeaseFailure | None = None) -> Request:
    """Free a lease that is ours, at once claimable; a `failure` is added to the history of counted ones."""
    update = "SET #state = :free, #GSI1PK = :index, #expires_at = :now, #GSI1SK = :now"
    values = {"free": "free", "index": LEASE_STATE.build(state="free"), "now": now, **_ours(lease)}
    if failure is not None:
        update += ", #failures = list_append(#failures, :failure)"
        values["failure"] = [failure]
    return update_item(table, lease.key(), update=update, condition=_HELD_BY_US, values=values_of(values))


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


def expired_leases(table: str, now: str) -> Request:
    """Find held leases whose end lies before `now`, the longest expired first."""
    return _in_state(table, "held", now)


def decided_leases(table: str, expired_before: str | None = None) -> Request:
    """Find leases that are decided and not closed, all or those whose end lies before a moment."""
    return _in_state(table, "decided", expired_before)


def _in_state(table: str, state: LeaseState, expired_before: str | None) -> Request:
    values = {"state": LEASE_STATE.build(state=state)}
    if expired_before is None:
        return query(table, "#GSI1PK = :state", values, index="GSI1")
    values["before"] = expired_before
    return query(table, "#GSI1PK = :state AND #GSI1SK < :before", values, index="GSI1")


def _ours(lease: JobLease) -> dict[str, Any]:
    return {"held": "held", "claim_id": lease.claim_id, "attempt": lease.attempt}
