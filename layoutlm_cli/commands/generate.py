"""`generate`: synthetic receipts into the table."""

from __future__ import annotations

from typing import Annotated

import typer


def generate(
    receipts: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same receipts.")] = 0,
) -> None:
    """Make labelled synthetic receipts with all core labels."""
    from layoutlm_cli.write_receipts import store  # noqa: PLC0415
    from receipt_layoutlm.data import synthetic  # noqa: PLC0415

    store(synthetic.generate(receipts, seed), receipts)
