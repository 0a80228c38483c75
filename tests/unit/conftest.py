"""Holds the unit tests to what they promise: they open no connection."""

from __future__ import annotations

import socket
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse IPv4 and IPv6 sockets of this process; a local socket of a host's daemon has no network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("A unit test opened a network socket. Move it to tests/integration.")

    for name in ("connect", "connect_ex", "bind"):
        known = getattr(socket.socket, name)

        def local_only(self: socket.socket, *arguments: Any, _known: Any = known) -> Any:
            return refuse() if self.family in {socket.AF_INET, socket.AF_INET6} else _known(self, *arguments)

        monkeypatch.setattr(socket.socket, name, local_only)
