"""The dashboard over a table with damaged items: each page is there, and says once what it leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from receipt_dynamo.entities import JobLease
from receipt_dynamo.requests.leases import lease_key
from receipt_dynamo.requests.records import job_key
from receipt_dynamo.types import Item
from run_records.s3_store import S3Store
from tests.support.damage import damage, damaged, put_items, stored_items
from tests.support.records import job_maker, metrics
from tests.support.runs import make_detail
from tests.support.served import Dashboard
from tests.support.stored_runs import store_run
from workers.local_aws.local_stack import LocalStack

LEFT_OUT = "left out: JOB JOB#"


@pytest.fixture
def runs(dashboard: Dashboard, stack: LocalStack, storage: S3Store) -> list[str]:
    """Two whole runs and one that is under way."""
    bucket, client = stack.environ["LAYOUTLM_TRAINING_BUCKET"], dashboard.client
    details = [make_detail(3, seed=seed, name=name, bucket=bucket) for seed, name in enumerate(("a", "b"))]
    for detail in details:
        store_run(client, storage, detail)
    running = job_maker(client, stack)("running", "running", at=5)
    client.add_job_metrics(metrics(running, 1, 6, val_f1=0.5))
    lease = JobLease(
        kind="train", owner_id=running.job_id, state="held", attempt=1, expires_at="2999-01-01T00:00:00+00:00"
    )
    put_items(stack, lease.to_item())
    return [*(detail.run.job_id for detail in details), running.job_id]


def test_a_damaged_job_is_named_once_on_the_page_that_leaves_it_out(
    dashboard: Dashboard, runs: list[str], stack: LocalStack
) -> None:
    broken = job_maker(dashboard.client, stack)("broken", at=9)
    damage(stack, job_key(broken.job_id), results={"S": "best_f1=0.8"})
    page = dashboard.get("/jobs")
    assert (page.status, page.text.count(LEFT_OUT), page.text.count(broken.job_id)) == (200, 1, 1)
    assert all(run in page.text for run in runs)
    assert "left out" not in dashboard.get(f"/runs/{runs[0]}").text
    of_its_own = dashboard.get(f"/runs/{broken.job_id}")
    assert of_its_own.status == 422
    assert "&#39;results&#39;" in of_its_own.text
    compared = dashboard.get(f"/compare?run={runs[0]}&run={broken.job_id}")
    assert compared.status == 422


def test_what_a_live_page_leaves_out_comes_and_goes_with_its_parts(
    dashboard: Dashboard, runs: list[str], stack: LocalStack
) -> None:
    running = runs[-1]
    damage(stack, lease_key("train", running), attempt={"S": "one"})
    page = dashboard.get(f"/runs/{running}")
    assert (page.status, page.text.count("left out: JOB_LEASE")) == (200, 1)
    with dashboard.events(f"/runs/{running}/events") as events:
        told = next(event["html"] for event in events if event["id"] == "fault")
        assert "left out: JOB_LEASE" in told
        damage(stack, lease_key("train", running), attempt={"N": "1"})
        assert "left out" not in next(event["html"] for event in events if event["id"] == "fault")
    damage(stack, lease_key("train", running), TYPE=None)
    assert "left out: JOB_LEASE" in dashboard.get("/workers").text


@pytest.fixture
def stored(runs: list[str], stack: LocalStack) -> list[Item]:
    """What the table holds before anything is damaged."""
    return stored_items(stack)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_every_page_is_there_among_damaged_items(
    dashboard: Dashboard, runs: list[str], stored: list[Item], stack: LocalStack, draw: Any
) -> None:
    put_items(stack, *draw.draw(damaged(stored, least=40, most=80)))
    for path in ("/jobs", "/jobs?status=succeeded", "/jobs?name=a&tag=x", "/workers", "/queues"):
        page = dashboard.get(path)
        assert (page.status, page.text.count("left out: ") <= 1) == (200, True), (path, page.text)
    for path in (*(f"/runs/{run}" for run in runs), f"/compare?run={runs[0]}&run={runs[1]}"):
        page = dashboard.get(path)
        assert (page.status, page.text.count("left out: ") <= 1) == (200, True), (path, page.text)
