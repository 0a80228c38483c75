"""The dashboard in a browser: every page, what changes while it is watched, and who is kept out."""

from __future__ import annotations

import http.server
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from receipt_dynamo import DynamoClient
from receipt_dynamo.clock import now, write_time
from receipt_dynamo.entities import Job, JobMetric
from run_records.s3_store import S3Store
from tests.support.dashboards import running_dashboard
from tests.support.evaluations import make_epochs
from tests.support.many_runs import seed_runs
from tests.support.runs import make_detail
from tests.support.stored_runs import store_run
from workers.local_aws.local_stack import LocalStack
from workers.sqs.message_attributes import dead_letter_attributes

Open = Callable[..., Any]
PHONE = {"width": 390, "height": 844}
REASONS = {"error_class": "message", "error_message": "not a valid train job: <b>bold</b>", "worker": "w-1"}


# Asked for before `open_page` by every test: so the server outlives the pages, which would report its end.
@pytest.fixture
def reading(stack: LocalStack) -> Iterator[str]:
    """The address of a dashboard that may change nothing."""
    with running_dashboard(stack) as dashboard:
        yield dashboard.address


@pytest.fixture
def acting(stack: LocalStack) -> Iterator[str]:
    """The address of one that may."""
    with running_dashboard(stack, "--allow-actions") as dashboard:
        yield dashboard.address


@pytest.fixture
def client(stack: LocalStack) -> DynamoClient:
    return DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))


@pytest.fixture
def storage(stack: LocalStack) -> S3Store:
    return S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))


def add_running(client: DynamoClient, name: str) -> str:
    job_id = str(uuid.uuid4())
    client.add_job(
        Job(
            job_id=job_id,
            name=name,
            description="",
            created_at=now(),
            created_by="a test",
            status="running",
            priority="medium",
            job_config={"epochs": 10},
        )
    )
    client.claim_lease(
        job_id,
        kind="train",
        claim_id=str(uuid.uuid4()),
        worker="host-a:17",
        now=now(),
        expires_at=write_time(datetime.now(UTC) + timedelta(minutes=5)),
        body="{}",
    )
    return job_id


def add_epoch(client: DynamoClient, job_id: str, number: int) -> None:
    one = make_epochs(10)[number - 1]
    values: dict[str, Any] = {"val_f1": one.eval_f1, "eval_loss": one.eval_loss, "train_loss": one.train_loss}
    values |= {f"label_{name}": scores.model_dump() for name, scores in one.per_label_metrics.items()}
    client.add_job_metrics(
        [
            JobMetric(
                job_id=job_id,
                metric_name=name,
                timestamp=now(),
                value=value,
                step=one.global_step,
                epoch=int(one.epoch),
            )
            for name, value in values.items()
        ]
    )


def bury(stack: LocalStack, body: str) -> None:
    sqs = stack.client("sqs")
    [url] = [url for url in sqs.list_queues()["QueueUrls"] if _is_train_dead_letters(stack, url)]
    sqs.send_message(
        QueueUrl=url,
        MessageBody=body,
        MessageAttributes=dict(dead_letter_attributes({}, {**REASONS, "failed_at": now()})[0]),
    )


def _is_train_dead_letters(stack: LocalStack, url: str) -> bool:
    name, _, suffix = stack.environ["TRAIN_JOB_QUEUE_URL"].rpartition("/")[2].rpartition("-")
    return url.endswith(f"/{name}-dlq-{suffix}")


def has_no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_a_reader_goes_from_the_jobs_to_a_run_its_receipts_and_a_comparison(
    reading: str, client: DynamoClient, storage: S3Store, open_page: Open
) -> None:
    seed_runs(client, storage, 120, 4)
    watched = open_page(reading)
    page: Page = watched.page
    expect(page).to_have_title("Jobs · receipt-layoutlm")
    page.get_by_label("Name contains").fill("detailed")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(5)
    page.get_by_role("link", name="detailed-0").click()
    expect(page.get_by_role("heading", name="detailed-0")).to_be_visible()
    expect(page.locator("#chart-loss svg")).to_be_visible()
    expect(page.locator("#charts svg")).to_have_count(page.locator("#charts figure").count())
    expect(page.locator("#state")).to_have_text("live")
    page.get_by_role("link", name="Receipts").click()
    expect(page.locator(".receipt svg text").first).to_be_visible()
    second = page.get_by_label("Receipts").get_by_role("link").nth(1)
    second.click()
    expect(second).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="Jobs").first.click()
    page.get_by_label("Compare detailed-0").check()
    page.get_by_label("Compare detailed-1").check()
    page.get_by_role("button", name="Compare the chosen runs").click()
    expect(page.get_by_role("heading", name="2 runs side by side")).to_be_visible()
    expect(page.locator("#chart-eval_f1 svg")).to_be_visible()
    page.get_by_role("link", name="Queues").click()
    expect(page.locator("tbody tr")).to_have_count(4)
    page.get_by_role("link", name="Workers").click()
    expect(page.get_by_text("Nobody works on anything now.")).to_be_visible()
    assert all(url.startswith(reading) for url in watched.requests)


def test_the_next_page_of_jobs_is_a_click_away_and_leads_back(
    reading: str, client: DynamoClient, storage: S3Store, open_page: Open
) -> None:
    seed_runs(client, storage, 60, 1)
    page: Page = open_page(f"{reading}/jobs").page
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("tbody tr")).to_have_count(10)
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("tbody tr")).to_have_count(50)


def test_a_run_that_is_watched_changes_without_being_loaded_again(
    reading: str, client: DynamoClient, open_page: Open
) -> None:
    job_id = add_running(client, "watched")
    add_epoch(client, job_id, 1)
    page: Page = open_page(f"{reading}/runs/watched").page
    page.evaluate("window.loadedOnce = true")
    expect(page.locator("#run-summary")).to_contain_text("Epoch 1 of 10 scored")
    expect(page.locator("#chart-scores svg")).to_be_visible()
    page.get_by_text("All evaluations").click()
    expect(page.locator("#run-scores details[open] tbody tr")).to_have_count(1)
    before = page.locator("#chart-scores").bounding_box()
    add_epoch(client, job_id, 2)
    expect(page.locator("#run-summary")).to_contain_text("Epoch 2 of 10 scored", timeout=20_000)
    expect(page.locator("#run-scores details[open] tbody tr")).to_have_count(2)
    expect(page.get_by_text("All evaluations")).to_be_focused()
    expect(page.locator("#chart-scores div.leaving")).to_have_count(0)
    after = page.locator("#chart-scores").bounding_box()
    assert before is not None
    assert after is not None
    assert (before["width"], before["height"]) == (after["width"], after["height"])
    assert page.evaluate("window.loadedOnce") is True


def test_charts_come_with_the_first_evaluation_and_a_new_run_json_shows(
    reading: str, client: DynamoClient, storage: S3Store, open_page: Open
) -> None:
    job_id = add_running(client, "early")
    detail = make_detail(3, name="late", status="running", bucket=next(iter(storage.allowed_buckets)))
    store_run(client, storage, detail.model_copy(update={"epochs": detail.epochs[:2]}))
    early: Page = open_page(f"{reading}/runs/early").page
    late: Page = open_page(f"{reading}/runs/late").page
    expect(early.locator("#state")).to_have_text("live")
    expect(early.locator("#charts svg")).to_have_count(0)
    expect(late.locator("#run-summary")).to_contain_text("Epoch 2 of")
    add_epoch(client, job_id, 1)
    _rewrite_run_json(storage, detail)
    expect(early.locator("#chart-loss svg")).to_be_visible(timeout=20_000)
    expect(late.locator("#run-summary")).to_contain_text("Epoch 3 of", timeout=20_000)


def _rewrite_run_json(storage: S3Store, detail: Any) -> None:
    place = f"{detail.run.run_s3_uri}run.json"
    record = json.loads(storage.read(place) or b"")
    record["epoch_metrics"] = [one.model_dump(exclude_none=True) for one in detail.epochs]
    storage.write(place, json.dumps(record).encode())


def test_queues_and_leases_change_while_they_are_watched(
    reading: str, stack: LocalStack, client: DynamoClient, open_page: Open
) -> None:
    queues: Page = open_page(f"{reading}/queues").page
    workers: Page = open_page(f"{reading}/workers").page
    expect(queues.locator("#queues-depths")).not_to_contain_text("show with reasons")
    bury(stack, "{}")
    add_running(client, "taken")
    expect(workers.get_by_role("link", name="taken")).to_be_visible(timeout=20_000)
    queues.get_by_role("link", name="show with reasons").click(timeout=20_000)
    expect(queues.get_by_text("not a valid train job: <b>bold</b>")).to_be_visible()
    expect(queues.get_by_role("link", name="Redrive")).to_have_count(0)


def test_with_actions_a_training_is_submitted_and_cancelled_and_a_dead_letter_sent_back(
    acting: str, stack: LocalStack, open_page: Open
) -> None:
    bury(stack, '{"job_name": "came-back"}')
    page: Page = open_page(f"{acting}/submit").page
    page.get_by_label("Name", exact=True).fill("from-a-browser")
    page.get_by_label("epochs (epochs)").fill("3")
    page.get_by_role("button", name="Check it").click()
    page.get_by_role("button", name="Send it").click()
    expect(page.get_by_text("Sent from-a-browser")).to_be_visible()
    expect(page.get_by_role("heading", name="from-a-browser")).to_be_visible()
    page.get_by_role("link", name="Cancel…").click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_text("is cancelled")).to_be_visible()
    page.get_by_role("link", name="Queues").click()
    page.get_by_role("link", name="show with reasons").click()
    page.get_by_role("link", name="Redrive…").click()
    page.get_by_role("button", name="Redrive it").click()
    expect(page.get_by_text("back to train.")).to_be_visible()
    expect(page.locator("#queues-depths")).not_to_contain_text("show with reasons")


def test_a_wrong_form_shows_each_fault_beside_its_field(acting: str, browser: Browser) -> None:
    page = browser.new_context().new_page()  # a refused form is an error on the console
    page.goto(f"{acting}/submit")
    page.get_by_label("Name", exact=True).fill("a name with spaces")
    page.get_by_text("Augmentation: 8 options").click()
    page.get_by_label("augment_shift").fill("7")
    page.get_by_role("button", name="Check it").click()
    expect(page.locator("#augment_shift-fault")).to_be_visible()
    expect(page.locator("#job_name-fault")).to_be_visible()
    expect(page.get_by_label("augment_shift")).to_have_value("7")
    page.context.close()


@contextmanager
def another_site(target: str) -> Iterator[str]:
    """A page of another origin that posts a form to the dashboard as soon as it is open."""
    html = (
        f'<form method="post" action="{target}/submit"><input name="job_name" value="stolen"></form>'
        "<script>document.forms[0].submit()</script>"
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_form_that_another_page_posts_is_refused(acting: str, browser: Browser) -> None:
    with another_site(acting) as other:
        page = browser.new_context().new_page()
        with page.expect_response(f"{acting}/submit") as refused:
            page.goto(other)
        assert refused.value.status == 403
        page.context.close()


def test_a_name_that_leads_to_this_machine_is_not_answered(reading: str, browser: Browser) -> None:
    page = browser.new_context().new_page()
    # Chromium resolves every name below localhost to this machine, as a rebound name would be.
    answer = page.goto(f"{reading.replace('127.0.0.1', 'evil.localhost')}/jobs")
    assert answer is not None
    assert answer.status == 421
    expect(page.locator("table")).to_have_count(0)
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_follow_the_reader_s_scheme(
    acting: str, client: DynamoClient, storage: S3Store, open_page: Open, scheme: str
) -> None:
    seed_runs(client, storage, 12, 3)
    backs = set()
    pages = ("jobs", "runs/detailed-0", "runs/detailed-0/receipts", "queues", "workers", "submit")
    page: Page = open_page(f"{acting}/jobs", color_scheme=scheme, viewport=PHONE).page
    for path in (*pages, "compare?run=detailed-0&run=detailed-1"):
        page.goto(f"{acting}/{path}")
        page.wait_for_load_state("load")
        assert has_no_sideways_scroll(page), path
        backs.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    [back] = backs
    levels = [int(level) for level in back[4:-1].split(",")]
    assert (min(levels) > 200) is (scheme == "light")
    assert (max(levels) < 60) is (scheme == "dark")


def test_the_keyboard_alone_reaches_the_content_and_the_runs(
    reading: str, client: DynamoClient, storage: S3Store, open_page: Open
) -> None:
    seed_runs(client, storage, 3, 2)
    page: Page = open_page(f"{reading}/jobs").page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(6):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="detailed-", exact=False).first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#run-summary")).to_be_visible()
