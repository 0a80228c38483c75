"""Decides how long a message stays hidden that no worker can handle now."""

from __future__ import annotations

from datetime import datetime

from receipt_dynamo.clock import read_time
from workers.sqs.queue import Received

NOT_BEFORE = "not_before"
"""Attribute with the time, as the table spells it, at which a message is due; for waits longer than SQS's."""
STEP_SECONDS = 15
LONGEST_SECONDS = 900
"""Longest time, in seconds, for which a message is hidden; each time is longer than the previous one.

SQS moves a message to the dead letters after 1,000 receives, and so many take longer than the ten days for
which a queue keeps a message.
"""


def hidden_seconds(message: Received, at_least: float = 0.0) -> float:
    """Seconds to hide a message whose job another worker holds, or that AWS failures left unhandled.

    The first time no longer than asked: most often the reason is over by then.
    """
    return max(at_least, min(LONGEST_SECONDS, STEP_SECONDS * (message.receive_count - 1)))


def seconds_until_due(message: Received, now: datetime) -> float:
    """Seconds until a message is due; 0 if it is due, or its time cannot be read."""
    try:
        due = read_time(message.attributes[NOT_BEFORE])
    except (KeyError, ValueError):
        return 0.0
    return max(0.0, (due - now).total_seconds())
