"""The commands, their flags, their errors and exit codes, and what help does not load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import simsearch

from simsearch.cli import run
from simsearch.cli.app import app

COMMON = {"-i", "--index", "--json", "-q", "--quiet", "--debug"}
SURFACE = {
    "index": {
        *("--model", "--weights", "--pooling", "--device", "--runtime", "--batch-size", "--workers"),
        *(
            "--exclude",
            "--hidden",
            "--no-hidden",
            "--max-pixels",
            "--prune",
            "--yes",
            "--strict",
            "--retry-skipped",
            "--repair",
            "--precision",
            "--tiles",
        ),
        *("--engine", "--ray-address", "--shard-size", "--shard-dir"),
    },
    "query": {
        *(
            "-k",
            "--min-score",
            "--max-score",
            "--one-in",
            "--include-self",
            "--id",
            "--format",
            "-0",
            "--null",
        ),
        *("--html", "--open", "--center", "--no-center", "--plus", "--minus", "--crop", "--diverse"),
        *("--where", "--label", "--folder", "--since", "--until", "--type", "--parts"),
        *("--preset", "--expand", "--geometry"),
    },
    "serve": {
        *("--host", "--port", "--token-file", "--batch", "--workers", "--warm", "--max-upload"),
        *("--max-request", "--max-examples", "--max-hits", "--rate", "--concurrency", "--timeout", "--pause"),
    },
    "dedup": {
        *("--exact", "--near", "--similar", "--threshold", "--precision", "--within", "--across-folders"),
        *("--same-folder", "--reference", "--prefer", "--keep", "--keep-path", "--format", "-0", "--null"),
        *("--html", "--open", "--action", "--to", "--merge-metadata", "--plan", "--apply", "--yes"),
        *("--label", "--workers"),
    },
    "leaks": {
        *("--max", "--strict", "--exact", "--threshold", "--precision", "--format", "--html", "--open"),
    },
    "compare": set(),
    "undo": set(),
    "purge": {"--permanently", "--yes"},
    "verdicts": set(),
    "eval": {
        *("--truth", "--group-size", "-k", "--queries", "--center", "--no-center", "--half", "--grid"),
        *("--worst", "--format", "--html", "--open"),
    },
    "finetune": {
        *("--out", "--model", "--weights", "--epochs", "--batch-size", "--label-smoothing", "--seed"),
        *("--device", "--workers", "--resume"),
    },
    "explain": {
        *("--model", "--weights", "--center", "--no-center", "--png", "--html", "--open", "--format"),
    },
    "info": {"--skipped"},
    "verify": {"--deep"},
    "rebuild": {"--view", "--recall", "--robust", "--center", "--no-center", "--thumbnails"},
    "compact": set(),
    "remove": {"--dry-run", "--yes"},
    "export": {"--parquet"},
    "import": {"--model", "--weights", "--pooling", "--spec"},
    "models": set(),
    "weights": set(),
}
SUBCOMMANDS = {
    "verdicts list": set(),
    "verdicts different": set(),
    "verdicts keep-all": set(),
    "verdicts label": set(),
    "verdicts forget": set(),
    "weights list": set(),
    "weights fetch": {"--timeout"},
    "weights import": {"--model", "--name", "--mean", "--std", "--resize", "--crop", "--interpolation"},
}
GROUPS = {"verdicts", "weights"}

HEAVY = {"torch", "torchvision", "faiss", "streamlit", "sqlalchemy", "onnxruntime", "numpy", "PIL", "rich"}


def command_of(name: str) -> click.Command:
    first, _, second = name.partition(" ")
    with app.make_context("simsearch", [first], resilient_parsing=True) as context:
        command = app.get_command(context, first)
    if second:
        assert isinstance(command, click.Group)
        command = command.commands[second]
    assert command is not None
    return command


# Commands and flags


def test_the_commands_in_their_order(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in SURFACE] == [
        *SURFACE
    ]
    assert lines.index("Commands:") < lines.index("Maintenance:")
    assert not any(line.endswith("...") for line in lines if line.startswith("  "))


@pytest.mark.parametrize("name", [*sorted(SURFACE.keys() - GROUPS), *SUBCOMMANDS])
def test_the_flags_of_a_command(name: str) -> None:
    options = [p for p in command_of(name).params if isinstance(p, click.Option)]
    flags = {flag for option in options for flag in (*option.opts, *option.secondary_opts)}
    assert flags == {**SURFACE, **SUBCOMMANDS}[name] | COMMON
    assert all(p.help for p in command_of(name).params if isinstance(p, click.Option))


@pytest.mark.parametrize("name", [*SURFACE, *SUBCOMMANDS])
def test_every_command_has_help(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "--help"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith(f"Usage: simsearch {name} [OPTIONS]")
    assert err == ""


def test_the_choices_of_the_manual() -> None:
    choices = {
        f"{name} {p.opts[0]}": list(p.type.choices)
        for name in (*SURFACE, *SUBCOMMANDS)
        for p in command_of(name).params
        if isinstance(p.type, click.Choice)
    }
    assert choices == {
        "index --pooling": ["avg", "max", "gem"],
        "index --runtime": ["auto", "onnx", "torch"],
        "index --precision": ["fp32", "bf16", "int8"],
        "index --engine": ["local", "ray"],
        "query --format": ["table", "json", "jsonl", "csv", "paths"],
        "query --parts": ["all", "whole"],
        "query --preset": ["category", "instance", "copy"],
        "dedup --keep": ["resolution", "bytes", "oldest", "metadata"],
        "dedup --format": ["table", "json", "csv", "paths"],
        "dedup --action": ["set-aside", "move", "hardlink", "symlink"],
        "verdicts label said": ["copies", "different"],
        "leaks --format": ["table", "json", "csv"],
        "eval --half": ["choose", "report"],
        "eval --format": ["table", "json"],
        "explain --format": ["table", "json"],
        "rebuild --view": ["auto", "exact", "ivf", "hnsw"],
        "import --pooling": ["avg", "max", "gem"],
        "weights import --interpolation": ["bilinear", "bicubic"],
    }


def test_version() -> None:
    import simsearch as package

    done = simsearch("--version")
    assert done.stdout.decode() == f"simsearch {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], *([*name.split(), "--help"] for name in (*SURFACE, *SUBCOMMANDS))],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from simsearch.cli import run; code = run(sys.argv[1:]); "
        "print(code, *(name for name in sys.modules if '.' not in name), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=True)
    exit_code, *loaded = done.stderr.decode().split()
    assert exit_code == "0"
    assert HEAVY.isdisjoint(loaded)


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Usage"),
        (["qeury"], "Did you mean 'query'?"),
        (["query"], "Give an IMAGE"),
        (["query", "a.jpg", "-k", "0"], "-k"),
        (["query", "a.jpg", "--min-score", "1.5"], "--min-score"),
        (["query", "a.jpg", "--max-score", "nan"], "--max-score"),
        (["query", "a.jpg", "--min-score", ".5", "--max-score", ".4"], "nothing can match"),
        (["query", "a.jpg", "-0"], "--format paths"),
        (["query", "a.jpg", "--json", "--format", "csv"], "contradict"),
        (["query", "-", "-"], "give - once"),
        (["query", "a.jpg", "--where", "width >"], "at character 8"),
        (["query", "a.jpg", "--since", "May"], "no date"),
        (["query", "a.jpg", "--since", "2023", "--until", "2022"], "No photo is since 2023"),
        (["query", "a.jpg", "--crop", "1,2,3"], "no region"),
        (["query", "a.jpg", "--plus", "b.jpg=0"], "above 0"),
        (["query", "a.jpg", "--diverse", "2"], "--diverse"),
        (["query", "--diverse"], "Give an IMAGE"),
        (["index", "x", "--workers", "0"], "--workers"),
        (["index", "x", "--shard-size", "8"], "--shard-size goes with --engine ray"),
        (["index", "x", "--pooling", "sum"], "--pooling"),
        (["index", "x", "-i", ""], "-i"),
        (["rebuild", "--recall", "0"], "--recall"),
        (["info", "--nonesuch"], "--nonesuch"),
        (["dedup", "--threshold", "0"], "--threshold"),
        (["dedup", "--threshold", "most"], "neither auto nor a number"),
        (["dedup", "--precision", ".9"], "--threshold auto"),
        (["dedup", "-0"], "--format paths"),
        (["dedup", "--json", "--format", "csv"], "contradict"),
        (["dedup", "--to", "x"], "--action"),
        (["dedup", "--action", "move"], "--to DIR"),
        (["dedup", "--action", "symlink", "--to", "x"], "--to DIR"),
        (["dedup", "--action", "set-aside", "--format", "csv"], "not as csv"),
        (["dedup", "--yes"], "--apply"),
        (["dedup", "--apply", "x", "--within", "y"], "--within is for making a plan"),
        (["dedup", "--apply", "x", "--label", "3"], "--apply does not go with --label"),
        (["dedup", "--label", "0"], "--label"),
        (["dedup", "--label", "3", "--action", "move"], "--action does not go with --label"),
        (["dedup", "--label", "3", "--exact"], "need no answer"),
        (["dedup", "--label", "3", "--threshold", "auto"], "--label comes first"),
        (["dedup", "--label", "3", "--format", "csv"], "not as csv"),
        (["serve", "--port", "70000"], "--port"),
        (["serve", "--batch", "0"], "--batch"),
        (["serve", "--timeout", "0"], "--timeout"),
        (["leaks", "x"], "TEST"),
        (["leaks", "x", "y", "--max", "-1"], "--max"),
        (["compare", "x"], "SECOND"),
        (["eval", "center=on"], "--grid"),
        (["eval", "--group-size", "1"], "--group-size"),
        (["finetune", "x"], "--out"),
        (["finetune", "x", "--out", "y", "--label-smoothing", "1"], "--label-smoothing"),
        (["verdicts", "different", "x"], "two"),
        (["verdicts", "label", "x", "x", "copies"], "two"),
        (["verdicts", "label", "x", "y", "maybe"], "maybe"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_says_why(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err


# Errors


@pytest.mark.parametrize("name", ["query", "dedup", "undo", "info", "verify", "rebuild", "models"])
def test_a_missing_index_is_one_line_on_stderr(name: str, tmp_path: Path) -> None:
    image = ["photo.jpg"] if name == "query" else []
    done = simsearch(name, *image, "-i", tmp_path / "none")
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.decode().startswith(f"Error: There is no index at {tmp_path}/none.")
    assert done.stderr.count(b"\n") == 1

    done = simsearch(name, *image, "-i", tmp_path / "none", "--debug")
    assert done.returncode == 1
    assert b"Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(b"Error: There is no index")


def test_a_control_character_in_an_error_is_shown_and_not_sent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["info", "-i", f"{tmp_path}/a\x1b[31m\nb"]) == 1
    assert "a\\x1b[31m\\nb" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            ZeroDivisionError("a\n  b"),
            1,
            "Error: ZeroDivisionError: a b (this is a bug in simsearch; run again with",
        ),
        (EOFError("frame"), 1, "Error: EOFError: frame (this is a bug"),
        (BrokenPipeError(32, "worker"), 1, "Error: BrokenPipeError: [Errno 32] worker (this is a bug"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_goes_wrong_unexpectedly(
    error: BaseException,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("simsearch.models.registry.list_backbones", lambda: throw(error))
    assert run(["models"]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert run(["models", "--debug"]) == code
    assert ("Traceback" in capfd.readouterr().err) is (code == 1)


def throw(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize("arguments", ["models", "models --json", "--help"])
def test_a_reader_that_leaves_early_is_no_error(arguments: str) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "simsearch", *arguments.split()]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="data: this system has no /dev/full")
def test_an_answer_that_cannot_be_written_is_an_error() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "simsearch", "models"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: The answer cannot be written to standard output: ")
    assert done.stderr.count(b"\n") == 1
