"""A tiny model that has learned a little, and receipts that it has not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from receipt_layoutlm.data import synthetic
from receipt_layoutlm.data.receipts import Receipt
from receipt_layoutlm.data.table_writer import receipt_of
from tests.support.learned import STEPS, make_checkpoint

SEEN = 40


@pytest.fixture(scope="session")
def receipts() -> list[Receipt]:
    return [receipt_of(draft) for draft in synthetic.generate(60, 3)]


@pytest.fixture(scope="session")
def unseen(receipts: list[Receipt]) -> list[Receipt]:
    return receipts[SEEN:]


@pytest.fixture(scope="session")
def checkpoint(receipts: list[Receipt], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint's folder that nobody may change."""
    return make_checkpoint(tmp_path_factory.mktemp("learned"), receipts[:SEEN], STEPS)
