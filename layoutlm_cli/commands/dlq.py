"""`dlq list|show|redrive|discard`: dead letters, listed, redriven or deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from workers.sqs.dead_letters import DeadLetter


app = typer.Typer(
    help="Dead letters: look at them, send them back to their queue, or delete them.", no_args_is_help=True
)

Queue = Annotated[
    Literal["train", "export", "train-results", "export-results"] | None,
    typer.Option(help="The queue that they were sent to; every one that has dead letters when left out."),
]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids as `dlq list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters of the queue that --queue names.")]


@app.command("list")
def list_letters(
    queue: Queue = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a letter, with all of it.")] = False,
) -> None:
    """List dead letters, the oldest first; they stay where they are."""
    letters = asyncio.run(_visit(queue, None))
    if as_json:
        for letter in letters:
            typer.echo(json.dumps(letter.as_json()))
    elif letters:
        _print_list(letters)


@app.command("show")
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Id as `dlq list` shows it.")],
    queue: Queue = None,
) -> None:
    """Show one dead letter: why it is there, its faults, its attributes and its body."""
    [letter] = asyncio.run(_visit(queue, [letter_id]))
    _print_letter(letter)


@app.command("redrive")
def redrive(
    ids: Ids = None,
    everything: All = False,
    queue: Queue = None,
    body: Annotated[
        Path | None,
        typer.Option(help="A file with a mended body for a single ID; checked before it is sent."),
    ] = None,
) -> None:
    """Send dead letters back to their queue as they came, attributes included, and delete them here."""
    _check_choice(ids, queue, everything=everything)
    if body is not None and len(ids or ()) != 1:
        raise typer.BadParameter("a mended body belongs to a single ID", param_hint="--body")
    from run_records.user_files import read_text  # noqa: PLC0415

    mended = None if body is None else read_text(body).encode()

    async def send(letter: DeadLetter) -> str:
        await letter.redrive(mended)
        return f"sent {letter.id} back to {letter.queue}"

    asyncio.run(_visit(queue, None if everything else ids, send))


@app.command("discard")
def discard(
    ids: Ids = None,
    everything: All = False,
    queue: Queue = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete dead letters for good."""
    _check_choice(ids, queue, everything=everything)
    chosen = None if everything else ids
    if not yes:
        letters = asyncio.run(_visit(queue, chosen))
        if not letters:
            return
        _print_list(letters)
        typer.confirm(f"Delete {len(letters)} for good?", abort=True)
        chosen = [letter.id for letter in letters]  # and none that came meanwhile

    async def delete(letter: DeadLetter) -> str:
        await letter.discard()
        return f"deleted {letter.id}"

    asyncio.run(_visit(queue, chosen, delete))


async def _visit(
    queue: Any, ids: list[str] | None, treat: Callable[[DeadLetter], Awaitable[str]] | None = None
) -> list[DeadLetter]:
    """Look at the letters of these ids, or at all, and treat each; none at all where an id is not there."""
    from workers.settings import Settings  # noqa: PLC0415
    from workers.sqs.dead_letters import choose, dead_letters  # noqa: PLC0415

    async with dead_letters(Settings.from_environ(), queue) as letters:
        chosen = letters if ids is None else choose(letters, ids)
        if treat is not None:
            for letter in chosen:
                typer.echo(await treat(letter))
    if not chosen:
        typer.echo("no dead letters", err=True)
    return chosen


def _check_choice(ids: list[str] | None, queue: str | None, *, everything: bool) -> None:
    if bool(ids) == everything:
        raise typer.BadParameter("name IDs, or pass --all")
    if everything and queue is None:
        raise typer.BadParameter("--all needs --queue", param_hint="--queue")


def _print_list(letters: list[DeadLetter]) -> None:
    from layoutlm_cli.console import table  # noqa: PLC0415
    from workers.sqs.dead_letters import NO_REASON  # noqa: PLC0415

    table(
        f"{len(letters)} dead letters",
        ("id", "queue", "when", "class", "reason", "worker", "received"),
        [
            (
                letter.id,
                letter.queue,
                letter.when[:19],
                letter.reasons.get("error_class"),
                letter.reasons.get("error_message", NO_REASON),
                letter.reasons.get("worker"),
                letter.receive_count,
            )
            for letter in letters
        ],
    )


def _print_letter(letter: DeadLetter) -> None:
    from layoutlm_cli.console import printable, table  # noqa: PLC0415
    from workers.sqs.dead_letters import NO_REASON  # noqa: PLC0415

    told = letter.as_json()
    body, attributes, faults = told.pop("body"), told.pop("attributes"), told.pop("faults")
    told["error_message"] = told["error_message"] or NO_REASON
    table("dead letter", ("", ""), [row for row in told.items() if row[1] is not None])
    if faults:
        table("faults", ("field", "problem"), [(fault["field"], fault["problem"]) for fault in faults])
    if attributes:
        rows = [(name, one["type"], one["value"]) for name, one in attributes.items()]
        table("attributes that it was sent with", ("name", "type", "value"), rows)
    typer.echo(printable(_indented(body)))


def _indented(body: str) -> str:
    """A JSON body over several lines, any other one as it is."""
    from pydantic_core import from_json  # noqa: PLC0415

    try:
        return json.dumps(from_json(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body
