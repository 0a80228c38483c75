"""Routes and middleware."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from layoutlm_cli.dashboard import actions, submission
from layoutlm_cli.dashboard.context import PageContext, Sources
from layoutlm_cli.dashboard.error_pages import HANDLERS
from layoutlm_cli.dashboard.pages import compare, jobs, queues, receipts, run, workers
from layoutlm_cli.dashboard.rendering import HERE
from layoutlm_cli.dashboard.security import RequestGuard
from layoutlm_cli.dashboard.skipping import SkippedNoted

READING = (
    Route("/jobs", jobs.show_jobs),
    Route("/runs/{job}", run.show_run),
    Route("/runs/{job}/events", run.send_events),
    Route("/runs/{job}/receipts", receipts.show_receipts),
    Route("/compare", compare.show_comparison),
    Route("/queues", queues.show_queues),
    Route("/queues/events", queues.send_events),
    Route("/queues/{name}/oldest", queues.show_oldest),
    Route("/queues/{name}/letters", queues.show_letters),
    Route("/workers", workers.show_workers),
    Route("/workers/events", workers.send_events),
    Route("/vega.js", run.send_vega),
    Route("/theme.css", run.send_theme),
    Mount("/static", StaticFiles(directory=HERE / "static")),
)
# Not there at all unless allowed: what cannot be reached needs no further guard.
ACTING = (
    Route("/runs/{job}/cancel", actions.confirm_cancel, methods=["GET"]),
    Route("/runs/{job}/cancel", actions.cancel, methods=["POST"]),
    Route("/queues/{name}/letters/{letter_id}/{deed}", actions.confirm_deed, methods=["GET"]),
    Route("/queues/{name}/letters/{letter_id}/{deed}", actions.do_deed, methods=["POST"]),
    Route("/submit", submission.show_form, methods=["GET"]),
    Route("/submit", submission.check_form, methods=["POST"]),
    Route("/submit/send", submission.send, methods=["POST"]),
)


def make_app(sources: Sources, port: int, *, allow_actions: bool = False) -> RequestGuard:
    """The application that a server on this port of 127.0.0.1 runs.

    Args:
        sources: open for as long as the application runs.
        port: which Host headers it answers to.
        allow_actions: whether it may cancel, redrive, delete and submit.
    """
    app = Starlette(
        routes=[Route("/", _to_jobs), *READING, *(ACTING if allow_actions else ())],
        exception_handlers=HANDLERS,
    )
    app.state.site = PageContext.make(sources, allow_actions=allow_actions)
    app.add_middleware(SkippedNoted)
    return RequestGuard(app, port)  # outside of all, so that the page of a defect has its headers, too


async def _to_jobs(_: Request) -> RedirectResponse:
    return RedirectResponse("/jobs", 303)
