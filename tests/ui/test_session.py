"""Which index a session looks at: the one asked for, the one chosen, and the one in the address."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import picture
from streamlit.testing.v1 import AppTest

from simsearch.ui.serving import SCRIPT
from ui.ground import indexed


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loopback: None) -> Path:
    """The home of two indexes, `cats` and `dogs`, neither of which is the default one."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "simsearch" / "indexes"
    home.mkdir(parents=True)
    for number, name in enumerate(("cats", "dogs")):
        (photos := tmp_path / f"photos of {name}").mkdir()
        for i in range(3):
            picture(10 * number + i).save(photos / f"{name}{i}.png")
        indexed(photos, home / name)
    return home


def opened(index: str | None = None) -> AppTest:
    at = AppTest.from_file(str(SCRIPT), default_timeout=300)
    if index is not None:
        at.query_params["index"] = index
    return at.run()


def test_the_first_is_shown_and_another_can_be_chosen(two: Path) -> None:
    at = opened()
    [choice] = [box for box in at.selectbox if box.label == "Index"]
    assert choice.value == two / "cats"
    choice.select(two / "dogs").run()
    assert at.query_params["index"] == "dogs"


def test_the_address_keeps_the_index_when_the_page_is_loaded_again(two: Path) -> None:
    [choice] = [box for box in opened("dogs").selectbox if box.label == "Index"]
    assert choice.value == two / "dogs"


def test_an_index_that_an_address_makes_up_is_none(two: Path) -> None:
    for name in ("", "horses", "../../photos of cats", str(two / "dogs")):
        [choice] = [box for box in opened(name).selectbox if box.label == "Index"]
        assert choice.value == two / "cats"


def test_no_other_index_is_shown_in_the_stead_of_the_one_asked_for(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMSEARCH_INDEX", "horses")
    at = opened()
    assert [title.value for title in at.title] == ["Find photos that look alike"]
    assert [caption.value for caption in at.caption if caption.value.endswith("indexes/horses")]
