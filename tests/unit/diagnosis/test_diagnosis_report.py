"""The files of a diagnosis: the same errors in each, and receipts' text is escaped."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from receipt_layoutlm.diagnosis.diagnosis_report import FILES, Subject, write_diagnosis
from receipt_layoutlm.diagnosis.error_cases import ErrorCases
from receipt_layoutlm.diagnosis.receipt_groups import score_groups, score_receipts
from run_records.run_json import Comparability
from tests.unit.diagnosis.conftest import MakeCases, Said

WORDS: list[tuple[Said, ...]] = [
    (("01/02", "DATE", "B-DATE"), ("Thanks", None, "O"), ("9.50", "GRAND_TOTAL", "B-LINE_TOTAL")),
    (("01/02", "DATE", "O"), ("*|<b>", None, "B-DATE")),
    (("Cow", "PRODUCT_NAME", "B-PRODUCT_NAME"), ("milk", "PRODUCT_NAME", "B-PRODUCT_NAME")),
    (("A", None, "O"),),
]
SUBJECT = Subject(
    job_name="a-run",
    checkpoint="best",
    step=5,
    epoch=1,
    receipts_from="the table",
    val_receipts_hash="0123456789abcdef",
    val_receipts_hash_verified=False,
    comparability=Comparability(metrics_comparable=False, comparability_reason="Drawn."),
)


@pytest.fixture
def cases(make_cases: MakeCases) -> ErrorCases:
    return make_cases([(number % 2 == 0, words) for number, words in enumerate(WORDS)])


def test_each_wrong_word_has_its_kind_its_line_and_what_the_model_thought(cases: ErrorCases) -> None:
    found = {(error.text, error.kind, error.gold, error.predicted) for error in cases.errors}
    assert found == {
        ("9.50", "confused", "B-GRAND_TOTAL", "B-LINE_TOTAL"),
        ("01/02", "missed", "B-DATE", "O"),
        ("*|<b>", "spurious", "O", "B-DATE"),
        ("milk", "boundary", "I-PRODUCT_NAME", "B-PRODUCT_NAME"),
    }
    for error in cases.errors:
        assert error.confidence == 0.95
        assert error.gold_probability == pytest.approx(0.0275)
        assert error.line == error.text


def test_receipts_come_worst_first_and_groups_hold_each_receipt_once(cases: ErrorCases) -> None:
    rows = score_receipts(cases)
    assert [row.f1 for row in rows] == sorted(row.f1 for row in rows)
    assert (rows[-1].words, rows[-1].entities, rows[-1].f1) == (3, 2, 0.5)
    groups = score_groups(cases)
    assert {name: sum(one.receipts for one in found) for name, found in groups.items()} == {
        "merchant": 4,
        "merchant_seen": 4,
        "size": 4,
    }
    assert [one.name for one in groups["merchant"]] == ["shop 0", "shop 1", "shop 2"]
    assert sum(one.entities for one in groups["merchant_seen"]) == cases.evaluation.counts.total[2]


def test_all_files_say_the_same(cases: ErrorCases, tmp_path: Path) -> None:
    summary = write_diagnosis(tmp_path / "new" / "folder", cases, SUBJECT)
    folder = tmp_path / "new" / "folder"
    assert {path.name for path in folder.iterdir()} == set(FILES)
    lines = [json.loads(line) for line in (folder / "per_receipt.jsonl").read_text().splitlines()]
    with (folder / "per_receipt.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["receipt"] for row in rows] == [line["receipt"] for line in lines]
    assert [float(row["f1"]) for row in rows] == [line["f1"] for line in lines]
    errors = [json.loads(line) for line in (folder / "token_errors.jsonl").read_text().splitlines()]
    assert len(errors) == sum(line["wrong_words"] for line in lines) == 4
    document = json.loads((folder / "summary.json").read_text())
    assert document == summary.model_dump(mode="json")
    assert document["wrong_words"] == {"boundary": 1, "confused": 1, "missed": 1, "spurious": 1}
    assert document["worst_receipts"] == [line["receipt"] for line in lines]
    assert json.loads((folder / "groups.json").read_text()).keys() == {"merchant", "merchant_seen", "size"}


def test_the_report_says_what_the_numbers_do_not_allow(cases: ErrorCases, tmp_path: Path) -> None:
    write_diagnosis(tmp_path, cases, SUBJECT)
    report = (tmp_path / "report.md").read_text()
    assert "**Cannot be compared with other runs.** Drawn." in report
    assert "These are not all receipts that the run was scored on." in report
    assert "None has evidence on these receipts." in report
    assert "1 boundary, 1 confused, 1 missed, 1 spurious" in report


def test_the_evidence_of_a_finding_stands_in_the_report(make_cases: MakeCases, tmp_path: Path) -> None:
    good: tuple[Said, ...] = (("01/02", "DATE", "B-DATE"), ("a", None, "O"))
    missed: tuple[Said, ...] = (("01/02", "DATE", "O"), ("a", None, "O"))
    write_diagnosis(tmp_path, make_cases([(True, good)] * 8 + [(False, missed)] * 6), SUBJECT)
    report = (tmp_path / "report.md").read_text()
    assert "### template coverage" in report
    assert "receipts_seen 8, receipts_unseen 6, share_of_lost_entities 1.000" in report
    assert "None has evidence" not in report


def test_text_of_receipts_neither_breaks_the_report_nor_computes_in_a_spreadsheet(
    make_cases: MakeCases, tmp_path: Path
) -> None:
    shop: Said = ("=1|*<x>", "MERCHANT_NAME", "B-MERCHANT_NAME")
    cases = make_cases([(None, (shop, ("a", None, "O")))] * 2)
    for case in cases.cases:
        vars(case)["merchant"] = "=cmd|x"
    write_diagnosis(tmp_path, cases, SUBJECT)
    assert r"=cmd\|x" in (tmp_path / "report.md").read_text()
    with (tmp_path / "per_receipt.csv").open(newline="") as stream:
        assert {row["merchant"] for row in csv.DictReader(stream)} == {"'=cmd|x"}


def test_a_diagnosis_without_an_error_has_an_empty_list_of_them(
    make_cases: MakeCases, tmp_path: Path
) -> None:
    write_diagnosis(tmp_path, make_cases([(None, (("a", None, "O"),))]), SUBJECT)
    assert (tmp_path / "token_errors.jsonl").read_text() == ""
    assert len((tmp_path / "per_receipt.jsonl").read_text().splitlines()) == 1
