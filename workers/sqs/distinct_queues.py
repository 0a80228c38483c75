"""Asks SQS at a start whether two of the queues are one, or one is the dead-letter queue of another.

URLs that look different may name one queue. A job queue that is a results queue, too, makes dead letters of
results, and of each such dead letter another result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workers.aws_errors import sqs_errors_translated
from workers.errors import QueueUnusable
from workers.setting_checks import find_equal_queues


async def check_distinct(client: Any, urls: Mapping[str, str]) -> None:
    """Check that no two settings name one queue, and none names the dead-letter queue of another.

    Args:
        client: asks SQS.
        urls: the queues' URLs by their variables.

    Raises:
        QueueUnusable: one is.
        QueueError: SQS cannot be asked now.
    """
    found = {variable: await _read_attributes(client, url) for variable, url in urls.items()}
    arns = {variable: attributes["QueueArn"] for variable, attributes in found.items()}
    faults = [*find_equal_queues(arns), *_find_dead_letter_queues(found, arns)]
    if faults:
        raise QueueUnusable(f"{'; '.join(faults)}.")


async def _read_attributes(client: Any, url: str) -> dict[str, str]:
    async with sqs_errors_translated(url):
        answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "RedrivePolicy"])
        return dict(answer["Attributes"])


def _find_dead_letter_queues(
    found: Mapping[str, Mapping[str, str]], arns: Mapping[str, str]
) -> Iterator[str]:
    variables = {arn: variable for variable, arn in arns.items()}
    for variable, attributes in found.items():
        target = json.loads(attributes.get("RedrivePolicy", "{}")).get("deadLetterTargetArn")
        if target in variables:
            yield (
                f"{variables[target]} is the dead-letter queue of {variable} ({target}); set another one in "
                "the RedrivePolicy of that queue"
            )
