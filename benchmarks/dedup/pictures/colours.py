"""Steps that leave every pixel where it is: tones, colours, blur, noise, compression."""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from benchmarks.dedup.pictures.frames import Step

HUE_TURN = 60
GAMMA = 1.8
BLUR_RADIUS, BLUR_SIDE = 2.0, 384
NOISE = 25.0


def grey(picture: Image.Image, _: random.Random) -> Image.Image:
    """Without colour."""
    return ImageOps.grayscale(picture).convert("RGB")


def bright(factor: float) -> Step:
    """All values times `factor`."""
    return lambda picture, _: ImageEnhance.Brightness(picture).enhance(factor)


def contrast(factor: float) -> Step:
    """All distances from the mean grey times `factor`."""
    return lambda picture, _: ImageEnhance.Contrast(picture).enhance(factor)


def saturated(factor: float) -> Step:
    """All distances from grey times `factor`."""
    return lambda picture, _: ImageEnhance.Color(picture).enhance(factor)


def hue_turned(picture: Image.Image, chance: random.Random) -> Image.Image:
    """All hues turned by 60 degrees, either way."""
    turn = round(HUE_TURN / 360 * 256) * chance.choice((-1, 1))
    hue, saturation, value = picture.convert("HSV").split()
    table = [(level + turn) % 256 for level in range(256)]
    return Image.merge("HSV", (hue.point(table), saturation, value)).convert("RGB")


def gamma(picture: Image.Image, chance: random.Random) -> Image.Image:
    """Middle tones lighter or darker: values between 0 and 1 to the power of 1.8 or of 1 / 1.8."""
    power = GAMMA ** chance.choice((-1, 1))
    return picture.point([round(255 * (level / 255) ** power) for level in range(256)] * 3)


def blurred(picture: Image.Image, _: random.Random) -> Image.Image:
    """Gaussian blur with a radius of 2 pixels where the longer side has 384."""
    return picture.filter(ImageFilter.GaussianBlur(BLUR_RADIUS * max(picture.size) / BLUR_SIDE))


def noisy(picture: Image.Image, chance: random.Random) -> Image.Image:
    """Gaussian noise on each value, standard deviation 25 of 255."""
    noise = np.random.default_rng(chance.getrandbits(63)).normal(0, NOISE, (*picture.size[::-1], 3))
    return Image.fromarray(np.clip(np.rint(np.asarray(picture) + noise), 0, 255).astype(np.uint8))


def squeezed(quality: int) -> Step:
    """Through JPEG and back."""

    def step(picture: Image.Image, _: random.Random) -> Image.Image:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality)
        with Image.open(stream) as image:
            return image.convert("RGB")

    return step
