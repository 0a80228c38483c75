"""Reports of children to a running test: one datagram per word, over a socket named by the environment.

Holds both ends. The child's end is imported a thousand times, so it imports little, and late.
"""

import json
import os

VARIABLE = "CHAOS_WIRE"


def speak(owner_id: str, word: str, attempt: int, at: float) -> None:
    """Say a word, with the time of day that it is about; it is lost when nobody listens, or too slowly."""
    if VARIABLE not in os.environ:
        return
    import socket  # noqa: PLC0415 - most children have nothing to say

    said = {
        "owner_id": owner_id,
        "word": word,
        "attempt": attempt,
        "pid": os.getpid(),
        "at": at,
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.setblocking(False)
        try:
            wire.sendto(json.dumps(said).encode(), os.environ[VARIABLE])
        except OSError:
            return
