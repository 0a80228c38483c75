"""The MCP server as the process that an assistant starts, and somebody who asks it."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client import Transport
from mcp_types import CallToolResult, TextContent, Tool

from workers.local_aws.local_stack import LocalStack, MotoServer

ROOT = Path(__file__).parent.parent.parent.parent
ANSWER_SECONDS = 120


@dataclass(frozen=True)
class Assistant:
    """A client of the server; `log` is what the server says on standard error."""

    portal: BlockingPortal
    client: Client
    log: Path

    def tools(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in self.portal.call(self.client.list_tools).tools}

    def call(self, tool: str, **arguments: Any) -> CallToolResult:
        answer: CallToolResult = self.portal.call(self.client.call_tool, tool, arguments)
        return answer

    def ask(self, tool: str, **arguments: Any) -> Any:
        """The answer's structured content, which the client has held against the tool's output schema."""
        answer = self.call(tool, **arguments)
        assert not answer.is_error, answer.content
        return answer.structured_content

    def fail(self, tool: str, **arguments: Any) -> str:
        """What a call that fails says."""
        answer = self.call(tool, **arguments)
        assert answer.is_error
        [content] = answer.content
        assert isinstance(content, TextContent)
        return content.text


Start = Callable[..., AbstractContextManager[Assistant]]


@pytest.fixture(scope="module")
def stack(emulator: MotoServer) -> LocalStack:
    """One for all tests of a module: a server takes seconds to start."""
    return LocalStack.make(emulator, suffix=f"-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def start(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts `layoutlm-cli mcp` with these options and connects to it."""

    @contextmanager
    def starting(*options: str) -> Iterator[Assistant]:
        log = tmp_path_factory.mktemp("mcp") / "stderr"
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "layoutlm_cli", "mcp", *options],
            env={**stack.environ, "AWS_EC2_METADATA_DISABLED": "true"},
            cwd=ROOT,
        )
        with log.open("w") as errors, start_blocking_portal() as portal:
            transport: Transport = stdio_client(server, errlog=errors)
            connecting = Client(transport, read_timeout_seconds=ANSWER_SECONDS)
            with portal.wrap_async_context_manager(connecting) as client:
                yield Assistant(portal, client, log)

    return starting


@pytest.fixture(scope="module")
def assistant(start: Start) -> Iterator[Assistant]:
    """A server that only reads."""
    with start() as started:
        yield started
