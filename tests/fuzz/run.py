"""Fuzzes one target with Atheris: python -m fuzz.run TARGET --seconds N --corpus DIR."""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
from pathlib import Path

import atheris

RSS_MB, SECONDS_AN_INPUT = 4096, 100
ADDRESS_SPACE = 3 << 30


def main() -> None:
    """Write the seeds into the corpus, then let libFuzzer change them until the time is up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    told = parser.parse_args()
    corpus = told.corpus / told.target
    corpus.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["simsearch", "PIL"], enable_loader_override=False):
        from PIL import Image

        from fuzz.seeds import seeds
        from fuzz.targets import TARGETS

        Image.init()
        target = TARGETS[told.target]
        for data in seeds(told.target):
            (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        # What is imported at first use is imported here, where it is instrumented.
        target(seeds(told.target)[0])
    if told.target == "worker":
        # As in a real worker, so that a picture that asks for too much meets MemoryError here too.
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    flags = [
        f"-max_total_time={told.seconds}",
        f"-rss_limit_mb={RSS_MB}",
        f"-timeout={SECONDS_AN_INPUT}",
        f"-artifact_prefix={told.corpus}/{told.target}-",
        f"-seed={told.seed}",
        "-print_final_stats=1",
        "-max_len=65536",
    ]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
