"""Submission of a training: a form with every option, checked as the queue checks it, confirmed, sent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from layoutlm_cli.dashboard.context import PageContext, site_of
from layoutlm_cli.dashboard.forms import read_form
from layoutlm_cli.training_options import request as request_body
from messages.codec import decode_train_job, encode
from messages.errors import InvalidMessage
from messages.hyperparameters import Hyperparameters
from messages.options.augmentation import AugmentationOptions
from messages.options.data import DataOptions
from messages.options.encoding import EncodingOptions
from messages.options.labels import LabelOptions
from messages.options.machine import MachineOptions
from messages.options.optimisation import OptimisationOptions
from messages.train import JOB_OPTIONS, TrainJob
from workers.jobs.submit import submit_training

_GROUPS: dict[str, type[BaseModel]] = {
    "Optimisation": OptimisationOptions,
    "Labels": LabelOptions,
    "Data": DataOptions,
    "Examples": EncodingOptions,
    "Model and machine": MachineOptions,
    "Augmentation": AugmentationOptions,
}
FIRST = (
    "epochs",
    "batch_size",
    "learning_rate",
    "warmup_ratio",
    "early_stopping_patience",
    "pretrained_model",
)
"""What most requests set."""


@dataclass(frozen=True, slots=True)
class Field:
    """An option as a form asks for it; left empty it keeps its default.

    Attributes:
        choices: the values that it takes, where they are few.
    """

    name: str
    help: str
    unit: str
    default: str
    choices: tuple[str, ...]

    @classmethod
    def of(cls, model: type[Hyperparameters | TrainJob], name: str, schema: Mapping[str, Any]) -> Field:
        """Describe a field of a message."""
        field = model.model_fields[name]
        extra = field.json_schema_extra
        default = field.get_default(call_default_factory=True)
        return cls(
            name=name,
            help=field.description or "",
            unit=str(extra.get("unit", "")) if isinstance(extra, dict) else "",
            default="none" if default is None or default == {} else _as_text(default),
            choices=_choices(schema),
        )


async def show_form(request: Request) -> Response:
    """An empty form."""
    return _form_page(site_of(request), {}, None)


async def check_form(request: Request) -> Response:
    """The form again with what is wrong beside each field, or the request as it would be sent."""
    form, site = await read_form(request), site_of(request)
    form["job_id"] = str(uuid.uuid4())  # drawn here, so that a confirmation that is posted twice is one job
    try:
        job = _decode(form)
    except InvalidMessage as error:
        return _form_page(site, form, error)
    return site.renderer.page(
        "submit_confirm.html", fields=_filled(form) | {"job_id": job.job_id}, job=job, body=encode(job)
    )


async def send(request: Request) -> Response:
    """Send what was confirmed."""
    form, site = await read_form(request), site_of(request)
    try:
        job = _decode(form)
    except InvalidMessage as error:
        return _form_page(site, form, error)
    message_id = await submit_training(site.sources.settings, job)
    said = f"Sent {job.job_name}: job {job.job_id}, message {message_id}."
    return RedirectResponse(f"/runs/{job.job_id}?notice={site.note(said)}", 303)


def _decode(form: Mapping[str, str]) -> TrainJob:
    filled = _filled(form)
    body = request_body(filled.pop("job_name", ""), filled) | {"job_id": form.get("job_id")}
    return decode_train_job(to_json(body), message_id=str(uuid.uuid4()))


def _filled(form: Mapping[str, str]) -> dict[str, str]:
    """What the form sets, of the fields that it has."""
    known = {"job_name", *JOB_OPTIONS, *Hyperparameters.model_fields}
    return {name: text.strip() for name, text in form.items() if name in known and text.strip()}


def _form_page(site: PageContext, form: Mapping[str, str], error: InvalidMessage | None) -> Response:
    faults: dict[str, str] = {}
    for fault in error.faults if error else ():
        parts = fault.field.removeprefix("hyperparameters.").split(".")
        faults[parts[0]] = fault.problem
    groups = _groups()
    shown = {"job_name", *(field.name for fields in groups.values() for field in fields)}
    return site.renderer.page(
        "submit.html",
        422 if error else 200,
        groups=groups,
        given=form,
        faults=faults,
        elsewhere=[text for name, text in faults.items() if name not in shown],
        wrong_groups={name for name, fields in groups.items() if any(one.name in faults for one in fields)},
    )


def _groups() -> dict[str, list[Field]]:
    options = Hyperparameters.model_json_schema()["properties"]
    job = TrainJob.model_json_schema()["properties"]
    first = [Field.of(Hyperparameters, name, options[name]) for name in FIRST]
    rest = {
        title: [
            Field.of(Hyperparameters, name, options[name]) for name in group.model_fields if name not in FIRST
        ]
        for title, group in _GROUPS.items()
    }
    return {
        "Most used": first,
        "Job": [Field.of(TrainJob, name, job[name]) for name in JOB_OPTIONS],
        **rest,
    }


def _choices(schema: Mapping[str, Any]) -> tuple[str, ...]:
    if schema.get("type") == "boolean":
        return ("true", "false")
    for one in (schema, *schema.get("anyOf", ())):
        if "enum" in one:
            return tuple(map(str, one["enum"]))
    return ()


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
