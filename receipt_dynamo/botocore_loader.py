"""One shared loader of AWS service models per process.

Apart from `receipt_dynamo.session`, because daemons need it and must not import boto3.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.loaders import Loader, create_loader


def share_loader(session: Any) -> None:
    """Let a session of botocore or aiobotocore take them from where an earlier one has left them."""
    session.register_component("data_loader", _loader())


@cache
def _loader() -> Loader:
    return create_loader()
