"""`bench train`: this machine's training speed, from the usual configuration to that of `train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from receipt_layoutlm.training.benchmark.ladder import Measured, Standing


_PARITY_STEPS = 5
app = typer.Typer(help="Measure this machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `train` a command of its own, whatever joins it."""


@app.command("train")
def train(
    data: Annotated[
        Path | None, typer.Option(help="SROIE's receipts, one JSON object a line, instead of synthetic ones.")
    ] = None,
    model: Annotated[str, typer.Option(help="As pretrained_model of a training.")] = "scratch:base",
    steps: Annotated[int, typer.Option(min=1, help="Timed steps of 16 windows in each rung.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="How often all rungs are measured in turn.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="All figures, as JSON.")] = False,
) -> None:
    """Print tokens a second, padding, utilisation, memory and losses of each way to train."""
    from receipt_layoutlm.data.importers.field_alignment import import_sroie  # noqa: PLC0415
    from receipt_layoutlm.training.benchmark.ladder import (  # noqa: PLC0415
        RungTask,
        climb,
    )

    if data is not None:
        import_sroie(data)  # what is wrong with it is said here, and not by a process of the first rung
    task = RungTask(
        rung="",
        model=model,
        data=None if data is None else str(data),
        steps=steps,
        parity_steps=_PARITY_STEPS,
    )
    standings = climb(task, rounds, _say)
    if as_json:
        _print_json(standings)
    else:
        _print(standings)


def _say(one: Measured) -> None:
    typer.echo(f"{one.rung}: {one.tokens_per_second:.0f} tokens a second", err=True)


def _print(standings: dict[str, Standing]) -> None:
    from layoutlm_cli.console import console, size, table  # noqa: PLC0415
    from receipt_layoutlm.training.benchmark.ladder import RUNGS  # noqa: PLC0415

    first = next(iter(standings.values())).measured[0]
    peak = max(one.peak_flops for standing in standings.values() for one in standing.measured)
    table(
        f"training on {first.device}; its best product of matrices: {peak / 1e12:.2f} TFLOP/s",
        ("rung", "what", "tokens/s", "times", "per core second", "padding", "of the peak", "memory", "loss"),
        [
            (
                name,
                f"{RUNGS[name].says} ({standing.measured[0].arithmetic})",
                f"{standing.tokens_per_second:.0f}",
                f"{standing.times:.1f}",
                f"{standing.tokens_per_cpu_second:.0f}",
                f"{standing.measured[0].padding:.1%}",
                f"{standing.measured[0].utilisation:.0%}",
                size(max(one.memory_bytes for one in standing.measured)),
                f"{standing.loss_gap:.2%} off",
            )
            for name, standing in standings.items()
        ],
    )
    console.print(
        "Tokens are real ones. Of the peak: operations of the model (6 x parameters without embeddings, and "
        "12 x layers x width x length, for each real token) against the product of matrices. Loss: the "
        f"largest difference to the first rung in {_PARITY_STEPS} steps without dropout."
    )


def _print_json(standings: dict[str, Standing]) -> None:
    from pydantic_core import to_json  # noqa: PLC0415

    typer.echo(
        to_json(
            {
                name: {
                    "tokens_per_second": standing.tokens_per_second,
                    "times": standing.times,
                    "loss_gap": standing.loss_gap,
                    "rounds": [one.model_dump() for one in standing.measured],
                }
                for name, standing in standings.items()
            },
            indent=2,
        ).decode()
    )
