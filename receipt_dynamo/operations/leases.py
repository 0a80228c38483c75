"""Operations on leases, and `LeaseRefused`, which only they raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receipt_dynamo.entities import JobLease, RunName
from receipt_dynamo.entities.field_types import (
    LeaseFailure,
    LeaseKind,
    LeaseOutcome,
    LeaseProgress,
    LeaseState,
)
from receipt_dynamo.errors import ConditionFailed, InvalidItem
from receipt_dynamo.operation import Operation, Request, ResultPage, read_all
from receipt_dynamo.requests import leases
from receipt_dynamo.skipped import note_skipped
from receipt_dynamo.types import Item


class LeaseRefused(ConditionFailed):
    """The lease is not ours to take or change; `lease` is what stands there, or None."""

    def __init__(self, message: str, item: Item | None = None, lease: JobLease | None = None) -> None:
        super().__init__(message, item)
        self.lease = lease


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
) -> Operation[JobLease]:
    """Take a job that is new, free or expired, and return the lease with its raised attempt.

    `claim_id` must be unique to this claim. `body` is the request's text, kept for putting the job back on
    its queue; the first one that a lease was given stays, so compare it. `by_hand` says that no queue stands
    behind the job. The lease returned may carry `cancel_requested_at`. Raises `LeaseRefused` whose `lease`
    says who holds the job, or that it is decided or closed.
    """
    request = leases.claim_lease(
        table,
        owner_id,
        kind=kind,
        claim_id=claim_id,
        worker=worker,
        now=now,
        expires_at=expires_at,
        body=body,
        by_hand=by_hand,
    )
    try:
        response = yield request
    except ConditionFailed as refused:
        standing = _standing(refused)
        if standing is not None and standing.state == "held" and standing.claim_id == claim_id:
            return standing
        raise _refusal("claimed", f"{kind} {owner_id}", refused, standing) from refused
    return JobLease.from_item(response["Attributes"])


def offer_lease(table: str, owner_id: str, *, kind: LeaseKind, body: str, due_at: str) -> Operation[bool]:
    """Note a request that was just sent, so that a lost message is noticed by `due_at`.

    Returns False, and changes nothing, if the lease has a request already or somebody works on it.
    """
    try:
        yield leases.offer_lease(table, owner_id, kind=kind, body=body, due_at=due_at)
    except ConditionFailed:
        return False
    return True


def renew_lease(
    table: str, lease: JobLease, *, expires_at: str, progress: LeaseProgress | None = None
) -> Operation[JobLease]:
    """Hold a lease until `expires_at`; look at `cancel_requested_at` of what returns.

    `progress` is where the work is, for whoever watches; None leaves what stands there. Raises
    `LeaseRefused` if the job is no longer ours: stop the work, write and delete nothing.
    """
    request = leases.renew_lease(table, lease, expires_at=expires_at, progress=progress)
    return _change("renewed", lease, request, None)


def release_lease(
    table: str, lease: JobLease, *, due_at: str, failure: LeaseFailure | None = None
) -> Operation[JobLease]:
    """Free a lease at once for anyone, noting a `failure` in its history; raise `LeaseRefused` if not ours.

    By `due_at` somebody has to have taken it, or its message counts as lost.
    """
    request = leases.release_lease(table, lease, due_at=due_at, failure=failure)
    return _change("released", lease, request, "free")


def postpone_lease(table: str, seen: JobLease, *, due_at: str) -> Operation[JobLease]:
    """Free a lease that was seen overdue; of many who try, one succeeds and puts the job on its queue.

    Raises `LeaseRefused` if it is not as it was seen: someone else has taken it or put it back.
    """
    try:
        response = yield leases.postpone_lease(table, seen, due_at=due_at)
    except ConditionFailed as refused:
        standing = _standing(refused)
        if standing is not None and (standing.state, standing.expires_at) == ("free", due_at):
            return standing
        raise _refusal("postponed", f"{seen.kind} {seen.owner_id}", refused, standing) from refused
    return JobLease.from_item(response["Attributes"])


def decide_lease(
    table: str, lease: JobLease, *, outcome: LeaseOutcome, decision: Mapping[str, Any], now: str
) -> Operation[JobLease]:
    """Fix a job's outcome together with all that completing it needs; raise `LeaseRefused` if not ours."""
    request = leases.decide_lease(table, lease, outcome=outcome, decision=decision, now=now)
    return _change("decided", lease, request, "decided")


def close_lease(table: str, lease: JobLease) -> Operation[JobLease]:
    """Close a decided lease whose record and result are out; closing twice is the same as once."""
    return _change("closed", lease, leases.close_lease(table, lease), "closed")


def request_cancel(table: str, owner_id: str, *, kind: LeaseKind, now: str) -> Operation[JobLease]:
    """Ask for a job to stop; its next renewal or claim sees it. Raise `LeaseRefused` if it has ended."""
    try:
        response = yield leases.request_cancel(table, owner_id, kind=kind, now=now)
    except ConditionFailed as refused:
        raise _refusal("cancelled", f"{kind} {owner_id}", refused, _standing(refused)) from refused
    return JobLease.from_item(response["Attributes"])


def get_lease(table: str, owner_id: str, *, kind: LeaseKind) -> Operation[JobLease | None]:
    """Return a lease as it stands now, or None if the job was never claimed."""
    response = yield leases.get_lease(table, owner_id, kind=kind)
    return JobLease.from_item(response["Item"]) if "Item" in response else None


def find_lease(table: str, owner_id: str, *, kind: LeaseKind) -> Operation[JobLease | None]:
    """Return a lease for whoever shows it: one that cannot be read is left out, and noted, as in a list."""
    try:
        return (yield from get_lease(table, owner_id, kind=kind))
    except InvalidItem as error:
        note_skipped(error)
        return None


def list_leases(
    table: str, kind: LeaseKind, state: LeaseState, *, before: str
) -> Operation[ResultPage[JobLease]]:
    """Return the leases of one kind and state whose `expires_at` lies before a moment, the earliest first.

    An index answers, a little behind the table: only a conditional write is sure.
    """
    return read_all(leases.leases_before(table, kind, state, before), JobLease.from_item)


def claim_run_name(table: str, wanted: RunName, *, former: str | None = None) -> Operation[RunName]:
    """Take a name for a job unless another has it; return who has it now, us or the other.

    `former` is a job known to need the name no more: a name that is still its own can be taken.
    """
    try:
        response = yield leases.claim_run_name(table, wanted, former=former)
    except ConditionFailed as refused:
        if refused.item is None:
            raise
        return RunName.from_item(refused.item)
    return RunName.from_item(response["Attributes"])


def get_run_name(table: str, name: str) -> Operation[RunName | None]:
    """Return which job has a name now, or None if no job has begun under it."""
    response = yield leases.get_run_name(table, name)
    return RunName.from_item(response["Item"]) if "Item" in response else None


def _change(done: str, lease: JobLease, request: Request, reached: LeaseState | None) -> Operation[JobLease]:
    try:
        response = yield request
    except ConditionFailed as refused:
        standing = _standing(refused)
        if standing is not None and standing.state == reached and _same_claim(standing, lease):
            return standing
        raise _refusal(done, f"{lease.kind} {lease.owner_id}", refused, standing) from refused
    return JobLease.from_item(response["Attributes"])


def _same_claim(standing: JobLease, lease: JobLease) -> bool:
    return (standing.claim_id, standing.attempt) == (lease.claim_id, lease.attempt)


def _standing(refused: ConditionFailed) -> JobLease | None:
    return None if refused.item is None else JobLease.from_item(refused.item)


def _refusal(done: str, owner: str, refused: ConditionFailed, standing: JobLease | None) -> LeaseRefused:
    if standing is None:
        found = "there is none"
    else:
        found = f"it is {standing.state} at attempt {standing.attempt} by {standing.worker}"
    return LeaseRefused(
        f"The lease of {owner} could not be {done}: {found}. Leave the job alone.", refused.item, standing
    )
