"""Options of a training as people type them, and the request that they make."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from layoutlm_cli.training_options import TrainingCommand, request, training_options


def typed(*words: str) -> tuple[dict[str, Any], Result]:
    """The body that the words make, and how the command ended."""
    taken: dict[str, Any] = {}
    app = typer.Typer()
    command = training_options(lambda name, options: taken.update(request(name, options)))
    app.command(cls=TrainingCommand)(command)
    return taken, CliRunner().invoke(app, words)


def options(*words: str) -> dict[str, Any]:
    taken, ended = typed("a-run", *words)
    assert ended.exit_code == 0, ended.output
    assert taken["job_name"] == "a-run"
    return dict(taken["hyperparameters"])


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--merge-amounts"], "true"),
        (["--no-merge-amounts"], "false"),
        (["--merge-amounts", "true"], "true"),
        (["--merge-amounts", "FALSE"], "false"),
        (["--merge-amounts=false"], "false"),
        (["--merge-amounts=yes"], "true"),
    ],
)
def test_a_flag_is_taken_alone_denied_and_with_a_value(words: list[str], value: str) -> None:
    assert options(*words) == {"merge_amounts": value}


def test_a_flag_takes_no_part_of_what_follows_it() -> None:
    found = options("--merge-amounts", "--epochs", "3", "--no-frozen-val", "true", "--seed", "1")
    assert found == {"merge_amounts": "true", "epochs": "3", "no_frozen_val": "true", "seed": "1"}
    taken, _ = typed("--merge-amounts", "a-name")
    assert (taken["job_name"], taken["hyperparameters"]) == ("a-name", {"merge_amounts": "true"})


def test_each_of_several_labels_counts_with_commas_or_without() -> None:
    words = ("--allowed-label", "DATE", "--allowed-labels", "TIME,TAX", "--allowed-label", "TIP")
    assert options(*words) == {"allowed_labels": "DATE,TIME,TAX,TIP"}


@pytest.mark.parametrize(("word", "name"), [("--lr", "learning_rate"), ("--pretrained", "pretrained_model")])
def test_short_names_are_the_long_ones(word: str, name: str) -> None:
    assert options(word, "x") == {name: "x"}


def test_options_of_the_job_are_not_those_of_the_training() -> None:
    taken, _ = typed("--job-name", "n", "--no-export-coreml", "--coreml-quantize", "int8")
    assert taken == {"job_name": "n", "auto_export": "false", "quantize": "int8", "hyperparameters": {}}


def test_two_names_are_refused() -> None:
    _, ended = typed("a", "--job-name", "b")
    assert ended.exit_code == 2
    assert "two names are given, a and b" in ended.output
