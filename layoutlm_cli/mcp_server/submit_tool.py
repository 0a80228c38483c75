"""The tool that submits a training."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema
from pydantic_core import to_json

from layoutlm_cli.mcp_server.answers import Answer
from messages.codec import decode_train_job
from messages.hyperparameters import Hyperparameters
from messages.train import TrainJob
from run_analysis.comparison.setting_differences import changed_options
from workers.jobs.submit import submit_training
from workers.settings import Settings


class SubmitAnswer(Answer):
    """What was sent."""

    says: str
    job_id: str
    job_name: str
    message_id: str = Field(description="The queue's id of the message.")
    queue_url: str
    hyperparameters: dict[str, Any] = Field(description="As they were read; others have their defaults.")


@dataclass(frozen=True, slots=True)
class SubmitTools:
    """The tool, for the queue that the settings name."""

    settings: Settings

    def submit_training(
        self,
        job_name: Annotated[str, Field(description="Name of the run and of its folder; take a new one.")],
        hyperparameters: Annotated[
            dict[str, Any],
            WithJsonSchema(Hyperparameters.model_json_schema()),
            Field(description="Those that are not to be at their defaults."),
        ],
        auto_export: Annotated[bool, Field(description=_describe("auto_export"))] = True,
        tags: Annotated[dict[str, str] | None, Field(description=_describe("tags"))] = None,
    ) -> SubmitAnswer:
        """START A TRAINING: send a request to the train workers. It occupies a machine and costs money.

        Call it only when the user has asked for this very run. The request is checked first; a wrong option
        sends nothing. There is no tool to take it back: `layoutlm-cli cancel JOB` does.
        """
        body = {
            "job_name": job_name,
            "hyperparameters": hyperparameters,
            "auto_export": auto_export,
            "tags": tags or {},
        }
        job = decode_train_job(to_json(body), message_id=str(uuid.uuid4()))
        message_id = asyncio.run(submit_training(self.settings, job))
        return SubmitAnswer(
            says=f"Sent {job.job_name} and recorded it as pending; live_runs shows when it starts.",
            job_id=job.job_id,
            job_name=job.job_name,
            message_id=message_id,
            queue_url=str(self.settings.train_job_queue_url),
            hyperparameters=changed_options(job.hyperparameters.model_dump(mode="json")),
        )


def _describe(option: str) -> str:
    return str(TrainJob.model_fields[option].description)
