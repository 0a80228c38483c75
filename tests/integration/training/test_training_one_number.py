"""One checkpoint has one score: in training, alone, by `eval-checkpoints`, and by what `infer` says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layoutlm_cli.main import main
from messages.child_protocol import TrainTask
from messages.fields import S3Uri
from receipt_dynamo import DynamoClient
from receipt_layoutlm.checkpoint import MANIFEST, WEIGHTS, read_run_facts
from receipt_layoutlm.data.page_layout import lay_out_all
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.snapshot import load_snapshot, save_snapshot
from receipt_layoutlm.diagnosis.diagnosis_report import FILES
from receipt_layoutlm.evaluation.checkpoint_scores import list_checkpoints
from receipt_layoutlm.evaluation.entity_scores import score_tags
from receipt_layoutlm.evaluation.evaluate import evaluate_checkpoint
from receipt_layoutlm.evaluation.heldout_receipts import find_frozen
from receipt_layoutlm.inference.label import label_receipts
from receipt_layoutlm.inference.predictors import CheckpointLabeller
from receipt_layoutlm.model_folder import download_model
from receipt_layoutlm.training.run import train
from run_records.job_process.child_main import Reporter, StopRequested
from run_records.run_json import read_run_record
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask, read_json
from workers.jobs.job_record import job_record

UNKNOWN_TO_TRAINING = {"avg_inference_ms", "total_inference_ms"}
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def task(make_task: MakeTask, client: DynamoClient, bucket: str) -> TrainTask:
    """A run of three checkpoints, and its job in the table."""
    task = make_task(epochs=3)
    train(task, Reporter(None), StopRequested())
    place = S3Uri(bucket=bucket, key=f"runs/{task.job.job_name}/")
    client.add_job(job_record(task.job, place, status="succeeded"))
    return task


@pytest.fixture
def cli(bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """A command within this process: exit code, output, errors."""
    monkeypatch.setenv("LAYOUTLM_ALLOWED_BUCKETS", bucket)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["layoutlm-cli", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def validation_receipts(storage: S3Store, task: TrainTask, snapshot: str) -> list[Receipt]:
    keys = read_json(storage, f"{task.run_s3_uri}run.json")["split_metadata"]["val_receipt_keys"]
    return [receipt for receipt in load_snapshot(storage, snapshot)[0] if receipt.key in keys]


def f1_of_labels(folder: Path, receipts: list[Receipt]) -> float:
    """Of the tags that `infer` hands out with plain decoding, put back into reading order."""
    facts = read_run_facts(folder)
    assert facts is not None
    labelled = label_receipts(CheckpointLabeller.open(folder, facts.precision), receipts, "plain")
    pages = lay_out_all(receipts, facts.labels)
    said = [
        [facts.label_list.index(one.words[index].tag) for index in page.order]
        for one, page in zip(labelled, pages, strict=True)
    ]
    return score_tags(facts.labels, [page.tags for page in pages], said).f1


def test_one_checkpoint_has_the_same_score_wherever_it_is_scored(
    task: TrainTask, storage: S3Store, snapshot: str, cli: Cli, tmp_path: Path
) -> None:
    recorded = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"]
    from_training = read_json(storage, f"{task.run_s3_uri}epochs.json")
    code, out, err = cli("eval-checkpoints", task.job.job_name)
    assert code == 0, err
    assert "cannot be compared with other runs" in out
    evaluated = read_json(storage, f"{task.run_s3_uri}epochs.json")
    receipts = validation_receipts(storage, task, snapshot)
    for record, ours, theirs in zip(recorded, from_training["epochs"], evaluated["epochs"], strict=True):
        folder = tmp_path / ours["checkpoint"]
        download_model(storage, f"{task.run_s3_uri}checkpoints/{ours['checkpoint']}/", folder)
        alone = evaluate_checkpoint(folder, receipts)
        assert alone.scores.f1 == record["eval_f1"] == theirs["heldout_f1"] == f1_of_labels(folder, receipts)
        assert alone.constrained.f1 == record["eval_f1_constrained"]
        assert theirs["total_inference_ms"] > 0
        assert {**theirs, **dict.fromkeys(UNKNOWN_TO_TRAINING)} == ours
    assert recorded[-1]["eval_f1"] > 0
    assert {**evaluated, "epochs": [], "generated_at": ""} == {
        **from_training,
        "epochs": [],
        "generated_at": "",
    }


def test_a_checkpoint_of_a_run_with_many_options_has_one_score_too(
    make_task: MakeTask, storage: S3Store, snapshot: str, tmp_path: Path
) -> None:
    options = {
        "example_unit": "receipt,lines:2",
        "positions": "line_local",
        "boxes": "segment",
        "line_separators": True,
        "ema_decay": 0.5,
        "augment_shift": 0.5,
        "augment_mask_tokens": 0.1,
        "packing": True,
        "class_weights": "sqrt",
        "merge_date_time": True,
    }
    body = make_task(epochs=3).model_dump(mode="json")
    body["job"]["auto_export"] = False  # clients could not feed such a model
    body["job"]["hyperparameters"].update(options)
    task = TrainTask.model_validate(body)
    train(task, Reporter(None), StopRequested())
    receipts = validation_receipts(storage, task, snapshot)
    [*_, last] = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"]
    folder = tmp_path / "last"
    download_model(storage, f"{task.run_s3_uri}checkpoints/checkpoint-{last['global_step']}/", folder)
    alone = evaluate_checkpoint(folder, receipts)
    assert (alone.scores.f1, alone.constrained.f1) == (last["eval_f1"], last["eval_f1_constrained"])
    assert alone.loss == last["eval_loss"]
    assert f1_of_labels(folder, receipts) == last["eval_f1"] > 0


def test_the_document_has_every_field_of_the_contract(task: TrainTask, storage: S3Store) -> None:
    document = read_json(storage, f"{task.run_s3_uri}epochs.json")
    assert {
        "job_name", "run_s3_uri", "val_set_source", "val_receipts_hash", "val_receipts_hash_recorded",
        "val_receipts_hash_verified", "num_val_receipts", "random_seed", "label_list", "label_merges",
        "metric", "inference_mode", "window_size", "window_stride", "compute", "epochs", "best_epoch_heldout",
        "best_checkpoint_heldout", "showcase_receipt_keys", "generated_at",
    } <= set(document)  # fmt: skip
    assert set(document["compute"]) == {"device", "gpu_name", "instance_type"}
    assert {
        "checkpoint", "step", "epoch", "heldout_f1", "heldout_precision", "heldout_recall", "token_accuracy",
        "per_label_f1", "per_label_precision", "per_label_recall", "per_label_support",
        "entity_prediction_rate", "gold_entity_rate", "training_reported_f1", "num_receipts_evaluated",
        "avg_inference_ms", "total_inference_ms", "diagnostics",
    } == set(document["epochs"][0])  # fmt: skip
    assert (document["metric"], document["val_set_source"]) == (
        "seqeval_entity_f1",
        "persisted_val_receipt_keys",
    )
    assert document["val_receipts_hash_verified"] is True
    assert document["metrics_comparable"] is False
    keys = read_json(storage, f"{task.run_s3_uri}run.json")["split_metadata"]["val_receipt_keys"]
    assert document["showcase_receipt_keys"] == [key.replace("#00001", "_1") for key in keys]
    best = max(document["epochs"], key=lambda one: one["heldout_f1"])
    assert document["best_checkpoint_heldout"] == best["checkpoint"]
    assert document["best_epoch_heldout"] == best["epoch"]


def test_one_checkpoint_alone_is_shown_and_leaves_the_document_as_it_was(
    task: TrainTask, storage: S3Store, cli: Cli, tmp_path: Path
) -> None:
    before = storage.read(f"{task.run_s3_uri}epochs.json")
    out = tmp_path / "epochs.json"
    code, _, err = cli(
        "eval-checkpoints", task.run_s3_uri, "--checkpoint", "checkpoint-10", "--output", str(out)
    )
    assert code == 0, err
    assert [one["checkpoint"] for one in json.loads(out.read_text())["epochs"]] == ["checkpoint-10"]
    assert storage.read(f"{task.run_s3_uri}epochs.json") == before
    code, shown, _ = cli(
        "eval-checkpoints", task.run_s3_uri, "--checkpoint", "checkpoint-10", "--output", "-"
    )
    assert json.loads(shown)["num_val_receipts"] == 2
    code, _, err = cli("eval-checkpoints", task.run_s3_uri, "--checkpoint", "checkpoint-11")
    assert code == 65
    assert "has no whole checkpoint-11. It has checkpoint-5, checkpoint-10, checkpoint-15." in err


def test_a_checkpoint_whose_upload_broke_off_is_left_out_and_a_damaged_one_is_named(
    task: TrainTask, storage: S3Store, cli: Cli
) -> None:
    place = storage.place(f"{task.run_s3_uri}checkpoints/checkpoint-5/{MANIFEST}")
    storage.client.delete_object(Bucket=place.bucket, Key=place.key)
    assert [one.name for one in list_checkpoints(storage, task.run_s3_uri)] == [
        "checkpoint-10",
        "checkpoint-15",
    ]
    weights = f"{task.run_s3_uri}checkpoints/checkpoint-10/{WEIGHTS}"
    body = bytearray(storage.read(weights) or b"")
    body[-1] ^= 1
    storage.write(weights, bytes(body))
    code, _, err = cli("eval-checkpoints", task.run_s3_uri)
    assert code == 65
    assert f"checkpoint-10/: {WEIGHTS} is not what manifest.json describes" in err


def test_receipts_that_are_gone_since_are_said_and_the_hash_is_not_verified(
    task: TrainTask, storage: S3Store, snapshot: str, cli: Cli
) -> None:
    [one, other] = validation_receipts(storage, task, snapshot)
    kept = [receipt for receipt in load_snapshot(storage, snapshot)[0] if receipt.key != one.key]
    save_snapshot(storage, snapshot, kept, "test")
    code, out, err = cli("eval-checkpoints", task.run_s3_uri, "--checkpoint", "checkpoint-5")
    assert code == 0
    assert "1 validation receipts" in out
    assert "warning: these are not the receipts that the run was scored on" in err
    record = read_run_record(storage, task.run_s3_uri)
    frozen = find_frozen(storage, no_table, record)
    assert frozen.keys == [other.key]
    assert frozen.hash != record.split_metadata.val_receipts_hash


def no_table() -> Any:
    raise AssertionError("the run has a snapshot")


def test_a_run_is_diagnosed_by_its_name_and_its_checkpoint_by_the_job_that_it_names(
    task: TrainTask, storage: S3Store, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = cli("diagnose-run", task.job.job_name)
    assert code == 0, err
    assert "no: The validation receipts were drawn" in out
    by_name = tmp_path / "diagnosis" / task.job.job_name
    assert {path.name for path in by_name.iterdir()} == set(FILES)
    summary = json.loads((by_name / "summary.json").read_text())
    records = read_json(storage, f"{task.run_s3_uri}run.json")["epoch_metrics"]
    assert summary["scores"]["f1"] == max(record["eval_f1"] for record in records)
    assert summary["subject"]["val_receipts_hash_verified"] is True
    assert not any("f1_recorded" in finding["numbers"] for finding in summary["findings"])

    download_model(storage, f"{task.run_s3_uri}best/", tmp_path / "best")
    code, _, err = cli("diagnose-run", "--checkpoint", str(tmp_path / "best"), "--out", str(tmp_path / "o"))
    assert code == 0, err
    for name in FILES:
        assert (tmp_path / "o" / name).read_bytes() == (by_name / name).read_bytes()

    first = f"{task.run_s3_uri}checkpoints/checkpoint-5"
    code, _, err = cli("diagnose-run", task.run_s3_uri, "--checkpoint", first, "--out", str(tmp_path / "f"))
    assert code == 0, err
    assert json.loads((tmp_path / "f" / "summary.json").read_text())["subject"]["step"] == 5

    code, _, err = cli("diagnose-run")
    assert code == 2
    assert "name a training, or a checkpoint by --checkpoint" in err


@pytest.mark.parametrize(
    ("body", "why"),
    [(None, "There is no s3://"), (b"{}", "is not the record of a run"), (b"no json", "is not the record")],
)
def test_a_folder_that_is_no_run_is_one_clear_error(
    storage: S3Store, bucket: str, cli: Cli, body: bytes | None, why: str
) -> None:
    if body is not None:
        storage.write(f"s3://{bucket}/runs/none/run.json", body)
    code, _, err = cli("eval-checkpoints", f"s3://{bucket}/runs/none")
    assert code == 65
    assert why in err
