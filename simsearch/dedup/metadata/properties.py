"""The properties of an XMP packet: reading them as facts, and setting those that merging carries over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simsearch.dedup.metadata.facts import (
    Metadata,
    caption_of,
    coordinate_of,
    date_of,
    degrees_of,
    place_of,
    rating_of,
    union,
)
from simsearch.dedup.metadata.xmp import RDF, Element, Name, Packet

PREFIXES = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
_CONTAINERS = {(RDF, "Bag"), (RDF, "Seq"), (RDF, "Alt")}
_DATES = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate")
_REGIONS = ("mwg-rs:Regions", "MP:RegionInfo", "Iptc4xmpExt:ImageRegion")


def facts_of(packet: Packet) -> Metadata:
    """What a packet says of its picture."""
    north, east = (degrees_of(value(packet, f"exif:GPS{side}")) for side in ("Latitude", "Longitude"))
    paths = tuple(path.replace("/", "|") for path in values(packet, "digiKam:TagsList"))
    paths = union(values(packet, "lr:hierarchicalSubject"), paths)
    return Metadata(
        rating=rating_of(value(packet, "xmp:Rating") or ""),
        tags=union(values(packet, "dc:subject"), tuple(path.rpartition("|")[2] for path in paths)),
        caption=caption_of(value(packet, "dc:description")),
        title=value(packet, "dc:title"),
        gps=place_of(north, east),
        taken_at=next((date for name in _DATES if (date := date_of(value(packet, name) or ""))), None),
        hierarchy=paths,
        camera=bool(value(packet, "tiff:Model") or value(packet, "tiff:Make")),
        regions=any(holder.elements for name in _REGIONS for holder in _elements(packet, name)),
    )


def value(packet: Packet, name: str) -> str | None:
    """The text of a property; of several languages the default one, else the first. None where empty."""
    for description in packet.descriptions:
        written = description.key(_named(name))
        if written is not None and description.attributes[written].strip():
            return description.attributes[written].strip()
    for element in _elements(packet, name):
        items = sorted(_items(element), key=lambda item: item.attributes.get("xml:lang") != "x-default")
        for text in (*(item.text for item in items), element.text):
            if text:
                return text
    return None


def values(packet: Packet, name: str) -> tuple[str, ...]:
    """The texts of a property that is a list, without empty ones."""
    for element in _elements(packet, name):
        texts = tuple(text for item in _items(element) if (text := item.text))
        if texts:
            return texts
    single = value(packet, name)
    return (single,) if single else ()


def write(packet: Packet, change: Metadata) -> None:
    """Make a packet say what `change` says; what it says of anything else stays.

    Lists that are there get what they lack. Where the packet has key words in Lightroom's or digiKam's
    hierarchy, which these programs read in place of the flat ones, new flat ones are added there too.
    """
    if change.rating is not None:
        _set_text(packet, "xmp:Rating", str(change.rating))
    if change.tags:
        _add_items(packet, "dc:subject", "Bag", change.tags)
    known = values(packet, "lr:hierarchicalSubject")
    listed = values(packet, "digiKam:TagsList")
    paths = change.hierarchy
    if known or listed or paths:
        parts = {part for path in (*known, *paths) for part in path.split("|")}
        parts |= {part for path in listed for part in path.split("/")}
        paths = union(paths, tuple(tag for tag in change.tags if tag not in parts))
    if paths and (known or not listed):
        _add_items(packet, "lr:hierarchicalSubject", "Bag", paths)
    if paths and listed:
        _add_items(packet, "digiKam:TagsList", "Seq", tuple(path.replace("|", "/") for path in paths))
    if change.caption:
        _set_default(packet, "dc:description", change.caption)
    if change.title:
        _set_default(packet, "dc:title", change.title)
    if change.taken_at:
        _set_text(packet, "photoshop:DateCreated", change.taken_at)
        _set_text(packet, "exif:DateTimeOriginal", change.taken_at)
    if change.gps:
        _set_text(packet, "exif:GPSLatitude", coordinate_of(change.gps[0], "NS"))
        _set_text(packet, "exif:GPSLongitude", coordinate_of(change.gps[1], "EW"))


def _named(name: str) -> Name:
    prefix, _, local = name.partition(":")
    return PREFIXES[prefix], local


def _elements(packet: Packet, name: str) -> Iterator[Element]:
    wanted = _named(name)
    for description in packet.descriptions:
        yield from (element for element in description.elements if element.name == wanted)


def _items(element: Element) -> list[Element]:
    containers = (child for child in element.elements if child.name in _CONTAINERS)
    return [item for holder in containers for item in holder.elements if item.name == (RDF, "li")]


def _home(packet: Packet) -> Element:
    """The description that new properties go to."""
    if not packet.descriptions:
        rdf = packet.rdf
        description = Element(rdf.spelt((RDF, "Description"), "rdf"), {}, rdf.scope)
        description.attributes[rdf.spelt((RDF, "about"), "rdf")] = ""
        rdf.children.append(description)
    return packet.descriptions[0]


def _remove(packet: Packet, name: str) -> None:
    wanted = _named(name)
    for description in packet.descriptions:
        while (written := description.key(wanted)) is not None:
            del description.attributes[written]
        description.children = [
            child
            for child in description.children
            if not (isinstance(child, Element) and child.name == wanted)
        ]


def _set_text(packet: Packet, name: str, text: str) -> None:
    _remove(packet, name)
    home = _home(packet)
    home.attributes[home.spelt(_named(name), name.partition(":")[0])] = text


def _set_default(packet: Packet, name: str, text: str) -> None:
    _remove(packet, name)
    holder = _container(packet, name, "Alt")
    holder.children.append(_item(holder, text, {"xml:lang": "x-default"}))


def _add_items(packet: Packet, name: str, kind: str, texts: Iterable[str]) -> None:
    there = values(packet, name)
    holder = next(
        (child for element in _elements(packet, name) for child in element.elements if _items(element)), None
    )
    if holder is None:
        _remove(packet, name)
        holder = _container(packet, name, kind)
        texts, there = union(there, tuple(texts)), ()
    holder.children += [_item(holder, text, {}) for text in texts if text not in there]


def _container(packet: Packet, name: str, kind: str) -> Element:
    home = _home(packet)
    element = Element(home.spelt(_named(name), name.partition(":")[0]), {}, home.scope)
    holder = Element(home.spelt((RDF, kind), "rdf"), {}, home.scope)
    element.children.append(holder)
    home.children.append(element)
    return holder


def _item(holder: Element, text: str, attributes: dict[str, str]) -> Element:
    tag = holder.spelt((RDF, "li"), "rdf")
    return Element(tag, attributes, holder.scope, [text])
