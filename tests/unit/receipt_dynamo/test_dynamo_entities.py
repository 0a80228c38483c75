from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from receipt_dynamo import entities
from receipt_dynamo.clock import write_time
from receipt_dynamo.entities import Job, JobCheckpoint, JobLease, JobMetric, ReceiptWord, Record
from receipt_dynamo.entities.record import check_attributes
from receipt_dynamo.errors import InvalidItem

ITEMS = Path(__file__).parents[3].parent / "shared" / "contracts" / "items.jsonl"
KINDS: list[type[Record]] = [getattr(entities, name) for name in entities.__all__ if name != "Record"]
JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
TIME = "2025-11-20T14:46:00.123456+00:00"

_text = st.text("aB#_/. é", min_size=1, max_size=8)
_share = st.floats(0, 1).filter(lambda number: number == 0 or number > 1e-100)
_id = st.integers(0, 99_999)
_count = st.integers(0, 10**12)
_time = st.datetimes(timezones=st.timezones()).filter(lambda moment: 1 < moment.year < 9999).map(write_time)
_map = st.dictionaries(_text, _text | _count | st.booleans() | st.none() | st.lists(_share), max_size=3)
_point = st.fixed_dictionaries({"x": _share, "y": _share})
_box = st.fixed_dictionaries({"x": _share, "y": _share, "width": _share, "height": _share})
_failure = st.fixed_dictionaries(
    {"attempt": _count, "error_class": _text, "message": _text, "at": _time, "worker": _text}
)
_progress = st.fixed_dictionaries(
    {
        "attempt": _count,
        "at": _time,
        "stage": _text,
        "message": _text,
        "epoch": st.none() | _share,
        "step": st.none() | _count,
        "total_steps": st.none() | _count,
        "metrics": st.dictionaries(_text, _share, max_size=3),
    }
)

# By the declared type's own spelling, so that a new type has to be added here.
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "Uuid": st.uuids(version=4).map(str) | st.uuids(version=5).map(lambda value: str(value).upper()),
    "Timestamp": _time,
    "Text": _text,
    "Id": _id,
    "Count": _count,
    "Attempt": _count,
    "Confidence": st.integers(1, 100).map(lambda percent: percent / 100),
    "Epoch": _count,
    "JobState": st.sampled_from(["pending", "running", "succeeded", "failed", "cancelled", "interrupted"]),
    "ExportState": st.sampled_from(["PENDING", "RUNNING", "SUCCEEDED", "FAILED"]),
    "Priority": st.sampled_from(["low", "medium", "high", "critical"]),
    "ValidationStatus": st.sampled_from(["NONE", "PENDING", "VALID", "INVALID", "NEEDS_REVIEW"]),
    "LeaseKind": st.sampled_from(["train", "export"]),
    "LeaseState": st.sampled_from(["free", "held", "decided", "closed"]),
    "LeaseOutcome": st.sampled_from(["succeeded", "failed", "cancelled"]),
    "Point": _point,
    "BoundingBox": _box,
    "str": _text,
    "bool": st.booleans(),
    "float": _share,
    "float | dict[str, Any]": _share | _map,
    "dict[str, Any]": _map,
    "dict[str, str]": st.dictionaries(_text, _text, max_size=3),
    "dict[str, float]": st.dictionaries(_text, _share, max_size=3),
    "LeaseProgress": _progress,
    "list[LeaseFailure]": st.lists(_failure, max_size=2),
    "Annotated[float, Field(ge=0)]": _share,
    "Annotated[float, Field(ge=0, le=100)]": _share,
    "Any": _share | st.none() | _map,
}


def strategy_of(declared: str) -> st.SearchStrategy[Any]:
    if declared.endswith(" | None"):
        return st.none() | STRATEGIES[declared.removesuffix(" | None")]
    return STRATEGIES[declared]


def records(kind: type[Record]) -> st.SearchStrategy[Record]:
    declared = fields(cast("Any", kind))
    return st.builds(kind, **{field.name: strategy_of(str(field.type)) for field in declared})


def real_items() -> list[dict[str, Any]]:
    if not ITEMS.exists():
        pytest.fail(
            f"{ITEMS} is missing. Put the contract's items there: they are what the records are held to."
        )
    return [json.loads(line) for line in ITEMS.read_text(encoding="utf-8").splitlines()]


def by_value(value: Any) -> Any:
    """Return an item with its numbers as numbers: DynamoDB keeps a number's value, not its spelling."""
    if isinstance(value, dict):
        return {key: float(inner) if key == "N" else by_value(inner) for key, inner in value.items()}
    return [by_value(inner) for inner in value] if isinstance(value, list) else value


def a_job(**changes: Any) -> Job:
    given = {"job_id": JOB_ID, "name": "demo", "description": "", "created_at": TIME, "created_by": "system"}
    state = {"status": "pending", "priority": "medium", "job_config": {}}
    return Job(**(cast("dict[str, Any]", given) | state | changes))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.TYPE)
@settings(max_examples=40)
@given(data=st.data())
def test_every_record_comes_back_from_its_item(kind: type[Record], data: st.DataObject) -> None:
    record = data.draw(records(kind))
    assert kind.from_item(record.to_item()) == record


def test_each_real_item_is_parsed_and_written_back_equal() -> None:
    kinds = {kind.TYPE: kind for kind in KINDS}
    for item in real_items():
        record = kinds[item["TYPE"]["S"]].from_item(item)
        assert by_value(record.to_item()) == by_value(item)


OURS = {"JOB_LEASE", "RUN_NAME"}


def test_there_is_a_real_item_of_each_kind_but_our_own() -> None:
    assert {item["TYPE"]["S"] for item in real_items()} == {kind.TYPE for kind in KINDS} - OURS


def test_a_number_that_dynamodb_cannot_hold_is_refused_with_the_metrics_name() -> None:
    metric = JobMetric(job_id=JOB_ID, metric_name="eval_loss", timestamp=TIME, value=float("nan"))
    with pytest.raises(InvalidItem, match=r"JOB_METRIC .*METRIC#eval_loss#.*'value' is nan"):
        metric.to_item()


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("status", {"S": "sleeping"}),
        ("priority", {"S": "urgent"}),
        ("created_at", {"S": "yesterday"}),
        ("name", {"S": ""}),
        ("name", {"N": "3"}),
        ("attempt", {"N": "-1"}),
        ("storage", {"L": []}),
        ("results", {"B": b"x"}),
    ],
)
def test_a_malformed_attribute_is_named_with_type_and_key(attribute: str, value: dict[str, Any]) -> None:
    item = a_job().to_item() | {attribute: value}
    with pytest.raises(InvalidItem, match=rf"^JOB JOB#{JOB_ID} / JOB: attribute '{attribute}'") as caught:
        Job.from_item(item)
    assert (caught.value.record_type, caught.value.attribute) == ("JOB", attribute)


@pytest.mark.parametrize(("stored", "read"), [("1", 1), ("1.0", 1), ("0.57", 0), ("12.999", 12)])
def test_an_epoch_of_an_earlier_version_is_read_without_its_fraction(stored: str, read: int) -> None:
    for item in real_items():
        if item["TYPE"]["S"] not in {"JOB_METRIC", "JOB_CHECKPOINT"}:
            continue
        kind = JobMetric if item["TYPE"]["S"] == "JOB_METRIC" else JobCheckpoint
        record = kind.from_item(item | {"epoch": {"N": stored}})
        assert record.epoch == read
        assert record.to_item()["epoch"] == {"N": str(read)}


@pytest.mark.parametrize("epoch", [float("nan"), float("inf"), -1.0, True, "1"])
def test_what_is_no_number_of_epochs_is_refused(epoch: Any) -> None:
    with pytest.raises(ValidationError, match="epoch"):
        JobMetric(job_id=JOB_ID, metric_name="val_f1", timestamp=TIME, value=1.0, epoch=epoch)


@pytest.mark.parametrize("attribute", ["timestamp", "metric_name", "job_id"])
def test_an_item_without_an_attribute_of_its_key_is_not_given_a_new_one(attribute: str) -> None:
    item = JobMetric(job_id=JOB_ID, metric_name="val_f1", timestamp=TIME, value=1.0).to_item()
    del item[attribute]
    with pytest.raises(InvalidItem, match=f"'{attribute}' is wrong: Field required"):
        JobMetric.from_item(item)


def test_a_missing_attribute_is_named() -> None:
    item = a_job().to_item()
    del item["priority"]
    with pytest.raises(InvalidItem, match="'priority' is wrong: Field required"):
        Job.from_item(item)


def test_an_item_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidItem, match="'TYPE' must be JOB_METRIC, not JOB"):
        JobMetric.from_item(a_job().to_item())


def test_an_item_without_a_key_is_refused() -> None:
    item = a_job().to_item()
    del item["PK"]
    with pytest.raises(InvalidItem, match=r"'PK' must look like"):
        Job.from_item(item)


def test_an_item_whose_attributes_belong_under_another_key_is_refused() -> None:
    item = JobMetric(job_id=JOB_ID, metric_name="f1", timestamp=TIME, value=1).to_item()
    with pytest.raises(InvalidItem, match="'SK' must be 'METRIC#loss"):
        JobMetric.from_item(item | {"metric_name": {"S": "loss"}})


def test_attributes_of_other_software_are_passed_over() -> None:
    assert Job.from_item(a_job().to_item() | {"theirs": {"SS": ["a"]}}) == a_job()


@pytest.mark.parametrize("job_id", ["", "demo", "49a5ce3b-4653-1aad-95da-11c9a7345b85", JOB_ID + "\n"])
def test_an_id_that_is_no_uuid_of_version_4_or_5_is_refused(job_id: str) -> None:
    with pytest.raises(ValidationError, match="job_id"):
        a_job(job_id=job_id)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        a_job(colour="red")


@pytest.mark.parametrize(
    "change",
    [{"confidence": {"N": "0"}}, {"confidence": {"N": "1.01"}}, {"bounding_box": {"M": {"x": {"N": "1"}}}}],
)
def test_a_word_outside_its_bounds_is_refused(change: dict[str, Any]) -> None:
    item = next(item for item in real_items() if item["TYPE"]["S"] == "RECEIPT_WORD")
    with pytest.raises(InvalidItem, match=next(iter(change))):
        ReceiptWord.from_item(item | change)


def test_a_job_leaves_out_what_it_does_not_have() -> None:
    assert not {"tags", "results", "attempt", "error_message", "job_id"} & a_job().to_item().keys()
    assert a_job(attempt=0).to_item()["attempt"] == {"N": "0"}


def test_a_lease_stands_beside_the_record_it_guards() -> None:
    lease = JobLease(kind="export", owner_id=JOB_ID, state="free", attempt=0, expires_at=TIME)
    assert lease.to_item()["PK"] == {"S": f"COREML_EXPORT#{JOB_ID}"}
    assert lease.to_item()["GSI1SK"] == {"S": TIME}


def test_an_update_of_an_unknown_or_malformed_attribute_is_refused() -> None:
    with pytest.raises(InvalidItem, match="'colour' is unknown; use one of"):
        check_attributes(Job, {"colour": "red"})
    with pytest.raises(InvalidItem, match="'tags' is wrong"):
        check_attributes(Job, {"tags": 3})
