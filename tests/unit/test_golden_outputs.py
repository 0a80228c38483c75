"""Outputs that people and programs rely on stay byte for byte what `tests/golden` holds."""

from __future__ import annotations

import pytest

from tests.support import golden


@pytest.mark.parametrize("make", [golden.help_texts, golden.mcp_tools], ids=["help.txt", "mcp_tools.json"])
def test_helps_and_tools_are_as_they_were(make: object, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    assert callable(make)
    assert make().decode().splitlines() == (golden.FOLDER / name).read_text().splitlines()


@pytest.mark.parametrize("name", ["run.json", "epochs.json", "predictions.json"])
def test_documents_of_a_run_are_as_they_were(name: str) -> None:
    assert golden.documents()[name] == (golden.FOLDER / name).read_bytes()


def test_the_report_is_as_it_was() -> None:
    assert golden.report()["report.txt"] == (golden.FOLDER / "report.txt").read_bytes()
