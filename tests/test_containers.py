"""Dockerfile and compose.yaml, which no test can run: what a reader of them has to find is there."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml
from conftest import REPO

from simsearch.cli.app import COMMANDS, MAINTENANCE, app
from simsearch.cli.options import Session

DOCKERFILE = (REPO / "Dockerfile").read_text(encoding="utf-8")
COMPOSE_TEXT = (REPO / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one.get("build")}
OTHERS = {name: one for name, one in SERVICES.items() if not one.get("build")}


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest of it) of the Dockerfile."""
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined)]


def told(word: str) -> list[str]:
    return [rest for one, rest in instructions() if one == word]


def lines_of_ours() -> dict[str, list[str]]:
    """Every command line of simsearch in both files, without the name of the program."""
    [usual] = told("CMD")
    return {"Dockerfile": json.loads(usual), **{name: one["command"] for name, one in OURS.items()}}


@pytest.mark.parametrize("text", [DOCKERFILE, COMPOSE_TEXT], ids=["Dockerfile", "compose.yaml"])
def test_both_say_that_they_were_not_run(text: str) -> None:
    assert text.startswith("# NOT RUN where this was written: ")


def test_the_image_is_run_by_nobody_special() -> None:
    last = [rest for word, rest in instructions() if word in ("FROM", "USER")][-1]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last), "USER comes last, by numbers that are not root's"


def test_images_are_named_to_the_release() -> None:
    images = [rest.split()[0] for rest in told("FROM")] + [one["image"] for one in SERVICES.values()]
    for image in images:
        name, _, tag = image.partition(":")
        assert name, image
        assert re.search(r"\d+\.\d+|\d{4}-\d{2}", tag), f"{image} is a moving target"
    pinned = (REPO / "constraints.txt").read_text(encoding="utf-8")
    [client] = re.findall(r"^pymilvus==(\d+\.\d+)", pinned, re.MULTILINE)
    assert SERVICES["milvus"]["image"].startswith(f"milvusdb/milvus:v{client}.")


def test_no_secret_is_in_a_layer_or_in_the_file() -> None:
    for rest in [*told("ENV"), *told("ARG"), *told("COPY"), *told("RUN")]:
        assert not re.search(r"token|password|secret|key", rest, re.IGNORECASE), rest
    for one in SERVICES.values():
        for name, value in one.get("environment", {}).items():
            if re.search(r"TOKEN|PASSWORD|SECRET|KEY", name):
                assert re.fullmatch(r"\$\{\w+:-(minioadmin)?\}", value), f"{name} is not from outside"
    secret = COMPOSE["secrets"]["simsearch_token"]["file"]
    ignored = (REPO / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert secret.removeprefix("./").split("/")[0] + "/" in ignored


def test_the_builder_gets_what_is_copied_and_nothing_else() -> None:
    ignored = (REPO / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in ignored if not line.startswith("#")]
    assert patterns[0] == "*"
    let_in = {line[1:] for line in patterns if line.startswith("!")}
    copied = [shlex.split(rest)[:-1] for rest in told("COPY") if not rest.startswith("--from")]
    sources = {name.removeprefix("./") for names in copied for name in names}
    assert sources == let_in
    assert all((REPO / name).exists() for name in sources)


def test_what_is_installed_is_what_the_project_names() -> None:
    [install] = [rest for rest in told("RUN") if "pip install" in rest]
    assert "-c constraints.txt" in install
    [extras] = re.findall(r'"\.\[([\w,]+)\]"', install)
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"server", "milvus"} <= set(extras.split(",")) <= project["optional-dependencies"].keys()
    for service in OURS.values():
        assert service["image"] == f"simsearch:{project['version']}"


@pytest.mark.parametrize("where", lines_of_ours())
def test_command_lines_are_those_of_simsearch(where: str) -> None:
    name, *arguments = lines_of_ours()[where]
    assert name in {*COMMANDS, *MAINTENANCE}
    with app.make_context("simsearch", [name], obj=Session()) as context:
        command = app.get_command(context, name)
        assert command is not None
        assert command.make_context(name, list(arguments), parent=context).params


def test_health_is_asked_without_a_token_and_by_what_the_image_has() -> None:
    [check] = told("HEALTHCHECK")
    words = json.loads(check[check.index("CMD") + 3 :])
    assert SERVICES["serve"]["healthcheck"]["test"] == ["CMD", *words]
    assert words[:2] == ["python", "-c"]
    ast.parse(words[2])
    port = SERVICES["serve"]["command"][SERVICES["serve"]["command"].index("--port") + 1]
    assert f"http://127.0.0.1:{port}/healthz" in words[2]
    assert told("EXPOSE") == [port]
    for name, one in SERVICES.items():
        assert ("healthcheck" in one) == ("restart" in one), f"{name}: what stays up is looked after"


def test_only_this_machine_reaches_serve_and_nobody_what_is_behind_it() -> None:
    published = [port for one in SERVICES.values() for port in one.get("ports", [])]
    assert published == ["127.0.0.1:8000:8000"]
    for name, one in OTHERS.items():
        networks = one["networks"]
        assert networks, name
        assert all(COMPOSE["networks"][network] == {"internal": True} for network in networks), name


def test_serve_reads_the_index_and_its_token_and_writes_neither() -> None:
    serve = SERVICES["serve"]
    assert "index:/index:ro" in serve["volumes"]
    assert serve["command"][serve["command"].index("--token-file") + 1] == "/run/secrets/simsearch_token"
    assert serve["secrets"] == ["simsearch_token"]
    for one in OURS.values():
        assert one["read_only"] is True
        assert one["cap_drop"] == ["ALL"]
        place, _, options = one["tmpfs"][0].partition(":")
        assert one["environment"]["TMPDIR"] == place
        assert ("size=1g" in options.split(","), one["mem_limit"]) == (True, "${SIMSEARCH_MEMORY:-4g}")
    assert {volume.partition(":")[0] for one in OTHERS.values() for volume in one["volumes"]} == set(OTHERS)
    named = {
        volume.partition(":")[0]
        for one in SERVICES.values()
        for volume in one["volumes"]
        if not volume.startswith("$")
    }
    assert named == set(COMPOSE["volumes"])
