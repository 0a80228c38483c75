"""Command options generated from the message's fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from messages.hyperparameters import Hyperparameters
from messages.train import JOB_OPTIONS, TrainJob


def training_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `(job_name, options)` one option per field of the message.

    Values stay text: the message parses and checks them, all faults in one error.
    """

    def wrapped(job_name: str, **options: str | None) -> None:
        command(job_name, {name: value for name, value in options.items() if value is not None})

    parameters = [
        inspect.Parameter(
            "job_name",
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            annotation=Annotated[
                str, typer.Argument(help="Name of the run and of its folder.", show_default=False)
            ],
        )
    ]
    for name, (text, panel) in option_help().items():
        option = typer.Option(
            f"--{name.replace('_', '-')}", help=text, rich_help_panel=panel, metavar="VALUE"
        )
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
            )
        )
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    wrapped.__doc__ = command.__doc__
    wrapped.__name__ = command.__name__
    return wrapped


def option_help() -> dict[str, tuple[str, str]]:
    """Each option with its help text and the group that it is listed in."""
    texts = {name: (_help(TrainJob, name), "Job") for name in JOB_OPTIONS}
    return texts | {name: (_help(Hyperparameters, name), "Training") for name in Hyperparameters.model_fields}


def request(job_name: str, options: dict[str, str]) -> dict[str, Any]:
    """The body of the message that these options make."""
    job = {name: value for name, value in options.items() if name in JOB_OPTIONS}
    rest = {name: value for name, value in options.items() if name not in JOB_OPTIONS}
    return {"job_name": job_name, **job, "hyperparameters": rest}


def _help(model: type[Hyperparameters | TrainJob], name: str) -> str:
    field = model.model_fields[name]
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    default = field.get_default(call_default_factory=True)
    shown = "none" if default is None else str(default).lower() if isinstance(default, bool) else default
    return f"{field.description} ({unit}; default {shown})"
