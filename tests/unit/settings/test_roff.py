"""Blocks as manual pages: what stands in them is what a reader sees."""

import subprocess

import pytest

from granian_d.settings.page import (
    Comment,
    Heading,
    Listing,
    Paragraph,
    Points,
    Table,
    markdown,
)
from granian_d.settings.roff import manual_page
from tests.process.tools import need

# What roff takes for requests, escapes and typography.
NASTY = (
    ".TH is no request",
    "'br neither",
    r"\fBold\e \\ \n",
    "--flag-name -x '~/it''s' `a` ^b \"c\"",
    "%(dt_ms).3f .5",
    "naïve ✓",
)


def shown(blocks) -> str:
    """The text of a page, as mandoc sets it without fonts."""
    page = manual_page("page", 5, blocks)
    command = [need("mandoc", "mandoc"), "-mman", "-Tutf8", "-Owidth=78"]
    done = subprocess.run(command, input=page, capture_output=True, text=True, check=True)
    text = done.stdout
    while "\b" in text:  # bold is a letter over itself
        text = text[: text.index("\b") - 1] + text[text.index("\b") + 1 :]
    return text


@pytest.mark.parametrize("line", NASTY)
def test_a_listing_is_shown_as_it_is(line):
    assert f" {line}\n" in shown([Heading("Name", 1), Listing(f"first\n{line}\nlast")])


@pytest.mark.parametrize("line", [line for line in NASTY if "`" not in line])
def test_code_is_shown_as_it_is(line):
    text = shown([Heading("Name", 1), Paragraph(f"`{line}`"), Table((), ((f"`{line}`", "what"),))])
    assert text.count(f" {line}\n") == 2


def test_marks_are_fonts_and_single_stars_are_stars():
    page = manual_page("p", 8, [Paragraph("a `b-c` **d** *e f* g * h, * i")])
    assert "a \\fBb\\-c\\fR \\fBd\\fR \\fIe f\\fR g * h, * i" in page


def test_sentences_begin_on_lines_of_their_own():
    page = manual_page("p", 8, [Paragraph("It is `so`. *Then* not (RFC 1). E.g. .x.")])
    assert page.splitlines()[-3:] == ["It is \\fBso\\fR.", "\\fIThen\\fR not (RFC 1).", "E.g. .x."]


def test_no_line_becomes_a_request_by_folding():
    text = "word " * 15 + "word .so /etc/passwd 'br " + "word " * 20
    page = manual_page("p", 8, [Heading("Name", 1), Paragraph(text)])
    requests = [line for line in page.splitlines() if line.startswith((".", "'"))]
    assert requests == [page.splitlines()[0], ".nh", ".ad l", '.SH "NAME"']
    assert ".so /etc/passwd 'br" in " ".join(shown([Paragraph(text)]).split())


def test_the_same_blocks_are_markdown():
    blocks = (
        Heading("Title", 2),
        Comment("made"),
        Paragraph("some `text`"),
        Points(("one", "two " * 40)),
        Table(("a", "b"), (("1|2", ""),)),
        Listing("x\ny\n"),
    )
    title, made, text, points, table, listing = markdown(blocks).split("\n\n")
    assert (title, made, text) == ("## Title", "<!-- made -->", "some `text`")
    assert points.startswith("- one\n- two two")
    assert points.splitlines()[2].startswith("  two")
    assert table == "| a | b |\n|---|---|\n| 1\\|2 |  |"
    assert listing == "    x\n    y\n"
