"""Write docs/reference.md from the code: commands, settings, message fields, endings, exit codes.

`make reference` writes it; a test holds the checked-in file against this output.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from layoutlm_cli.main import app
from messages.child_protocol import ErrorClass
from messages.export import ExportJob, ExportResult
from messages.hyperparameters import Hyperparameters
from messages.train import TrainJob, TrainResult
from workers.errors import WorkerError
from workers.runtime.outcome import OUTCOMES
from workers.settings import Settings
from workers.sqs.queue_definitions import QUEUES

PLACE = Path(__file__).parent.parent / "docs" / "reference.md"
_HEAD = """# Reference

Made from the code by `make reference`; change it there.
"""


def reference() -> str:
    """The whole page."""
    parts = [
        _HEAD,
        "## Commands\n\n`layoutlm-cli COMMAND --help` says the same.\n",
        *_commands(typer.main.get_command(app), "layoutlm-cli"),
        "## Settings\n\nRead once from the environment; an empty variable counts as unset.\n",
        _settings(),
        "## Messages\n",
        *_messages(),
        "## Endings\n\nWhat each ending of a message means; see [architecture](architecture.md).\n",
        _endings(),
        "## Exit codes of a daemon\n",
        _exit_codes(),
        "## Error classes\n",
        _error_classes(),
        "## Queues\n",
        _queues(),
    ]
    return "\n".join(parts)


def _commands(command: Any, path: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, inner in sorted(command.commands.items()):
            yield from _commands(inner, f"{path} {name}")
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([path, *(str(p.name).upper() for p in arguments)])
    yield f"### `{usage}`\n\n{inspect.cleandoc(command.help or '')}\n"
    rows = [
        (f"`{_flag(p)}`", _clean(getattr(p, "help", "") or "")) for p in command.params if p.name != "help"
    ]
    if rows:
        yield _table(("Argument or option", "Meaning"), rows)


def _flag(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return " / ".join([*parameter.opts, *parameter.secondary_opts])


def _settings() -> str:
    rows = [
        (
            f"`{variable}`",
            _default(Settings.model_fields[name]),
            _clean(Settings.model_fields[name].description),
        )
        for variable, name in Settings.variables().items()
    ]
    return _table(("Variable", "Default", "Meaning"), rows)


def _messages() -> Iterator[str]:
    titles: list[tuple[str, type[BaseModel]]] = [
        ("Train job", TrainJob),
        ("Hyperparameters of a train job", Hyperparameters),
        ("Train result", TrainResult),
        ("Export job", ExportJob),
        ("Export result", ExportResult),
    ]
    for title, model in titles:
        yield f"### {title}\n"
        yield _table(
            ("Field", "Default", "Unit", "Meaning"),
            [_field_row(*item) for item in model.model_fields.items()],
        )


def _field_row(name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    extra = field.json_schema_extra
    unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    return f"`{name}`", _default(field), unit, _clean(field.description)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    # A folder's default is the user's: its description says where.
    if value is None or isinstance(value, BaseModel | Path) or value in ((), {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _endings() -> str:
    rows = [
        (
            ending.name,
            meaning.message.name,
            meaning.status or "unchanged",
            "sent" if meaning.result else "none",
        )
        for ending, meaning in OUTCOMES.items()
    ]
    return _table(("Ending", "Message", "Record", "Result"), rows)


def _exit_codes() -> str:
    kinds: list[type[WorkerError]] = [WorkerError, *WorkerError.__subclasses__()]
    rows = [("0", "Stopped as asked, or `--once` is done.")]
    rows += [(str(kind.exit_code), _first_line(kind)) for kind in kinds]
    return _table(("Code", "Meaning"), rows)


def _error_classes() -> str:
    rows = [(f"`{kind}`", _what_happens(kind)) for kind in ErrorClass]
    return _table(("Class", "What happens"), rows)


def _what_happens(kind: ErrorClass) -> str:
    if kind.of_host:
        return "the host is at fault: back to the queue, not counted as an attempt that failed"
    return "tried again" if kind.retryable else "failed at once"


def _queues() -> str:
    rows = [
        (spec.name, spec.dead_letter_name, f"`{spec.variable}`", str(spec.visibility_seconds))
        for spec in QUEUES
    ]
    return _table(("Queue of the local stack", "Dead letters", "Variable", "Visibility (s)"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell for cell in line) + " |" for line in lines) + "\n"


def _first_line(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").splitlines()[0]


def _clean(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    PLACE.write_text(reference(), encoding="utf-8")
