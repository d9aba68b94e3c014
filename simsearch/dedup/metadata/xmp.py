"""An XMP packet as a tree that keeps all that it does not know: hostile bytes are refused, never expanded."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
MAX_BYTES = 4 << 20
_MAX_ELEMENTS, _MAX_ATTRIBUTES, _MAX_DEPTH = 50_000, 10_000, 100
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BEGIN = 'xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"'
_END = 'xpacket end="w"'
_EMPTY = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>'
)

Name = tuple[str, str]
"""A namespace and a local name."""


class XmpRefused(ValueError):
    """Bytes that are no XMP, or are made to harm."""


@dataclass(frozen=True, slots=True)
class Markup:
    """A comment or processing instruction, as it stands."""

    source: str


@dataclass(slots=True)
class Element:
    """One element; tag and attributes are as written, `scope` says what their prefixes mean."""

    tag: str
    attributes: dict[str, str]
    scope: Mapping[str, str]
    children: list[Element | Markup | str] = field(default_factory=list)

    @property
    def name(self) -> Name:
        """Namespace and local name of the tag."""
        prefix, _, local = self.tag.rpartition(":")
        return self.scope.get(prefix, ""), local

    @property
    def elements(self) -> list[Element]:
        """The elements directly below."""
        return [child for child in self.children if isinstance(child, Element)]

    @property
    def text(self) -> str:
        """The text directly below."""
        return "".join(child for child in self.children if isinstance(child, str)).strip()

    def key(self, name: Name) -> str | None:
        """The attribute of this name as it is written, or None."""
        namespace, local = name
        for written in self.attributes:
            prefix, colon, rest = written.rpartition(":")
            if rest == local and colon and prefix != "xmlns" and self.scope.get(prefix) == namespace:
                return written
        return None

    def spelt(self, name: Name, prefix: str) -> str:
        """How to write `name` here; its namespace is declared where it has no prefix, as `prefix` if free."""
        namespace, local = name
        for known, meaning in self.scope.items():
            if known and meaning == namespace:
                return f"{known}:{local}"
        number = 0
        free = prefix
        while free in self.scope:
            number += 1
            free = f"{prefix}{number}"
        self.scope = {**self.scope, free: namespace}
        self.attributes[f"xmlns:{free}"] = namespace
        return f"{free}:{local}"


@dataclass(slots=True)
class Packet:
    """A whole XMP document: its root and what stands around it."""

    root: Element
    around: list[Element | Markup | str]
    declared: bool = False

    @property
    def rdf(self) -> Element:
        """The rdf:RDF element."""
        for element in (self.root, *self.root.elements):
            if element.name == (RDF, "RDF"):
                return element
        raise XmpRefused("it holds no rdf:RDF")

    @property
    def descriptions(self) -> list[Element]:
        """The rdf:Description elements, which hold the properties."""
        return [element for element in self.rdf.elements if element.name == (RDF, "Description")]

    def to_bytes(self) -> bytes:
        """The document in UTF-8, between the two xpacket instructions."""
        inner = "".join(_written(self.around))
        if "<?xpacket begin" not in inner:
            inner = f"<?{_BEGIN}?>\n{inner}\n<?{_END}?>\n"
        head = '<?xml version="1.0" encoding="UTF-8"?>\n' if self.declared else ""
        return (head + inner).encode("utf-8")


def empty_packet() -> Packet:
    """A packet that says nothing yet."""
    return parse(_EMPTY.encode())


def parse(data: bytes) -> Packet:
    """The tree of an XMP document.

    Raises XmpRefused for more than 4 MiB, for what is not well-formed or has no rdf:RDF, and for any document
    type declaration, without which XML can neither expand nor fetch anything
    (https://docs.python.org/3/library/xml.html#xml-security).
    """
    if len(data) > MAX_BYTES:
        raise XmpRefused(f"it is larger than {MAX_BYTES >> 20} MiB")
    reader = _Reader()
    try:
        # Pictures pad their packets; in UTF-16 a zero is half a letter.
        padded = not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        reader.parser.Parse(data.strip(b"\0 \t\r\n") if padded else data, True)
    except (expat.ExpatError, ValueError, LookupError) as exc:
        raise XmpRefused(str(exc)) from exc
    packet = Packet(next(iter(reader.top.elements)), reader.top.children, reader.declared)
    _ = packet.rdf
    return packet


def plain(text: str) -> str:
    """`text` without the characters that XML cannot hold."""
    return _NO_XML.sub("", text)


class _Reader:
    """Builds the tree while expat reads."""

    def __init__(self) -> None:
        self.top = Element("", {}, {"xml": XML})
        self.declared = False
        self._open = [self.top]
        self._count = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.ordered_attributes = True
        self.parser.XmlDeclHandler = self._declare
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.CommentHandler = self._comment
        self.parser.ProcessingInstructionHandler = self._instruction

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        self.declared = True

    def _refuse(self, *what: object) -> None:
        raise XmpRefused("it has a document type declaration")

    def _start(self, tag: str, pairs: list[str]) -> None:
        self._count += 1
        if self._count > _MAX_ELEMENTS or len(self._open) > _MAX_DEPTH or len(pairs) > 2 * _MAX_ATTRIBUTES:
            raise XmpRefused("it holds more than XMP does")
        attributes = dict(zip(pairs[::2], pairs[1::2], strict=True))
        scope = self._open[-1].scope
        own = {
            name.partition(":")[2]: value
            for name, value in attributes.items()
            if name == "xmlns" or name.startswith("xmlns:")
        }
        element = Element(tag, attributes, {**scope, **own} if own else scope)
        for name in (tag, *attributes):
            prefix, colon, _ = name.rpartition(":")
            if colon and prefix != "xmlns" and prefix not in element.scope:
                raise XmpRefused(f"the prefix {prefix} is not declared")
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, tag: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].children.append(text)

    def _comment(self, text: str) -> None:
        self._open[-1].children.append(Markup(f"<!--{text}-->"))

    def _instruction(self, target: str, data: str) -> None:
        self._open[-1].children.append(Markup(f"<?{target} {data}?>"))
        if len(self._open) == 1:
            self._open[-1].children.append("\n")


def _written(children: list[Element | Markup | str]) -> Iterator[str]:
    for child in children:
        if isinstance(child, Markup):
            yield child.source
        elif isinstance(child, str):
            yield _escaped(child)
        else:
            inner = "".join(_written(child.children))
            pairs = "".join(f' {name}="{_quoted(value)}"' for name, value in child.attributes.items())
            yield f"<{child.tag}{pairs}>{inner}</{child.tag}>" if inner else f"<{child.tag}{pairs}/>"


def _escaped(text: str) -> str:
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\r", "&#13;")


def _quoted(text: str) -> str:
    # A reader turns a plain line end or tab within an attribute into a blank.
    return _escaped(text).replace('"', "&quot;").replace("\t", "&#9;").replace("\n", "&#10;")
