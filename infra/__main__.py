"""A deployment on AWS, from top to bottom: storage, permissions, hosts, alarms."""  # noqa: INP001 - Pulumi runs it as a file

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.layoutlm_infra.alarms import make_alarms
from infra.layoutlm_infra.bucket import EXPENDABLE_TAG, make_bucket
from infra.layoutlm_infra.dashboard import make_dashboard
from infra.layoutlm_infra.fleet import make_fleet
from infra.layoutlm_infra.functions import DIST, FUNCTIONS, LOG_DAYS, make_functions
from infra.layoutlm_infra.queues import make_queues, queue_environment
from infra.layoutlm_infra.roles import grant, make_role, people_trust, service_trust
from infra.layoutlm_infra.sagemaker import INSTANCE_TYPE, make_sagemaker
from infra.layoutlm_infra.scaling import make_scaling
from infra.layoutlm_infra.stack_config import StackConfig
from infra.layoutlm_infra.table import make_table
from infra.layoutlm_infra.user_data import IDLE_MINUTES, make_user_data

options = StackConfig.read()
region = pulumi.Config("aws").require("region")

table = make_table()
bucket = make_bucket(options.bucket)
queues = make_queues()
log = aws.cloudwatch.LogGroup("worker", name="/layoutlm/train-worker", retention_in_days=LOG_DAYS)
places: dict[str, pulumi.Input[str]] = {
    "table": table.arn,
    "bucket": bucket.arn,
    "worker-logs": log.arn,
    **{name: queue.main.arn for name, queue in queues.items()},
    **{queue.spec.dead_letter_name: queue.dead.arn for queue in queues.values()},
}
environment: dict[str, pulumi.Input[str]] = {
    "DYNAMO_TABLE_NAME": table.name,
    "LAYOUTLM_TRAINING_BUCKET": bucket.bucket,
    **queue_environment(queues),
}

# One key a version: a new one changes the template's user data, and the next hosts start with it.
release = aws.s3.BucketObjectv2(
    "release",
    bucket=bucket.id,
    key=f"deploy/{options.version}.zip",
    source=pulumi.FileAsset(str(DIST / "release.zip")),
)
host_settings = {
    **environment,
    "AWS_REGION": region,
    "LAYOUTLM_IDLE_MINUTES": str(IDLE_MINUTES),
    "LAYOUTLM_CHECKPOINT_TAG": f"{EXPENDABLE_TAG['key']}={EXPENDABLE_TAG['value']}",
    "LAYOUTLM_METRICS": "emf",
}
user_data = pulumi.Output.all(
    release=pulumi.Output.format("s3://{0}/{1}", bucket.bucket, release.key),
    log_group=log.name,
    settings=pulumi.Output.all(**host_settings),
).apply(
    lambda known: make_user_data(known["release"], options.version, known["settings"], known["log_group"])
)

train_role = make_role("train-worker", service_trust("ec2"))
fleet = make_fleet(options, train_role, user_data)
grant("train-worker", train_role, {**places, **fleet.arns})
export_role = make_role("export-worker", people_trust(options.exporters))
grant("export-worker", export_role, places)
make_scaling(fleet)

repository, training_role, training_places = make_sagemaker(table)
grant("sagemaker-training", training_role, {**places, **training_places})
make_functions(
    {
        **environment,
        "SAGEMAKER_ROLE_ARN": training_role.arn,
        "SAGEMAKER_IMAGE_URI": pulumi.Output.format("{0}:{1}", repository.repository_url, options.version),
        "SAGEMAKER_INSTANCE_TYPE": INSTANCE_TYPE,
    },
    {**places, **training_places},
    queues,
)
make_alarms(list(FUNCTIONS), options.alarm_topic)
make_dashboard(list(FUNCTIONS), region)

pulumi.export("environment", environment)
pulumi.export("export_role", export_role.arn)
pulumi.export("training_image", repository.repository_url)
