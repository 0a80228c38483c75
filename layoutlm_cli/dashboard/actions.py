"""The dashboard's actions: each is confirmed on its own page and then posted from there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from layoutlm_cli.dashboard.context import PageContext, in_thread, site_of
from layoutlm_cli.dashboard.forms import read_form
from layoutlm_cli.dashboard.pages.queues import queue_named
from run_analysis.runs import find_run
from workers.operator.cancel import ask_to_cancel
from workers.sqs.dead_letters import DeadLetter, choose, dead_letters


async def confirm_cancel(request: Request) -> Response:
    """Ask whether a run is meant to end."""
    site = site_of(request)
    run = await in_thread(find_run, site.sources.client, request.path_params["job"])
    return site.renderer.page(
        "confirm.html",
        question=f"Cancel {run.name}?",
        consequence=f"It is {run.status}. A running one ends within a heartbeat of its worker, a waiting one "
        "at once. A cancelled job does not start again.",
        deed="Cancel the job",
        back=f"/runs/{run.job_id}",
        section="jobs",
    )


async def cancel(request: Request) -> Response:
    """Ask whoever runs it, or will, to end it."""
    await read_form(request)
    site = site_of(request)
    run = await in_thread(find_run, site.sources.client, request.path_params["job"])
    said = await ask_to_cancel(site.sources.settings, run.job_id)
    return _go_to(site, f"/runs/{run.job_id}", said)


async def _redrive(letter: DeadLetter) -> str:
    await letter.redrive()
    return f"Sent {letter.id} back to {letter.queue}."


async def _delete(letter: DeadLetter) -> str:
    await letter.discard()
    return f"Deleted {letter.id}."


_DEEDS: dict[str, tuple[str, str, Callable[[DeadLetter], Awaitable[str]]]] = {
    "redrive": ("Redrive", "It goes back to its queue just as it came, and is deleted here.", _redrive),
    "delete": ("Delete", "It is gone for good: nothing keeps a copy.", _delete),
}


async def confirm_deed(request: Request) -> Response:
    """Ask whether a dead letter is meant to be sent back, or to be deleted."""
    name, deed = queue_named(request), _deed_named(request)
    verb, consequence, _ = _DEEDS[deed]
    letter_id = request.path_params["letter_id"]
    return site_of(request).renderer.page(
        "confirm.html",
        question=f"{verb} dead letter {letter_id} of {name}?",
        consequence=consequence,
        deed=f"{verb} it",
        back=f"/queues/{name}/letters",
        section="queues",
    )


async def do_deed(request: Request) -> Response:
    """Send a dead letter back, or delete it."""
    await read_form(request)
    name, deed = queue_named(request), _deed_named(request)
    site = site_of(request)
    async with dead_letters(site.sources.settings, name) as letters:
        [letter] = choose(letters, [request.path_params["letter_id"]])
        said = await _DEEDS[deed][2](letter)
    return _go_to(site, "/queues", said)


def _deed_named(request: Request) -> str:
    deed: str = request.path_params["deed"]
    if deed not in _DEEDS:
        raise HTTPException(404)
    return deed


def _go_to(site: PageContext, address: str, said: str) -> Response:
    """A page that loading again does not post once more."""
    return RedirectResponse(f"{address}?notice={site.note(said)}", 303)
