"""The questions that people ask an assistant, asked through MCP, with answers that are known beforehand."""

from __future__ import annotations

import uuid
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from receipt_dynamo import DynamoClient
from receipt_dynamo.entities import Job
from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.table_writer import write_records
from run_records.labels import CORE_LABELS
from run_records.predictions_json import PredictionsFile, ReceiptPrediction, WordPrediction
from run_records.s3_store import S3Store
from tests.integration.mcp_server.conftest import Assistant
from tests.support.records import MakeJob, job_maker, metrics, write_run_json
from workers.local_aws.local_stack import LocalStack

LABELS = ("DATE", "TAX", "GRAND_TOTAL", "TIP")
TRAIN_LOSS = (1.5, 1.1, 0.8, 0.6, 0.45, 0.34, 0.26, 0.2, 0.15, 0.11, 0.08, 0.06)
RISING = (1.2, 0.9, 0.7, 0.6, 0.55, 0.6, 0.68, 0.78, 0.9, 1.02, 1.15, 1.3)
FALLING = (1.2, 0.9, 0.7, 0.6, 0.55, 0.52, 0.5, 0.48, 0.47, 0.46, 0.455, 0.45)
TURNING = (0.3, 0.5, 0.62, 0.7, 0.75, 0.77, 0.78, 0.76, 0.74, 0.72, 0.7, 0.68)
CLIMBING = (0.3, 0.5, 0.62, 0.7, 0.75, 0.77, 0.78, 0.785, 0.788, 0.79, 0.791, 0.792)
PEAK_RATE, EPOCHS_ASKED = 6e-5, 30
SCORES = {4: 0.71, 8: 0.80, 32: 0.62}
"""Batch size to the mean F1 of its runs."""
RECEIPTS_HASH = "0123456789abcdef"


def rate_at(epoch: int) -> float:
    return PEAK_RATE * (1 - epoch / EPOCHS_ASKED)


def evaluations(f1: tuple[float, ...], eval_loss: tuple[float, ...], **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "global_step": epoch * 50,
            "eval_f1": f1[epoch - 1],
            "eval_loss": eval_loss[epoch - 1],
            "train_loss": TRAIN_LOSS[epoch - 1],
            "learning_rate": rate_at(epoch),
            "per_label_metrics": label_scores(epoch),
            **more,
        }
        for epoch in range(1, len(f1) + 1)
    ]


def label_scores(epoch: int) -> dict[str, dict[str, float]]:
    """At the best epoch TAX is lowest; at the last one it is DATE. TIP has nothing to be found."""
    f1 = {"DATE": 0.88 if epoch <= 7 else 0.2, "TAX": 0.41, "GRAND_TOTAL": 0.83, "TIP": 0.0}
    return {
        name: {"f1": value, "precision": value, "recall": value, "support": 0 if name == "TIP" else 40}
        for name, value in f1.items()
    }


def ended(make: MakeJob, name: str, **results: Any) -> Job:
    known = {"val_receipts_hash": RECEIPTS_HASH, "metrics_comparable": True, "train_receipts": 400}
    tags = ["O", *(f"{prefix}-{label}" for label in LABELS for prefix in "BI")]
    return make(name, **{**known, "label_list": tags, "epochs_trained": 12, **results})


@pytest.fixture(scope="module", autouse=True)
def _recorded(stack: LocalStack) -> None:
    """The table and the bucket of these tests."""
    client = DynamoClient(stack.environ["DYNAMO_TABLE_NAME"], client=stack.client("dynamodb"))
    storage = S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
    make = job_maker(client, stack)
    options = {"epochs": EPOCHS_ASKED, "learning_rate": PEAK_RATE, "early_stopping_patience": 5}
    stopped = {"best_f1": 0.78, "best_epoch": 7, "early_stopping_triggered": True}
    overfit = ended(make, "overfit", at=100, options=options, **stopped)
    counts = {"labels_train": {"DATE": 300, "TAX": 90, "GRAND_TOTAL": 250}}
    write_run_json(
        storage,
        overfit,
        evaluations(TURNING, RISING),
        dataset_counts=counts,
        training_config=options,
        resulting_labels=LABELS,
    )
    _write_predictions(storage, overfit)
    going = {"best_f1": 0.792, "best_epoch": 12, "early_stopping_triggered": False}
    healthy = ended(make, "healthy", at=101, options={"epochs": 12}, **going)
    write_run_json(storage, healthy, evaluations(CLIMBING, FALLING))
    slow = ended(make, "slow", at=102, options={"epochs": 12, "precision": "float32"}, **going)
    write_run_json(
        storage, slow, evaluations(CLIMBING, FALLING, train_seconds=100, data_seconds=40, eval_seconds=5)
    )
    for batch_size, f1 in SCORES.items():
        for seed in range(5):
            given = {"batch_size": batch_size, "seed": seed}
            name = f"batch-{batch_size}-{seed}"
            ended(make, name, at=batch_size + seed / 10, options=given, best_f1=f1 + seed / 500)
    running = make("running", "running", at=200, options={"epochs": 4})
    for epoch, at in ((1, 201), (2, 203)):
        client.add_job_metrics(metrics(running, epoch, at, val_f1=0.25 * epoch))
    write_records(client, synthetic.generate(3, 1))


def _write_predictions(storage: S3Store, job: Job) -> None:
    words = tuple(
        WordPrediction(
            line_id=1,
            word_id=number,
            text=text,
            box=(0, 0, 1, 1),
            gold=gold,
            predicted=predicted,
            confidence=0.7,
        )
        for number, (text, gold, predicted) in enumerate(
            [
                ("TOTAL", "O", "O"),
                ("1.07", "B-TAX", "B-GRAND_TOTAL"),
                ("9.99", "B-GRAND_TOTAL", "B-GRAND_TOTAL"),
            ]
        )
    )
    receipt = ReceiptPrediction(
        key="i#00001", merchant="CORNER", seen=False, f1=0.5, wrong_words=1, words=words
    )
    found = PredictionsFile(
        job_name=job.name, checkpoint="checkpoint-350", step=350, epoch=7, receipts=(receipt,)
    )
    place = f"s3://{job.storage['bucket']}/{job.storage['run_root_prefix']}predictions.json"
    storage.write(place, found.model_dump_json().encode())


def test_which_label_has_the_lowest_f1(assistant: Assistant) -> None:
    labels = assistant.ask("run_detail", job="overfit")["labels"]
    assert (labels[0]["label"], labels[0]["f1"], labels[0]["train_words"]) == ("TAX", 0.41, 90)
    assert [one["label"] for one in labels] == ["TAX", "GRAND_TOTAL", "DATE", "TIP"]


def test_is_it_overfitting(assistant: Assistant) -> None:
    found = {one["kind"]: one for one in assistant.ask("diagnose_run", job="overfit")["findings"]}
    assert "overfitting" in found
    assert found["overfitting"]["since_epoch"] in {4, 5}
    assert "checkpoint-350" in found["overfitting"]["use_checkpoint"]
    healthy = assistant.ask("diagnose_run", job="healthy")
    assert "overfitting" not in {one["kind"] for one in healthy.get("findings", ())}
    assert healthy["evaluations"] == 12


def test_did_early_stopping_trigger_and_what_was_the_best_epoch(assistant: Assistant) -> None:
    answer = assistant.ask("run_detail", job="overfit")
    assert answer["run"]["early_stopping_triggered"] is True
    assert (answer["run"]["best_epoch"], answer["run"]["epochs_trained"]) == (7, 12)
    assert (answer["best"]["epoch"], answer["best"]["eval_f1"]) == (7, 0.78)
    assert assistant.ask("run_detail", job="healthy")["run"]["early_stopping_triggered"] is False


def test_what_is_the_learning_rate_at_epoch_10(assistant: Assistant) -> None:
    wanted = {"metrics": ["learning_rate"], "from_epoch": 10, "to_epoch": 10}
    answer = assistant.ask("run_detail", job="overfit", **wanted)
    assert answer["epochs"] == [{"epoch": 10, "global_step": 500, "learning_rate": pytest.approx(4e-5)}]
    assert answer["run"]["config"]["learning_rate"] == PEAK_RATE


def test_which_labels_need_more_data(assistant: Assistant, client: DynamoClient) -> None:
    counted = client.count_labels_by_category_and_status()
    valid = Counter({name: by_status.get("VALID", 0) for name, by_status in counted.items()})
    found = assistant.ask("dataset_statistics")["dataset"]
    assert set(found["labels_scarce"]) == {name for name, count in valid.items() if 0 < count < 50}
    words = [valid[name] for name in found["labels_scarce"]]
    assert all(fewer <= more for fewer, more in pairwise(words))
    assert set(found["labels_absent"]) == set(CORE_LABELS) - set(valid)
    assert {one["label"]: one["words"] for one in found["statistics"]["labels"] if one["words"]} == valid


def test_what_is_the_best_batch_size(assistant: Assistant) -> None:
    found = assistant.ask("compare_groups", by="batch_size")["comparison"]
    by_size = {group["value"]: group["scores"] for group in found["groups"]}
    assert by_size[8]["mean"] == pytest.approx(0.799, abs=0.005)
    assert by_size[32]["n"] == 5
    told = {(pair["higher"], pair["lower"]): pair["verdict"] for pair in found["pairs"]}
    assert told["8", "4"] == told["8", "32"] == "higher"
    assert found["groups"][0]["value"] == 8


def test_can_we_make_it_faster(assistant: Assistant) -> None:
    advice = assistant.ask("recommend_next_run", job="slow", faster=True)["advice"]
    changes = {one["option"]: one["after"] for one in advice["changes"]}
    assert changes["precision"] == "auto"
    assert changes["dataloader_workers"] > 0
    assert advice["message"]["hyperparameters"]["dataloader_workers"] == changes["dataloader_workers"]
    usual = assistant.ask("recommend_next_run", job="slow", with_data=False)["advice"]
    assert "precision" not in {one["option"] for one in usual["changes"]}


def test_which_receipts_does_it_fail_on(assistant: Assistant) -> None:
    [receipt] = assistant.ask("failing_receipts", job="overfit")["receipts"]
    assert (receipt["merchant"], receipt["wrong_words"]) == ("CORNER", 1)
    assert receipt["words"] == [
        {"text": "1.07", "gold": "B-TAX", "predicted": "B-GRAND_TOTAL", "confidence": 0.7}
    ]
    assert "checkpoint" not in assistant.ask("failing_receipts", job="healthy")


def test_which_of_two_runs_is_better(assistant: Assistant) -> None:
    found = assistant.ask("compare_runs", jobs=["overfit", "healthy"])["comparison"]
    assert [place["name"] for place in found["rankings"][0]["places"]] == ["healthy", "overfit"]
    assert "learning_rate" in {one["option"] for one in found["differing"]}


def test_what_is_running(assistant: Assistant) -> None:
    [run] = assistant.ask("live_runs")["runs"]
    assert (run["run"]["name"], run["seconds_left"]) == ("running", 240)
    assert [(epoch["epoch"], epoch["eval_f1"]) for epoch in run["epochs"]] == [(2, 0.5)]


def test_what_has_been_trained_comes_in_pages(assistant: Assistant) -> None:
    first = assistant.ask("training_history", status="succeeded", limit=2)
    assert [run["name"] for run in first["runs"]] == ["slow", "healthy"]
    assert first["runs"][0]["config"] == {"epochs": 12, "precision": "float32"}
    rest = assistant.ask("training_history", status="succeeded", limit=100, before=first["cursor"])
    assert rest["runs"][0]["name"] == "overfit"
    assert len(rest["runs"]) == 1 + 5 * len(SCORES)
    assert "cursor" not in rest


def test_an_answer_has_no_names_for_what_is_not_known(assistant: Assistant) -> None:
    [run] = assistant.ask("live_runs")["runs"]
    assert "worker" not in run
    assert None not in run["run"].values()


def test_a_long_run_is_shown_thinned_with_its_best_and_its_last_evaluation(
    assistant: Assistant, make_job: MakeJob, storage: S3Store
) -> None:
    long = make_job(f"long-{uuid.uuid4().hex[:6]}", "failed", at=1)
    entries = [{"epoch": n, "eval_f1": 0.9 if n == 123 else 0.5} for n in range(1, 401)]
    write_run_json(storage, long, entries)
    answer = assistant.ask("run_detail", job=long.name, metrics=["eval_f1"])
    shown = [one["epoch"] for one in answer["epochs"]]
    assert {1, 123, 400} <= set(shown)
    assert len(shown) <= 41
    assert len(shown) + answer["evaluations_left_out"] == answer["evaluations"] == 400
    near = assistant.ask("run_detail", job=long.name, metrics=["eval_f1"], from_epoch=120, to_epoch=125)
    assert [one["epoch"] for one in near["epochs"]] == [120, 121, 122, 123, 124, 125]
