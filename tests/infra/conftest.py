"""One run of the Pulumi program for all tests of a session."""

from __future__ import annotations

import pytest

from tests.support.deployment import Deployment, read_deployment


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    return read_deployment()
