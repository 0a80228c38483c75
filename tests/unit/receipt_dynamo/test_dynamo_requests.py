from __future__ import annotations

from typing import Any

import pytest

from receipt_dynamo.entities import Job, JobLease, JobMetric, RunName
from receipt_dynamo.errors import InvalidItem, InvalidValue
from receipt_dynamo.operation import Request
from receipt_dynamo.requests import leases, queries, records
from receipt_dynamo.table import table_definition, time_to_live

JOB_ID = "49a5ce3b-4653-4aad-95da-11c9a7345b85"
NOW = "2025-11-20T14:00:00.000000+00:00"
LATER = "2025-11-20T14:10:00.000000+00:00"
LEASE = JobLease(kind="train", owner_id=JOB_ID, state="held", attempt=2, claim_id="c", expires_at=NOW)
METRIC = JobMetric(job_id=JOB_ID, metric_name="f1", timestamp=NOW, value=0.5)


def every_lease_write() -> list[Request]:
    return [
        leases.claim_lease(
            "t", JOB_ID, kind="train", claim_id="c", worker="w", now=NOW, expires_at=LATER, body="{}"
        ),
        leases.renew_lease("t", LEASE, expires_at=LATER),
        leases.release_lease("t", LEASE, due_at=NOW),
        leases.postpone_lease("t", LEASE, due_at=LATER),
        leases.claim_run_name("t", RunName(name="n", job_id=JOB_ID, claimed_at=NOW), former=None),
        leases.decide_lease("t", LEASE, outcome="succeeded", decision={"a": 1}, now=NOW),
        leases.close_lease("t", LEASE),
        leases.request_cancel("t", JOB_ID, kind="train", now=NOW),
        records.update_job("t", JOB_ID, {"status": "running"}, attempt=1, results={"best_f1": 0.7}),
        records.update_job("t", JOB_ID, {}, attempt=None, results={"best_f1": 0.7}, merge=False),
        records.update_export("t", JOB_ID, {"status": "FAILED", "error_message": "x"}, attempt=1),
        records.update_export("t", JOB_ID, {"error_message": "x"}, attempt=None),
        records.update_record("t", METRIC),
    ]


@pytest.mark.parametrize("request_", every_lease_write(), ids=lambda request: request.call)
def test_every_placeholder_of_an_update_is_filled_in_and_every_filling_is_used(request_: Request) -> None:
    arguments = request_.arguments
    text = arguments["UpdateExpression"] + " " + arguments["ConditionExpression"]
    words = set(text.replace("(", " ").replace(")", " ").replace(",", " ").replace(".#", " #").split())
    assert {word for word in words if word.startswith(":")} == set(arguments["ExpressionAttributeValues"])
    assert {word for word in words if word.startswith("#")} == set(arguments["ExpressionAttributeNames"])
    assert arguments["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"


def test_a_renewal_is_plain_data_and_holds_to_the_claim_and_its_attempt() -> None:
    assert leases.renew_lease("t", LEASE, expires_at=LATER) == Request(
        "update_item",
        {
            "TableName": "t",
            "Key": {"PK": {"S": f"JOB#{JOB_ID}"}, "SK": {"S": "LEASE"}},
            "UpdateExpression": "SET #expires_at = :expires_at, #GSI1SK = :expires_at",
            "ConditionExpression": "#state = :held AND #claim_id = :claim_id AND #attempt = :attempt",
            "ExpressionAttributeNames": {
                "#expires_at": "expires_at",
                "#GSI1SK": "GSI1SK",
                "#state": "state",
                "#claim_id": "claim_id",
                "#attempt": "attempt",
            },
            "ExpressionAttributeValues": {
                ":expires_at": {"S": LATER},
                ":held": {"S": "held"},
                ":claim_id": {"S": "c"},
                ":attempt": {"N": "2"},
            },
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )


def test_a_lease_is_read_as_it_stands_now() -> None:
    assert leases.get_lease("t", JOB_ID, kind="export").arguments["ConsistentRead"] is True


def test_a_decision_with_a_number_that_has_no_form_is_refused_with_its_path() -> None:
    with pytest.raises(InvalidValue, match=r"decision\.results\.best_f1 is nan"):
        leases.decide_lease(
            "t", LEASE, outcome="succeeded", decision={"results": {"best_f1": float("nan")}}, now=NOW
        )


def test_a_batch_has_25_items_at_most_and_names_no_key_twice() -> None:
    items = [
        JobMetric(job_id=JOB_ID, metric_name=f"m{number % 30}", timestamp=NOW, value=number).to_item()
        for number in range(60)
    ]
    batches = [request.arguments["RequestItems"]["t"] for request in records.batch_put("t", items)]
    assert [len(batch) for batch in batches] == [25, 5]
    assert batches[0][0]["PutRequest"]["Item"]["value"] == {"N": "30.0"}


def test_a_batch_of_nothing_is_no_request() -> None:
    assert records.batch_put("t", []) == []


@pytest.mark.parametrize("name", ["job_id", "name", "created_at", "attempt", "results", "colour"])
def test_an_update_of_a_key_or_of_the_fence_itself_is_refused(name: str) -> None:
    value: Any = 1 if name == "attempt" else {} if name == "results" else NOW
    with pytest.raises(InvalidItem, match=name):
        records.update_job("t", JOB_ID, {name: value}, attempt=1)


def test_a_result_whose_name_cannot_stand_in_an_expression_is_refused() -> None:
    with pytest.raises(InvalidItem, match=r"results\.best f1.*letters, digits"):
        records.update_job("t", JOB_ID, {}, attempt=1, results={"best f1": 1})


def test_an_update_removes_what_the_record_leaves_out() -> None:
    update = records.update_record("t", METRIC).arguments["UpdateExpression"]
    assert update.endswith(" REMOVE #unit, #step, #epoch, #attempt")


def test_a_query_filters_and_projects_over_aliased_names() -> None:
    by_status = queries.jobs_by_status("t", "running", newest_first=True).arguments
    assert by_status["FilterExpression"] == "#TYPE = :type"
    assert by_status["ScanIndexForward"] is False
    assert queries.of_type("t", Job.TYPE, only="#PK, #SK").arguments["ExpressionAttributeNames"] == {
        "#TYPE": "TYPE",
        "#PK": "PK",
        "#SK": "SK",
    }


def test_the_tables_definition_declares_each_key_it_uses() -> None:
    definition = table_definition("t")
    declared = {attribute["AttributeName"] for attribute in definition["AttributeDefinitions"]}
    used = {
        key["AttributeName"]
        for schema in (definition, *definition["GlobalSecondaryIndexes"])
        for key in schema["KeySchema"]
    }
    assert declared == used
    assert time_to_live("t")["TimeToLiveSpecification"]["AttributeName"] == "time_to_live"
