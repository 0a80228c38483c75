"""Settings come from the environment, and a wrong one is named."""

from __future__ import annotations

import pytest

from workers.errors import SettingsError
from workers.host.systemd_notify import Systemd
from workers.setting_checks import LIMITS, find_unknown_names
from workers.settings import Settings
from workers.sqs.queue_definitions import QUEUES


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


@pytest.mark.parametrize("text", ["1", "yes", "ture"])
def test_a_flag_that_the_aws_libraries_would_take_for_false_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"AWS_EC2_METADATA_DISABLED: .* is neither true nor false"):
        Settings.from_environ({"AWS_EC2_METADATA_DISABLED": text})


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "name", [name for name in Settings.variables() if name.endswith(("SECONDS", "HOUR"))]
)
def test_no_number_is_without_bounds(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({name: text})


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        (
            {"LAYOUTLM_RETRY_BASE_SECONDS": "901"},
            r"LAYOUTLM_RETRY_BASE_SECONDS \(901\) is more than LAYOUTLM_RETRY_MAX_SECONDS \(900\): the",
        ),
        (
            {"LAYOUTLM_LEASE_SECONDS": "19"},
            r"LAYOUTLM_POLL_SECONDS \(20\) is more than LAYOUTLM_LEASE_SECONDS \(19\): a lease could run out",
        ),
        (
            {"LAYOUTLM_MAX_CLAIMS": "4"},
            r"LAYOUTLM_MAX_ATTEMPTS \(5\) is more than LAYOUTLM_MAX_CLAIMS \(4\): a job would be failed",
        ),
        (
            {"LAYOUTLM_MESSAGE_SECONDS": "43000", "LAYOUTLM_LEASE_SECONDS": "300"},
            r"LAYOUTLM_MESSAGE_SECONDS \(43000\) plus LAYOUTLM_LEASE_SECONDS \(300\) is more than 43200: SQS",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_named_together(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Settings.from_environ(environ)


def test_every_limit_between_settings_is_about_settings_and_holds_by_default() -> None:
    Settings.from_environ({})
    for limit in LIMITS:
        names = {*limit.parts, *([limit.bound] if isinstance(limit.bound, str) else [])}
        assert names <= set(Settings.variables())


@pytest.mark.parametrize(("watchdog", "lease"), [(90.0, "90"), (30.0, "90")])
def test_a_watchdog_that_would_not_wait_for_a_lost_lease_is_refused(watchdog: float, lease: str) -> None:
    settings = Settings.from_environ({"LAYOUTLM_LEASE_SECONDS": lease})
    Systemd("socket", 90.5).check(settings)
    Systemd("socket", None).check(settings)
    with pytest.raises(SettingsError, match=r"WatchdogSec of the unit .* LAYOUTLM_LEASE_SECONDS \(90\)"):
        Systemd("socket", watchdog).check(settings)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("LAYOUTLM_LEASE_SECOND", "LAYOUTLM_LEASE_SECONDS"),
        ("LAYOUTLM_TRAINING_BUKET", "LAYOUTLM_TRAINING_BUCKET"),
        ("layoutlm_lease_seconds", "LAYOUTLM_LEASE_SECONDS"),
        ("LAYOUT_LM_LEASE_SECONDS", "LAYOUTLM_LEASE_SECONDS"),
        ("LAYOTLM_WORK_DIR", "LAYOUTLM_WORK_DIR"),
    ],
)
def test_a_mistyped_name_is_told_with_the_nearest(name: str, nearest: str) -> None:
    [said] = find_unknown_names({name: "30", "PATH": "/bin"}, Settings.variables())
    assert said == f"{name} is no setting and has no effect; the nearest one is {nearest}."


def test_a_name_that_is_like_no_setting_is_told_without_one() -> None:
    [said] = find_unknown_names({"LAYOUTLM_XYZZY": "30"}, Settings.variables())
    assert said == "LAYOUTLM_XYZZY is no setting and has no effect; docs/reference.md lists them all."


def test_names_of_others_are_not_told() -> None:
    others = {"LAYOUTLM_RENDEZVOUS": "file:///x", "LAYOUT": "qwerty", "AWS_ENDPOINT_URL_SQS": "http://x"}
    unset = {"LAYOUTLM_LEASE_SECOND": ""}
    known = dict.fromkeys(Settings.variables(), "1")
    assert list(find_unknown_names({**others, **unset, **known}, Settings.variables())) == []


_AWS = "https://sqs.us-east-1.amazonaws.com/123456789012"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{_AWS}/jobs", f"{_AWS}/jobs"),
        (f"{_AWS}/jobs", f"{_AWS}/jobs/"),
        (f"{_AWS}/jobs", "https://queue.amazonaws.com/123456789012/jobs"),
        (f"{_AWS}/jobs", "https://vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com/123456789012/jobs"),
        ("http://localhost:4566/000000000000/jobs", "http://127.0.0.1:4566/000000000000/jobs"),
        (f"{_AWS}/jobs", f"{_AWS}//j%6Fbs?Version=2012-11-05"),
    ],
)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("TRAIN_JOB_QUEUE_URL", "TRAIN_RESULTS_QUEUE_URL"),
        ("TRAIN_JOB_QUEUE_URL", "COREML_EXPORT_JOB_QUEUE_URL"),
        ("COREML_EXPORT_RESULTS_QUEUE_URL", "TRAIN_JOB_QUEUE_URL"),
    ],
)
def test_two_urls_of_one_queue_are_refused(one: str, other: str, first: str, second: str) -> None:
    with pytest.raises(SettingsError, match=rf"({first}|{second}) and .* name the same queue"):
        Settings.from_environ({first: one, second: other})


def test_queues_of_other_names_or_accounts_are_others_and_both_kinds_of_results_may_share_one() -> None:
    Settings.from_environ(
        {
            "TRAIN_JOB_QUEUE_URL": f"{_AWS}/jobs",
            "TRAIN_RESULTS_QUEUE_URL": f"{_AWS}/results",
            "COREML_EXPORT_RESULTS_QUEUE_URL": f"{_AWS}/results",
            "COREML_EXPORT_JOB_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/999999999999/jobs",
        }
    )


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("AWS_REGION", '"us-east-1"', "quotes"),
        ("AWS_REGION", "us-east-1 ", "blanks"),
        ("AWS_REGION", "us-east-1\r", "carriage return"),
        ("AWS_REGION", "us east 1", "not a region"),
        ("AWS_REGION", "us-east-1\nx", "not a region"),
        ("AWS_DEFAULT_REGION", "'eu-west-1'", "quotes"),
        ("AWS_DEFAULT_REGION", "eu west 1", "not a region"),
        ("AWS_ENDPOINT_URL", '"http://127.0.0.1:5000"', "quotes"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:5000\r", "carriage return"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:5000", "not an endpoint"),
        ("AWS_ENDPOINT_URL", "http://local host:5000", "not an endpoint"),
        ("AWS_ENDPOINT_URL", "ftp://host", "not an endpoint"),
        ("TRAIN_JOB_QUEUE_URL", " http://q", "blanks"),
        ("LAYOUTLM_LEASE_SECONDS", "90\r", "carriage return"),
        ("DYNAMO_TABLE_NAME", "'table'", "quotes"),
        ("AWS_EC2_METADATA_DISABLED", " true", "blanks"),
    ],
)
def test_what_stands_around_a_value_is_refused_by_the_variables_name(
    variable: str, value: str, fault: str
) -> None:
    with pytest.raises(SettingsError, match=rf"{variable}\b.*{fault}"):
        Settings.from_environ({variable: value})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_REGION", "us-gov-west-1"),
        ("AWS_REGION", "eusc-de-east-1"),
        ("AWS_ENDPOINT_URL", "http://[::1]:4566"),
        ("AWS_ENDPOINT_URL", "https://vpce-1a.sqs.us-east-1.vpce.amazonaws.com/"),
        ("AWS_ENDPOINT_URL", "http://my_stack:4566/path"),
        ("LAYOUTLM_WORK_DIR", "/var/lib/a folder"),
    ],
)
def test_a_right_value_is_taken_as_it_is(variable: str, value: str) -> None:
    settings = Settings.from_environ({variable: value})
    assert str(getattr(settings, Settings.variables()[variable])) == value
