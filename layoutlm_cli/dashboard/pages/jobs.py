"""The page of recorded runs: filtered, in pages, with check boxes for a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from layoutlm_cli.dashboard.context import in_thread, site_of
from receipt_dynamo.entities.field_types import JobState
from run_analysis.runs import ALL_STATES, PAGE, RunSummary, list_runs

LOOKED_THROUGH = 200
"""Runs that a filter by name or tag goes through for one page: the table has an index of neither."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs are shown; an empty text lets every run pass.

    Attributes:
        name: what the name contains, in either case.
        tag: `key`, or `key=value`.
    """

    status: str = ""
    name: str = ""
    tag: str = ""

    @classmethod
    def of(cls, request: Request) -> Filter:
        """Read it from an address.

        Raises:
            HTTPException: there is no such status.
        """
        given = {field: request.query_params.get(field, "").strip() for field in cls.__dataclass_fields__}
        if given["status"] and given["status"] not in ALL_STATES:
            raise HTTPException(400, f"There is no such status. Use one of {', '.join(ALL_STATES)}.")
        return cls(**given)

    @property
    def statuses(self) -> tuple[JobState, ...]:
        """The statuses that are asked for."""
        return tuple(state for state in get_args(JobState) if self.status in {"", state})

    @property
    def by_text(self) -> bool:
        """Whether runs have to be read to know if they pass."""
        return bool(self.name or self.tag)

    def passes(self, run: RunSummary) -> bool:
        """Whether a run is shown."""
        key, _, value = self.tag.partition("=")
        return self.name.lower() in run.name.lower() and (
            not key or (key in run.tags and value in {"", run.tags[key]})
        )

    def as_query(self) -> dict[str, str]:
        """What its address says."""
        return {name: text for name in self.__slots__ if (text := getattr(self, name))}


async def show_jobs(request: Request) -> Response:
    """One page of runs, the newest first; one query of the index a status."""
    site, wanted = site_of(request), Filter.of(request)
    page = await in_thread(
        list_runs,
        site.sources.client,
        statuses=wanted.statuses,
        limit=LOOKED_THROUGH if wanted.by_text else PAGE,
        cursor=request.query_params.get("cursor"),
    )
    return site.renderer.page(
        "jobs.html",
        runs=[run for run in page.runs if wanted.passes(run)],
        looked_through=len(page.runs) if wanted.by_text else None,
        older=wanted.as_query() | {"cursor": page.cursor} if page.cursor else None,
        is_first="cursor" not in request.query_params,
        filter=wanted,
        states=ALL_STATES,
        notice=site.notice(request),
    )
