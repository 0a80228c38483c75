"""Every tool of the MCP server with nothing there, a wrong name, no network and no permission."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from layoutlm_cli.mcp_server.server import make_server
from layoutlm_cli.open_clients import open_clients
from tests.support.situations import closed_endpoint, denying_endpoint, environ_at, retry_at_once
from workers.local_aws.local_stack import LocalStack, MotoServer
from workers.settings import Settings


@dataclass(frozen=True, slots=True)
class Row:
    """What a tool is asked where nothing is there, and with a wrong name; None where it takes no name."""

    bare: Mapping[str, Any] = field(default_factory=dict)
    wrong: Mapping[str, Any] | None = None


NAMED = Row({"job": "nobody"}, {"job": "nobody"})
ROWS = {
    "training_history": Row(),
    "run_detail": NAMED,
    "live_runs": Row(),
    "failing_receipts": NAMED,
    "compare_runs": Row({"jobs": ["nobody", "noone"]}, {"jobs": ["nobody", "nobody"]}),
    "compare_groups": Row({"by": "batch_size"}, {"by": "nobody"}),
    "diagnose_run": NAMED,
    "recommend_next_run": Row({}, {"job": "nobody"}),
    "dataset_statistics": Row(),
    "submit_training": Row(
        {"job_name": "some-run", "hyperparameters": {}}, {"job_name": "../nobody", "hyperparameters": {}}
    ),
}
EMPTY = {"run_detail", "failing_receipts", "compare_runs", "diagnose_run"}
"""Tools that have no answer about nothing."""


@contextmanager
def server_at(stack: LocalStack, endpoint_url: str) -> Iterator[MCPServer]:
    with pytest.MonkeyPatch.context() as patched:
        retry_at_once(patched)
        for name, value in environ_at(stack, endpoint_url).items():
            patched.setenv(name, value)
        yield make_server(open_clients(), Settings.from_environ(), allow_submit=True)


def call(server: MCPServer, tool: str, arguments: Mapping[str, Any]) -> str | None:
    """What a call that fails says to the assistant; None of one that has an answer."""
    try:
        asyncio.run(server.call_tool(tool, dict(arguments)))
    except ToolError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def stack(emulator: MotoServer) -> LocalStack:
    return LocalStack.make(emulator, suffix="-tools")


def test_every_tool_has_a_row(stack: LocalStack) -> None:
    with server_at(stack, stack.environ["AWS_ENDPOINT_URL"]) as server:
        assert {tool.name for tool in asyncio.run(server.list_tools())} == ROWS.keys()


def test_nothing_there_and_a_wrong_name(stack: LocalStack) -> None:
    with server_at(stack, stack.environ["AWS_ENDPOINT_URL"]) as server:
        for tool, row in ROWS.items():
            said = call(server, tool, row.bare)
            assert (said is not None) == (tool in EMPTY), (tool, said)
            if row.wrong is not None:
                said = call(server, tool, row.wrong)
                assert said is not None, tool
                assert "nobody" in said


@pytest.mark.parametrize("how", ["no network", "no permission"])
def test_no_network_and_no_permission(stack: LocalStack, how: str) -> None:
    away = closed_endpoint() if how == "no network" else denying_endpoint()
    with away as endpoint_url, server_at(stack, endpoint_url) as server:
        says = re.escape(endpoint_url) if how == "no network" else "AccessDenied|denies|refuses"
        for tool, row in ROWS.items():
            said = call(server, tool, row.bare)
            assert said is not None, tool
            assert re.search(says, said), (tool, said)
