"""The command and the message of an advice: what they say is taken as it is by what reads them."""

from __future__ import annotations

import json
import shlex
import uuid
from dataclasses import replace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from layoutlm_cli.training_options import TrainingCommand, request, training_options
from messages.codec import decode_train_job
from messages.hyperparameters import Hyperparameters
from messages.train import TrainJob
from run_analysis.advice.advise import advise, command_of, message_of, next_name
from run_analysis.advice.proposal import Advice, Machine
from run_analysis.dataset_statistics import DatasetStatistics, LabelStatistics
from run_analysis.findings.run_context import read_options
from run_records.labels import CORE_LABELS
from tests.support.curve_shapes import FAULTY, HEALTHY
from tests.support.curves import simulate

AWKWARD: dict[str, Any] = {
    "label_merges": {"ADDRESS": ["PHONE_NUMBER", "ADDRESS_LINE"]},
    "allowed_labels": ["DATE", "ADDRESS"],
    "batch_size": "auto",
    "learning_rate": 2e-5,
    "weight_decay": 0.0,
    "vocabulary_subset": False,
    "checkpoint_metric": "macro:DATE,ADDRESS",
    "val_keys_s3": "s3://bucket/a list's keys; rm -rf $HOME.json",
    "eval_steps": 40,
}


def from_message(message: dict[str, Any]) -> TrainJob:
    return decode_train_job(json.dumps(message), message_id="m-1")


def from_command(command: str) -> TrainJob:
    """What `layoutlm-cli train` makes of the words of the command, by its own options."""
    taken: dict[str, Any] = {}
    app = typer.Typer()
    app.command(cls=TrainingCommand)(
        training_options(lambda name, options: taken.update(request(name, options)))
    )
    program, subcommand, *words = shlex.split(command)
    assert (program, subcommand) == ("layoutlm-cli", "train")
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    return from_message(taken)


def all_advice() -> list[Advice]:
    statistics = DatasetStatistics(
        labels=tuple(LabelStatistics(label=name, words=70) for name in CORE_LABELS)
    )
    made = [advise(None, (), None, None), advise(None, (), statistics, None)]
    for shape in (*HEALTHY.values(), *FAULTY.values()):
        run = simulate(shape.shape, seed=4)
        made += [
            advise(run, [run.run], statistics, Machine(), target_f1=0.9, faster=faster)
            for faster in (False, True)
        ]
    return made


def test_message_and_command_of_every_advice_are_the_same_valid_request() -> None:
    for advice in all_advice():
        by_queue, by_hand = from_message(advice.message), from_command(advice.command)
        assert by_queue == by_hand
        assert by_queue.job_name == advice.job_name
        for change in advice.changes:
            assert getattr(by_queue.hyperparameters, change.option) == change.after


def test_only_options_that_are_not_the_default_are_named() -> None:
    default = Hyperparameters().model_dump(mode="json")
    for advice in all_advice():
        assert all(default[name] != value for name, value in advice.message["hyperparameters"].items())


def test_awkward_values_survive_the_shell_and_the_codec() -> None:
    options = Hyperparameters.model_validate(AWKWARD)
    message = message_of("a-2", options, {"team": "it's us", "sweep": "s", "trial": "3"}, {"quantize": None})
    assert from_message(message) == from_command(command_of(message))
    assert from_command(command_of(message)).hyperparameters == options
    assert from_command(command_of(message)).tags == {"team": "it's us"}


def test_a_model_that_no_client_can_feed_is_not_exported() -> None:
    message = message_of("a-2", Hyperparameters(boxes="segment"), {}, {"auto_export": True})
    assert message["auto_export"] is False
    assert from_command(command_of(message)).wants_export is False


def test_options_of_the_run_stay_as_they_were() -> None:
    shape = replace(HEALTHY["healthy"].shape, options={"weight_decay": 0.05, "seed": 7})
    advice = advise(simulate(shape, seed=1), (), None, None)
    assert advice.message["hyperparameters"] == {
        "epochs": 12,
        "weight_decay": 0.05,
        "seed": 7,
        "early_stopping_patience": 5,
        "val_keys_s3": "s3://bucket/val.json",
    }


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        (None, [], "receipts-1"),
        (None, ["receipts-1"], "receipts-2"),
        ("mine", ["mine"], "mine-2"),
        ("mine-2", ["mine-2", "mine-3"], "mine-4"),
        ("x" * 120, [], "x" * 112 + "-2"),
        ("a." + "b" * 118, [], "a." + "b" * 110 + "-2"),
    ],
)
def test_the_next_name_is_new_and_valid(name: str | None, taken: list[str], expected: str) -> None:
    made = next_name(name, taken)
    assert made == expected
    assert TrainJob(job_id=str(uuid.uuid4()), job_name=made).job_name == made


def test_a_configuration_of_other_software_is_read_as_far_as_it_goes() -> None:
    options = read_options({"epochs": "7", "batch_size": "many", "optimizer": "sgd", "seed": 1})
    assert (options.epochs, options.batch_size, options.seed) == (7, 8, 1)
