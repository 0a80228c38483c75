"""The model card says what the record says, to people and to the Hub, and nothing that is private."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from receipt_layoutlm.checkpoint import MANIFEST
from receipt_layoutlm.data.snapshot import load_snapshot
from receipt_layoutlm.training.model_card import CARD, write_card
from receipt_layoutlm.training.run import train
from run_records.epoch_record import EpochRecord
from run_records.job_process.child_main import Reporter, StopRequested
from run_records.s3_store import S3Store
from tests.support.small_trainings import MakeTask, read_json

QUIET, GO_ON = Reporter(None), StopRequested()


def front_of(card: str) -> Any:
    """What the Hub takes from a card; its attributes are the card's fields."""
    return ModelCard(card).data


def card_of(storage: S3Store, run_s3_uri: str) -> str:
    return (storage.read(f"{run_s3_uri}best/{CARD}") or b"").decode()


@pytest.fixture
def record(make_task: MakeTask, storage: S3Store) -> dict[str, Any]:
    """run.json of a run with one epoch, and what its card says."""
    task = make_task(epochs=1, label_smoothing=0.1, merge_date_time=True)
    train(task, QUIET, GO_ON)
    run: dict[str, Any] = read_json(storage, f"{task.run_s3_uri}run.json")
    return {**run, "card": card_of(storage, task.run_s3_uri)}


def test_the_card_has_the_scores_labels_data_and_configuration_of_the_record(record: dict[str, Any]) -> None:
    card, [best] = record["card"], record["epoch_metrics"]
    assert f"| each word's own best tag | {best['eval_f1']:.3f} (" in card
    assert f"| best sequence that BIO allows | {best['eval_f1_constrained']:.3f} |" in card
    assert f"| seen in training | 2 | {best['eval_f1']:.3f} |" in card
    assert all(f"| {name} | " in card for name in record["resulting_labels"])
    assert "| TIP | - | - | - | - | 0 |" in card
    assert "- DATE stands for TIME, too." in card
    assert record["data_config"]["dataset_hash"] in card
    assert record["split_metadata"]["val_receipts_hash"] in card
    assert "18 receipts to learn from and 2 to score on" in card
    assert "| `label_smoothing` | `0.1` |" in card
    assert "weight_decay" not in card
    assert "trained from scratch (size tiny)" in card


def test_the_hub_reads_the_front_matter(record: dict[str, Any]) -> None:
    data = front_of(record["card"])
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "other",
        "transformers",
        "token-classification",
    )
    assert data.base_model is None
    assert data.metrics == ["f1", "precision", "recall"]
    [f1, *_] = data.eval_results
    assert (f1.metric_type, f1.metric_value) == ("f1", round(record["epoch_metrics"][0]["eval_f1"], 4))
    assert f1.dataset_revision == record["split_metadata"]["val_receipts_hash"]


def test_the_card_names_no_place_and_is_the_same_each_time(record: dict[str, Any], bucket: str) -> None:
    card = record.pop("card")
    assert bucket not in card
    assert "s3://" not in card
    best = EpochRecord.model_validate(record["epoch_metrics"][0])
    assert write_card(record, best) == card
    elsewhere = {**record, "attempt": 7, "data_config": {**record["data_config"], "source": "table other"}}
    assert write_card(elsewhere, best.model_copy(update={"recorded_at": "later"})) == card


def test_the_starting_model_is_named_where_all_may_have_it(record: dict[str, Any]) -> None:
    best = EpochRecord.model_validate(record["epoch_metrics"][0])

    def card_with(base: str) -> str:
        options = {**record["training_config"], "pretrained_model": base}
        return write_card({**record, "training_config": options}, best)

    public = card_with("microsoft/layoutlm-base-uncased")
    assert "fine-tuned from microsoft/layoutlm-base-uncased" in public
    assert front_of(public).base_model == "microsoft/layoutlm-base-uncased"
    for private in ("s3://bucket/runs/a/best/", "/home/someone/model", "~/models/mine"):
        card = card_with(private)
        assert "trained on from another checkpoint" in card
        assert private not in card
        assert front_of(card).base_model is None


def test_a_card_of_a_run_without_a_pinned_split_says_first_that_it_cannot_be_compared(
    record: dict[str, Any], make_task: MakeTask, storage: S3Store, bucket: str, snapshot: str
) -> None:
    warning = "> **The scores cannot be compared with those of other runs.**"
    assert warning in record["card"].split("## Scores")[0]
    uri = f"s3://{bucket}/val.json"
    pinned = [receipt.key for receipt in load_snapshot(storage, snapshot)[0][:2]]
    storage.write(uri, json.dumps(pinned).encode())
    task = make_task("pinned", epochs=1, val_keys_s3=uri, no_frozen_val=False)
    train(task, QUIET, GO_ON)
    card = card_of(storage, task.run_s3_uri)
    assert warning not in card
    assert "They are pinned: other runs with the same hash were scored on the same receipts." in card


def test_the_card_is_sealed_with_the_best_model_and_follows_it(make_task: MakeTask, storage: S3Store) -> None:
    task = make_task(epochs=3)
    train(task, QUIET, GO_ON)
    manifest = read_json(storage, f"{task.run_s3_uri}best/{MANIFEST}")
    assert CARD in {file["name"] for file in manifest["files"]}
    assert f"after {manifest['epoch']:g} epochs and {manifest['step']} steps" in card_of(
        storage, task.run_s3_uri
    )
    assert not any(Path(name).name == CARD for name in storage.list_keys(f"{task.run_s3_uri}checkpoints/"))
    again = make_task(epochs=3, attempt=2)
    place = storage.place(f"{task.run_s3_uri}best/{MANIFEST}")
    storage.client.delete_object(Bucket=place.bucket, Key=place.key)
    before = card_of(storage, task.run_s3_uri)
    train(again, QUIET, GO_ON)
    assert card_of(storage, task.run_s3_uri) == before
