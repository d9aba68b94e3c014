"""The edits that a copy can have gone through, by name."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from benchmarks.dedup.pictures import colours, frames, scenes
from benchmarks.dedup.pictures.frames import Step

KINDS = ("single", "combo", "collage", "extreme")
FILLERS = 3


@dataclass(frozen=True, slots=True)
class Edit:
    """Steps one after the other, then a file.

    Attributes:
        kind: "single", "combo" (three at once), "collage" (first 2 x 2 with others), or "extreme".
        steps: from an RGB picture to the edited one.
        quality: of the file's compression.
        format: Pillow's name of the file's format, "JPEG" or "WEBP".
    """

    kind: str = "single"
    steps: tuple[Step, ...] = ()
    quality: int = 90
    format: str = "JPEG"

    @property
    def suffix(self) -> str:
        """Of the file, with its dot."""
        return ".webp" if self.format == "WEBP" else ".jpg"

    def apply(self, picture: Image.Image, chance: random.Random, others: Sequence[Image.Image] = ()) -> bytes:
        """The file of the edited copy of an RGB picture; a collage wants three others."""
        if self.kind == "collage":
            picture = scenes.collage(picture, others, chance)
        for step in self.steps:
            picture = step(picture, chance)
        stream = io.BytesIO()
        picture.save(stream, self.format, quality=self.quality)
        return stream.getvalue()


def chance_of(original: str, edit: str) -> random.Random:
    """The chance of one edit of one original, the same each time."""
    return random.Random(f"{original}/{edit}")


_MIRROR = frames.turned(Image.Transpose.FLIP_LEFT_RIGHT)
_TILT = frames.tilted(5, whole=False)

EDITS: dict[str, Edit] = {
    "jpeg90": Edit(),
    "jpeg70": Edit(quality=70),
    "jpeg30": Edit(quality=30),
    "jpeg10": Edit(quality=10),
    "webp30": Edit(quality=30, format="WEBP"),
    "half": Edit(steps=(frames.scaled(0.5),)),
    "quarter": Edit(steps=(frames.scaled(0.25),)),
    "crop90": Edit(steps=(frames.cropped(0.9, centred=True),)),
    "crop90-off": Edit(steps=(frames.cropped(0.9),)),
    "crop75": Edit(steps=(frames.cropped(0.75),)),
    "crop60": Edit(steps=(frames.cropped(0.6),)),
    "crop50": Edit(steps=(frames.cropped(0.5),)),
    "border": Edit(steps=(frames.framed,)),
    "letterbox": Edit(steps=(frames.letterboxed,)),
    "mirror": Edit(steps=(_MIRROR,)),
    "flip": Edit(steps=(frames.turned(Image.Transpose.FLIP_TOP_BOTTOM),)),
    "rot90": Edit(steps=(frames.turned(Image.Transpose.ROTATE_90),)),
    "rot180": Edit(steps=(frames.turned(Image.Transpose.ROTATE_180),)),
    "rot270": Edit(steps=(frames.turned(Image.Transpose.ROTATE_270),)),
    "rot5": Edit(steps=(_TILT,)),
    "rot15": Edit(steps=(frames.tilted(15, whole=True),)),
    "perspective": Edit(steps=(frames.slanted,)),
    "grey": Edit(steps=(colours.grey,)),
    "bright-up": Edit(steps=(colours.bright(1.4),)),
    "bright-down": Edit(steps=(colours.bright(0.6),)),
    "contrast-up": Edit(steps=(colours.contrast(1.5),)),
    "contrast-down": Edit(steps=(colours.contrast(0.6),)),
    "saturation": Edit(steps=(colours.saturated(1.8),)),
    "hue": Edit(steps=(colours.hue_turned,)),
    "gamma": Edit(steps=(colours.gamma,)),
    "blur": Edit(steps=(colours.blurred,)),
    "noise": Edit(steps=(colours.noisy,)),
    "text": Edit(steps=(scenes.captioned,)),
    "watermark": Edit(steps=(scenes.watermarked,)),
    "overlay": Edit(steps=(scenes.covered,)),
    "screenshot": Edit(steps=(scenes.on_screen(0.6),)),
    "collage": Edit("collage"),
    "combo-a": Edit("combo", (frames.cropped(0.75), colours.bright(1.4)), quality=30),
    "combo-b": Edit("combo", (_MIRROR, frames.framed, frames.scaled(0.4))),
    "combo-c": Edit("combo", (_TILT, scenes.captioned), quality=30, format="WEBP"),
    "crop25": Edit("extreme", (frames.cropped(0.25),)),
    "jpeg5": Edit("extreme", quality=5),
    "screenshot25": Edit("extreme", (scenes.on_screen(0.25),)),
    "combo5": Edit(
        "extreme",
        (frames.cropped(0.6), _MIRROR, colours.contrast(0.6), scenes.captioned),
        quality=10,
    ),
}
"""Forty edits, and four extreme ones that are reported apart."""
