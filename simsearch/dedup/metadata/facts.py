"""What is noted about one picture, and the forms in which EXIF and XMP write numbers, dates and places."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_RATING = re.compile(r"-?\d(\.\d{1,9})?")
_COORDINATE = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d{1,18})?)(?:,(\d{1,2}(?:\.\d{1,18})?))?([NSEW])")
_DATE = re.compile(r"(\d{4})(?:[-:](\d\d)(?:[-:](\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?))?)?)?")
# Cameras put their maker's name where a person's caption goes.
_NO_CAPTION = re.compile(r"(?:olympus|minolta|kodak|sony|samsung|lg)?[ _]*(?:digital camera|dsc|dcim)?")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is noted about a picture; None and () where nothing is.

    Attributes:
        rating: stars 1 to 5, 0 for none given, -1 for rejected.
        tags: key words, in the order found.
        caption, title: text.
        gps: degrees north and east.
        taken_at: "YYYY-MM-DDTHH:MM:SS", or its beginning from the year on; of the place where it was taken.
        hierarchy: key words with those above them, "places|Berlin".
        camera: whether the camera is named.
        regions: whether faces or other parts are marked.
    """

    rating: int | None = None
    tags: tuple[str, ...] = ()
    caption: str | None = None
    title: str | None = None
    gps: tuple[float, float] | None = None
    taken_at: str | None = None
    hierarchy: tuple[str, ...] = ()
    camera: bool = False
    regions: bool = False

    @property
    def richness(self) -> int:
        """How many of the eight are there: date, camera, place, rating, tags, caption, title, regions."""
        there = (
            self.taken_at,
            self.camera,
            self.gps,
            self.rating,
            self.tags or self.hierarchy,
            self.caption,
            self.title,
            self.regions,
        )
        return sum(map(bool, there))

    def over(self, other: Metadata) -> Metadata:
        """These facts, with those of `other` where there are none; tags of both."""
        return Metadata(
            rating=other.rating if self.rating is None else self.rating,
            tags=union(self.tags, other.tags),
            caption=self.caption or other.caption,
            title=self.title or other.title,
            gps=self.gps or other.gps,
            taken_at=self.taken_at or other.taken_at,
            hierarchy=union(self.hierarchy, other.hierarchy),
            camera=self.camera or other.camera,
            regions=self.regions or other.regions,
        )


def union(*lists: tuple[str, ...]) -> tuple[str, ...]:
    """Every word once, in the order of its first place."""
    return tuple(dict.fromkeys(word for words in lists for word in words))


def rating_of(value: object) -> int | None:
    """The stars that "4", "4.0" or 4 mean; None for anything but -1 to 5."""
    said = str(value).strip()
    if not _RATING.fullmatch(said):
        return None
    stars = int(float(said))
    return stars if -1 <= stars <= 5 else None


def date_of(value: object) -> str | None:
    """EXIF's "2020:05:01 10:00:00" or XMP's "2020-05-01T10:00:00+02:00", without its zone."""
    found = _DATE.match(str(value).strip()[:19])
    # A clock that was never set says 0000.
    if found is None or found[1] == "0000" or "00" in (found[2], found[3]):
        return None
    day = "-".join(part for part in found.groups()[:3] if part)
    if found[4] is None:
        return day
    return f"{day}T{found[4]}" + ":00" * (len(found[4]) == 5)


def place_of(north: float | None, east: float | None) -> tuple[float, float] | None:
    """A place in degrees, or None for none on the globe and for the 0, 0 of a receiver without a signal."""
    if north is None or east is None or not (math.isfinite(north) and math.isfinite(east)):
        return None
    on_globe = abs(north) <= 90 and abs(east) <= 180
    return (north, east) if on_globe and (north, east) != (0, 0) else None


def degrees_of(coordinate: str | None) -> float | None:
    """The degrees of XMP's "52,30.5N" or "52,30,30N", negative for south and west."""
    found = _COORDINATE.fullmatch((coordinate or "").strip())
    if found is None:
        return None
    degrees = int(found[1]) + float(found[2]) / 60 + float(found[3] or 0) / 3600
    return -degrees if found[4] in "SW" else degrees


def coordinate_of(degrees: float, sides: str) -> str:
    """XMP's form of degrees, e.g. "52,30.5N"; `sides` are the letters of plus and minus, "NS" or "EW".

    XMP specification part 2, section 1.2.7.4 (GPSCoordinate).
    """
    whole, millionths = divmod(round(abs(degrees) * 60_000_000), 60_000_000)
    minutes = f"{millionths / 1_000_000:.6f}".rstrip("0")
    return f"{whole},{minutes}{'0' * minutes.endswith('.')}{sides[degrees < 0]}"


def caption_of(text: str | None) -> str | None:
    """A person's caption; None for an empty one and for what a camera writes there by itself."""
    said = (text or "").strip()
    return None if _NO_CAPTION.fullmatch(said.lower()) else said
