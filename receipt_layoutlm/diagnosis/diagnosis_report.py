"""Writes the diagnosis as Markdown and JSON."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from messages.fields import Message
from receipt_layoutlm.diagnosis.error_cases import ErrorCases
from receipt_layoutlm.diagnosis.evidence import FailureMode
from receipt_layoutlm.diagnosis.failure_modes import find_modes
from receipt_layoutlm.diagnosis.receipt_groups import GroupScores, ReceiptScores, score_groups, score_receipts
from receipt_layoutlm.evaluation.entity_scores import Scores
from run_analysis.markdown import cell, escape, table
from run_records.run_json import Comparability
from run_records.scores import Confusion, Interval

FILES = (
    "summary.json",
    "report.md",
    "per_receipt.csv",
    "per_receipt.jsonl",
    "groups.json",
    "token_errors.jsonl",
)
_WORST = 10
_GROUPS_SHOWN = 15
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Subject(Message):
    """The model and the receipts of a diagnosis."""

    job_name: str
    checkpoint: str
    step: int
    epoch: float
    receipts_from: str
    val_receipts_hash: str
    val_receipts_hash_verified: bool
    comparability: Comparability


class Summary(Message):
    """`summary.json`."""

    subject: Subject
    receipts: int
    scores: Scores
    constrained: Scores
    f1_interval: Interval
    loss: float
    confusion: Confusion
    wrong_words: dict[str, int]
    findings: tuple[FailureMode, ...]
    worst_receipts: tuple[str, ...]


def write_diagnosis(folder: Path, cases: ErrorCases, subject: Subject) -> Summary:
    """Write all files into a folder, which is made where it is not there; returns the summary."""
    folder.mkdir(parents=True, exist_ok=True)
    receipts, groups = score_receipts(cases), score_groups(cases)
    summary = summarise(cases, subject, receipts)
    _write(folder / "summary.json", summary.model_dump_json(indent=2))
    _write(
        folder / "groups.json",
        json.dumps(
            {name: [group.model_dump() for group in found] for name, found in groups.items()}, indent=2
        ),
    )
    _write_lines(folder / "per_receipt.jsonl", receipts)
    _write_lines(folder / "token_errors.jsonl", cases.errors)
    _write_csv(folder / "per_receipt.csv", receipts)
    _write(folder / "report.md", render_report(summary, receipts, groups))
    return summary


def summarise(cases: ErrorCases, subject: Subject, receipts: Sequence[ReceiptScores]) -> Summary:
    """Summarise a diagnosis."""
    evaluation = cases.evaluation
    return Summary(
        subject=subject,
        receipts=len(receipts),
        scores=evaluation.scores,
        constrained=evaluation.constrained,
        f1_interval=evaluation.interval,
        loss=evaluation.loss,
        confusion=evaluation.confusion,
        wrong_words=dict(sorted(Counter(error.kind for error in cases.errors).items())),
        findings=tuple(find_modes(cases)),
        worst_receipts=tuple(row.receipt for row in receipts[:_WORST]),
    )


def render_report(
    summary: Summary, receipts: Sequence[ReceiptScores], groups: dict[str, list[GroupScores]]
) -> str:
    """The report as Markdown."""
    parts = [
        f"# {summary.subject.job_name}: {summary.subject.checkpoint}",
        _describe(summary),
        "## Failure modes",
        *(_describe_finding(finding) for finding in summary.findings),
    ]
    if not summary.findings:
        parts.append("None has evidence on these receipts.")
    parts += [
        "## Labels",
        _table(
            ("label", "F1", "precision", "recall", "entities", "F1, BIO allowed"),
            (
                (name, one.f1, one.precision, one.recall, one.support, summary.constrained.per_label[name].f1)
                for name, one in summary.scores.per_label.items()
            ),
        ),
        "## Worst receipts",
        _table(
            ("receipt", "merchant", "in training", "words", "entities", "F1", "wrong words"),
            (
                (row.receipt, row.merchant, row.seen, row.words, row.entities, row.f1, row.wrong_words)
                for row in receipts[:_WORST]
            ),
        ),
    ]
    parts += [_describe_groups(name, found) for name, found in groups.items()]
    return "\n\n".join(parts) + "\n"


def _describe(summary: Summary) -> str:
    subject, scores, interval = summary.subject, summary.scores, summary.f1_interval
    wrong = ", ".join(f"{count} {kind}" for kind, count in summary.wrong_words.items())
    where = (
        f"Step {subject.step}, epoch {subject.epoch:g}, on {summary.receipts} receipts of "
        f"{subject.receipts_from} (hash `{subject.val_receipts_hash}`)."
    )
    score = (
        f"F1 {scores.f1:.3f} ({interval.low:.3f} to {interval.high:.3f} in 95 % of resamples), "
        f"{summary.constrained.f1:.3f} with decoding that keeps to BIO, {scores.f1_strict:.3f} in strict "
        f"mode. Words with the right tag: {scores.token_accuracy:.3f}; wrong ones: {wrong or 'none'}."
    )
    lines = [where, score]
    if not subject.val_receipts_hash_verified:
        lines.append("These are not all receipts that the run was scored on.")
    if not subject.comparability.metrics_comparable:
        lines.append(f"**Cannot be compared with other runs.** {subject.comparability.comparability_reason}")
    return "\n\n".join(lines)


def _describe_groups(name: str, groups: Sequence[GroupScores]) -> str:
    rows = (
        (one.name, one.receipts, one.words, one.entities, one.f1, one.f1_constrained)
        for one in groups[:_GROUPS_SHOWN]
    )
    columns = ("group", "receipts", "words", "entities", "F1", "F1, BIO allowed")
    return f"## By {name.replace('_', ' ')}\n\n{_table(columns, rows)}"


def _describe_finding(finding: FailureMode) -> str:
    numbers = ", ".join(f"{name} {cell(value, escape)}" for name, value in finding.numbers.items())
    lines = [f"### {finding.mode}", finding.says, f"Evidence: {numbers}."]
    if finding.examples:
        lines.append("\n".join(f"- {escape(example)}" for example in finding.examples))
    if finding.receipts:
        lines.append("Receipts: " + ", ".join(f"`{key}`" for key in finding.receipts) + ".")
    return "\n\n".join([*lines, finding.advice])


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return table(columns, rows, escape)


def _write(path: Path, text: str) -> None:
    path.write_text(f"{text}\n", encoding="utf-8", newline="\n")


def _write_lines(path: Path, rows: Iterable[Message]) -> None:
    lines = "".join(f"{row.model_dump_json()}\n" for row in rows)
    path.write_text(lines, encoding="utf-8", newline="\n")


def _write_csv(path: Path, rows: Sequence[ReceiptScores]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(ReceiptScores.model_fields), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _as_text(value) for name, value in row.model_dump().items()})


def _as_text(value: Any) -> Any:
    # A spreadsheet computes what begins so; a merchant's name is what a receipt says, and no formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
