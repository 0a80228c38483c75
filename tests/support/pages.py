"""A page taken apart without running it: its elements, and what they say to a reader without its script."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = {"meta", "br", "img", "link", "input", "hr"}


@dataclass
class Element:
    """One element: its text is all text in it, as a reader would see it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list[Element] = field(default_factory=list)


class Page(HTMLParser):
    """The elements of an HTML text, in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)

    def all(self, tag: str) -> list[Element]:
        return [one for one in self.elements if one.tag == tag]

    @property
    def tables(self) -> dict[str, list[list[str]]]:
        """The rows of each table by its caption, the names of the columns first."""
        return {
            next(one.text for one in table.inside if one.tag == "caption"): [
                [cell.text for cell in row.inside if cell.tag in {"th", "td"}]
                for row in table.inside
                if row.tag == "tr"
            ]
            for table in self.all("table")
        }

    @property
    def policy(self) -> str:
        return next(
            one.attributes["content"]
            for one in self.all("meta")
            if one.attributes.get("http-equiv") == "Content-Security-Policy"
        )

    def hashes(self, directive: str) -> set[str]:
        """The hashes that one directive of the policy allows."""
        return set(re.findall(r"'sha256-([^']+)'", re.findall(rf"{directive} ([^;]*)", self.policy)[0]))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        for outer in self._open:
            outer.inside.append(element)
        self.elements.append(element)
        if tag not in _EMPTY:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1].tag == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data


def hash_of(text: str) -> str:
    """What a policy calls a script or style by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
