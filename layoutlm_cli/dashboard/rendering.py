"""Renders pages as HTML: one template environment that escapes everything from a record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from receipt_dynamo.skipped import skipped_so_far
from run_analysis.report import formatting as values

HERE = Path(__file__).parent
_REPORT = PrefixLoader({"report": PackageLoader("run_analysis.report")})
"""Tables and receipts look as they do in a run's report."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a page; its version tells whether the one that a browser shows is the same."""

    html: str
    version: str


class Renderer:
    """The templates, with what every page needs.

    Args:
        every_page: names that each template knows.
    """

    def __init__(self, **every_page: Any) -> None:
        self._templates = Environment(
            loader=ChoiceLoader([FileSystemLoader(HERE / "templates"), _REPORT]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        names = ("anything", "moment", "number", "score", "seconds")
        self._templates.filters |= {"clock": clock, **{name: getattr(values, name) for name in names}}
        self._templates.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
        self._templates.globals |= {"skipped": skipped_so_far, **every_page}

    def page(self, name: str, /, status: int = 200, **context: Any) -> HTMLResponse:
        """A whole page."""
        return HTMLResponse(self._templates.get_template(name).render(**context), status)

    def fragments(self, names: Iterable[str], context: Mapping[str, Any]) -> dict[str, Fragment]:
        """The parts of a page by the id that each has there: `run/progress` becomes `run-progress`."""
        return {name.replace("/", "-"): self._fragment(name, context) for name in names}

    def live_page(
        self, name: str, /, fragments: Mapping[str, Fragment], feed: str | None, **context: Any
    ) -> HTMLResponse:
        """A page of parts; they are replaced as they change where the events at `feed` say so."""
        parts = {part: _section(part, fragment) for part, fragment in fragments.items()}
        return self.page(name, parts=parts, feed=feed, **context)

    def _fragment(self, name: str, context: Mapping[str, Any]) -> Fragment:
        html = self._templates.get_template(f"{name}.html").render(**context)
        return Fragment(html, hashlib.sha256(html.encode()).hexdigest()[:16])


def _section(part: str, fragment: Fragment) -> Markup:
    # The HTML comes from a template that has escaped what is in it.
    html = Markup(fragment.html)  # noqa: S704 - rendered by autoescaping templates just before
    return Markup('<div class="part" id="{}" data-version="{}">{}</div>').format(part, fragment.version, html)


def clock(text: str | None) -> Markup | str:
    """A time of the records to the second, in UTC as every page says; the machine's own form beside it."""
    if not text:
        return values.NOT_KNOWN
    return Markup('<time datetime="{}">{}</time>').format(text, values.moment(text))
