"""The report as a file: complete without its script, dead to what others wrote, small, and on its own."""

from __future__ import annotations

import json
from functools import cache

import pytest

from run_analysis.findings.finding import Evidence, Finding
from run_analysis.job_records import StatusFacts
from run_analysis.report.build import build_report
from run_analysis.report.charts import charts_of
from run_analysis.run import RunDetail
from run_analysis.runs import RunSummary
from run_records.labels import CORE_LABELS
from tests.support.pages import Page, hash_of
from tests.support.runs import make_detail, make_predictions

HOSTILE = "</script></style><script>hacked=1</script><img src=x onerror=hacked=1>{{ 7 * 7 }}\"'><b>"
FINDING = Finding(
    kind="overfitting",
    severity="warning",
    says="The validation loss rises.",
    evidence=(Evidence(name="eval_loss", value=0.38),),
    remedy="Set weight_decay to 0.05.",
)


@cache
def page() -> Page:
    run = make_detail(batch_size=16)
    return Page(build_report(run, make_predictions(run), findings=(FINDING,)))


@cache
def hostile_page() -> tuple[str, Page]:
    run = make_detail(labels=("DATE", HOSTILE), name=HOSTILE)
    run = run.model_copy(
        update={
            "run": run.run.model_copy(update={"error_message": HOSTILE, "comparability_reason": HOSTILE}),
            "config": run.config | {HOSTILE: HOSTILE, "seed": [HOSTILE]},
            "dataset_counts": {"labels_train": {HOSTILE: 3}, HOSTILE: HOSTILE},
            "machine": {"gpu_name": HOSTILE},
            "statuses": (
                StatusFacts(at="2026-03-04T10:20:00+00:00", status="failed", worker=HOSTILE, message=HOSTILE),
            ),
        }
    )
    said = make_predictions(run, 1)
    word = said.receipts[0].words[0].model_copy(update={"text": HOSTILE, "gold": HOSTILE})
    receipt = said.receipts[0].model_copy(update={"merchant": HOSTILE, "key": HOSTILE, "words": (word,)})
    finding = FINDING.model_copy(update={"says": HOSTILE, "remedy": HOSTILE})
    html = build_report(run, said.model_copy(update={"receipts": (receipt,)}), findings=(finding,))
    return html, Page(html)


def test_it_begins_with_what_a_reader_looks_for() -> None:
    facts = [one.text for one in page().all("dd") if one.attributes["class"] == "value"]
    best = make_detail().best
    assert best
    assert facts == [f"{best.eval_f1:.3f}", f"{best.eval_f1_constrained:.3f}", "10", "25 min 0 s", "$0.22"]
    assert page().all("h1")[0].text == "receipts-a succeeded"


def test_a_finding_stands_with_its_numbers_and_what_to_do() -> None:
    [section] = page().all("section")
    assert "The validation loss rises." in section.text
    assert "eval_loss 0.38" in section.text
    assert "Set weight_decay to 0.05." in section.text


def test_whether_it_can_be_compared_is_said_with_the_reason() -> None:
    run = make_detail()
    summary = run.run.model_copy(update={"metrics_comparable": False, "comparability_reason": "Drawn."})
    html = build_report(run.model_copy(update={"run": summary}), None)
    assert "Comparable with other runs:</strong> no: Drawn." in html


def test_each_number_of_the_charts_can_be_read_without_a_script() -> None:
    tables, run = page().tables, make_detail()
    epochs = tables["Evaluations; losses in nats"]
    assert [row[4] for row in epochs[1:]] == [f"{one.eval_f1:.3f}" for one in run.epochs]
    assert [row[0] for row in epochs[1:]] == [str(number) for number in range(1, 11)]
    best = run.best
    assert best
    labels = {row[0]: row[1] for row in tables["Labels at the best epoch"][1:]}
    assert labels == {name: f"{one.f1:.3f}" for name, one in best.per_label_metrics.items()}
    history = tables["F1 of each label by epoch"]
    assert history[3][history[0].index("TAX")] == f"{run.epochs[2].per_label_metrics['TAX'].f1:.3f}"
    matrix = tables["Words by true label (row) and predicted label (column)"]
    count = best.confusion["DATE"]["DATE"]
    share = count / sum(best.confusion["DATE"].values())
    row = next(row for row in matrix if row[0] == "DATE")
    assert row[matrix[0].index("DATE")] == f"{count} ({share:.0%})"
    assert [row[:2] for row in tables["Statuses; times in UTC"][1:3]] == [
        ["queue", "pending"],
        ["attempt 1", "running"],
    ]
    assert len(tables["Checkpoints"]) == 11


def test_each_chart_lies_in_the_page_as_data() -> None:
    data = {
        one.attributes["id"]: json.loads(one.text)
        for one in page().all("script")
        if one.attributes.get("type") == "application/json"
    }
    drawn = [one.attributes["data-chart"] for one in page().elements if "data-chart" in one.attributes]
    assert sorted(drawn) == sorted(data) == sorted(f"chart-{name}" for name in charts_of(make_detail()))
    assert data["chart-loss"] == charts_of(make_detail())["loss"]


def test_settings_that_are_not_the_default_come_first() -> None:
    changed = page().tables["Settings that are not the default"]
    assert changed == [["setting", "this run", "default"], ["batch_size", "16", "8"]]
    captions = list(page().tables)
    assert captions.index("Settings that are not the default") < captions.index("All other settings")
    others = {row[0]: row[1] for row in page().tables["All other settings"]}
    assert "batch_size" not in others
    assert others["resolved_precision"] == "bf16"


def test_the_drawn_receipts_have_their_words_and_a_table_of_the_wrong_ones() -> None:
    said = make_predictions(make_detail())
    pictures = [one for one in page().all("svg") if one.attributes.get("role") == "img"]
    assert len(pictures) == 5
    for picture, receipt in zip(pictures, said.receipts, strict=True):
        written = [one.text for one in picture.inside if one.tag == "text" and "class" not in one.attributes]
        assert written == [word.text for word in receipt.words]
        marks = [one.text for one in picture.inside if one.attributes.get("class") == "mark"]
        assert len(marks) == receipt.wrong_words
    assert sum(one.text == "Words that are wrong" for one in page().all("caption")) == 5


@pytest.mark.parametrize("kind", ["name", "worker", "word", "label"])
def test_what_others_wrote_stays_text(kind: str) -> None:
    html, found = hostile_page()
    honest = page()
    assert "<b>" not in html
    assert "49" not in found.all("h1")[0].text
    assert {one.tag for one in found.elements} <= {one.tag for one in honest.elements} | {"p", "strong"}
    assert not [name for one in found.elements for name in one.attributes if name.startswith("on")]
    shown = {
        "name": found.all("h1")[0].text,
        "worker": found.tables["Statuses; times in UTC"][1][2],
        "word": next(one.text for one in found.all("svg")[-1].inside if one.tag == "text"),
        "label": found.tables["Labelled words"][1][0],
    }
    assert HOSTILE in shown[kind]


def test_the_policy_lets_run_the_pages_own_scripts_and_styles_alone() -> None:
    for found in (page(), hostile_page()[1]):
        scripts = [one.text for one in found.all("script") if "type" not in one.attributes]
        assert found.hashes("script-src") == set(map(hash_of, scripts))
        assert found.hashes("style-src") == {hash_of(one.text) for one in found.all("style")}
        assert "default-src 'none'" in found.policy
        assert "unsafe" not in found.policy
        assert len(scripts) == 2


def test_nothing_in_it_points_outside() -> None:
    for element in page().elements:
        assert "src" not in element.attributes
        assert element.attributes.get("href", "#").startswith("#")


def test_a_long_run_of_all_labels_with_thirty_receipts_is_below_three_megabytes() -> None:
    run = make_detail(50, tuple(CORE_LABELS))
    words = make_predictions(run, 1).receipts[0].words
    long = (words * 4)[:150]
    said = make_predictions(run, 30)
    receipts = tuple(one.model_copy(update={"words": long}) for one in said.receipts)
    html = build_report(run, said.model_copy(update={"receipts": receipts}), findings=[FINDING] * 14)
    assert len([one for one in Page(html).all("svg") if "role" in one.attributes]) == 30
    assert len(html.encode()) < 3_000_000


def test_a_run_that_has_recorded_nothing_has_a_report_that_says_so() -> None:
    run = RunSummary(
        job_id="a-job", name="new", status="pending", created_at="2026-03-04T09:30:00.000000+00:00"
    )
    found = Page(build_report(RunDetail(run=run, config={}), None))
    said = [one.text for one in found.all("p")]
    assert "The run has no evaluation yet." in said
    assert "All settings are the defaults." in said
    assert "The run has not been exported." in said
    linked = {one.attributes["href"][1:] for one in found.all("a")}
    assert linked <= {one.attributes.get("id") for one in found.elements}


def test_a_run_that_goes_on_shows_its_best_evaluation_so_far() -> None:
    run = make_detail(4, status="running")
    found = Page(build_report(run, None))
    assert run.run.best_f1 is None
    assert run.best
    assert found.all("dd")[0].text == f"{run.best.eval_f1:.3f}"
