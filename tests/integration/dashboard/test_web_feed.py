"""Live updates of an open page: one poller for all viewers, only changed parts, no end by a defect."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Mapping

import pytest

from layoutlm_cli.dashboard import poller as feeding
from layoutlm_cli.dashboard.pages import run as run_page
from layoutlm_cli.dashboard.poller import Poller
from layoutlm_cli.dashboard.rendering import Fragment
from receipt_dynamo.clock import now
from receipt_dynamo.entities import Job, JobMetric
from run_records.s3_store import S3Store
from tests.support.runs import make_detail
from tests.support.served import Dashboard, texts, until
from tests.support.stored_runs import store_run


class Source:
    """What is looked at: each text is a part."""

    def __init__(self, **parts: str) -> None:
        self.parts = parts
        self.looks = 0
        self.looked = asyncio.Event()
        self.defect = False

    async def look(self) -> tuple[Mapping[str, Fragment], float]:
        self.looks += 1
        self.looked.set()
        if self.defect:
            self.defect = False
            raise ValueError("a defect")
        return {name: Fragment(text, text) for name, text in self.parts.items()}, 0.01


async def take(viewer: AsyncIterator[tuple[str, Fragment]], count: int) -> dict[str, str]:
    async with asyncio.timeout(10):
        return {name: part.html for name, part in [await anext(viewer) for _ in range(count)]}


async def settle(source: Source) -> None:
    """Let a few more looks happen."""
    source.looked.clear()
    for _ in range(3):
        async with asyncio.timeout(10):
            await source.looked.wait()
        source.looked.clear()


async def test_a_viewer_gets_all_parts_and_then_only_those_that_change() -> None:
    feed, source = Poller(), Source(a="1", b="1")
    viewer = feed.watch("key", source.look)
    assert await take(viewer, 2) == {"a": "1", "b": "1"}
    source.parts["b"] = "2"
    assert await take(viewer, 1) == {"b": "2"}
    await settle(source)
    waiting = asyncio.ensure_future(take(viewer, 1))
    await settle(source)
    assert not waiting.done()
    source.parts["a"] = "3"
    assert await waiting == {"a": "3"}
    await viewer.aclose()  # type: ignore[attr-defined]


async def test_viewers_of_one_thing_share_its_poller_and_it_ends_with_the_last() -> None:
    feed, source, never = Poller(), Source(a="1"), Source(a="other")
    first, second = feed.watch("key", source.look), feed.watch("key", never.look)
    assert await take(first, 1) == await take(second, 1) == {"a": "1"}
    assert (feed.watched, never.looks) == (1, 0)
    await first.aclose()  # type: ignore[attr-defined]
    source.parts["a"] = "2"
    assert await take(second, 1) == {"a": "2"}
    await second.aclose()  # type: ignore[attr-defined]
    assert feed.watched == 0
    await asyncio.sleep(0)
    looks = source.looks
    await asyncio.sleep(0.05)
    assert source.looks == looks


async def test_a_late_viewer_gets_what_is_known_at_once() -> None:
    feed, source = Poller(), Source(a="1")
    first = feed.watch("key", source.look)
    await take(first, 1)
    late = feed.watch("key", source.look)
    assert await take(late, 1) == {"a": "1"}
    for viewer in (first, late):
        await viewer.aclose()  # type: ignore[attr-defined]


async def test_a_defect_in_a_look_is_logged_and_the_next_look_comes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feeding, "AFTER_DEFECT_SECONDS", 0.01)
    feed, source = Poller(), Source(a="1")
    viewer = feed.watch("key", source.look)
    await take(viewer, 1)
    source.defect = True
    with caplog.at_level(logging.ERROR):
        await settle(source)
    assert "a defect" in caplog.text
    source.parts["a"] = "2"
    assert await take(viewer, 1) == {"a": "2"}
    await viewer.aclose()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_page, "LIVE_SECONDS", 0.05)


def running_job(dashboard: Dashboard, name: str = "watched") -> str:
    job_id = str(uuid.uuid4())
    dashboard.client.add_job(
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
    return job_id


def add_score(dashboard: Dashboard, job_id: str, epoch: int, f1: float) -> None:
    dashboard.client.add_job_metric(
        JobMetric(job_id=job_id, metric_name="val_f1", timestamp=now(), value=f1, step=epoch, epoch=epoch)
    )


def test_a_run_page_is_told_of_each_new_score(dashboard: Dashboard) -> None:
    job_id = running_job(dashboard)
    with dashboard.events(f"/runs/{job_id}/events") as events:
        first = {(part := next(events))["id"]: part for _ in range(len(run_page.PARTS) + 1)}
        assert "no evaluation yet" in first["run-summary"]["html"]
        add_score(dashboard, job_id, 1, 0.4321)
        changed = next(part for part in events if part["id"] == "run-summary")
        assert "Epoch 1 of 10 scored F1 0.432" in texts(changed["html"])
    until(lambda: not dashboard.site.feed.watched)


def test_the_page_and_its_events_agree_so_that_nothing_is_replaced_without_need(dashboard: Dashboard) -> None:
    job_id = running_job(dashboard)
    add_score(dashboard, job_id, 1, 0.5)
    page = dashboard.get("/runs/watched").text
    with dashboard.events(f"/runs/{job_id}/events") as events:
        for _ in range(len(run_page.PARTS) + 1):
            part = next(events)
            assert f'id="{part["id"]}" data-version="{part["version"]}"' in page


def test_a_new_run_json_shows_on_the_page_of_a_run(dashboard: Dashboard, storage: S3Store) -> None:
    detail = make_detail(3, bucket=next(iter(storage.allowed_buckets)), status="running")
    store_run(dashboard.client, storage, detail)
    with dashboard.events(f"/runs/{detail.run.name}/events") as events:
        before = next(part for part in events if part["id"] == "run-summary")
        assert "Epoch 3 of 3" in texts(before["html"])
        place = f"{detail.run.run_s3_uri}run.json"
        record = json.loads(storage.read(place) or b"")
        record["epoch_metrics"] = record["epoch_metrics"][:1]
        storage.write(place, json.dumps(record).encode())
        changed = next(part for part in events if part["id"] == "run-summary")
        assert "Epoch 1 of 3" in texts(changed["html"])
        charts = next(part for part in events if part["id"] == "charts-specs")
        assert "what" in charts["html"]


def test_while_the_table_cannot_be_read_the_page_says_so_and_keeps_what_it_has(dashboard: Dashboard) -> None:
    job_id = running_job(dashboard)
    with dashboard.events(f"/runs/{job_id}/events") as events:
        for _ in range(len(run_page.PARTS) + 1):
            next(events)
        dashboard.client.delete_job(dashboard.client.get_job(job_id))
        part = next(events)
        assert part["id"] == "fault"
        assert "cannot be read now" in part["html"]
        assert "layoutlm-cli jobs" in part["html"]
