"""What the OpenAPI document promises, held against a real server by schemathesis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.ground import served

# What no schema can say: whether bytes are a picture, a text a condition, an id that of a photo; and made
# vectors have no network for a new picture.
LENIENT = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "404", "415", "422", "503"]
"""


@pytest.mark.proof
def test_schemathesis_finds_nothing(small: Path, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(LENIENT)
    with served("-i", small, "--rate", "0") as server:
        line = [str(Path(sys.executable).with_name("st")), "--config-file", "schemathesis.toml", "run"]
        line += [f"{server.address}/openapi.json", "--max-examples", "25", "--seed", "1"]
        line += ["--request-timeout", "120", "--suppress-health-check", "all"]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "Fuzzing" in done.stdout
