from __future__ import annotations

import uuid
from typing import Any

import pytest

from receipt_dynamo.entities import JobLease, RunName
from receipt_dynamo.entities.field_types import LeaseProgress
from receipt_dynamo.operations.leases import LeaseRefused

OWNER = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
T0 = "2025-11-20T14:00:00.000000+00:00"
T1 = "2025-11-20T14:10:00.000000+00:00"
T2 = "2025-11-20T14:20:00.000000+00:00"
T3 = "2025-11-20T14:30:00.000000+00:00"
FAILURE = {"attempt": 1, "error_class": "Throttled", "message": "slow down", "at": T1, "worker": "a"}


def claim(dynamo: Any, worker: str = "a", now: str = T0, expires_at: str = T1, **more: Any) -> JobLease:
    arguments = {"kind": "train", "claim_id": str(uuid.uuid4()), "worker": worker, "body": "{}"} | more
    lease = dynamo.claim_lease(OWNER, now=now, expires_at=expires_at, **arguments)
    assert isinstance(lease, JobLease)
    return lease


def test_the_first_claim_makes_the_lease_at_attempt_one(dynamo: Any) -> None:
    lease = claim(dynamo)
    assert (lease.state, lease.attempt, lease.worker, lease.body) == ("held", 1, "a", "{}")
    assert (lease.acquired_at, lease.expires_at, lease.failures) == (T0, T1, [])
    assert dynamo.get_lease(OWNER, kind="train") == lease


def test_a_job_that_was_never_claimed_has_no_lease(dynamo: Any) -> None:
    assert dynamo.get_lease(OWNER, kind="export") is None


def test_of_two_claims_the_second_is_refused_and_learns_who_holds_it(dynamo: Any) -> None:
    held = claim(dynamo, "a")
    with pytest.raises(LeaseRefused, match=r"held at attempt 1 by a. Leave the job alone") as caught:
        claim(dynamo, "b")
    assert caught.value.lease == held


def test_a_claim_whose_answer_was_lost_finds_itself(dynamo: Any) -> None:
    first = claim(dynamo, claim_id="once")
    assert claim(dynamo, claim_id="once") == first


def test_a_claim_after_expiry_raises_the_attempt(dynamo: Any) -> None:
    claim(dynamo, "a", T0, T1)
    later = claim(dynamo, "b", T2, T3)
    assert (later.attempt, later.worker) == (2, "b")


def test_a_claim_at_the_very_end_of_a_lease_is_refused(dynamo: Any) -> None:
    claim(dynamo, "a", T0, T1)
    with pytest.raises(LeaseRefused):
        claim(dynamo, "b", T1, T2)


def test_the_first_body_that_a_lease_was_given_stays(dynamo: Any) -> None:
    claim(dynamo, body="first")
    assert claim(dynamo, "b", T2, T3, body="second").body == "first"


def test_a_train_and_an_export_of_one_id_have_leases_of_their_own(dynamo: Any) -> None:
    claim(dynamo)
    assert claim(dynamo, kind="export").attempt == 1


def test_a_renewal_moves_the_end(dynamo: Any) -> None:
    renewed = dynamo.renew_lease(claim(dynamo), expires_at=T2)
    assert renewed.expires_at == T2
    with pytest.raises(LeaseRefused):
        claim(dynamo, "b", T1, T2)


def test_a_renewal_takes_along_where_the_work_is_and_one_without_leaves_it(dynamo: Any) -> None:
    held = claim(dynamo)
    progress = LeaseProgress(
        attempt=1,
        at=T0,
        stage="training",
        message="",
        epoch=0.5,
        step=7,
        total_steps=14,
        metrics={"eval_f1": 0.25},
    )
    dynamo.renew_lease(held, expires_at=T1, progress=progress)
    assert dynamo.renew_lease(held, expires_at=T2).progress == progress


def test_a_renewal_by_the_one_who_lost_the_lease_is_refused(dynamo: Any) -> None:
    lost = claim(dynamo, "a", T0, T1)
    claim(dynamo, "b", T2, T3)
    with pytest.raises(LeaseRefused, match="could not be renewed: it is held at attempt 2 by b"):
        dynamo.renew_lease(lost, expires_at=T3)


def test_a_renewal_of_a_lease_that_is_gone_is_refused(dynamo: Any) -> None:
    stranger = JobLease(
        kind="train", owner_id=OWNER, state="held", attempt=1, claim_id="x", worker="x", expires_at=T1
    )
    with pytest.raises(LeaseRefused, match="there is none") as caught:
        dynamo.renew_lease(stranger, expires_at=T2)
    assert caught.value.lease is None


def test_a_released_lease_can_be_claimed_at_once_with_the_failures_kept(dynamo: Any) -> None:
    released = dynamo.release_lease(claim(dynamo), due_at=T0, failure=FAILURE)
    assert (released.state, released.failures) == ("free", [FAILURE])
    again = claim(dynamo, "b", T0, T1)
    assert (again.attempt, again.failures) == (2, [FAILURE])
    second = dynamo.release_lease(again, due_at=T0, failure=FAILURE | {"attempt": 2})
    assert [failure["attempt"] for failure in second.failures] == [1, 2]


def test_a_release_without_a_failure_counts_none(dynamo: Any) -> None:
    assert dynamo.release_lease(claim(dynamo), due_at=T0).failures == []


def test_a_release_whose_answer_was_lost_counts_its_failure_once(dynamo: Any) -> None:
    held = claim(dynamo)
    dynamo.release_lease(held, due_at=T0, failure=FAILURE)
    assert dynamo.release_lease(held, due_at=T0, failure=FAILURE).failures == [FAILURE]


def test_a_decided_lease_can_be_neither_claimed_nor_renewed_nor_decided_otherwise(dynamo: Any) -> None:
    held = claim(dynamo)
    decision = {"result": {"job_id": OWNER, "f1": 0.7}, "follow_ups": []}
    decided = dynamo.decide_lease(held, outcome="succeeded", decision=decision, now=T1)
    assert (decided.state, decided.outcome, decided.decision) == ("decided", "succeeded", decision)
    with pytest.raises(LeaseRefused, match="it is decided"):
        claim(dynamo, "b", T2, T3)
    with pytest.raises(LeaseRefused):
        dynamo.renew_lease(held, expires_at=T3)
    assert dynamo.decide_lease(held, outcome="failed", decision={}, now=T1) == decided


def test_a_decided_lease_is_closed_by_whoever_completed_it_once_or_twice(dynamo: Any) -> None:
    decided = dynamo.decide_lease(claim(dynamo), outcome="failed", decision={}, now=T1)
    assert dynamo.close_lease(decided).state == "closed"
    assert dynamo.close_lease(decided).outcome == "failed"
    with pytest.raises(LeaseRefused, match="it is closed"):
        claim(dynamo, "b", T2, T3)


def test_a_lease_that_is_not_decided_cannot_be_closed(dynamo: Any) -> None:
    with pytest.raises(LeaseRefused, match="could not be closed: it is held"):
        dynamo.close_lease(claim(dynamo))


def test_a_cancel_request_is_seen_by_the_next_renewal(dynamo: Any) -> None:
    held = claim(dynamo)
    dynamo.request_cancel(OWNER, kind="train", now=T0)
    assert dynamo.renew_lease(held, expires_at=T2).cancel_requested_at == T0


def test_a_cancel_request_before_any_claim_is_seen_by_the_first_one(dynamo: Any) -> None:
    waiting = dynamo.request_cancel(OWNER, kind="train", now=T0)
    assert (waiting.state, waiting.attempt) == ("free", 0)
    first = claim(dynamo)
    assert (first.attempt, first.cancel_requested_at) == (1, T0)


def test_the_first_cancel_request_is_the_one_that_stands(dynamo: Any) -> None:
    dynamo.request_cancel(OWNER, kind="train", now=T0)
    assert dynamo.request_cancel(OWNER, kind="train", now=T1).cancel_requested_at == T0


def test_a_job_that_was_noted_but_never_claimed_can_be_cancelled(dynamo: Any) -> None:
    assert dynamo.offer_lease(OWNER, kind="train", body="first", due_at=T0)
    dynamo.request_cancel(OWNER, kind="train", now=T1)
    claimed = claim(dynamo)
    assert (claimed.cancel_requested_at, claimed.body) == (T1, "first")


def test_a_request_that_is_noted_after_its_cancel_keeps_both(dynamo: Any) -> None:
    dynamo.request_cancel(OWNER, kind="train", now=T0)
    assert dynamo.offer_lease(OWNER, kind="train", body="first", due_at=T1)
    noted = dynamo.get_lease(OWNER, kind="train")
    assert (noted.cancel_requested_at, noted.body, noted.expires_at) == (T0, "first", T1)


def test_a_request_is_noted_once_and_not_over_a_worker_that_has_it(dynamo: Any) -> None:
    held = claim(dynamo, body="first")
    assert not dynamo.offer_lease(OWNER, kind="train", body="second", due_at=T3)
    assert dynamo.get_lease(OWNER, kind="train") == held
    dynamo.release_lease(held, due_at=T2)
    assert not dynamo.offer_lease(OWNER, kind="train", body="second", due_at=T3)


def test_a_job_that_has_ended_cannot_be_cancelled(dynamo: Any) -> None:
    dynamo.decide_lease(claim(dynamo), outcome="succeeded", decision={}, now=T1)
    with pytest.raises(LeaseRefused, match="could not be cancelled: it is decided"):
        dynamo.request_cancel(OWNER, kind="train", now=T1)


def owners(dynamo: Any, state: str, before: str) -> list[str]:
    return [lease.owner_id for lease in dynamo.list_leases("train", state, before=before).items]


def test_a_sweep_finds_held_leases_of_its_kind_that_ended_and_no_others(dynamo: Any) -> None:
    claim(dynamo, now=T0, expires_at=T1)
    claim(dynamo, now=T0, expires_at=T1, kind="export")
    assert owners(dynamo, "held", T1) == []
    assert owners(dynamo, "held", T2) == [OWNER]


def test_a_sweep_finds_free_leases_whose_moment_has_passed(dynamo: Any) -> None:
    dynamo.release_lease(claim(dynamo), due_at=T2)
    assert owners(dynamo, "free", T2) == []
    assert owners(dynamo, "free", T3) == [OWNER]


def test_a_sweep_finds_decided_leases_until_they_are_closed(dynamo: Any) -> None:
    decided = dynamo.decide_lease(claim(dynamo), outcome="succeeded", decision={"a": 1}, now=T0)
    assert owners(dynamo, "decided", T1) == []
    assert dynamo.list_leases("train", "decided", before=T2).items == [decided]
    dynamo.close_lease(decided)
    assert owners(dynamo, "decided", T2) == []


def test_of_many_who_postpone_an_overdue_lease_one_succeeds(dynamo: Any) -> None:
    seen = claim(dynamo, now=T0, expires_at=T1)
    postponed = dynamo.postpone_lease(seen, due_at=T3)
    assert (postponed.state, postponed.attempt, postponed.expires_at) == ("free", 1, T3)
    with pytest.raises(LeaseRefused, match="could not be postponed: it is free"):
        dynamo.postpone_lease(seen, due_at=T2)
    assert dynamo.postpone_lease(seen, due_at=T3) == postponed  # the answer to our own write was lost


def test_a_lease_that_was_taken_meanwhile_is_not_postponed(dynamo: Any) -> None:
    seen = claim(dynamo, now=T0, expires_at=T1)
    held = claim(dynamo, "b", T2, T3)
    with pytest.raises(LeaseRefused, match="it is held at attempt 2 by b"):
        dynamo.postpone_lease(seen, due_at=T3)
    assert dynamo.get_lease(OWNER, kind="train") == held


def test_a_postponed_lease_is_its_former_holders_no_more(dynamo: Any) -> None:
    seen = claim(dynamo, now=T0, expires_at=T1)
    dynamo.postpone_lease(seen, due_at=T3)
    with pytest.raises(LeaseRefused):
        dynamo.renew_lease(seen, expires_at=T3)
    assert claim(dynamo, "b", T2, T3).attempt == 2


def run_name(job_id: str) -> RunName:
    return RunName(name="a-run", job_id=job_id, claimed_at=T0)


def test_a_name_belongs_to_the_job_that_took_it_first(dynamo: Any) -> None:
    other = str(uuid.uuid4())
    assert dynamo.claim_run_name(run_name(OWNER)).job_id == OWNER
    assert dynamo.claim_run_name(run_name(other)).job_id == OWNER
    assert dynamo.claim_run_name(run_name(OWNER)).job_id == OWNER


def test_a_name_passes_on_only_from_the_job_that_was_seen_to_need_it_no_more(dynamo: Any) -> None:
    second, third = str(uuid.uuid4()), str(uuid.uuid4())
    dynamo.claim_run_name(run_name(OWNER))
    assert dynamo.claim_run_name(run_name(second), former=OWNER).job_id == second
    assert dynamo.claim_run_name(run_name(third), former=OWNER).job_id == second
