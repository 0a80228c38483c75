"""Logging follows its newest configuration, whichever lines were written before."""

from __future__ import annotations

import json

import pytest
import structlog
from structlog.testing import capture_logs

from workers.logs import configure_logging

log = structlog.get_logger(__name__)


def test_a_logger_that_was_used_follows_the_next_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    log.info("written as JSON")
    assert json.loads(capsys.readouterr().err)["event"] == "written as JSON"
    with capture_logs() as lines:
        log.info("captured")
    assert [line["event"] for line in lines] == ["captured"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("turn", [1, 2])
def test_no_test_inherits_the_logging_of_another(turn: int) -> None:
    assert not structlog.is_configured(), turn
    configure_logging(verbose=True)
