"""Floor 3, on the engine only: how good answers are, measured where it is known what is right."""

from simsearch.errors import EvalInvalid
from simsearch.quality.evaluation import evaluate
from simsearch.quality.grid import Grid, evaluate_grid
from simsearch.quality.records import EvalOptions, EvalReport

__all__ = ["EvalInvalid", "EvalOptions", "EvalReport", "Grid", "evaluate", "evaluate_grid"]
