"""Destinations of a request's results are judged before its work begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from messages.child_protocol import ErrorClass
from messages.export import ExportJob
from messages.fields import S3Uri
from messages.train import TrainJob
from receipt_dynamo import ResultPage
from workers.destinations import check_bundle_place, check_run_place
from workers.jobs.job_record import job_record
from workers.jobs.training import TrainingHandler
from workers.runtime.outcome import Refused
from workers.settings import Settings

JOB_ID, OTHER_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85", "59a5ce3b-4653-4aad-95da-11c9a7345b85"
SETTINGS = Settings.from_environ(
    {"LAYOUTLM_TRAINING_BUCKET": "bucket", "DYNAMO_TABLE_NAME": "table", "AWS_REGION": "us-east-1"}
)


class Names:
    """A table in which two jobs have names."""

    async def list_name_holders(self, name: str) -> ResultPage[Any]:
        known = {"a-run": JOB_ID, "other": OTHER_ID}
        found = [SimpleNamespace(job_id=known[name], status="running")] if name in known else []
        return ResultPage(found, None)


TABLE: Any = Names()


async def judge_bundle(destination: str, model: str, shapes: str = "range") -> None:
    job = ExportJob.model_validate(
        {
            "export_id": JOB_ID,
            "job_id": JOB_ID,
            "model_s3_uri": model,
            "output_s3_prefix": destination,
            "shapes": shapes,
        }
    )
    request = TrainJob.model_validate({"job_id": JOB_ID, "job_name": "a-run"})
    training = job_record(request, S3Uri.parse("s3://bucket/special/a-run/"), status="succeeded")
    await check_bundle_place(TABLE, SETTINGS, job, training)


@pytest.mark.parametrize(
    ("destination", "what"),
    [
        ("s3://bucket/runs/other/best/", "the folder of runs"),
        ("s3://bucket/runs/other/bestX", "the folder of runs"),
        ("s3://bucket/runs/a-run/best/", "the folder of runs"),
        ("s3://bucket/runs", "the folder of runs"),
        ("s3://bucket/RUNS/other/best/", "the folder of runs"),
        ("s3://bucket/special/a-run/bundle/", "the run of its training"),
        ("s3://bucket/special/", "the run of its training"),
        ("s3://models/base/", "the checkpoint that is exported"),
        ("s3://models/base/bundle/", "the checkpoint that is exported"),
        ("s3://models/", "names no folder"),
        ("s3://bucket/coreml/", "the bundle that clients download"),
        ("s3://bucket/coreml/layoutlm-coreml-bundle.zip/", "the bundle that clients download"),
        ("s3://bucket/coreml/other/", f"s3://bucket/coreml/other/ of job {OTHER_ID}"),
        ("s3://bucket/coreml/other/fixed-128/", f"s3://bucket/coreml/other/ of job {OTHER_ID}"),
        ("s3://bucket/", "names no folder"),
        ("s3://bucket", "names no folder"),
        ("s3://bucket//runs/other/best/", "has empty, dotted or percent-encoded parts"),
        ("s3://bucket/coreml//a-run/", "has empty, dotted or percent-encoded parts"),
        ("s3://bucket/coreml/%2e%2e/runs/other/", "has empty, dotted or percent-encoded parts"),
        ("s3://bucket/runs%2Fother%2fbest/", "has empty, dotted or percent-encoded parts"),
    ],
)
async def test_a_bundle_over_something_else_is_refused_for_good_with_the_right_place(
    destination: str, what: str
) -> None:
    with pytest.raises(Refused) as caught:
        await judge_bundle(destination, "s3://models/base/")
    verdict = caught.value.verdict
    assert verdict.error_class in {ErrorClass.FORBIDDEN, ErrorClass.CONFIGURATION}
    assert not verdict.error_class.retryable
    assert what in str(verdict.message)
    assert str(verdict.message).endswith(
        "with output_s3_prefix s3://bucket/coreml/a-run/, which belongs to a-run."
    )


@pytest.mark.parametrize("shapes", ["range", "fixed:128"])
@pytest.mark.parametrize(
    "destination",
    [
        "s3://bucket/coreml/a-run",
        "s3://bucket/coreml/a-run/spring/",
        "s3://bucket/coreml/others/",
        "s3://bucket/run/other/",
        "s3://second/runs/x/",
    ],
)
async def test_a_bundle_goes_to_its_own_folder_or_to_one_that_is_nobodys(
    destination: str, shapes: str
) -> None:
    await judge_bundle(destination, "s3://bucket/runs/a-run/best/", shapes)


async def judge_run(**hyperparameters: Any) -> None:
    job = TrainJob.model_validate(
        {"job_id": JOB_ID, "job_name": "best", "hyperparameters": hyperparameters, "auto_export": False}
    )
    run = TrainingHandler(SETTINGS, TABLE, None, "a-worker").run_place(job)
    await check_run_place(TABLE, SETTINGS, job, run)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"output_s3_path": "s3://bucket/runs/other/"}, f"s3://bucket/runs/other/ of job {OTHER_ID}"),
        (
            {"output_s3_path": "s3://bucket/runs/other/checkpoints"},
            f"s3://bucket/runs/other/ of job {OTHER_ID}",
        ),
        ({"output_s3_path": "s3://bucket/coreml/"}, "the folder of bundles"),
        ({"output_s3_path": "s3://bucket/coreml/other/"}, "the folder of bundles"),
        ({"output_s3_path": "s3://bucket/runs//"}, "has empty, dotted or percent-encoded parts"),
        (
            {"output_s3_path": "s3://second/models/", "pretrained_model": "s3://second/models/"},
            "pretrained_model, s3://second/models/",
        ),
        (
            {"output_s3_path": "s3://second/m/", "resume_from_s3": "s3://second/m/best"},
            "resume_from_s3, s3://second/m/best/",
        ),
        ({"dataset_snapshot_save": "s3://bucket/runs/other/best/model.safetensors"}, "the folder of runs"),
        ({"dataset_snapshot_save": "s3://bucket/runs/best/snapshot.parquet"}, "the folder of runs"),
        ({"dataset_snapshot_save": "s3://bucket/runs"}, "the folder of runs"),
        (
            {"dataset_snapshot_save": "s3://bucket/coreml/layoutlm-coreml-bundle.zip"},
            "the folder of bundles",
        ),
        (
            {"dataset_snapshot_save": "s3://bucket/s//x.parquet"},
            "has empty, dotted or percent-encoded parts",
        ),
        ({"dataset_snapshot_save": "s3://bucket"}, "names no folder"),
        (
            {"dataset_snapshot_save": "s3://bucket/v/keys.json", "val_keys_s3": "s3://bucket/v/keys.json"},
            "val_keys_s3, s3://bucket/v/keys.json",
        ),
        (
            {"dataset_snapshot_save": "s3://bucket/x/data/1.gz", "dataset_export_s3": "s3://bucket/x/"},
            "dataset_export_s3, s3://bucket/x/",
        ),
        (
            {
                "output_s3_path": "s3://second/own/",
                "dataset_snapshot_save": "s3://second/own/best/run.json",
            },
            "the run's own folder",
        ),
    ],
)
async def test_a_run_or_a_snapshot_over_something_else_is_refused_for_good(
    options: dict[str, Any], what: str
) -> None:
    with pytest.raises(Refused) as caught:
        await judge_run(**options)
    error_class = caught.value.verdict.error_class
    assert error_class in {ErrorClass.FORBIDDEN, ErrorClass.CONFIGURATION}
    assert not error_class.retryable
    assert what in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"output_s3_path": "s3://bucket/runs"},
        {"output_s3_path": "s3://bucket/runs/group/"},
        {"output_s3_path": "s3://second/"},
        {"resume_from_s3": "s3://bucket/runs/best/checkpoints/"},
        {"dataset_snapshot_save": "s3://bucket/snapshots/a.parquet"},
        {
            "dataset_snapshot_save": "s3://bucket/a.parquet",
            "dataset_snapshot_load": "s3://bucket/c.parquet",
        },
    ],
)
async def test_a_run_lies_in_its_own_folder_or_in_one_that_is_nobodys(options: dict[str, Any]) -> None:
    await judge_run(**options)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("s3://bucket/a/", "s3://bucket/a/b", True),
        ("s3://bucket/a", "s3://bucket/ab/", False),
        ("s3://bucket/a/", "s3://second/a/", False),
        ("s3://bucket/A//%62/", "s3://bucket/a/b/c", True),
        ("s3://bucket", "s3://bucket/a", True),
    ],
)
def test_places_overlap_by_whole_folders(one: str, other: str, *, overlap: bool) -> None:
    assert S3Uri.parse(one).overlaps(S3Uri.parse(other)) is overlap
    assert S3Uri.parse(other).overlaps(S3Uri.parse(one)) is overlap
