"""Edits that make copies of a picture, as people and programs make them."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Edit = Callable[[Image.Image, Random], Image.Image]
Pixels = NDArray[np.uint8]

FILTER = Image.Resampling.BICUBIC


def _encoded(kind: str, quality: int) -> Edit:
    def edit(image: Image.Image, _: Random) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, kind, quality=quality)
        with Image.open(stream) as again:
            return again.convert("RGB")

    return edit


def _smaller(share: float) -> Edit:
    def edit(image: Image.Image, _: Random) -> Image.Image:
        width, height = (min(side, max(16, round(side * share))) for side in image.size)
        return image.resize((width, height), FILTER)

    return edit


def _cropped(area: float) -> Edit:
    def edit(image: Image.Image, chance: Random) -> Image.Image:
        # Never larger than the picture: what lay beyond its edge would be a black frame.
        width, height = (min(side, max(16, round(side * area**0.5))) for side in image.size)
        left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
        return image.crop((left, top, left + width, top + height))

    return edit


def _framed(image: Image.Image, chance: Random) -> Image.Image:
    return ImageOps.expand(image, max(image.size) // 10, chance.choice(("black", "white")))


def _turned(method: Image.Transpose) -> Edit:
    return lambda image, _: image.transpose(method)


def _tilted(image: Image.Image, chance: Random) -> Image.Image:
    return image.rotate(chance.choice((-5, 5)), FILTER)


def _grey(image: Image.Image, _: Random) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


def _lighter(image: Image.Image, chance: Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(chance.choice((0.65, 1.4)))


def _harder(image: Image.Image, chance: Random) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(chance.choice((0.6, 1.6)))


def _blurred(image: Image.Image, _: Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 200))


def _noisy(image: Image.Image, chance: Random) -> Image.Image:
    noise = np.random.default_rng(chance.getrandbits(32)).normal(0, 20, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def _written_on(image: Image.Image, chance: Random) -> Image.Image:
    marked = image.copy()
    size = max(10, image.width // 10)
    place = (image.width // 12, chance.choice((image.height // 10, image.height * 3 // 4)))
    ImageDraw.Draw(marked).text(
        place, "a caption", fill="white", stroke_fill="black", stroke_width=1, font_size=size
    )
    return marked


def _covered(image: Image.Image, chance: Random) -> Image.Image:
    marked = image.copy()
    side = round((image.width * image.height * 0.08) ** 0.5)
    left, top = chance.randint(0, max(0, image.width - side)), chance.randint(0, max(0, image.height - side))
    ImageDraw.Draw(marked).ellipse(
        (left, top, left + side, top + side), fill=chance.choice(("gold", "crimson"))
    )
    return marked


def _one_after_another(*edits: Edit) -> Edit:
    def edit(image: Image.Image, chance: Random) -> Image.Image:
        for each in edits:
            image = each(image, chance)
        return image

    return edit


EDITS: dict[str, Edit] = {
    "JPEG 30": _encoded("JPEG", 30),
    "JPEG 10": _encoded("JPEG", 10),
    "WebP 30": _encoded("WEBP", 30),
    "half size": _smaller(0.5),
    "quarter size": _smaller(0.25),
    "crop 90 %": _cropped(0.9),
    "crop 75 %": _cropped(0.75),
    "crop 50 %": _cropped(0.5),
    "frame": _framed,
    "mirror": _turned(Image.Transpose.FLIP_LEFT_RIGHT),
    "quarter turn": _turned(Image.Transpose.ROTATE_90),
    "half turn": _turned(Image.Transpose.ROTATE_180),
    "5 degrees": _tilted,
    "grey": _grey,
    "brightness": _lighter,
    "contrast": _harder,
    "blur": _blurred,
    "noise": _noisy,
    "caption": _written_on,
    "sticker": _covered,
    "crop, light, JPEG": _one_after_another(_cropped(0.75), _lighter, _encoded("JPEG", 30)),
    "mirror, frame, half size": _one_after_another(
        _turned(Image.Transpose.FLIP_LEFT_RIGHT), _framed, _smaller(0.5)
    ),
}


def edited(pixels: Pixels, name: str, seed: str) -> Pixels:
    """The picture uint8 (H, W, 3) after the edit of that name; the same for the same `seed`."""
    return np.asarray(EDITS[name](Image.fromarray(pixels), Random(f"{seed} {name}")), dtype=np.uint8)
