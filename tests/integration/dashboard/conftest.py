"""Dashboards that tests start, and the S3 that they read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from run_records.s3_store import S3Store
from tests.support.served import Dashboard, Start, served
from workers.local_aws.local_stack import LocalStack


@pytest.fixture
def start(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a dashboard: `start(allow_actions=True, table_name="another")`; it ends with the test."""
    for name, value in stack.environ.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as running:

        def starting(*, allow_actions: bool = False, **changes: Any) -> Dashboard:
            settings = stack.settings.model_copy(update=changes)
            return running.enter_context(served(settings, allow_actions=allow_actions))

        yield starting


@pytest.fixture
def dashboard(start: Start) -> Dashboard:
    return start()


@pytest.fixture
def storage(stack: LocalStack) -> S3Store:
    return S3Store([stack.environ["LAYOUTLM_TRAINING_BUCKET"]], client=stack.client("s3"))
