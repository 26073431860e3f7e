"""Drawings for the page: what they may hold, and no more bytes than are seen."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from davae.core.hashing import digest

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", SVG)
ELEMENTS = {
    f"{{{SVG}}}{name}"
    for name in ("svg", "g", "defs", "path", "use", "text", "tspan", "title", "rect", "circle",
                 "ellipse", "line", "polyline", "polygon", "clipPath", "image")
}  # fmt: skip
"""What a drawing may be made of: nothing that runs, loads or styles anything else."""
WORDS = {f"{{{SVG}}}{name}" for name in ("text", "tspan", "title")}
"""Elements whose text is shown, with the spaces in it."""
HREFS = ("href", f"{{{XLINK}}}href")
PLACES = ("d", "x", "y", "points")
"""Attributes of coordinates, of which a hundredth of a point is all that is seen."""
STROKES = "stroke-linejoin: round; stroke-linecap: butt"
"""What matplotlib's style sheet says of every line, and is left out with it."""
DIGITS = re.compile(r"-?\d+\.\d{3,}")
SHIFT = re.compile(r"translate\([^)]*\)")
REFERENCE = re.compile(r"url\(#([^)]*)\)")


def harmless(text: str) -> str:
    """An SVG of ELEMENTS alone, that names nothing outside itself, whose ids are its own and short,
    without what draws nothing: white space, ids that nothing refers to, and digits of coordinates
    after the second.

    Raises ValueError for what is no SVG."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no SVG: {error}") from error
    if root.tag != f"{{{SVG}}}svg":
        raise ValueError("it is no SVG")
    ids = {name: f"f{digest(text, 6)}-{i:x}" for i, name in enumerate(referred(root))}
    for element in root.iter():
        for child in list(element):
            if child.tag not in ELEMENTS:
                element.remove(child)
        attributes = [as_allowed(name, value, ids) for name, value in element.attrib.items()]
        element.attrib.clear()
        element.attrib.update(pair for pair in attributes if pair)
        if element.tag not in WORDS:
            element.text = None
            for child in element:
                child.tail = None
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("style", STROKES)
    return ElementTree.tostring(root, encoding="unicode")


def referred(root: ElementTree.Element) -> dict[str, None]:
    """The ids that something in the drawing refers to, in order."""
    found: dict[str, None] = {}
    for element in root.iter():
        for name, value in element.attrib.items():
            found.update(dict.fromkeys(REFERENCE.findall(value)))
            if name in HREFS and value.startswith("#"):
                found[value[1:]] = None
    return found


def as_allowed(name: str, value: str, ids: dict[str, str]) -> tuple[str, str] | None:
    """An attribute as it may stand in the page; None where it refers to something outside the
    drawing, runs something, or names what nothing refers to."""
    if name.lower().startswith("on") or re.search(r"url\((?!#)", value):
        return None
    if name == "id":
        return ("id", ids[value]) if value in ids else None
    if name in HREFS:
        if value.startswith("#"):
            return "href", f"#{ids[value[1:]]}"
        return ("href", value) if value.startswith("data:image/png;") else None
    if name in PLACES:
        value = DIGITS.sub(rounded, value)
    elif name == "transform":
        value = SHIFT.sub(lambda shift: DIGITS.sub(rounded, shift[0]), value)
    value = REFERENCE.sub(lambda found: f"url(#{ids[found[1]]})", value)
    return name, " ".join(value.split())


def rounded(number: re.Match[str]) -> str:
    """To two digits, without zeros that say nothing."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
