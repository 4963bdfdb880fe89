# SPDX-License-Identifier: Apache-2.0
"""A report as its reader meets it: headings, words, pictures, references. Used by the tests of this folder."""

import re
from html.parser import HTMLParser
from pathlib import Path

from klear_verl.report.page import render
from klear_verl.report.sources import discover

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Collects ids, references, headings and text; fails on tags that don't nest."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.labels: list[str] = []
        self.headings: list[str] = []
        self.words = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src"):
                self.references.append(value)
            if name == "aria-label":
                self.labels.append(value)
        self.references += [f"#{name}" for _, value in attrs for name in re.findall(r"url\(#([^)]*)\)", value or "")]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        if self.open and self.open[-1] in ("h2", "h3"):
            self.headings.append(data)
        self.words += data + " "


def page(*directories: Path) -> Page:
    """The report of some directories."""
    return Page(render(discover(directories), "Title"))
