"""What people answered about copies: their own database, which nothing can be made from again."""

from simsearch.storage.answers.health import ASIDE, Mended, mend, problems
from simsearch.storage.answers.store import Answers, Decision, Label
from simsearch.storage.answers.tables import DIFFERENT, KEEP_ALL, VERDICTS

__all__ = [
    "ASIDE",
    "DIFFERENT",
    "KEEP_ALL",
    "VERDICTS",
    "Answers",
    "Decision",
    "Label",
    "Mended",
    "mend",
    "problems",
]
