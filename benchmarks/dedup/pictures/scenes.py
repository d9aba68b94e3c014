"""Steps that lay something over a picture or put it into a larger one: words, shapes, screens, collages."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from benchmarks.dedup.pictures.frames import Step

CAPTIONS = (
    "when it is monday again",
    "nobody: absolutely nobody:",
    "summer holidays, day three",
    "SOLD OUT until next week",
    "photo of the month",
)
MARK = "SAMPLE PHOTO"
CAPTION_SHARE = 0.9
OVERLAY_AREA = 0.1
MARK_OPACITY = 90
LARGEST_SCREEN = 1280
LIGHT, DARK = ((245, 246, 248), (60, 64, 70)), ((24, 26, 30), (200, 204, 210))


def captioned(picture: Image.Image, chance: random.Random) -> Image.Image:
    """A line of white letters with black edges over nine tenths of the width, at the top or the bottom."""
    made = picture.copy()
    draw = ImageDraw.Draw(made)
    text = chance.choice(CAPTIONS)
    size = 100 * CAPTION_SHARE * made.width / draw.textlength(text, ImageFont.load_default(100))
    share = chance.choice((0.12, 0.88))
    place = (made.width / 2, made.height * share)
    draw.text(
        place, text, "white", ImageFont.load_default(size), "mm", stroke_width=size / 12, stroke_fill="black"
    )
    return made


def watermarked(picture: Image.Image, _: random.Random) -> Image.Image:
    """Half-transparent words across the whole picture, in rows that are set off against each other."""
    layer = Image.new("L", picture.size, 0)
    draw = ImageDraw.Draw(layer)
    font = ImageFont.load_default(max(picture.size) / 16)
    wide, high = draw.textlength(MARK, font) * 1.3, picture.height / 4
    for row in range(4):
        for column in range(-1, math.ceil(picture.width / wide)):
            draw.text((wide * (column + row % 2 / 2), high * (row + 0.3)), MARK, MARK_OPACITY, font)
    return Image.composite(Image.new("RGB", picture.size, "white"), picture, layer)


def covered(picture: Image.Image, chance: random.Random) -> Image.Image:
    """A laughing yellow disc over a tenth of the area."""
    made = picture.copy()
    draw = ImageDraw.Draw(made)
    radius = math.sqrt(OVERLAY_AREA * made.width * made.height / math.pi)
    x, y = (chance.uniform(radius, side - radius) for side in made.size)
    draw.circle((x, y), radius, (255, 205, 50), (120, 80, 0), max(1, round(radius / 20)))
    for side in (-1, 1):
        draw.circle((x + side * radius * 0.35, y - radius * 0.3), radius * 0.12, (60, 35, 0))
    mouth = (x - radius * 0.55, y - radius * 0.45, x + radius * 0.55, y + radius * 0.6)
    draw.chord(mouth, 10, 170, (60, 35, 0))
    return made


def on_screen(share: float) -> Step:
    """A screenshot of a page that shows the picture: its sides are `share` of those of the screen.

    The picture keeps its size unless the screen's longer side would exceed 1,280 pixels.
    """

    def step(picture: Image.Image, chance: random.Random) -> Image.Image:
        scale = min(1.0, LARGEST_SCREEN * share / max(picture.size))
        shown = picture.resize(_times(picture.size, scale), Image.Resampling.LANCZOS)
        screen = _page(_times(shown.size, 1 / share), chance)
        bar = screen.height // 14
        left = chance.randint(0, screen.width - shown.width)
        top = chance.randint(bar, max(bar, screen.height - bar - shown.height))
        screen.paste(shown, (left, top))
        return screen

    return step


def collage(picture: Image.Image, others: Sequence[Image.Image], chance: random.Random) -> Image.Image:
    """2 x 2 with three other pictures, each cut to the size of this one, which is at a place of chance."""
    width, height = picture.size
    tiles = [ImageOps.fit(other, picture.size, Image.Resampling.LANCZOS) for other in others[:3]]
    tiles.insert(chance.randrange(4), picture)
    made = Image.new("RGB", (2 * width, 2 * height))
    for place, tile in enumerate(tiles):
        made.paste(tile, (place % 2 * width, place // 2 * height))
    return made


def _page(size: tuple[int, int], chance: random.Random) -> Image.Image:
    """An empty page with a bar of buttons above, a bar of time below and lines of words between."""
    ground, ink = chance.choice((LIGHT, DARK))
    page = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(page)
    width, height = size
    bar = height // 14
    font = ImageFont.load_default(max(8.0, bar * 0.5))
    for line in range(1, 13):
        words = " ".join(chance.choice(CAPTIONS) for _ in range(4))
        draw.text((bar, bar * (line + 0.3)), words, ink, font)
    for top in (0, height - bar):
        draw.rectangle((0, top, width, top + bar), (52, 84, 140))
        draw.text((width - bar * 4, top + bar * 0.2), f"{chance.randrange(24)}:{17}", "white", font)
        for button in range(4):
            draw.circle((bar * (0.7 + button), top + bar / 2), bar * 0.3, (230, 235, 240))
    return page


def _times(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
