"""Every page of the dashboard with nothing there, a wrong name, no network and no permission."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest

from layoutlm_cli.dashboard import app
from tests.support.served import Dashboard, served
from tests.support.situations import closed_endpoint, denying_endpoint, environ_at, retry_at_once
from workers.local_aws.local_stack import LocalStack, MotoServer
from workers.settings import Settings

FORM = {"job_name": "some-run"}


@dataclass(frozen=True, slots=True)
class Row:
    """An address and the status of its answer.

    Attributes:
        address: with names that are well formed, and of nothing.
        nothing: the status where nothing is there.
        wrong: an address with a name that cannot be; None where it takes none.
        away: the status without network or permission.
        posts: the form that is posted; None gets the page.
    """

    address: str
    nothing: int = 200
    wrong: str | None = None
    away: int = 502
    posts: dict[str, str] | None = None


ROWS: dict[tuple[str, str], Row] = {
    ("GET", "/jobs"): Row("/jobs", wrong="/jobs?status=nobody"),
    ("GET", "/runs/{job}"): Row("/runs/nobody", 404),
    ("GET", "/runs/{job}/events"): Row("/runs/nobody/events", 404),
    ("GET", "/runs/{job}/receipts"): Row("/runs/nobody/receipts", 404),
    ("GET", "/compare"): Row("/compare?run=nobody&run=noone", 404, "/compare?run=nobody"),
    ("GET", "/queues"): Row("/queues"),
    ("GET", "/queues/{name}/oldest"): Row("/queues/train/oldest", 200, "/queues/nobody/oldest"),
    ("GET", "/queues/{name}/letters"): Row("/queues/train/letters", 200, "/queues/nobody/letters"),
    ("GET", "/workers"): Row("/workers"),
    ("GET", "/runs/{job}/cancel"): Row("/runs/nobody/cancel", 404),
    ("POST", "/runs/{job}/cancel"): Row("/runs/nobody/cancel", 404, posts={}),
    ("GET", "/queues/{name}/letters/{letter_id}/{deed}"): Row(
        "/queues/train/letters/nobody/delete", 200, "/queues/train/letters/nobody/burn", away=200
    ),
    ("POST", "/queues/{name}/letters/{letter_id}/{deed}"): Row(
        "/queues/train/letters/nobody/delete", 404, "/queues/nobody/letters/nobody/delete", posts={}
    ),
    ("GET", "/submit"): Row("/submit", away=200),
    ("POST", "/submit"): Row("/submit", posts=FORM, away=200),
    ("POST", "/submit/send"): Row("/submit/send", 422, posts={"body": "no JSON"}, away=422),
}
STREAMS = ("/queues/events", "/workers/events")
FAULT = "fault"
"""The part of a page that says that nothing can be read now."""
STATIC = {"/vega.js", "/theme.css", "/static", "/"}
"""Commands that ask for nothing outside the process."""


def test_every_page_has_a_row() -> None:
    routes: list[Any] = [*app.READING, *app.ACTING]
    known = {
        (method, route.path)
        for route in routes
        for method in getattr(route, "methods", None) or ("GET",)  # a mount has none
        if method != "HEAD"
    }
    static = {("GET", path) for path in (*STATIC, *STREAMS)}
    assert known - static == ROWS.keys() - static


@pytest.fixture(scope="module")
def stack(emulator: MotoServer) -> LocalStack:
    return LocalStack.make(emulator, suffix="-pages")


@contextmanager
def dashboard_at(stack: LocalStack, endpoint_url: str) -> Iterator[Dashboard]:
    with pytest.MonkeyPatch.context() as patched:
        retry_at_once(patched)
        for name, value in environ_at(stack, endpoint_url).items():
            patched.setenv(name, value)
        with served(Settings.from_environ(), allow_actions=True) as dashboard:
            yield dashboard


def ask(dashboard: Dashboard, row: Row, address: str) -> tuple[int, str]:
    answer = dashboard.get(address) if row.posts is None else dashboard.post(address, row.posts)
    assert "Traceback" not in answer.text
    assert "defect" not in answer.text
    return answer.status, unescape(answer.text)


def test_nothing_there_and_a_wrong_name(stack: LocalStack) -> None:
    with dashboard_at(stack, stack.environ["AWS_ENDPOINT_URL"]) as dashboard:
        for (_, route), row in ROWS.items():
            status, text = ask(dashboard, row, row.address)
            assert status == row.nothing, (route, text)
            if status == 404:
                assert re.search("nobody|noone", text), route
            if row.wrong:
                status, text = ask(dashboard, row, row.wrong)
                assert status in {400, 404}, (route, text)
                assert re.search(r"There is no such|Choose", text), route


@pytest.mark.parametrize("how", ["no network", "no permission"])
def test_no_network_and_no_permission(stack: LocalStack, how: str) -> None:
    away = closed_endpoint() if how == "no network" else denying_endpoint()
    with away as endpoint_url, dashboard_at(stack, endpoint_url) as dashboard:
        says = re.escape(endpoint_url) if how == "no network" else "AccessDenied|denies|refuses"
        for (_, route), row in ROWS.items():
            status, text = ask(dashboard, row, row.address)
            assert status == row.away, (route, text)
            if status == 502:
                assert re.search(says, text), (route, text)
        for path in STREAMS:
            with dashboard.events(path) as events:
                told = next(events)
            assert told["id"] == FAULT
            assert re.search(says, unescape(told["html"])), (path, told)
