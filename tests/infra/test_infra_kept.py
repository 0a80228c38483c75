"""Table, bucket and queues: what holds data is encrypted, private, and agrees with what the code expects."""

from __future__ import annotations

import json

from receipt_dynamo.table import INDEX_KEYS, TIME_TO_LIVE_ATTRIBUTE
from tests.support.deployment import BUCKET, Deployment
from workers.settings import Settings
from workers.sqs.queue_definitions import DEAD_LETTER_RETENTION_SECONDS, MAX_RECEIVES, QUEUES, TABLE_NAME

DAY = 24 * 3600
QUEUE = "sqs/queue:Queue"


def test_every_queue_has_a_dead_letter_queue_that_keeps_messages_longer(deployment: Deployment) -> None:
    queues = deployment.all_of(QUEUE)
    assert len(queues) == 2 * len(QUEUES)
    for spec in QUEUES:
        main, dead = queues[spec.name], queues[spec.dead_letter_name]
        redrive = json.loads(main["redrivePolicy"])
        assert redrive["deadLetterTargetArn"].endswith(f":{spec.dead_letter_name}")
        assert redrive["maxReceiveCount"] == (5 if spec.name.endswith("-results") else MAX_RECEIVES)
        assert dead["messageRetentionSeconds"] == DEAD_LETTER_RETENTION_SECONDS
        assert dead["messageRetentionSeconds"] > main["messageRetentionSeconds"]
        assert "redrivePolicy" not in dead


def test_a_message_stays_hidden_for_longer_than_its_lease_and_several_beats_last(
    deployment: Deployment,
) -> None:
    lease = Settings.from_environ({}).lease_seconds
    for name in ("layoutlm-train-jobs", "coreml-export-jobs"):
        hidden = deployment.all_of(QUEUE)[name]["visibilityTimeoutSeconds"]
        beat = lease / 3
        assert hidden - lease >= beat  # a beat that comes late by another one does not show it


def test_the_queues_are_those_that_workers_wait_at(deployment: Deployment) -> None:
    variables = deployment.all_of("lambda/function:Function")["start-training"]["environment"]["variables"]
    for spec in QUEUES:
        assert deployment.all_of(QUEUE)[spec.name]["receiveWaitTimeSeconds"] == 20
        assert variables[spec.variable].endswith(f"/{spec.name}")


def test_whatever_holds_data_is_encrypted(deployment: Deployment) -> None:
    assert all(queue["sqsManagedSseEnabled"] for queue in deployment.all_of(QUEUE).values())
    assert deployment.one("dynamodb/table:Table")["serverSideEncryption"] == {"enabled": True}
    kind = "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    [rule] = deployment.one(kind)["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "AES256"
    [volume] = deployment.one("ec2/launchTemplate:LaunchTemplate")["blockDeviceMappings"]
    assert volume["ebs"]["encrypted"] == "true"
    assert deployment.one("ecr/repository:Repository")["encryptionConfigurations"]


def test_nothing_is_public(deployment: Deployment) -> None:
    block = deployment.one("s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert {name: value for name, value in block.items() if name != "bucket"} == dict.fromkeys(
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
    )
    [statement] = json.loads(deployment.one("s3/bucketPolicy:BucketPolicy")["policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    assert deployment.one("ec2/securityGroup:SecurityGroup")["ingress"] == []
    kinds = {made.kind for made in deployment.made}
    assert not {kind for kind in kinds if "Acl" in kind or "Url" in kind or "queuePolicy" in kind}


def test_the_table_is_the_one_that_the_code_defines_and_cannot_be_lost_by_a_command(
    deployment: Deployment,
) -> None:
    table = deployment.one("dynamodb/table:Table")
    assert (table["name"], table["hashKey"], table["rangeKey"]) == (TABLE_NAME, "PK", "SK")
    indexes = {
        index["name"]: tuple(filter(None, (index["hashKey"], index.get("rangeKey"))))
        for index in table["globalSecondaryIndexes"]
    }
    assert indexes == INDEX_KEYS
    named = {attribute["name"] for attribute in table["attributes"]}
    assert named == {"PK", "SK", *(name for names in INDEX_KEYS.values() for name in names)}
    assert table["ttl"] == {"enabled": True, "attributeName": TIME_TO_LIVE_ATTRIBUTE}
    assert table["pointInTimeRecovery"] == {"enabled": True}
    assert table["deletionProtectionEnabled"] is True


def test_the_bucket_forgets_only_what_is_tagged_and_what_is_no_object_any_more(
    deployment: Deployment,
) -> None:
    kind = "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    rules = {rule["id"]: rule for rule in deployment.one(kind)["rules"]}
    ending = {name: rule["expiration"] for name, rule in rules.items() if "expiration" in rule}
    assert ending.pop("delete-markers") == {"expiredObjectDeleteMarker": True}
    # What else ends objects goes by a tag: no prefix holds checkpoints and not best/.
    assert set(ending) == {"expendable"}
    assert rules["expendable"]["filter"] == {"tag": {"key": "layoutlm", "value": "expendable"}}
    # A message that is taken out of a dead-letter queue on its last day still finds its checkpoints.
    assert ending["expendable"]["days"] * DAY > 2 * DEAD_LETTER_RETENTION_SECONDS
    assert rules["broken-uploads"]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 2}
    assert rules["noncurrent"]["noncurrentVersionExpiration"]["noncurrentDays"] >= 14
    assert deployment.one("s3/bucket:Bucket")["bucket"] == BUCKET
