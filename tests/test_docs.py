"""The documents are true: docs/cli.md is --help, README's example runs, its commands exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import REPO

from benchmarks.cli_docs import PAGE, page
from benchmarks.reliability import BEGIN, END
from simsearch.cli.app import COMMANDS, MAINTENANCE

README = (REPO / "README.md").read_text(encoding="utf-8")


def test_cli_page_is_what_help_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m benchmarks.cli_docs"


def test_readmes_python_example_runs(photos: Path, tmp_path: Path) -> None:
    search, copies = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "photos").mkdir()
    for path in sorted((photos / "half-size").iterdir())[1:7]:
        shutil.copy(path, tmp_path / "photos")
    shutil.copy(photos / "originals" / "coffee.png", tmp_path / "photos" / "dog.jpg")
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        shutil.copy(photos / "originals" / "rocket.jpg", tmp_path / name)
    environment = {**os.environ, "SIMSEARCH_MODEL": "efficientnet_lite0"}
    done = subprocess.run(
        [sys.executable, "-c", search + copies],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "7 added 0 skipped"
    assert len(lines) == 10
    assert all(re.fullmatch(r"-?\d\.\d{3} /.*\.(jpg|png)", line) for line in lines[1:6])
    # dog.jpg is the original of coffee.jpg, at twice its size.
    assert lines[6] == "near kept: 0.2 MP against 60,000 pixels"
    assert [line.rpartition("/")[2] for line in lines[7:9]] == ["dog.jpg", "coffee.jpg"]
    assert lines[9] == "1 test files are in the training data"


def test_every_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"^(?:.*\| )?simsearch (\w+)", README, re.MULTILINE))
    assert {"index", "query", "info"} <= named
    assert named <= {*COMMANDS, *MAINTENANCE}


def test_every_module_that_a_document_tells_to_run_exists() -> None:
    texts = [README, *(path.read_text(encoding="utf-8") for path in (REPO / "docs").glob("*.md"))]
    modules = {name for text in texts for name in re.findall(r"python -m (benchmarks[\w.]*)", text)}
    for module in modules:
        place = REPO / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists()


def test_the_table_of_faults_is_what_the_proofs_that_exist_counted() -> None:
    text = (REPO / "docs" / "reliability.md").read_text(encoding="utf-8")
    table = text[text.index(BEGIN) : text.index(END)]
    row = r"^\| (.+?) \| ([\d,]+) \| ([\d,]+) \| ([\d,]*) \| 0 \| `pytest -m proof (.+?)` \|$"
    rows = re.findall(row, table, re.MULTILINE)
    assert len(rows) == table.count("\n| ") - 1
    for _, tried, survived, _, command in rows:
        file, name = command.partition("[")[0].split("::")
        assert f"\ndef {name}(" in (REPO / file).read_text(encoding="utf-8"), command
        assert tried == survived
    kills = sum(int(tried.replace(",", "")) for what, tried, *_ in rows if "kill -9" in what)
    assert kills >= 1000
    assert f"{kills:,} of them kill points" in table
