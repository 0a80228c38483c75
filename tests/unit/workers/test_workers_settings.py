"""Settings come from the environment, and a wrong one is named."""

from __future__ import annotations

import pytest

from workers.errors import SettingsError
from workers.settings import Settings
from workers.topology import QUEUES


def test_a_wrong_value_names_its_variable() -> None:
    with pytest.raises(SettingsError, match="LAYOUTLM_LEASE_SECONDS") as refused:
        Settings.from_environ({"LAYOUTLM_LEASE_SECONDS": "soon", "LAYOUTLM_POLL_SECONDS": "21"})
    assert "LAYOUTLM_POLL_SECONDS" in str(refused.value)


def test_what_is_missing_is_named_by_its_variable() -> None:
    settings = Settings.from_environ({"DYNAMO_TABLE_NAME": "t"})
    with pytest.raises(SettingsError, match="TRAIN_JOB_QUEUE_URL is not set"):
        settings.require("table_name", "train_job_queue_url")
    with pytest.raises(SettingsError, match="LAYOUTLM_TRAINING_BUCKET"):
        _ = settings.runs


def test_an_empty_variable_is_unset() -> None:
    assert Settings.from_environ({"DYNAMO_TABLE_NAME": ""}).table_name is None


def test_the_region_may_come_under_its_older_name() -> None:
    assert Settings.from_environ({"AWS_DEFAULT_REGION": "eu-west-1"}).region == "eu-west-1"
    both = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "us-east-1"}
    assert Settings.from_environ(both).region == "us-east-1"


def test_the_training_bucket_is_allowed_before_all_others() -> None:
    settings = Settings.from_environ({"LAYOUTLM_TRAINING_BUCKET": "a", "LAYOUTLM_ALLOWED_BUCKETS": "b, c,a"})
    assert settings.allowed_buckets == ("a", "b", "c")
    assert Settings.from_environ({}).allowed_buckets == ()


def test_runs_and_bundles_lie_where_the_contract_says() -> None:
    settings = Settings.from_environ({"LAYOUTLM_TRAINING_BUCKET": "bucket"})
    assert settings.runs.uri == "s3://bucket/runs/"
    assert settings.bundle_prefix("demo").uri == "s3://bucket/coreml/demo/"
    assert settings.canonical_bundle.uri == "s3://bucket/coreml/layoutlm-coreml-bundle.zip"


def test_every_setting_has_a_description_and_every_queue_a_variable() -> None:
    assert all(field.description for field in Settings.model_fields.values())
    assert len({spec.variable for spec in QUEUES}) == len(QUEUES)


def test_a_queues_visibility_outlives_a_lease_so_that_a_late_worker_sees_its_message_once() -> None:
    jobs = [spec for spec in QUEUES if spec.setting.endswith("job_queue_url")]
    assert all(spec.visibility_seconds > Settings.from_environ({}).lease_seconds for spec in jobs)
