"""The pages of runs: everything that a run left, what each page costs, and what it says when AWS fails."""

from __future__ import annotations

import json
import re
import uuid

from layoutlm_cli.dashboard.pages.compare import MOST
from receipt_dynamo.clock import now
from receipt_dynamo.entities import Job, JobLog
from run_records.s3_store import S3Store
from tests.support.many_runs import seed_runs
from tests.support.runs import make_detail, make_predictions
from tests.support.served import Dashboard, Start, texts
from tests.support.stored_runs import store_run


def some_runs(dashboard: Dashboard, storage: S3Store, count: int = 2) -> list[str]:
    [bucket] = storage.allowed_buckets
    names = [f"run-{number}" for number in range(count)]
    for number, name in enumerate(names):
        detail = make_detail(4, seed=number, name=name, bucket=bucket, learning_rate=1e-5 * (number + 1))
        store_run(dashboard.client, storage, detail, make_predictions(detail, receipts=3, words=60))
    return names


def test_a_run_page_shows_scores_findings_charts_attempts_files_settings_and_log(
    dashboard: Dashboard, storage: S3Store
) -> None:
    [name] = some_runs(dashboard, storage, 1)
    job = dashboard.client.find_job(name)
    dashboard.client.add_job_log(
        JobLog(job_id=job.job_id, timestamp=now(), log_level="INFO", message="the last line")
    )
    before = dashboard.client.request_count
    page = dashboard.get(f"/runs/{name}").text
    assert dashboard.client.request_count - before <= 10
    seen = texts(page)
    for word in ("Findings", "MERCHANT_NAME", "spot interruption notice", "worker-b", "SUCCEEDED"):
        assert word in seen, word
    for word in ("learning_rate", "1e-05", "the last line", "checkpoints/checkpoint-", "95 %:"):
        assert word in seen, word
    specs = re.search(r'id="chart-specs">(.*?)</script>', page, re.DOTALL)
    assert specs is not None
    charts = json.loads(specs[1])
    assert {"loss", "scores", "confusion"} <= {chart["name"] for chart in charts}
    assert all(f'<figure id="chart-{chart["name"]}"' in page for chart in charts)


def test_a_run_is_found_by_its_id_and_by_its_name(dashboard: Dashboard, storage: S3Store) -> None:
    [name] = some_runs(dashboard, storage, 1)
    job = dashboard.client.find_job(name)
    for wanted in (name, job.job_id):
        assert f"<h1>{name}</h1>" in dashboard.get(f"/runs/{wanted}").text


def test_a_run_that_does_not_exist_says_how_to_find_one(dashboard: Dashboard) -> None:
    for path in ("/runs/nobody", "/runs/nobody/receipts", "/runs/nobody/events"):
        answer = dashboard.get(path)
        assert answer.status == 404, path
        assert "layoutlm-cli jobs" in answer.text


def test_a_run_of_which_nothing_is_known_yet_has_a_page(dashboard: Dashboard) -> None:
    job_id = str(uuid.uuid4())
    dashboard.client.add_job(
        Job(
            job_id=job_id,
            name="new",
            description="",
            created_at=now(),
            created_by="others",
            status="pending",
            priority="low",
            job_config={},
        )
    )
    seen = texts(dashboard.get(f"/runs/{job_id}").text)
    assert "It has no evaluation yet." in seen
    assert "Nobody works on it now." in seen
    assert "no predictions yet" in texts(dashboard.get(f"/runs/{job_id}/receipts").text)


def test_without_a_table_each_page_says_what_to_do_and_the_dashboard_goes_on(start: Start) -> None:
    dashboard = start(table_name="gone")
    for path in ("/jobs", "/workers", "/runs/any", "/compare?run=a&run=b", "/runs/any/receipts"):
        answer = dashboard.get(path)
        assert answer.status == 502, path
        assert "gone" in answer.text
        assert "DYNAMO_TABLE_NAME" in answer.text
        assert "Traceback" not in answer.text
    assert dashboard.get("/queues").status == 200


def test_without_an_endpoint_a_page_says_what_to_do(start: Start) -> None:
    answer = start(endpoint_url="http://127.0.0.1:9").get("/queues")
    assert answer.status == 502
    assert "could not be asked" in answer.text


def test_a_bucket_that_is_not_allowed_is_said_with_its_remedy(start: Start, storage: S3Store) -> None:
    dashboard = start(bucket="another")
    [name] = some_runs(dashboard, storage, 1)
    answer = dashboard.get(f"/runs/{name}")
    assert answer.status == 502
    assert "LAYOUTLM_ALLOWED_BUCKETS" in answer.text


def test_runs_are_compared_with_what_differs_and_what_to_know(dashboard: Dashboard, storage: S3Store) -> None:
    names = some_runs(dashboard, storage, 3)
    before = dashboard.client.request_count
    page = dashboard.get("/compare?" + "&".join(f"run={name}" for name in names)).text
    assert dashboard.client.request_count - before <= 7 * len(names)
    seen = texts(page)
    assert "3 runs side by side" in seen
    assert re.search(r"learning_rate 1e-05 2e-05 3[\d.e]*-05", seen)
    assert "Scored on the same validation receipts" in seen
    assert all(f">{name}</a>" in page for name in names)
    assert '"eval_f1"' in page or "chart-eval_f1" in page


def test_a_comparison_needs_two_runs_and_takes_eight(dashboard: Dashboard, storage: S3Store) -> None:
    ids = seed_runs(dashboard.client, storage, MOST + 2, 1)
    for chosen in ([], ids[:1], [ids[0], ids[0]], ids[: MOST + 1]):
        answer = dashboard.get("/compare?" + "&".join(f"run={one}" for one in chosen))
        assert answer.status == 400
        assert "boxes on the jobs page" in answer.text
    assert dashboard.get("/compare?" + "&".join(f"run={one}" for one in ids[:MOST])).status == 200


def test_receipts_are_drawn_the_right_way_up_with_what_is_wrong(
    dashboard: Dashboard, storage: S3Store
) -> None:
    [bucket] = storage.allowed_buckets
    detail = make_detail(2, name="drawn", bucket=bucket)
    predictions = make_predictions(detail, receipts=3, words=80)
    store_run(dashboard.client, storage, detail, predictions)
    page = dashboard.get("/runs/drawn/receipts").text
    worst = predictions.receipts[0]
    assert texts(page).count("words wrong") == 1
    assert f"{worst.wrong_words} of {len(worst.words)} words wrong" in texts(page)
    tops = {
        word: float(y) for y, word in re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>([^<]+)</text>', page)
    }
    higher = max(worst.words, key=lambda word: word.box[1])
    lower = min(worst.words, key=lambda word: word.box[1])
    assert tops[higher.text] < tops[lower.text]
    other = predictions.receipts[1]
    chosen = dashboard.get(f"/runs/drawn/receipts?key={other.key.replace('#', '%23')}").text
    assert other.key in texts(chosen)
    assert dashboard.get("/runs/drawn/receipts?key=none").status == 404
