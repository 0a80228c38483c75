"""Draws schedules from seeds: a few workers, a few jobs, and what goes wrong, near what it can hit."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.simulation.network import Service, Way
from tests.simulation.plan import (
    LEASE_SECONDS,
    SETTINGS,
    TRAINED_ID,
    TRAINED_NAME,
    Cancel,
    Deed,
    Kind,
    Mishap,
    Plan,
    Request,
    Worker,
)
from tests.simulation.queue import Manners
from workers.runtime.request_bodies import MOST_BYTES


def draw_plan(seed: int) -> Plan:
    """Draw a schedule."""
    draw = random.Random(seed)
    kinds: tuple[Kind, ...] = draw.choice(
        [
            ("train",) * 2,
            ("train",) * 3,
            ("train", "export"),
            ("train", "train", "export"),
            ("train", "train", "export", "export"),
            ("export",) * 2,
        ]
    )
    workers = tuple(_draw_worker(draw, kind) for kind in kinds)
    requests = _draw_sizes(random.Random(f"sizes {seed}"), _draw_requests(draw, kinds))
    return Plan(
        seed=seed,
        workers=workers,
        requests=requests,
        cancels=_draw_cancels(draw, requests),
        mishaps=tuple(
            _draw_mishap(draw, len(kinds), requests) for _ in range(draw.choice([0, 1, 1, 2, 2, 3, 5]))
        ),
        settings=_draw_settings(draw),
        manners=_draw_manners(draw),
        max_invisible=draw.choice([43_200.0, 130.0]),
        index_lag=draw.choice([0.0, 0.5, 40.0]),
        lost=draw.choice([0.0, 0.0, 0.2]),
    )


def _draw_worker(draw: random.Random, kind: Kind) -> Worker:
    return Worker(
        kind,
        booted=draw.uniform(-1e6, 0),
        wrong_by=draw.choice([0.0, 0.0, draw.uniform(-5, 5), draw.uniform(-3600, 3600)]),
        slowest=draw.choice([0.05, 0.05, 0.5, 2.0]),
    )


def _draw_settings(draw: random.Random) -> dict[str, Any]:
    return {
        **SETTINGS,
        "poll_seconds": draw.choice([5, 10, 20]),
        "drain_seconds": draw.choice([10.0, 60.0, 60.0]),
        "message_seconds": draw.choice([40.0, 90.0, 39_600.0]),
        "max_claims": draw.choice([50, 50, 4]),
    }


def _draw_manners(draw: random.Random) -> Manners:
    if draw.random() < 0.5:
        return Manners()
    seldom = [0.0, 0.05, 0.3]
    return Manners(*(draw.choice(seldom) for _ in range(4)))


def _draw_requests(draw: random.Random, kinds: Sequence[Kind]) -> tuple[Request, ...]:
    found: list[Request] = []
    names = [f"run-{letter}" for letter in draw.sample("abcd", 4)]
    for number in range(draw.choice([1, 1, 2, 3])):
        kind: Kind = kinds[0] if draw.random() < 0.9 else draw.choice(kinds)
        at = draw.uniform(0, 60)
        name = names[0] if draw.random() < 0.1 else names[number]
        found += _draw_sendings(draw, at, kind, _draw_body(draw, kind, name))
    return tuple(sorted(found, key=lambda request: request.at))


def _draw_sizes(draw: random.Random, requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """Make some trainings, each in all its sendings, larger than a lease may hold."""
    large = {request.owner_id for request in requests if draw.random() < 0.1}
    return tuple(
        replace(request, body=_with_note(request.body))
        if request.kind == "train" and request.owner_id in large and request.owner_id is not None
        else request
        for request in requests
    )


def _with_note(body: str) -> str:
    return json.dumps({**json.loads(body), "tags": {"note": "x" * MOST_BYTES}})


def _draw_body(draw: random.Random, kind: Kind, name: str) -> dict[str, Any]:
    drawn_id = str(uuid.UUID(int=draw.getrandbits(128), version=4))
    if kind == "train":
        return {"job_id": drawn_id, "job_name": name, "auto_export": draw.random() < 0.3}
    place = f"s3://bucket/coreml/{name}/"
    # Without a training of that id or name the export is refused.
    training = TRAINED_ID if draw.random() < 0.8 else draw.choice([TRAINED_NAME, "unknown"])
    return {
        "export_id": drawn_id,
        "job_id": training,
        "model_s3_uri": "s3://bucket/best/",
        "output_s3_prefix": place,
    }


def _draw_sendings(draw: random.Random, at: float, kind: Kind, body: dict[str, Any]) -> list[Request]:
    """One job, as it is usually sent, or twice, or with something wrong about it."""
    owner_id = str(body["export_id" if kind == "export" else "job_id"])
    # Who names the training by its name only sends a message.
    registered = draw.random() < 0.5 and body["job_id"] not in {TRAINED_NAME, "unknown"}
    once = Request(at, kind, json.dumps(body), owner_id, registered)
    dice = draw.random()
    if dice < 0.70:
        return [once]
    later = at + draw.choice([0.0, 5.0, draw.uniform(0, 200)])
    if dice < 0.85:  # two senders, or one that is not sure
        return [once, replace(once, at=later, body=json.dumps(body, indent=1))]
    if dice < 0.92:  # two senders that disagree; the fields that differ are harmless ones
        other = {**body, "quantize": "int8" if kind == "export" else None}
        # A message that got lost would leave the other one's request as the first.
        once = replace(once, registered=False)
        return [once, replace(once, at=later, body=json.dumps(other))]
    wrong = {**body, "nonsense": 1} if draw.random() < 0.5 else "not json"
    text = wrong if isinstance(wrong, str) else json.dumps(wrong)
    return [Request(at, kind, text, None)]


def _draw_cancels(draw: random.Random, requests: tuple[Request, ...]) -> tuple[Cancel, ...]:
    return tuple(
        Cancel(max(0.0, request.at + draw.uniform(-10, 150)), request.kind, request.owner_id)
        for request in requests
        if request.owner_id is not None and draw.random() < 0.15
    )


def _draw_mishap(draw: random.Random, slots: int, requests: tuple[Request, ...]) -> Mishap:
    at = draw.choice(requests).at + draw.uniform(-5, 100)
    mishap = Mishap(draw.choices(_DEEDS, _WEIGHTS)[0], draw.randrange(slots), max(0.0, at))
    if mishap.deed == "jump":
        return replace(mishap, seconds=draw.choice([-1, 1]) * draw.uniform(1, 7200))
    if mishap.deed == "cut":
        services: tuple[Service, ...] = draw.choice([("table",), ("queue",), ("table", "queue", "bucket")])
        way = draw.choice([Way.REFUSED, Way.SILENT, Way.DEAF, Way.THROTTLED])
        return replace(mishap, seconds=draw.uniform(1, 100), services=services, way=way)
    if draw.random() < 0.7:
        call, most = draw.choice(_CALLS)
        number = draw.randint(1, most)
        mishap = replace(mishap, at=None, call=call, number=number, after=draw.random() < 0.5)
    if mishap.deed == "sigterm":
        return replace(mishap, seconds=draw.choice([0.0, 0.0, 1.0, 8.0]))
    length = draw.choice([LEASE_SECONDS / 3, LEASE_SECONDS, 2 * LEASE_SECONDS, 4 * LEASE_SECONDS])
    return replace(mishap, seconds=length * draw.uniform(0.5, 1.2), whole_host=draw.random() < 0.5)


_DEEDS: tuple[Deed, ...] = ("crash", "freeze", "cut", "jump", "sigterm")
_WEIGHTS = (30, 35, 20, 3, 20)
_CALLS: tuple[tuple[str | None, int], ...] = (
    (None, 40),
    ("update_item", 20),
    ("put_item", 4),
    ("get_item", 2),
    ("send_message", 4),
    ("delete_message", 3),
    ("change_message_visibility", 8),
    ("receive_message", 6),
    ("spawn", 3),
)
"""What a mishap may come with, and which one of those at most."""
