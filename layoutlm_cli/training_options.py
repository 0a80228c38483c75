"""Command options generated from the message's fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from layoutlm_cli.setting_options import SETTING_OPTIONS, apply_settings
from messages.hyperparameters import Hyperparameters
from messages.train import JOB_OPTIONS, TrainJob

Value = str | bool | list[str] | None

_MORE_NAMES: Mapping[str, tuple[str, ...]] = {
    "allowed_labels": ("--allowed-label",),
    "auto_export": ("--export-coreml",),
    "learning_rate": ("--lr",),
    "pretrained_model": ("--pretrained",),
    "quantize": ("--coreml-quantize",),
}
"""Shorter or older names of options, as people type them."""
_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}


class TrainingCommand(TyperCommand):
    """A command whose flags also take a value: `--flag true` is `--flag`, `--flag false` is `--no-flag`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write each flag that has a value as the flag that says the same."""
        flags = {
            name: (param.opts[0], param.secondary_opts[0])
            for param in self.params
            if getattr(param, "secondary_opts", None)
            for name in param.opts
        }
        return super().parse_args(ctx, list(_spell_flags(args, flags)))


def _spell_flags(args: Sequence[str], flags: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    rest = iter(args)
    for token in rest:
        name, given, value = token.partition("=")
        if name not in flags:
            yield token
            continue
        following = None if given else next(rest, None)
        said = (value if given else following or "").lower()
        if said in _TRUE | _FALSE:
            yield flags[name][said in _FALSE]
            continue
        yield token
        if following is not None:
            yield from _spell_flags([following, *rest], flags)


def training_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `(job_name, options)` one option per field of the message.

    Values stay text: the message parses and checks them, all faults in one error. To be registered with
    `cls=TrainingCommand`.
    """

    def wrapped(job_name: str | None = None, name_option: str | None = None, **options: Value) -> None:
        if job_name and name_option and job_name != name_option:
            raise typer.BadParameter(f"two names are given, {job_name} and {name_option}: give one")
        apply_settings({name: str(options.pop(name) or "") for name in SETTING_OPTIONS})
        said = {name: _text(value) for name, value in options.items() if value not in (None, [])}
        command(job_name or name_option or _made_name(), said)

    name_help = "Name of the run and of its folder; made from the time when left out."
    parameters = [
        _parameter("job_name", str, typer.Argument(metavar="JOB_NAME", help=name_help)),
        _parameter("name_option", str, typer.Option("--job-name", help="The same, as an option.")),
        *(_parameter(name, str, option) for name, option in SETTING_OPTIONS.items()),
        *(_parameter(name, *_option(name, text, panel)) for name, (text, panel) in option_help().items()),
    ]
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


def _made_name() -> str:
    return f"layoutlm-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    where = (
        inspect.Parameter.POSITIONAL_OR_KEYWORD if name == "name_argument" else inspect.Parameter.KEYWORD_ONLY
    )
    return inspect.Parameter(name, where, default=None, annotation=Annotated[kind | None, option])


def _option(name: str, text: str, panel: str) -> tuple[Any, Any]:
    """The type of an option and how it is declared."""
    field = (TrainJob if name in JOB_OPTIONS else Hyperparameters).model_fields[name]
    flag = name.replace("_", "-")
    names = [f"--{flag}", *_MORE_NAMES.get(name, ())]
    if field.annotation is bool:
        opposites = [f"--{one[5:]}" if one.startswith("--no-") else f"--no-{one[2:]}" for one in names]
        declared = (f"{one}/{opposite}" for one, opposite in zip(names, opposites, strict=True))
        return bool, typer.Option(*declared, help=text, rich_help_panel=panel, show_default=False)
    kind = list[str] if name == "allowed_labels" else str
    return kind, typer.Option(*names, help=text, rich_help_panel=panel, metavar=_metavar(name, field))


def _metavar(name: str, field: FieldInfo) -> str:
    """The type of a value or its choices, as help lists them."""
    if name == "allowed_labels":
        return "LABEL"
    parts = [*_parts(field.annotation)]
    choices = [str(one) for part in parts if get_origin(part) is Literal for one in get_args(part)]
    number = ["INTEGER"] if int in parts else ["NUMBER"] if float in parts else []
    return "|".join([*number, *choices]) or "TEXT"


def _range(field: FieldInfo) -> str:
    """The bounds of a number, such as `1 to 1000`; empty where there are none."""
    parts = [*_parts(field.annotation), *_parts(field)]
    low = _bound(parts, "ge", "{}") or _bound(parts, "gt", "above {}")
    high = _bound(parts, "le", "{}") or _bound(parts, "lt", "below {}")
    return f"{low} to {high}; " if low and high else ""


def _bound(parts: Sequence[Any], name: str, shown: str) -> str:
    return next((shown.format(getattr(part, name)) for part in parts if hasattr(part, name)), "")


def _parts(annotation: Any) -> Iterator[Any]:
    """The types in an annotation and what is noted beside them."""
    if isinstance(annotation, FieldInfo):
        yield from annotation.metadata
    elif get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _parts(part)


def _help(model: type[Hyperparameters | TrainJob], name: str) -> str:
    field = model.model_fields[name]
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    default = field.get_default(call_default_factory=True)
    shown = "none" if default is None else str(default).lower() if isinstance(default, bool) else default
    return f"{field.description} ({unit}; {_range(field)}default {shown})"
