"""The README's picture shows what the commands print now."""

import re
from xml.etree import ElementTree

from tests.docs.picture import COLUMNS, PICTURE, picture

SVG = PICTURE.read_text()


def test_the_picture_is_what_the_commands_print() -> None:
    """`python -m tests.docs.picture` draws it again."""
    assert picture() == SVG


def test_the_picture_refers_to_nothing_outside_of_itself() -> None:
    """It is one small file of text and rectangles, without scripts, fonts, links and images."""
    assert len(SVG.encode()) <= 60_000
    root = ElementTree.fromstring(SVG)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {
        "svg", "title", "style", "rect", "text", "tspan",
    }  # fmt: skip
    assert re.findall(r"https?://[^\"]*", SVG) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@font-face|@import|url\(|href", SVG)


def test_the_picture_tells_the_story() -> None:
    """The run is killed, found as crashed, sealed as far as it was recorded, and shown as interrupted."""
    rows = [
        " ".join(element.itertext()) for element in ElementTree.fromstring(SVG).iter("{http://www.w3.org/2000/svg}text")
    ]
    told = "\n".join(rows)
    places = [told.index(words) for words in ("Killed", "crashed for", "recovered", "interrupted", "crashed: 5")]
    assert places == sorted(places)
    assert max(map(len, rows)) <= COLUMNS
