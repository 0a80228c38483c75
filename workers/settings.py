"""The daemons' settings, read once from the environment into one frozen object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from messages.child_protocol import CanonicalRule
from messages.fields import S3Uri, split_commas
from workers.errors import SettingsError
from workers.setting_checks import (
    BucketName,
    Endpoint,
    Flag,
    Region,
    find_contradictions,
    find_disguises,
    find_shared_queues,
)
from workers.user_folders import cache_folder, run_folders


class Settings(BaseModel):
    """Every setting of daemons and commands; the alias is the environment variable."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, allow_inf_nan=False)

    table_name: str | None = Field(None, alias="DYNAMO_TABLE_NAME", description="The DynamoDB table.")
    region: Region | None = Field(None, alias="AWS_REGION", description="The AWS region, such as us-east-1.")
    endpoint_url: Endpoint | None = Field(
        None, alias="AWS_ENDPOINT_URL", description="Where AWS is, for a local stack; unset is AWS itself."
    )
    bucket: BucketName | None = Field(
        None, alias="LAYOUTLM_TRAINING_BUCKET", description="Bucket of runs, bundles and the canonical zip."
    )
    extra_buckets: Annotated[tuple[BucketName, ...], BeforeValidator(split_commas)] = Field(
        (),
        alias="LAYOUTLM_ALLOWED_BUCKETS",
        description="Further buckets that a message may name, separated by commas.",
    )
    train_job_queue_url: str | None = Field(
        None, alias="TRAIN_JOB_QUEUE_URL", description="Where trainings are asked for."
    )
    train_results_queue_url: str | None = Field(
        None, alias="TRAIN_RESULTS_QUEUE_URL", description="Where their results go."
    )
    export_job_queue_url: str | None = Field(
        None, alias="COREML_EXPORT_JOB_QUEUE_URL", description="Where exports are asked for."
    )
    export_results_queue_url: str | None = Field(
        None, alias="COREML_EXPORT_RESULTS_QUEUE_URL", description="Where their results go."
    )
    work_dir: Path = Field(
        default_factory=cache_folder,
        alias="LAYOUTLM_WORK_DIR",
        description="Where children keep their files, one folder an attempt, and export workers checkpoints. "
        "This user's own; by default in the cache folder.",
    )
    cache_bytes: int = Field(
        4_000_000_000,
        ge=0,
        alias="LAYOUTLM_CACHE_BYTES",
        description="How many bytes of checkpoints an export worker keeps in its work directory for the "
        "exports to come; the least recently used go first. 0 keeps none.",
    )
    canonical_rule: CanonicalRule = Field(
        "newer",
        alias="LAYOUTLM_CANONICAL_RULE",
        description="When an export replaces the bundle that clients download: newer, if its run is newer "
        "than the one there; better, if its best F1 is greater, too.",
    )
    usd_per_hour: float | None = Field(
        None,
        gt=0,
        alias="LAYOUTLM_USD_PER_HOUR",
        description="What this host costs an hour, in USD; a run records its cost by it.",
    )
    run_dir: Path = Field(
        default_factory=lambda: run_folders()[0],
        alias="LAYOUTLM_RUN_DIR",
        description="Where the workers of this host answer `layoutlm-cli worker-status`, on one socket each. "
        "This user's own; by default in the runtime folder of the login, else in the cache folder.",
    )
    lease_seconds: float = Field(
        90,
        ge=1,
        le=3600,
        alias="LAYOUTLM_LEASE_SECONDS",
        description="How long a job stays ours without a sign of life, in seconds; renewed every third.",
    )
    poll_seconds: int = Field(
        20, ge=0, le=20, alias="LAYOUTLM_POLL_SECONDS", description="How long one receive waits, in seconds."
    )
    drain_seconds: float = Field(
        100,
        ge=1,
        alias="LAYOUTLM_DRAIN_SECONDS",
        description="How long a stopping child may take to reach a checkpoint, in seconds.",
    )
    stall_seconds: float = Field(
        900,
        gt=0,
        alias="LAYOUTLM_STALL_SECONDS",
        description="A child that reports nothing for so long, in seconds, is ended; the attempt counts.",
    )
    message_seconds: float = Field(
        39_600,
        gt=0,
        lt=43_200,
        alias="LAYOUTLM_MESSAGE_SECONDS",
        description="After so long, in seconds, the message of a running job is deleted and its lease alone "
        "carries it: SQS shows a message again 12 hours after it was received, whatever is asked.",
    )
    orphan_seconds: float = Field(
        600,
        gt=0,
        alias="LAYOUTLM_ORPHAN_SECONDS",
        description="How long a job may wait for a worker, in seconds, until one whose queue is empty takes "
        "its message for lost and sends it again.",
    )
    sweep_seconds: float = Field(
        60,
        gt=0,
        alias="LAYOUTLM_SWEEP_SECONDS",
        description="How often a worker whose queue is empty looks for forgotten jobs, in seconds, about.",
    )
    max_attempts: int = Field(
        5, ge=1, le=100, alias="LAYOUTLM_MAX_ATTEMPTS", description="Failed attempts until a job is failed."
    )
    max_claims: int = Field(
        50,
        ge=1,
        alias="LAYOUTLM_MAX_CLAIMS",
        description="Claims until a job is failed, however they ended: a job that kills its hosts ends too.",
    )
    retry_base_seconds: float = Field(
        15,
        ge=0,
        alias="LAYOUTLM_RETRY_BASE_SECONDS",
        description="First retry comes within this many seconds; each further one doubles the bound.",
    )
    retry_max_seconds: float = Field(
        900,
        ge=0,
        le=43200,
        alias="LAYOUTLM_RETRY_MAX_SECONDS",
        description="Upper bound of that, in seconds.",
    )
    checkpoint_tag: str | None = Field(
        None,
        pattern=r"^[\w.:/+@-]+=[\w.:/+@-]*$",
        alias="LAYOUTLM_CHECKPOINT_TAG",
        description="NAME=VALUE, put on the objects of checkpoints so that a lifecycle rule of the bucket "
        "can expire them; needs s3:PutObjectTagging. Unset puts none.",
    )
    metadata_disabled: Flag = Field(
        False,
        alias="AWS_EC2_METADATA_DISABLED",
        description="`true` asks no instance metadata service, so that nothing is heard from an EC2 host.",
    )
    metadata_url: str | None = Field(
        None,
        alias="AWS_EC2_METADATA_SERVICE_ENDPOINT",
        description="Where the instance metadata service is; unset is EC2's own address, asked on EC2 only.",
    )
    spot_margin_seconds: float = Field(
        15,
        ge=0,
        lt=120,
        alias="LAYOUTLM_SPOT_MARGIN_SECONDS",
        description="So long before the moment of a Spot notice the child has to have ended, in seconds.",
    )
    idle_minutes: float | None = Field(
        None,
        gt=0,
        alias="LAYOUTLM_IDLE_MINUTES",
        description="After so many minutes without a job a worker ends its instance and lowers the desired "
        "capacity of its Auto Scaling group, while that is above the minimum; unset is never.",
    )
    instance_id: str | None = Field(
        None, alias="LAYOUTLM_INSTANCE_ID", description="This instance; unset is looked up in its metadata."
    )
    auto_scaling_group: str | None = Field(
        None,
        alias="LAYOUTLM_AUTO_SCALING_GROUP",
        description="The group that this instance is in; unset is looked up by tag, then by instance.",
    )
    lifecycle_hook: str | None = Field(
        None,
        alias="LAYOUTLM_LIFECYCLE_HOOK",
        description="The hook that holds this instance while it drains; unset is the group's only one.",
    )
    metrics: Literal["emf"] | None = Field(
        None,
        alias="LAYOUTLM_METRICS",
        description="`emf` makes metrics of the log lines that measure something, in the embedded metric "
        "format that CloudWatch reads from logs; unset makes none.",
    )
    otel_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Where an OpenTelemetry collector takes OTLP over HTTP, for example "
        "http://127.0.0.1:4318; a worker sends it one span a message, by the extra `otel`. Unset sends none.",
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings; an empty variable counts as unset.

        Raises:
            SettingsError: naming each variable that has a wrong value.
        """
        source = os.environ if environ is None else environ
        set_by = {name: name for name in cls.variables() if source.get(name)}
        if "AWS_REGION" not in set_by and source.get("AWS_DEFAULT_REGION"):
            set_by["AWS_REGION"] = "AWS_DEFAULT_REGION"
        if faults := list(find_disguises(source, set_by.values())):
            raise SettingsError(f"Wrong settings: {'; '.join(faults)}.")
        try:
            settings = cls.model_validate({name: source[variable] for name, variable in set_by.items()})
        except pydantic.ValidationError as error:
            faults = [f"{set_by[str(fault['loc'][0])]}: {fault['msg']}" for fault in error.errors()]
            raise SettingsError(f"Wrong settings: {'; '.join(faults)}.") from error
        values = settings.model_dump(by_alias=True)
        if together := [*find_contradictions(values), *find_shared_queues(settings.queue_urls)]:
            raise SettingsError(f"Settings that do not go together: {'; '.join(together)}.")
        return settings

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Each environment variable with the field that it sets."""
        return {str(field.alias): name for name, field in cls.model_fields.items()}

    def require(self, *names: str) -> None:
        """Make sure that the named fields are set.

        Raises:
            SettingsError: naming the variables that are missing.
        """
        missing = [str(type(self).model_fields[name].alias) for name in names if getattr(self, name) is None]
        if missing:
            raise SettingsError(
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set. "
                "`layoutlm-cli local up` prints them for a local stack; docs/reference.md lists them all."
            )

    @property
    def queue_urls(self) -> dict[str, str]:
        """The URL of each queue that is set, by its variable."""
        urls = {variable: getattr(self, name) for variable, name in self.variables().items()}
        return {variable: url for variable, url in urls.items() if url and variable.endswith("_QUEUE_URL")}

    @property
    def allowed_buckets(self) -> tuple[str, ...]:
        """The buckets that a message may name."""
        own = (self.bucket,) if self.bucket else ()
        return tuple(dict.fromkeys((*own, *self.extra_buckets)))

    @property
    def child_environ(self) -> dict[str, str]:
        """Variables with which a child reaches the same AWS; boto3 reads only the region's older name."""
        named = {"AWS_DEFAULT_REGION": self.region, "AWS_ENDPOINT_URL": self.endpoint_url}
        return {name: value for name, value in named.items() if value}

    @property
    def cache_dir(self) -> Path:
        """The folder in which an export worker keeps checkpoints between exports."""
        return self.work_dir / "checkpoints"

    @property
    def status_folders(self) -> tuple[Path, ...]:
        """Folders in which the workers of this host may answer: the one that is set, or each default one."""
        return (self.run_dir,) if "run_dir" in self.model_fields_set else run_folders()

    @property
    def runs(self) -> S3Uri:
        """The S3 URI of all runs, unless a message names another one."""
        self.require("bucket")
        return S3Uri(bucket=self.bucket or "", key="runs/")

    @property
    def canonical_bundle(self) -> S3Uri:
        """The zip that clients in the field download."""
        self.require("bucket")
        return S3Uri(bucket=self.bucket or "", key="coreml/layoutlm-coreml-bundle.zip")

    def folder_of(self, kind: Literal["train", "export"]) -> S3Uri:
        """The folder in which workers of a kind write: runs for trainings, bundles for exports."""
        return self.runs if kind == "train" else self.bundle_prefix("")

    def bundle_prefix(self, job_name: str) -> S3Uri:
        """The S3 URI of a run's bundle, unless a message names another one."""
        self.require("bucket")
        return S3Uri(bucket=self.bucket or "", key="coreml/") / (f"{job_name}/" if job_name else "")
