"""The train job's body: what operators send works as it is, what is wrong is refused with every fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from messages import Hyperparameters, InvalidMessage, TrainJob, decode_train_job, encode

LAMBDA_BODY = {
    "job_name": "layoutlm-my-experiment",
    "use_spot": False,
    "hyperparameters": {
        "epochs": "10",
        "batch_size": "8",
        "learning_rate": "5e-5",
        "warmup_ratio": "0.1",
        "early_stopping_patience": "2",
        "merge_amounts": "true",
    },
}


def decode(body: Any, message_id: str = "m-1", kind: str | None = None) -> TrainJob:
    return decode_train_job(json.dumps(body), message_id=message_id, kind=kind)


def faults(body: Any) -> dict[str, str]:
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(InvalidMessage) as refused:
        decode_train_job(text, message_id="m-1")
    return {fault.field: fault.problem for fault in refused.value.faults}


def with_hyperparameters(**values: Any) -> dict[str, Any]:
    return {"job_name": "a", "hyperparameters": values}


def test_the_body_that_operators_send_to_the_lambda_works_as_it_is() -> None:
    job = decode(LAMBDA_BODY)
    assert job.job_name == "layoutlm-my-experiment"
    assert job.hyperparameters.epochs == 10
    assert job.hyperparameters.learning_rate == pytest.approx(5e-5)
    assert job.hyperparameters.merge_amounts is True


def test_numbers_may_come_as_numbers_or_as_strings() -> None:
    strings = decode(with_hyperparameters(epochs="3", label_smoothing="0.1", seed="7"))
    numbers = decode(with_hyperparameters(epochs=3, label_smoothing=0.1, seed=7))
    assert strings.hyperparameters == numbers.hyperparameters


def test_hyperparameters_may_come_as_json_text() -> None:
    assert decode({"job_name": "a", "hyperparameters": '{"epochs": "3"}'}).hyperparameters.epochs == 3


def test_an_absent_job_id_is_the_same_for_each_delivery_of_one_message() -> None:
    first, again = decode(LAMBDA_BODY, "m-1"), decode(LAMBDA_BODY, "m-1")
    other = decode(LAMBDA_BODY, "m-2")
    assert first.job_id == again.job_id != other.job_id


def test_a_given_job_id_is_kept() -> None:
    job_id = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
    assert decode({**LAMBDA_BODY, "job_id": job_id}).job_id == job_id


@pytest.mark.parametrize(
    "job_id",
    ["x", "49a5ce3b46534aad95da11c9a7345b85", "49a5ce3b-4653-1aad-95da-11c9a7345b85", "../etc", 7],
)
def test_a_job_id_that_is_no_uuid_of_version_4_or_5_is_refused(job_id: Any) -> None:
    assert set(faults({**LAMBDA_BODY, "job_id": job_id})) == {"job_id"}


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "/abs", ".hidden", "a..b", "", "a b", "a\nb", "ä", "x" * 121, "trailing."]
)
def test_a_job_name_that_could_be_a_path_is_refused(name: str) -> None:
    assert set(faults({"job_name": name})) == {"job_name"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1001),
        ("epochs", "ten"),
        ("epochs", True),
        ("epochs", 1.5),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("learning_rate", 2),
        ("learning_rate", "1e999"),
        ("weight_decay", -0.1),
        ("warmup_ratio", 1.1),
        ("gradient_accumulation_steps", 0),
        ("max_grad_norm", 0),
        ("label_smoothing", 1),
        ("early_stopping_patience", -1),
        ("checkpoint_metric", "beauty"),
        ("seed", -1),
        ("precision", "int3"),
        ("compile", "perhaps"),
        ("pretrained_model", "scratch:huge\n"),
        ("max_seq_length", 513),
        ("window_size", 0),
        ("window_stride", 0),
        ("o_entity_ratio", 0),
        ("allowed_labels", "not a label"),
        ("merge_preset", "everything"),
        ("label_merges", {"AMOUNT": "TAX"}),
        ("label_merges", "{not json}"),
        ("val_keys_s3", "http://elsewhere/x"),
        ("dataset_snapshot_load", "s3://b"),
        ("dataset_snapshot_save", "s3://bucket/../x"),
        ("resume_from_s3", "/tmp/x"),
        ("output_s3_path", "s3://bucket/a\\b"),
    ],
)
def test_a_value_out_of_bounds_is_refused_under_its_name(field: str, value: Any) -> None:
    found = faults(with_hyperparameters(**{field: value}))
    assert all(name.startswith(f"hyperparameters.{field}") for name in found), found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("auto_export", "maybe"),
        ("quantize", "int3"),
        ("priority", "urgent"),
        ("tags", ["a"]),
        ("timeout", 0),
        ("use_spot", "x"),
    ],
)
def test_a_wrong_job_option_is_refused_under_its_name(field: str, value: Any) -> None:
    assert set(faults({"job_name": "a", field: value})) == {field}


def test_all_faults_of_a_body_come_in_one_error() -> None:
    body = {"job_name": "a/b", "surprise": 1, "hyperparameters": {"epochs": 0, "colour": "red"}}
    assert set(faults(body)) == {"job_name", "surprise", "hyperparameters.epochs", "hyperparameters.colour"}


def test_an_unknown_field_is_refused_and_told_where_it_belongs() -> None:
    assert "belongs in hyperparameters" in faults({"job_name": "a", "epochs": 3})["epochs"]


def test_a_missing_name_is_a_fault() -> None:
    assert set(faults({})) == {"job_name"}


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "3", '"text"', "[" * 10_000, "x" * 262_144, '{"a": NaN}']
)
def test_what_is_no_json_object_is_refused_as_a_whole(body: str) -> None:
    assert set(faults(body)) == {"body"}


def test_text_that_is_not_unicode_is_refused() -> None:
    assert set(faults('{"job_name": "\ud800"}')) == {"body"}


def test_a_body_of_a_quarter_megabyte_gives_a_short_error() -> None:
    body = {"job_name": "a", **{f"field{n}": "x" * 50 for n in range(3000)}}
    with pytest.raises(InvalidMessage) as refused:
        decode(body)
    assert len(str(refused.value)) < 3000
    assert "and 2980 more" in str(refused.value)


def test_the_error_names_the_job_when_the_body_does() -> None:
    job_id = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
    with pytest.raises(InvalidMessage) as refused:
        decode({"job_id": job_id, "job_name": "a/b"})
    assert refused.value.job_id == job_id


def test_a_stride_longer_than_the_window_would_lose_words_and_is_refused() -> None:
    assert "lost" in faults(with_hyperparameters(window_size=100, window_stride=150))["hyperparameters"]


def test_a_pinned_split_and_giving_one_up_contradict_each_other() -> None:
    both = with_hyperparameters(val_keys_s3="s3://bucket/keys.json", no_frozen_val=True)
    assert "contradict" in faults(both)["hyperparameters"]


def test_one_source_label_cannot_become_two() -> None:
    twice = with_hyperparameters(label_merges={"AMOUNT": ["TAX"], "MONEY": ["TAX"]})
    assert "twice" in faults(twice)["hyperparameters"]


def test_labels_may_come_as_a_list_or_separated_by_commas() -> None:
    for value in (["DATE", "TAX"], "DATE, TAX", '["DATE", "TAX"]'):
        assert decode(with_hyperparameters(allowed_labels=value)).hyperparameters.allowed_labels == (
            "DATE",
            "TAX",
        )


def test_job_options_among_flat_hyperparameters_are_the_jobs() -> None:
    job = decode(with_hyperparameters(epochs="2", auto_export="false", timeout="60", quantize="int8"))
    assert (job.auto_export, job.timeout, job.quantize) == (False, 60, "int8")


def test_a_job_option_given_twice_is_refused() -> None:
    body = {**with_hyperparameters(timeout=60), "timeout": 90}
    assert "give it once" in faults(body)["body"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, True),
        ({"auto_export": False}, False),
        ({"tags": {"skip-coreml-export": "true"}}, False),
        ({"tags": {"skip-coreml-export": "True"}}, False),
        ({"tags": {"skip-coreml-export": "false"}}, True),
    ],
)
def test_the_export_follows_unless_told_not_to(body: dict[str, Any], expected: bool) -> None:
    assert decode({"job_name": "a", **body}).wants_export is expected


def test_the_export_of_a_job_has_one_id_for_each_weight_format() -> None:
    job = decode({"job_name": "a", "quantize": None})
    assert job.export_id == decode({"job_name": "a", "quantize": "float32"}).export_id
    assert job.export_id != decode({"job_name": "a"}).export_id


def test_a_message_of_another_kind_is_refused_with_the_queue_it_reached() -> None:
    with pytest.raises(InvalidMessage, match="takes train jobs"):
        decode(LAMBDA_BODY, kind="export")
    assert decode(LAMBDA_BODY, kind="train").job_name == LAMBDA_BODY["job_name"]


def test_a_message_encodes_to_a_body_that_decodes_to_it() -> None:
    job = decode({**LAMBDA_BODY, "quantize": None, "tags": {"a": "b"}})
    assert decode_train_job(encode(job), message_id="other") == job


def test_every_hyperparameter_has_a_unit_and_a_description() -> None:
    for model in (Hyperparameters, TrainJob):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert isinstance(field.json_schema_extra, dict), name
            assert field.json_schema_extra["unit"], name


def test_characters_that_sqs_refuses_are_written_as_escapes() -> None:
    job = decode_train_job('{"job_name": "demo", "tags": {"note": "\\ufffe and \\uffff"}}', message_id="m")
    body = encode(job)
    assert "\\ufffe and \\uffff" in body
    assert decode_train_job(body, message_id="m") == job


UNLIKE_CLIENTS = {
    "example_unit": "receipt,lines:5",
    "positions": "line_local",
    "boxes": "segment",
    "line_separators": "true",
}


@pytest.mark.parametrize("name", sorted(UNLIKE_CLIENTS))
def test_a_model_that_no_client_could_feed_is_trained_only_where_no_export_is_asked(name: str) -> None:
    options = {name: UNLIKE_CLIENTS[name]}
    with pytest.raises(InvalidMessage, match=f"{name} .*auto_export"):
        decode({"job_name": "a", "hyperparameters": options})
    assert not decode({"job_name": "a", "auto_export": False, "hyperparameters": options}).wants_export


@pytest.mark.parametrize("size", ["0", 1025, True, "many"])
def test_a_batch_size_is_a_number_in_bounds_or_auto(size: object) -> None:
    assert (
        decode({"job_name": "a", "hyperparameters": {"batch_size": "auto"}}).hyperparameters.batch_size
        == "auto"
    )
    with pytest.raises(InvalidMessage, match="batch_size") as caught:
        decode({"job_name": "a", "hyperparameters": {"batch_size": size}})
    assert str(caught.value).count("batch_size") == 1, "one fault, not one of each kind"
