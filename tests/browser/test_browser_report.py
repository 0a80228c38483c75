"""The report in Chromium, opened from a disk: drawn, readable in light, dark and on paper, usable by keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from run_analysis.report.build import build_report
from run_analysis.report.charts import CHARTS
from run_analysis.report.comparison_report import build_comparison
from tests.support.runs import make_detail, make_predictions

HOSTILE = "</script></style><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
DESK, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
ENOUGH = 4.5
"""Contrast that WCAG 2 asks of text."""

TEXTS = (
    ".role-axis-label text, .role-axis-title text",
    ".role-legend-label text",
    "p, dt, dd, th, td, a, summary, caption, .badge, figcaption",
    ".receipt text",
)

# The colour of each element as red, green, blue, alpha, and of the ground that it stands on.
COLOURS = """
elements => elements.map(element => {
  const parts = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const style = getComputedStyle(element);
  const isDrawn = element.namespaceURI.endsWith("svg");
  const alpha = Number(style.opacity) * (isDrawn ? Number(style.fillOpacity) : 1);
  let ground = element;
  while (parts(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
  return {
    front: [...parts(isDrawn ? style.fill : style.color).slice(0, 3), alpha],
    back: parts(getComputedStyle(ground).backgroundColor).slice(0, 3),
  };
})
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a report."""
    run = make_detail(batch_size=16)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(build_report(run, make_predictions(run)), encoding="utf-8")
    return path.as_uri()


def drawn(open_page: Callable[..., Any], url: str, **options: Any) -> Any:
    watched = open_page(url, **{"viewport": DESK, **options})
    watched.page.wait_for_selector("html[data-charts=drawn]")
    return watched


def contrast(page: Page, selector: str) -> float:
    """The lowest contrast of the texts that a selector finds against what is under them."""
    # Where labels of an axis would overlap, Vega hides some of them by their opacity.
    shown = [one for one in page.locator(selector).evaluate_all(COLOURS) if one["front"][3]]
    assert shown
    return min(_ratio(one["front"], one["back"]) for one in shown)


def _ratio(front: list[float], back: list[float]) -> float:
    """Contrast of two colours, as WCAG 2 defines it."""
    shown = [a * front[3] + b * (1 - front[3]) for a, b in zip(front[:3], back, strict=True)]
    lighter, darker = sorted((_luminance(shown), _luminance(back)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: list[float]) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_chart_is_drawn_as_svg_with_marks_and_asks_nobody(
    open_page: Callable[..., Any], report: str
) -> None:
    watched = drawn(open_page, report)
    assert watched.requests == [report]
    for name in CHARTS:
        chart = watched.page.locator(f"[data-chart=chart-{name}]")
        assert chart.locator("svg.marks").count() == 1
        assert chart.locator("svg .mark-line, svg .mark-rect").locator("path").count() > 0
        assert chart.locator("svg").bounding_box()["height"] > 60
    assert watched.page.locator(".chart[role=graphics-document][aria-label]").count() == len(CHARTS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(open_page: Callable[..., Any], report: str, scheme: str) -> None:
    page = drawn(open_page, report, color_scheme=scheme).page
    assert {texts: contrast(page, texts) >= ENOUGH for texts in TEXTS} == dict.fromkeys(TEXTS, True)
    [ink, *_] = page.locator("[data-chart=chart-confusion] .mark-text text").evaluate_all(COLOURS)
    fields = page.locator("[data-chart=chart-confusion] .mark-rect path").evaluate_all(COLOURS)
    assert fields
    for field in fields:
        *colour, alpha = field["front"]
        under = [a * alpha + b * (1 - alpha) for a, b in zip(colour, field["back"], strict=True)]
        assert _ratio(ink["front"], under) >= ENOUGH


def test_the_axis_of_time_is_in_utc_wherever_it_is_read(open_page: Callable[..., Any], report: str) -> None:
    page = drawn(open_page, report, timezone_id="Asia/Tokyo").page
    labels = page.locator("[data-chart=chart-timeline] .role-axis-label text").all_text_contents()
    assert "09:30" in labels


def test_colours_follow_when_the_system_turns_dark(open_page: Callable[..., Any], report: str) -> None:
    page = drawn(open_page, report, color_scheme="light").page
    label = page.locator(".role-axis-label text").first
    before = label.evaluate("one => getComputedStyle(one).fill")
    page.emulate_media(color_scheme="dark")
    assert label.evaluate("one => getComputedStyle(one).fill") != before


def test_paper_is_light_and_shows_what_was_folded_away(open_page: Callable[..., Any], report: str) -> None:
    page = drawn(open_page, report, color_scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert contrast(page, ".role-axis-label text") >= ENOUGH
    for folded in page.query_selector_all("details > .scroll, details > .receipt"):
        box = folded.bounding_box()
        assert box
        assert box["height"] > 20
    assert page.locator("nav").is_hidden()
    page.set_viewport_size({"width": 700, "height": 990})  # about A4
    for chart in page.query_selector_all("svg.marks"):
        box = chart.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 700


def test_what_is_opened_for_printing_is_closed_afterwards(open_page: Callable[..., Any], report: str) -> None:
    page = drawn(open_page, report).page
    details = page.locator("details")
    details.first.locator("summary").click()
    count = details.count()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details[open]").count() == count
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 1


def test_keys_reach_the_skip_link_and_every_fold(open_page: Callable[..., Any], report: str) -> None:
    page = drawn(open_page, report).page
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    assert skip.evaluate("one => one === document.activeElement")
    assert skip.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.tagName === 'SUMMARY' && document.activeElement.textContent"
            )
        )
    assert set(page.locator("summary").all_text_contents()) <= reached
    page.locator("summary", has_text="Checkpoints").focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("table", name="Checkpoints").is_visible()


def test_a_phone_moves_wide_things_and_never_the_page(open_page: Callable[..., Any], report: str) -> None:
    page = drawn(open_page, report, viewport=PHONE).page
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    wide = page.locator("[aria-label^='What was taken']").first
    assert wide.evaluate("one => one.scrollWidth > one.clientWidth")


def test_without_javascript_the_tables_are_there(open_page: Callable[..., Any], report: str) -> None:
    page = open_page(report, java_script_enabled=False).page
    assert page.locator("noscript p").bounding_box()
    page.get_by_text("Losses and scores as a table").click()
    rows = page.get_by_role("table", name=re.compile("Evaluations")).get_by_role("row")
    assert rows.count() == 11
    page.locator(".receipt-details summary").first.click()
    assert page.locator(".receipt svg").first.is_visible()


def test_nothing_that_others_wrote_is_run(open_page: Callable[..., Any], tmp_path: Path) -> None:
    run = make_detail(3, labels=("DATE", HOSTILE), name=HOSTILE)
    path = tmp_path / "hostile.html"
    path.write_text(build_report(run, make_predictions(run, 1)), encoding="utf-8")
    watched = drawn(open_page, path.as_uri())
    assert watched.page.evaluate("window.hacked") is None
    assert watched.requests == [path.as_uri()]
    assert HOSTILE in watched.page.locator("h1").inner_text()
    assert watched.page.locator("[data-chart=chart-labels] text", has_text="</script>").count() > 0


def test_the_policy_stops_a_script_that_slips_in_anyway(
    open_page: Callable[..., Any], report: str, tmp_path: Path
) -> None:
    path = tmp_path / "slipped.html"
    html = Path(report.removeprefix("file://")).read_text(encoding="utf-8")
    path.write_text(html.replace("<main", "<script>window.hacked=1</script><main", 1), encoding="utf-8")
    watched = drawn(open_page, path.as_uri())
    assert watched.page.evaluate("window.hacked") is None
    assert "Content Security Policy" in watched.faults.pop()


def test_a_comparison_is_drawn_too(open_page: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "comparison.html"
    runs = [make_detail(4, name=name, seed=at) for at, name in enumerate("ab")]
    path.write_text(build_comparison(runs), encoding="utf-8")
    watched = drawn(open_page, path.as_uri())
    assert watched.page.locator("svg.marks").count() == 5
    assert watched.requests == [path.as_uri()]
