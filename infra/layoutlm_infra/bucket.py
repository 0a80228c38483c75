"""The bucket of runs and bundles: private, encrypted, and cleared of what only a running job needs."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws

EXPENDABLE_TAG = {"key": "layoutlm", "value": "expendable"}
"""What checkpoints and loading parts have to be tagged with by their uploader. A lifecycle rule knows
prefixes, sizes and tags; `runs/*/checkpoints/` is none of these, and `runs/` would take `best/` along."""
EXPENDABLE_DAYS = 30
"""Longer than a letter may lie in a dead-letter queue: a run that is sent again after that still resumes."""
NONCURRENT_DAYS = 14
BROKEN_UPLOAD_DAYS = 2
"""Longer than any upload takes; parts of a broken one cost like whole objects, and no listing shows them."""


def make_bucket(name: str) -> aws.s3.Bucket:
    """Make the bucket with everything that guards it."""
    bucket = aws.s3.Bucket("runs", bucket=name, opts=pulumi.ResourceOptions(protect=True))
    aws.s3.BucketPublicAccessBlock(
        "runs",
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        "runs",
        bucket=bucket.id,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
    )
    # Clients download one key, and a run's best/ is written more than once: a wrong overwrite or delete can
    # be taken back. It costs little, for what is large (checkpoints, bundles by ETag) is written once a key.
    aws.s3.BucketVersioning("runs", bucket=bucket.id, versioning_configuration={"status": "Enabled"})
    aws.s3.BucketLifecycleConfiguration("runs", bucket=bucket.id, rules=_lifecycle())
    aws.s3.BucketPolicy("runs", bucket=bucket.id, policy=bucket.arn.apply(_only_encrypted_transport))
    return bucket


def _lifecycle() -> list[dict[str, Any]]:
    rules: dict[str, dict[str, Any]] = {
        "expendable": {
            "filter": {"tag": EXPENDABLE_TAG},
            "expiration": {"days": EXPENDABLE_DAYS},
        },
        "noncurrent": {
            "filter": {},
            "noncurrent_version_expiration": {"noncurrent_days": NONCURRENT_DAYS},
        },
        "delete-markers": {"filter": {}, "expiration": {"expired_object_delete_marker": True}},
        "broken-uploads": {
            "filter": {},
            "abort_incomplete_multipart_upload": {"days_after_initiation": BROKEN_UPLOAD_DAYS},
        },
    }
    return [{"id": name, "status": "Enabled", **rule} for name, rule in rules.items()]


def _only_encrypted_transport(arn: str) -> str:
    deny = {
        "Sid": "OnlyEncryptedTransport",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [deny]})
