"""The measurements: forms of figures, children and peers, the folders they run on, small whole cases."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.docs.page import pages
from benchmarks.indexing.photos import gather, make_crops, make_large, pick
from benchmarks.indexing.ratios import Rounds, Speed, figures, tables
from benchmarks.peers import environments
from benchmarks.peers.asking import ask
from benchmarks.peers.children import ChildFailed, run_child, simsearch
from benchmarks.peers.environments import PeerMissing, ensure, reason
from benchmarks.report import RESULTS, Report, Table, cell, emit, load, markdown, plain
from benchmarks.samples import originals
from benchmarks.startup.made import vectors

TABLE = Table("Title", ("what", "rate", "count"), (("a|b", 0.91234, 1000), ("c", None, 7)), "A note.")


def test_pages_are_what_the_results_give() -> None:
    for target, whole in pages().items():
        assert target.read_text(encoding="utf-8") == whole, "run: python -m benchmarks docs"


def test_results_name_no_place_of_a_machine() -> None:
    for path in RESULTS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"/(?:home|root|tmp|work|Users|opt|usr|var|dev|mnt)\b|\w+://", text), path.name


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "\N{EN DASH}"),
        ("word", "word"),
        (1234567, "1,234,567"),
        (1234.5, "1,234"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.9876, "0.988"),
        (-0.5, "-0.500"),
    ],
)
def test_cells(value: float | str | None, shown: str) -> None:
    assert cell(value) == shown


def test_a_table_as_text_and_as_markdown() -> None:
    assert plain(TABLE).splitlines() == [
        "Title",
        "what   rate  count",
        "a|b   0.912  1,000",
        "c         \N{EN DASH}      7",
        "A note.",
    ]
    assert markdown(TABLE).splitlines() == [
        "**Title**",
        "",
        "| what | rate | count |",
        "| --- | --: | --: |",
        "| a\\|b | 0.912 | 1,000 |",
        "| c | \N{EN DASH} | 7 |",
        "",
        "A note.",
    ]


def test_a_report_comes_back_from_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "results" / "one.json"
    emit(Report("one", "python -m benchmarks one", (TABLE,), {"rate": 0.91234}), target)
    whole, kept = load(target)
    assert kept == (TABLE,)
    assert whole["figures"] == {"rate": 0.91234}
    assert {"case", "command", "date", "machine", "versions"} <= whole.keys()
    assert plain(TABLE) in capsys.readouterr().out
    text = tmp_path / "page.md"
    text.write_text("Before\n\n<!-- results: one -->\n\n<!-- results: two -->\n")
    written = pages({text: tmp_path}, tmp_path / "results")[tmp_path]
    assert markdown(TABLE) in written
    assert f"`python -m benchmarks one`, {whole['date']}; " in written
    assert written.endswith("\n*Not measured yet.*\n")
    text.write_text("No place.\n")
    with pytest.raises(ValueError, match="line for the results of one"):
        pages({text: tmp_path}, tmp_path / "results")


def test_a_child_is_charged_for_its_own_children() -> None:
    busy = "import time\nwhile time.process_time() < .4: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}]); print('[1]')"
    finished = run_child([sys.executable, "-c", code])
    assert finished.answer() == [1]
    assert 0.4 <= finished.cost.cpu < 5
    assert finished.cost.wall >= 0.4


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="system: peaks are read from /proc")
def test_a_childs_peak_memory_is_seen() -> None:
    code = "import time; data = bytearray(200 << 20); time.sleep(1)"
    assert 200 < run_child([sys.executable, "-c", code], watch=True).peak < 260


def test_a_child_that_fails_or_is_late() -> None:
    with pytest.raises(ChildFailed, match="no such thing"):
        run_child([sys.executable, "-c", "raise SystemExit('no such thing')"])
    with pytest.raises(ChildFailed, match="does not start"):
        run_child(["no-such-program-anywhere"])
    started = time.monotonic()
    with pytest.raises(ChildFailed, match="not done within"):
        run_child([sys.executable, "-c", "import time; time.sleep(300)"], seconds=0.2)
    assert time.monotonic() - started < 120
    with pytest.raises(ChildFailed, match="no answer: words"):
        run_child([sys.executable, "-c", "print('words')"]).answer()


def test_reasons_name_no_place() -> None:
    said = (
        "Traceback\nValueError: /home/me/x.py is at https://example.org/simple and C:\\Users\\me\\z\n  more"
    )
    dots = environments.LEFT_OUT
    assert reason(said) == f"ValueError: {dots} is at {dots} and {dots}"
    assert reason("one\n\ntwo\n") == "two"
    assert reason("") == "no reason was given"
    assert len(reason("word " * 1000)) == environments.SHOWN


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIMSEARCH_BENCH", str(tmp_path / "bench"))
    return tmp_path / "bench"


def test_a_peer_answers_without_network_or_says_why_not(bench: Path, tmp_path: Path) -> None:
    script = tmp_path / "peer.py"
    script.write_text(
        "import json, os, sys\nprint('noise')\nhome, work = os.environ['HOME'], os.environ['WORK']\n"
        "print(json.dumps({'seen': sys.argv[1:], 'home': home, 'files': os.listdir(work)}))\n"
    )
    answer = ask(Path(sys.executable), str(script), ["one", Path("two")])
    assert answer.told["seen"] == ["one", "two"]
    assert answer.told["files"] == []
    assert Path(str(answer.told["home"])).parent == bench
    assert list(bench.iterdir()) == []
    script.write_text("open('/no/such/place/of/mine')")
    with pytest.raises(PeerMissing, match=r"^FileNotFoundError: ") as raised:
        ask(Path(sys.executable), str(script), [])
    assert "place" not in str(raised.value)


def test_an_environment_is_made_once(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[list[str]] = []

    def make(command: list[str], log: Path) -> None:
        made.append(command)
        python = bench / "envs" / "peer" / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(environments, "_run", make)
    python = ensure("peer", ["one==1", "two"])
    assert python == bench / "envs" / "peer" / "bin" / "python"
    assert made[-1][-2:] == ["one==1", "two"]
    count = len(made)
    assert ensure("peer", ["one==1", "two"]) == python
    assert len(made) == count
    ensure("peer", ["one==2"])
    assert len(made) == 2 * count


def test_a_peer_that_cannot_be_installed(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(bench / "no-python"))
    with pytest.raises(PeerMissing, match=r"^not installed: "):
        ensure("peer", ["one==1"])


def test_photos_are_picked_evenly(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.jpg").write_bytes(bytes([number]))
    (tmp_path / "text.txt").touch()
    assert [path.stem for path in pick(tmp_path, 5)] == ["0", "2", "4", "6", "8"]
    assert len(pick(tmp_path, 99)) == 10
    flat = gather(pick(tmp_path, 5), tmp_path / "flat")
    assert [path.read_bytes() for path in sorted(flat.iterdir())] == [bytes([n]) for n in range(0, 10, 2)]


def test_made_photos_are_different_and_of_their_size(tmp_path: Path) -> None:
    crops = sorted(make_crops(tmp_path / "crops", 30).iterdir())
    assert len({path.read_bytes() for path in crops}) == 30
    large = sorted(make_large(originals(), tmp_path / "large", 2).iterdir())
    assert large[0].read_bytes() != large[1].read_bytes()
    for path, size in ((crops[0], (384, 256)), (large[0], (4000, 2500))):
        with Image.open(path) as image:
            assert image.size == size


def test_large_photos_are_two_unscaled_parts(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2250, 4000, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "source.png", compress_level=1)
    [made] = make_large([tmp_path / "source.png"], tmp_path / "large", 1).iterdir()
    with Image.open(made) as image:
        seen = np.asarray(image).astype(np.int16)
    tops, bottoms = (pixels[0], pixels[0, ::-1]), (pixels[-1], pixels[-1, ::-1])
    # Noise survives a JPEG badly, but another row or a scaled one has nothing to do with it.
    for row, candidates in ((seen[0], tops), (seen[-1], bottoms)):
        best = max(float(np.corrcoef(row.ravel(), c.ravel())[0, 1]) for c in candidates)
        assert best > 0.5


def test_ratios_against_the_limit() -> None:
    rounds = Rounds(
        photos=10,
        decode=[Speed(100, 100, 0.02), Speed(50, 50, 0.02)],
        forward=[Speed(25, 25, 0.08), Speed(50, 50, 0.08)],
        together=[Speed(20, 20, 0.08), Speed(40, 40, 0.08)],
        command=[Speed(19, 18, 0.125), Speed(20, 16, 0.1)],
        loop=[Speed(10, 9, 0.25), Speed(10, 10, 0.4)],
    )
    assert rounds.limits == pytest.approx([20, 25])
    ratios = figures(rounds)["ratios"]
    assert ratios["simsearch's own seconds against the limit"] == pytest.approx([0.95, 0.8])
    assert ratios["whole command against the DataLoader loop's"] == pytest.approx([2, 1.6])
    assert ratios["CPU of D and F against the command's"] == pytest.approx([0.8, 1])
    assert ratios["CPU of the DataLoader loop against the command's"] == pytest.approx([2, 4])
    speeds, compared = tables(rounds, "Ten", 1.8)
    assert speeds.rows[3][1:4] == pytest.approx((22.5, 20, 25))
    assert [row[4] for row in compared.rows] == [0.92, None, None, 1.8, None, None]


def test_made_vectors_are_unit_and_as_many_as_asked() -> None:
    blocks = list(vectors(2500, 64))
    assert [len(block) for block in blocks] == [2000, 500]
    rows = np.concatenate(blocks)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    assert len(np.unique(rows, axis=0)) == 2500


def test_files_that_did_not_change(bench: Path, tmp_path: Path) -> None:
    command = ["indexing", "--part", "unchanged", "--files", "300", "--pairs", "1", "--json", str(tmp_path)]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads((tmp_path / "indexing-unchanged.json").read_text())
    assert told["command"] == "python -m benchmarks indexing --part unchanged --files 300 --pairs 1"
    assert told["figures"]["files"] == 300
    assert told["figures"]["own"][0] > told["figures"]["command"][0] > 10
    assert list(bench.iterdir()) == []


@pytest.mark.proof
def test_indexing_against_limits_and_the_usual_loop(bench: Path, tmp_path: Path) -> None:
    command = ["indexing", "--part", "photos", "--photos", "6", "--pairs", "1", "--json", str(tmp_path)]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads((tmp_path / "indexing-photos.json").read_text())
    assert told["command"] == "python -m benchmarks indexing --part photos --photos 6 --pairs 1"
    assert told["figures"]["photos"] == 6
    speeds = {key: told["figures"][key][0] for key in ("decode", "forward", "together", "command", "loop")}
    assert all(speed["own"] >= speed["command"] > 0 < speed["cpu"] for speed in speeds.values())
    assert told["figures"]["limits"][0] < speeds["decode"]["own"]


def test_cold_starts(bench: Path, tmp_path: Path) -> None:
    target = tmp_path / "startup.json"
    command = [
        "startup",
        "--model",
        "efficientnet_lite0",
        "--rows",
        "300",
        "--pairs",
        "1",
        "--json",
        str(target),
    ]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert done.exit_code == 0
    walls = json.loads(target.read_text())["figures"]["wall"]
    assert len(walls) == 5
    assert walls["python -c pass"][0] < walls["simsearch query NEW.jpg"][0]
    assert walls["simsearch query INDEXED.jpg"][0] < walls["the same through torch"][0]


def test_simsearch_is_started_as_a_user_does() -> None:
    assert "Usage: simsearch" in run_child(simsearch("--help")).stdout
