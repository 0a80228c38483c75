"""A real browser for pages: the Chromium of this machine, headless, and pages that tell what went wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

expect.set_options(timeout=30_000)  # milliseconds; charts are drawn late on a loaded machine


# Of a module, not of the session: while it runs, Playwright keeps an event loop that asynchronous tests of
# other files would collide with.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, one process for the tests of a file; its tests are skipped where none is installed."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip(f"No Chromium is installed: none of {', '.join(_NAMES)} is on the PATH.")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, headless=True)
        yield started
        started.close()


@dataclass
class Watched:
    """A page and what it did that a reader would not see.

    Attributes:
        requests: the URLs that it asked for, in their order.
        faults: errors of its console, and exceptions that nothing caught.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._note_request)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on(
            "console", lambda message: self.faults.append(message.text) if message.type == "error" else None
        )

    def _note_request(self, request: Request) -> None:
        self.requests.append(request.url)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Open a page of its own context: `open_page(url, color_scheme="dark", viewport={…})`.

    Whatever Playwright's `new_context` takes goes. The test fails in the end if the page had faults.
    """
    opened: list[Watched] = []

    def opening(url: str, **options: Any) -> Watched:
        watched = Watched(browser.new_context(**options).new_page())
        opened.append(watched)
        watched.page.goto(url)
        return watched

    yield opening
    for watched in opened:
        watched.page.context.close()
    assert [fault for watched in opened for fault in watched.faults] == []
