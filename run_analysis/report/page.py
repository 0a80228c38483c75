"""Renders templates into one self-contained page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from run_analysis.report import formatting as values
from run_analysis.report.receipt_drawings import DrawnReceipt
from run_analysis.report.tables import Table

_PACKAGE = "run_analysis.report"


def render(template: str, **context: Any) -> str:
    """A page of the templates; everything that is not a template's own text is escaped.

    The policy lets run what this module put there, by its hash, and nothing else: text of a receipt that
    slipped through the escaping would still be dead.
    """
    style = theme_css() + _read("page.css")
    scripts = (vega_javascript(), charts_javascript())
    return (
        _environment()
        .get_template(template)
        .render(
            **context,
            policy=_policy(style, scripts),
            style=Markup(style),  # noqa: S704 - our own file
            scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own file, and Vega's
        )
    )


@cache
def vega_javascript() -> str:
    """Vega, Vega-Lite and vega-embed as one script that sets `vegaEmbed`; takes about two seconds to make."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def charts_javascript() -> str:
    """The script that draws `data-chart` elements of a page, and sets `drawChart(element, spec)`."""
    return _read("charts.js")


def theme_css() -> str:
    """The colours that chart specs name, for light and dark, and the look of Vega's tooltip."""
    return _read("theme.css")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= {"score": values.score, "number": values.number, "moment": values.moment}
    environment.globals["wrong_words"] = _wrong_words
    return environment


@cache
def _read(name: str) -> str:
    source, _, _ = jinja2.PackageLoader(_PACKAGE).get_source(jinja2.Environment(autoescape=True), name)
    return source


def _policy(style: str, scripts: Sequence[str]) -> str:
    allowed = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _wrong_words(drawn: DrawnReceipt) -> Table:
    rows = tuple(
        (word.mark, word.text, word.gold, word.predicted, f"{word.confidence:.2f}") for word in drawn.wrong
    )
    columns = ("mark", "word", "true", "predicted", "probability")
    return Table("Words that are wrong", columns, rows, numbers_from=4)
