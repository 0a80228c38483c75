"""The list of runs: pages, filters, what they cost, and that what records say stays text."""

from __future__ import annotations

import re
import uuid
from urllib.parse import quote

from receipt_dynamo.clock import now
from receipt_dynamo.entities import Job
from run_records.s3_store import S3Store
from tests.support.many_runs import seed_runs
from tests.support.served import Dashboard, Start, texts

RUNS = 300
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def shown(page: str) -> list[str]:
    return re.findall(r'name="run" value="([^"]+)"', page)


def older(page: str) -> str | None:
    found = re.search(r'href="(/jobs\?[^"]*cursor=[^"]*)"', page)
    return found[1].replace("&amp;", "&") if found else None


def test_pages_go_through_all_runs_once_at_one_query_a_status(dashboard: Dashboard, storage: S3Store) -> None:
    ids = seed_runs(dashboard.client, storage, RUNS, 2)
    seen: list[str] = []
    path: str | None = "/jobs"
    while path:
        before = dashboard.client.request_count
        page = dashboard.get(path)
        assert page.status == 200
        assert dashboard.client.request_count - before <= 6
        seen += shown(page.text)
        path = older(page.text)
    assert len(seen) == RUNS
    assert set(seen) == set(ids)
    assert seen[5:] == ids[5:]


def test_one_status_is_one_query_and_stays_on_the_next_page(dashboard: Dashboard, storage: S3Store) -> None:
    seed_runs(dashboard.client, storage, 100, 2)
    before = dashboard.client.request_count
    page = dashboard.get("/jobs?status=succeeded").text
    assert dashboard.client.request_count - before == 1
    expected = [job.job_id for job in dashboard.client.list_newest_jobs(["succeeded"], None).items]
    assert shown(page) == expected[:50]
    path = older(page)
    assert path is not None
    assert shown(dashboard.get(path).text) == expected[50:]


def test_names_and_tags_are_looked_for_without_a_request_per_run(
    dashboard: Dashboard, storage: S3Store
) -> None:
    seed_runs(dashboard.client, storage, 100, 2)
    before = dashboard.client.request_count
    page = dashboard.get("/jobs?name=SWEEP-003&tag=sweep%3D003").text
    assert dashboard.client.request_count - before <= 12
    assert len(shown(page)) == 20
    assert "of 100 looked through" in page
    assert shown(dashboard.get("/jobs?tag=sweep%3D999").text) == []
    assert len(shown(dashboard.get("/jobs?tag=sweep&name=run-00007").text)) == 1


def test_a_status_that_does_not_exist_is_named(dashboard: Dashboard) -> None:
    answer = dashboard.get("/jobs?status=paused")
    assert answer.status == 400
    assert "Use one of pending, running" in texts(answer.text)


def test_an_empty_table_says_how_to_begin(dashboard: Dashboard) -> None:
    assert "layoutlm-cli submit train NAME" in dashboard.get("/jobs").text


def test_what_records_say_is_text_on_every_page(start: Start) -> None:
    dashboard = start(allow_actions=True)
    job_id = str(uuid.uuid4())
    job = Job(
        job_id=job_id,
        name=HOSTILE,
        description="",
        created_at=now(),
        created_by="others",
        status="failed",
        priority="low",
        job_config={"pretrained_model": HOSTILE, HOSTILE: HOSTILE},
        tags={HOSTILE: HOSTILE},
        error_message=HOSTILE,
    )
    dashboard.client.add_job(job)
    for path in ("/jobs", f"/runs/{job_id}", f"/runs/{job_id}/receipts", f"/runs/{job_id}/cancel"):
        page = dashboard.get(path).text
        assert "alert(1)" in page, path
        assert "<script>alert" not in page, path
        assert "<img" not in page, path


def test_what_an_address_says_is_text(dashboard: Dashboard) -> None:
    for path in (f"/jobs?name={quote(HOSTILE)}&tag={quote(HOSTILE)}", f"/runs/{quote(HOSTILE, safe='')}"):
        page = dashboard.get(path).text
        assert "<script>alert" not in page
        assert "<img" not in page
