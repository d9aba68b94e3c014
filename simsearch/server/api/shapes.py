"""What requests look like, as pydantic checks and describes them; answers are the records of the engine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LONGEST = 4096
"""Characters of a path or a condition."""

MOST_NAMES = 100
MOST_EXPANDED = 50
LARGEST_ID = 2**63 - 1

Name = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Names = Annotated[list[Name], Field(max_length=MOST_NAMES)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
Weight = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class Shape(BaseModel):
    """What comes in: nothing but what is named here, and of no other type."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Picture(Shape):
    """An indexed photo, by exactly one of its id and its path."""

    id: int | None = Field(None, ge=1, le=LARGEST_ID)
    path: Name | None = Field(None, description="Absolute, spelt as in the answers of this server.")
    weight: Weight | None = Field(None, description="Of a photo to be like 1, of one to be unlike 0.25.")

    @model_validator(mode="after")
    def _named_once(self) -> Picture:
        if (self.id is None) == (self.path is None):
            raise ValueError("a photo is named by its id or by its path")
        return self


class Wish(Shape):
    """What is asked besides pictures; the same as the options of `simsearch query`, see docs/queries.md."""

    plus: list[Picture] = Field([], description="Indexed photos to be like.")
    minus: list[Picture] = Field([], description="Indexed photos to be unlike.")
    k: int = Field(10, ge=1, description="How many hits.")
    offset: int = Field(0, ge=0, description="How many of the best are left out: the next page.")
    min_score: Cosine | None = None
    max_score: Cosine | None = None
    include_self: bool = False
    center: bool | None = None
    parts: Literal["all", "whole"] = "all"
    expand: int = Field(0, ge=0, le=MOST_EXPANDED)
    diverse: float | None = Field(None, ge=0, le=1)
    one_in: int | None = Field(None, ge=1, le=LARGEST_ID)
    where: Name | None = None
    folder: Names = []
    type: Names = []
    label: Names = []
    since: Name | None = None
    until: Name | None = None


class SentWish(Wish):
    """What is asked besides the pictures that are sent."""

    weights: list[Weight] = Field([], description="Of the parts `image`, in their order; none or all.")
    minus_weights: list[Weight] = Field([], description="Of the parts `unlike`, in their order; none or all.")


class Refused(BaseModel):
    """Why a request was not answered."""

    error: str = Field(description="A word for programs.")
    message: str = Field(description="Words for people.")


class StandingShape(BaseModel):
    """How the server stands."""

    status: Literal["ok"]
