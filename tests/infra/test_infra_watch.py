"""Alarms, the dashboard and the Lambdas: somebody is told, and nothing is worked on twice."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from infra import build
from infra.layoutlm_infra.user_data import IDLE_MINUTES
from tests.support.deployment import CONFIGURATION, INFRA, Deployment
from workers.settings import Settings
from workers.sqs.queue_definitions import QUEUES
from workers.telemetry.emf_metrics import KIND, UNITS

FUNCTION = "lambda/function:Function"


def alarms(deployment: Deployment) -> dict[str, dict[str, Any]]:
    found = deployment.all_of("cloudwatch/metricAlarm:MetricAlarm")
    return {name: alarm for name, alarm in found.items() if name not in {"wake", "starved"}}


def test_each_alarm_tells_somebody_what_to_do(deployment: Deployment) -> None:
    topic = CONFIGURATION["receipt-layoutlm:alarm_topic"]
    for alarm in alarms(deployment).values():
        assert alarm["alarmActions"] == [topic]
        assert alarm["alarmDescription"].endswith(".")
        assert ":" in alarm["alarmDescription"]


def test_each_queue_is_watched_for_age_and_for_dead_letters(deployment: Deployment) -> None:
    watched = {
        (alarm["metricName"], alarm["dimensions"]["QueueName"])
        for alarm in alarms(deployment).values()
        if alarm.get("namespace") == "AWS/SQS"
    }
    assert watched == {
        *(("ApproximateAgeOfOldestMessage", spec.name) for spec in QUEUES),
        *(("ApproximateNumberOfMessagesVisible", spec.dead_letter_name) for spec in QUEUES),
    }


def test_every_name_in_an_expression_is_a_metric_beside_it(deployment: Deployment) -> None:
    checked = 0
    for alarm in deployment.all_of("cloudwatch/metricAlarm:MetricAlarm").values():
        queries = alarm.get("metricQueries", ())
        for result in (query for query in queries if query.get("returnData")):
            given = {query["id"] for query in queries} - {result["id"]}
            assert set(re.findall(r"FILL\((\w+),", result["expression"])) == given
            checked += 1
    assert checked == 4


def test_hosts_are_called_silent_only_after_many_polls_that_did_not_come(deployment: Deployment) -> None:
    silent = alarms(deployment)["silent-hosts"]
    assert silent["evaluationPeriods"] * 60 >= 10 * Settings.from_environ({}).poll_seconds
    names = {query["metric"]["metricName"] for query in silent["metricQueries"] if "metric" in query}
    assert {"NumberOfEmptyReceives", "NumberOfMessagesReceived", "GroupInServiceInstances"} <= names


def test_an_idle_gpu_is_told_only_when_its_worker_should_have_ended_the_host(deployment: Deployment) -> None:
    assert alarms(deployment)["idle-gpu"]["evaluationPeriods"] > IDLE_MINUTES


def test_alarms_and_dashboard_look_at_queues_and_groups_that_are_made(deployment: Deployment) -> None:
    made = {
        "QueueName": set(deployment.all_of("sqs/queue:Queue")),
        "AutoScalingGroupName": set(deployment.all_of("autoscaling/group:Group")),
        "FunctionName": {function["name"] for function in deployment.all_of(FUNCTION).values()},
    }
    made[KIND] = {"train"}
    body = json.loads(deployment.one("cloudwatch/dashboard:Dashboard")["dashboardBody"])
    rows = [row for widget in body["widgets"] for row in widget["properties"]["metrics"]]
    named = {(row[2], row[3]) for row in rows}
    for alarm in deployment.all_of("cloudwatch/metricAlarm:MetricAlarm").values():
        named |= set(alarm.get("dimensions", {}).items())
        for query in alarm.get("metricQueries", ()):
            named |= set(query.get("metric", {}).get("dimensions", {}).items())
    assert len(named) > 10
    assert {row[1] for row in rows if row[2] == KIND} < set(UNITS)
    for dimension, value in named:
        assert value in made[dimension]


def test_each_function_is_a_file_with_a_handler(deployment: Deployment) -> None:
    for function in deployment.all_of(FUNCTION).values():
        file, _, name = function["handler"].partition(".")
        code = dict(build.lambda_files())[f"{file}.py"].read_text(encoding="utf-8")
        assert f"def {name}(event" in code


def test_results_are_shown_again_only_when_the_function_has_ended(deployment: Deployment) -> None:
    mapping = deployment.one("lambda/eventSourceMapping:EventSourceMapping")
    queue = deployment.all_of("sqs/queue:Queue")["coreml-export-results"]
    assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
    timeout = deployment.all_of(FUNCTION)["process-results"]["timeout"]
    assert timeout < queue["visibilityTimeoutSeconds"]


def test_only_completed_trainings_with_our_names_reach_the_exporter(deployment: Deployment) -> None:
    rule = deployment.one("cloudwatch/eventRule:EventRule")
    pattern = json.loads(rule["eventPattern"])
    assert pattern["detail-type"] == ["SageMaker Training Job State Change"]
    assert pattern["detail"] == {
        "TrainingJobStatus": ["Completed"],
        "TrainingJobName": [{"prefix": "layoutlm-"}],
    }
    permission = deployment.one("lambda/permission:Permission")
    assert permission["principal"] == "events.amazonaws.com"
    assert permission["sourceArn"].endswith(":layoutlm-training-ended")


def test_the_functions_have_every_variable_that_their_code_reads(deployment: Deployment) -> None:
    given = deployment.all_of(FUNCTION)["start-training"]["environment"]["variables"]
    code = (INFRA / "lambdas" / "start_training.py").read_text(encoding="utf-8")
    for name in ("SAGEMAKER_ROLE_ARN", "SAGEMAKER_IMAGE_URI", "SAGEMAKER_INSTANCE_TYPE"):
        assert name in given
        assert name in code
    settings = Settings.from_environ(given)
    settings.require("table_name", "bucket", "train_job_queue_url", "export_job_queue_url")


def test_the_layer_holds_what_the_functions_import_and_no_cache(tmp_path: Path) -> None:
    names = {name for name, _ in build.layer_files(tmp_path)}
    assert {
        "python/messages/codec.py",
        "python/receipt_dynamo/client.py",
        "python/workers/jobs/submit.py",
    } <= names
    assert not [name for name in names if "__pycache__" in name or "receipt_layoutlm/" in name]


def test_the_release_has_what_the_boot_script_starts_and_is_the_same_each_time(tmp_path: Path) -> None:
    files = list(build.release_files(tmp_path))
    assert {"systemd/install.sh", "systemd/layoutlm-train-worker.service", "constraints.txt"} <= {
        name for name, _ in files
    }
    zips = [tmp_path / "one.zip", tmp_path / "two.zip"]
    build.write_zip(zips[0], files)
    build.write_zip(zips[1], reversed(files))
    assert zips[0].read_bytes() == zips[1].read_bytes()
