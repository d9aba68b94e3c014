"""Groups, keepers and scope: made pictures, comparisons from a table, values worked out by hand."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simsearch import SimsearchError
from simsearch.dedup.grouping.groups import group
from simsearch.dedup.grouping.keeper import KeeperPolicy, Order
from simsearch.dedup.grouping.scope import Scope
from simsearch.dedup.records import DuplicateGroup, Pair, Picture
from simsearch.errors import NotIndexed

# 2001-09-09 by any clock on Earth.
NOON = 1_000_036_800
Table = dict[tuple[str, str], tuple[str, float]]


@dataclass
class Pictures:
    """Makes pictures with real files of chosen sizes below a folder."""

    folder: Path
    made: list[Picture] = field(default_factory=list)

    def __call__(
        self,
        *names: str,
        size: tuple[int, int] = (100, 100),
        bytes: int = 10,
        taken: str | None = None,
        format: str = "JPEG",
    ) -> Picture:
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * bytes)
            os.utime(path, (NOON, NOON))
        number = len(self.made)
        paths = tuple(sorted(str(self.folder / name) for name in names))
        picture = Picture(number, number.to_bytes(32, "big"), paths, *size, format, taken)
        self.made.append(picture)
        return picture

    def number(self, name: str) -> int:
        return next(p.id for p in self.made if str(self.folder / name) in p.paths)


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path.resolve())


class Judge:
    """Compares by a table of names; counts what it is asked."""

    def __init__(self, pictures: Pictures, table: Table) -> None:
        self.known = {
            tuple(sorted((pictures.number(one), pictures.number(other)))): found
            for (one, other), found in table.items()
        }
        self.calls: list[list[tuple[int, int]]] = []

    def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[Pair]:
        self.calls.append(list(pairs))
        return [Pair(*pair, *self.known.get(pair, ("different", 0.1))) for pair in pairs]

    def pairs(self) -> list[Pair]:
        return [Pair(one, other, level, score) for (one, other), (level, score) in self.known.items()]

    @property
    def asked(self) -> list[tuple[int, int]]:
        return [pair for call in self.calls for pair in call]


def plain(policy: KeeperPolicy | None = None) -> Order:
    """An order that finds no metadata anywhere."""
    return Order(policy, richness=lambda path: 0)


def names(pictures: Pictures, groups: Iterable[DuplicateGroup]) -> list[list[str]]:
    return [[os.path.relpath(photo.path, pictures.folder) for photo in found.photos] for found in groups]


def grouped(
    pictures: Pictures,
    table: Table,
    *,
    given: Table | None = None,
    order: Order | None = None,
    **options: object,
) -> list[DuplicateGroup]:
    """Groups where `given` (all of the table by default) was verified before."""
    start = Judge(pictures, table if given is None else given).pairs()
    judge = Judge(pictures, table)
    return group(pictures.made, start, judge, order or plain(), **options)  # type: ignore[arg-type]


# Groups


def test_no_pair_is_no_group_and_nothing_is_compared(pictures: Pictures) -> None:
    pictures("a.jpg")
    pictures("b.jpg")
    judge = Judge(pictures, {})
    assert group(pictures.made, [], judge, plain()) == []
    assert group([], [], judge, plain()) == []
    assert judge.calls == []


def test_files_with_the_same_bytes_are_a_group(pictures: Pictures) -> None:
    pictures("longer name.jpg", "b.jpg", "a.jpg", size=(40, 30), bytes=7)
    (found,) = grouped(pictures, {})
    assert names(pictures, [found]) == [["a.jpg", "b.jpg", "longer name.jpg"]]
    assert (found.level, found.min_score, found.why) == ("bytes", 1.0, "kept: the first by name")
    assert found.keep == found.photos[0].path
    for photo in found.photos:
        assert (photo.score, photo.width, photo.height, photo.bytes, photo.level) == (1.0, 40, 30, 7, "bytes")
        assert photo.sha256 == "00" * 32


def test_levels_and_scores_are_those_towards_the_keeper(pictures: Pictures) -> None:
    pictures("big.jpg", "copy/big.jpg", size=(2000, 1000))
    pictures("small.jpg", "copy/small.jpg", size=(200, 100))
    pictures("same.png", size=(2000, 1000), bytes=9)
    table: Table = {
        ("big.jpg", "small.jpg"): ("near", 0.98),
        ("big.jpg", "same.png"): ("pixels", 1.0),
        ("small.jpg", "same.png"): ("near", 0.97),
    }
    (found,) = grouped(pictures, table)
    assert [(os.path.relpath(p.path, pictures.folder), p.level, p.score) for p in found.photos] == [
        ("big.jpg", "bytes", 1.0),
        ("copy/big.jpg", "bytes", 1.0),
        ("same.png", "pixels", 1.0),
        ("small.jpg", "near", 0.98),
        ("copy/small.jpg", "near", 0.98),
    ]
    assert (found.level, found.min_score) == ("near", 0.97)


def test_a_chain_is_no_group(pictures: Pictures) -> None:
    for name, width in (("a.jpg", 300), ("b.jpg", 200), ("c.jpg", 100)):
        pictures(name, size=(width, 100))
    table: Table = {("a.jpg", "b.jpg"): ("near", 0.96), ("b.jpg", "c.jpg"): ("near", 0.99)}
    judge = Judge(pictures, table)
    found = group(pictures.made, judge.pairs(), judge, plain())
    # c is a copy of b only, and b, which is better than c, follows a.
    assert names(pictures, found) == [["a.jpg", "b.jpg"]]
    assert judge.asked == [(0, 2)]


def test_a_follower_goes_to_the_keeper_with_the_highest_score(pictures: Pictures) -> None:
    for name, width in (("a.jpg", 300), ("c.jpg", 200), ("b.jpg", 100), ("d.jpg", 50)):
        pictures(name, size=(width, 100))
    table: Table = {
        ("a.jpg", "b.jpg"): ("near", 0.96),
        ("b.jpg", "c.jpg"): ("near", 0.99),
        ("a.jpg", "d.jpg"): ("near", 0.97),
        ("c.jpg", "d.jpg"): ("near", 0.97),
    }
    # d has the same score with both, and goes to the better one.
    assert names(pictures, grouped(pictures, table)) == [["a.jpg", "d.jpg"], ["c.jpg", "b.jpg"]]


def test_what_was_not_compared_with_the_keeper_is_compared(pictures: Pictures) -> None:
    for number in range(4):
        pictures(f"{number}.jpg", size=(400 - number, 100))
    table: Table = {
        ("0.jpg", "1.jpg"): ("near", 0.99),
        ("1.jpg", "2.jpg"): ("near", 0.99),
        ("2.jpg", "3.jpg"): ("near", 0.99),
        ("0.jpg", "2.jpg"): ("near", 0.96),
        ("0.jpg", "3.jpg"): ("near", 0.95),
    }
    given: Table = {two: table[two] for two in list(table)[:3]}
    start, judge = Judge(pictures, given).pairs(), Judge(pictures, table)
    (found,) = group(pictures.made, start, judge, plain())
    assert [photo.score for photo in found.photos] == [1.0, 0.99, 0.96, 0.95]
    # The last call is for `min_score`: 1 and 3 are compared, and are no copies.
    assert judge.calls == [[(0, 2)], [(0, 3)], [(1, 3)]]
    assert found.min_score == 0.1


def test_groups_that_nothing_connects_are_compared_in_one_call(pictures: Pictures) -> None:
    table: Table = {}
    for number in range(50):
        for letter, width in (("a", 300), ("b", 200), ("c", 100)):
            pictures(f"{number:02d}{letter}.jpg", size=(width, 100))
        table[f"{number:02d}a.jpg", f"{number:02d}b.jpg"] = ("near", 0.99)
        table[f"{number:02d}b.jpg", f"{number:02d}c.jpg"] = ("near", 0.99)
    start = Judge(pictures, table).pairs()
    table |= {(f"{number:02d}a.jpg", f"{number:02d}c.jpg"): ("near", 0.97) for number in range(50)}
    judge = Judge(pictures, table)
    found = group(pictures.made, start, judge, plain())
    assert len(found) == 50
    assert {one.min_score for one in found} == {0.97}
    assert [len(call) for call in judge.calls] == [50]


def test_of_a_pair_that_is_told_twice_the_likelier_one_counts(pictures: Pictures) -> None:
    pictures("a.jpg", size=(200, 100))
    pictures("b.jpg")
    told = [Pair(0, 1, "near", 0.98), Pair(0, 1, "probably", 0.6)]
    for pairs in (told, told[::-1]):
        (found,) = group(pictures.made, pairs, Judge(pictures, {}), plain())
        assert (found.level, found.min_score) == ("near", 0.98)


def test_probable_copies_join_a_keeper_and_have_no_say_in_who_is_kept(pictures: Pictures) -> None:
    for name, width in (("doubtful.jpg", 400), ("a.jpg", 300), ("b.jpg", 200), ("p.jpg", 100)):
        pictures(name, size=(width, 100))
    table: Table = {
        ("doubtful.jpg", "b.jpg"): ("probably", 0.6),
        ("a.jpg", "b.jpg"): ("near", 0.99),
        ("a.jpg", "p.jpg"): ("probably", 0.7),
    }
    found = grouped(pictures, table)
    assert names(pictures, found) == [["a.jpg", "b.jpg", "p.jpg"]]
    assert found[0].level == "probably"
    assert [photo.level for photo in found[0].photos] == ["bytes", "near", "probably"]


def test_a_keeper_of_sure_copies_may_be_shown_as_a_doubtful_one_of_another(pictures: Pictures) -> None:
    for name, width in (("doubtful.jpg", 400), ("a.jpg", 300), ("b.jpg", 200)):
        pictures(name, size=(width, 100))
    table: Table = {("doubtful.jpg", "a.jpg"): ("probably", 0.6), ("a.jpg", "b.jpg"): ("near", 0.99)}
    found = grouped(pictures, table)
    assert names(pictures, found) == [["a.jpg", "b.jpg"], ["doubtful.jpg", "a.jpg"]]
    assert [one.level for one in found] == ["near", "probably"]


def test_other_shots_are_groups_of_their_own_and_only_where_they_were_given(pictures: Pictures) -> None:
    for name, width in (("a.jpg", 400), ("b.jpg", 300), ("c.jpg", 200)):
        pictures(name, size=(width, 100))
    near: Table = {("a.jpg", "b.jpg"): ("near", 0.99)}
    shots: Table = {("a.jpg", "c.jpg"): ("similar", 0.2)}
    found = grouped(pictures, {**near, **shots})
    assert [(one.level, len(one.photos)) for one in found] == [("near", 2), ("similar", 2)]
    assert names(pictures, found) == [["a.jpg", "b.jpg"], ["a.jpg", "c.jpg"]]
    found = grouped(pictures, {**near, **shots, ("b.jpg", "c.jpg"): ("similar", 0.2)}, given=near)
    assert names(pictures, found) == [["a.jpg", "b.jpg"]]


def test_what_a_person_told_apart_is_no_pair(pictures: Pictures) -> None:
    one, two = pictures("a.jpg", size=(200, 100)), pictures("b.jpg")
    pictures("c.jpg", size=(50, 50))
    table: Table = {
        ("a.jpg", "b.jpg"): ("near", 0.99),
        ("b.jpg", "c.jpg"): ("near", 0.99),
        ("a.jpg", "c.jpg"): ("near", 0.98),
    }
    apart = {(one.sha256, two.sha256), (two.sha256, one.sha256)}
    found = grouped(pictures, table, different=lambda x, y: (x, y) in apart)
    assert names(pictures, found) == [["b.jpg", "c.jpg"]]


def test_a_file_that_went_meanwhile_is_neither_kept_nor_a_copy(pictures: Pictures) -> None:
    pictures("a.jpg", "b.jpg", "c.jpg")
    pictures("d.jpg")
    (pictures.folder / "a.jpg").unlink()
    (pictures.folder / "d.jpg").unlink()
    found = grouped(pictures, {("a.jpg", "d.jpg"): ("near", 0.99)})
    assert names(pictures, found) == [["b.jpg", "c.jpg"]]


def test_a_raw_file_and_its_jpeg_are_one_shot(pictures: Pictures) -> None:
    pictures("x/IMG_1.CR2", "y/IMG_1.CR2", format="RAW", size=(6000, 4000))
    pictures("x/img_1.jpg", format="JPEG", size=(6000, 4000))
    assert names(pictures, grouped(pictures, {("x/IMG_1.CR2", "x/img_1.jpg"): ("near", 0.99)})) == [
        ["x/IMG_1.CR2", "y/IMG_1.CR2"]
    ]


def test_a_raw_file_is_kept_before_a_jpeg_of_another_name(pictures: Pictures) -> None:
    pictures("IMG_1.CR2", format="RAW", size=(6000, 4000))
    pictures("IMG_1.HEIC", format="HEIF", size=(6000, 4000))
    pictures("export.jpg", size=(6000, 4016), bytes=99)
    every = ("IMG_1.CR2", "IMG_1.HEIC", "export.jpg")
    table: Table = {(a, b): ("near", 0.99) for a in every for b in every if a < b}
    found = grouped(pictures, table)
    assert names(pictures, found) == [["IMG_1.CR2", "export.jpg"]]
    assert found[0].why == "kept: the RAW file, against JPEG of the same picture"


def test_five_thousand_alike_are_one_group_of_a_few_comparisons_each(pictures: Pictures) -> None:
    for number in range(5000):
        pictures(f"{number // 100}/{number:04d}.jpg", size=(5000 - number, 100))
    rng = random.Random(3)
    start = [
        Pair(*sorted((number, other)), "near", 0.98)
        for number in range(5000)
        for other in rng.sample(range(5000), 20)
        if number != other
    ]
    asked: list[tuple[int, int]] = []

    def compare(pairs: Sequence[tuple[int, int]]) -> list[Pair]:
        asked.extend(pairs)
        return [Pair(*pair, "near", 0.97) for pair in pairs]

    began = time.process_time()
    (found,) = group(pictures.made, start, compare, plain())
    assert time.process_time() - began < 20
    assert len(found.photos) == 5000
    assert found.min_score == 0.97
    assert len(asked) == len(set(asked)) < 5000
    assert {first for first, _ in asked} == {0}


def test_where_all_are_alike_and_none_are_copies_comparisons_stay_below_two_a_pair(
    pictures: Pictures,
) -> None:
    for number in range(600):
        pictures(f"{number:04d}.jpg", size=(5000 - number, 100))
    start = [Pair(n, n + step, "near", 0.98) for n in range(600) for step in range(1, 11) if n + step < 600]
    asked: list[tuple[int, int]] = []

    def compare(pairs: Sequence[tuple[int, int]]) -> list[Pair]:
        asked.extend(pairs)
        return [Pair(*pair, "different", 0.3) for pair in pairs]

    found = group(pictures.made, start, compare, plain())
    assert {len(one.photos) for one in found} <= {*range(2, 12)}
    assert len(asked) < 2 * len(start)


LETTERS = "abcdefgh"


@settings(max_examples=60, deadline=None)
@given(
    levels=st.dictionaries(
        st.tuples(st.sampled_from(LETTERS), st.sampled_from(LETTERS)).filter(lambda two: two[0] < two[1]),
        st.tuples(
            st.sampled_from(["pixels", "near", "probably", "similar"]), st.sampled_from([0.5, 0.7, 0.9])
        ),
    ),
    hidden=st.sets(st.integers(0, 27)),
    widths=st.lists(st.sampled_from([100, 200, 300]), min_size=8, max_size=8),
    shuffle=st.randoms(use_true_random=False),
)
def test_groups_do_not_depend_on_any_order(
    tmp_path_factory: pytest.TempPathFactory,
    levels: Table,
    hidden: set[int],
    widths: list[int],
    shuffle: random.Random,
) -> None:
    pictures = Pictures(tmp_path_factory.mktemp("made").resolve())
    for letter, width in zip(LETTERS, widths, strict=True):
        pictures(*(f"{letter}{copy}.jpg" for copy in range(1 + (letter in "cf"))), size=(width, 100))
    table: Table = {(f"{one}0.jpg", f"{other}0.jpg"): found for (one, other), found in levels.items()}
    start = [pair for place, pair in enumerate(Judge(pictures, table).pairs()) if place not in hidden]
    found = group(pictures.made, start, Judge(pictures, table), plain())

    mixed, pairs = list(pictures.made), list(start)
    shuffle.shuffle(mixed)
    shuffle.shuffle(pairs)
    assert group(mixed, pairs, Judge(pictures, table), plain()) == found

    judged, order = Judge(pictures, table).known, plain()
    of_path = {path: picture for picture in pictures.made for path in picture.paths}
    followers: list[str] = []
    for one in found:
        assert [photo.path for photo in one.photos].count(one.keep) == 1
        keeper = of_path[one.keep]
        for photo in one.photos[1:]:
            member = of_path[photo.path]
            expected = ("bytes", 1.0)
            if member is not keeper:
                expected = judged[min(keeper.id, member.id), max(keeper.id, member.id)]
            assert (photo.level, photo.score) == expected
            assert order.key(keeper, one.keep) < order.key(member, photo.path)
            followers.append(photo.path)
    assert len(followers) == len(set(followers))
    if not hidden:
        # Who is in no group has no sure copy that is no follower either.
        free = [picture for picture in pictures.made if not set(picture.paths) & set(followers)]
        ids = {picture.id for picture in free}
        assert not [pair for pair in start if {pair.first, pair.second} <= ids and pair.level != "similar"]


# Keepers


def why(pictures: Pictures, policy: KeeperPolicy | None = None, **kinds: int) -> tuple[str, str]:
    """The keeper of all pictures, copies of each other, and why it is kept."""
    made = [path for picture in pictures.made for path in picture.paths]
    relative = [os.path.relpath(path, pictures.folder) for path in made]
    table: Table = {
        (one, other): ("near", 0.99)
        for one in relative
        for other in relative
        if pictures.number(one) < pictures.number(other)
    }
    order = Order(policy, richness=lambda path: kinds.get(Path(path).stem, 0))
    (found,) = grouped(pictures, table, order=order)
    return os.path.relpath(found.keep, pictures.folder), found.why


def test_more_pixels_are_kept(pictures: Pictures) -> None:
    pictures("a.jpg", size=(2000, 1000), bytes=900)
    pictures("long name.jpg", size=(6000, 4000), bytes=5)
    assert why(pictures) == ("long name.jpg", "kept: 24 MP against 2 MP")


def test_nearly_as_many_pixels_are_named(pictures: Pictures) -> None:
    pictures("a.jpg", size=(6000, 4000))
    pictures("b.jpg", size=(6000, 3999))
    assert why(pictures) == ("a.jpg", "kept: 6000x4000 pixels against 6000x3999")


def test_at_equal_pixels_richer_metadata_is_kept(pictures: Pictures) -> None:
    pictures("a.jpg", bytes=99)
    pictures("b.jpg")
    assert why(pictures, b=5, a=2) == ("b.jpg", "kept: more metadata (5 against 2 kinds)")


def test_metadata_is_read_only_where_it_decides(pictures: Pictures) -> None:
    pictures("a.jpg", size=(200, 100))
    pictures("b.jpg")
    looked: list[str] = []

    def richness(path: str) -> int:
        looked.append(path)
        return 0

    grouped(pictures, {("a.jpg", "b.jpg"): ("near", 0.99)}, order=Order(richness=richness))
    assert looked == []


def test_at_equal_size_the_larger_file_is_kept(pictures: Pictures) -> None:
    pictures("a.jpg", bytes=1_200_000)
    pictures("b.jpg", bytes=3_100_000)
    assert why(pictures) == ("b.jpg", "kept: 3.1 MB against 1.2 MB at the same size")


def test_the_oldest_is_kept_by_exif_else_by_the_last_change(pictures: Pictures) -> None:
    pictures("a.jpg", taken="2021-01-01T00:00:00")
    pictures("b.jpg", taken="2019-05-01T12:00:00")
    pictures("c.jpg", taken="2020-01-01T00:00:00")
    assert why(pictures) == ("b.jpg", "kept: taken 2019-05-01, the others later")
    pictures("d.jpg")
    assert why(pictures) == ("d.jpg", "kept: last changed 2001-09-09, the others later")


def test_at_last_the_shortest_path_is_kept(pictures: Pictures) -> None:
    pictures("b.jpg", "folder/a.jpg")
    assert why(pictures) == ("b.jpg", "kept: the shortest path")


def test_policies_are_combined_in_their_order_and_the_others_follow(pictures: Pictures) -> None:
    pictures("a.jpg", size=(300, 100), bytes=10, taken="2020-01-01T00:00:00")
    pictures("b.jpg", size=(200, 100), bytes=20, taken="2019-01-01T00:00:00")
    pictures("c.jpg", size=(250, 100), bytes=20, taken="2019-01-01T00:00:00")
    assert why(pictures, KeeperPolicy(policies=("bytes", "oldest")))[0] == "c.jpg"
    assert (
        why(pictures, KeeperPolicy(policies=("bytes", "oldest")))[1]
        == "kept: 25,000 pixels against 20,000 pixels"
    )
    assert why(pictures, KeeperPolicy(policies=("resolution",)))[0] == "a.jpg"
    assert why(pictures, KeeperPolicy(policies=("oldest",)))[0] == "c.jpg"


def test_a_pattern_a_preferred_folder_and_a_reference_come_first(pictures: Pictures) -> None:
    pictures("big.jpg", size=(900, 900))
    pictures("x original.jpg", size=(800, 800))
    pictures("best/sub/s.jpg", size=(700, 700))
    pictures("ref/r.jpg", size=(600, 600))
    best, ref = str(pictures.folder / "best"), str(pictures.folder / "ref")
    policy = KeeperPolicy(pattern=("*original*",))
    assert why(pictures, policy) == ("x original.jpg", "kept: matches *original*, which is preferred")
    assert (
        why(pictures, KeeperPolicy(policies=("resolution", "path"), pattern=("*original*",)))[0] == "big.jpg"
    )
    policy = KeeperPolicy(pattern=("*original*",), prefer=(best,))
    assert why(pictures, policy) == ("best/sub/s.jpg", f"kept: in {best}, which is preferred")
    policy = KeeperPolicy(prefer=(best,), reference=(ref,))
    assert why(pictures, policy) == ("ref/r.jpg", f"kept: in {ref}, which is never touched")
    assert why(pictures, KeeperPolicy(prefer=(ref, best)))[0] == "ref/r.jpg"
    assert why(pictures, KeeperPolicy(pattern=("*/best/*",)))[0] == "best/sub/s.jpg"


def test_a_misspelt_policy_or_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SimsearchError, match=r"no policy 'largest'.*resolution"):
        KeeperPolicy(policies=("largest",))
    with pytest.raises(SimsearchError, match="needs a pattern"):
        KeeperPolicy(policies=("path",))
    for make in (
        lambda name: KeeperPolicy(prefer=(name,)),
        lambda name: KeeperPolicy(reference=(name,)),
        lambda name: Scope(reference=(name,)),
        lambda name: Scope(within=(name,)),
    ):
        with pytest.raises(NotIndexed, match=r"There is no .*misspelt"):
            make(str(tmp_path / "misspelt"))
    with pytest.raises(SimsearchError, match="any, across, same"):
        Scope(folders="some")


# Scope


def test_which_files_may_be_copies_of_each_other(tmp_path: Path) -> None:
    folder = tmp_path.resolve()
    for name in ("a", "b", "ab"):
        (folder / name).mkdir()
    a1, a2, b1, ab = (str(folder / name) for name in ("a/1", "a/2", "b/1", "ab/1"))
    two = [(a1, a2), (a1, b1), (a1, ab), (b1, ab)]

    def allowed(**options: object) -> list[bool]:
        scope = Scope(**options)  # type: ignore[arg-type]
        assert [scope.allowed(y, x) for x, y in two] == [scope.allowed(x, y) for x, y in two]
        return [scope.allowed(x, y) for x, y in two]

    place: Callable[[str], str] = lambda name: str(folder / name)  # noqa: E731
    assert allowed() == [True, True, True, True]
    assert allowed(folders="across") == [False, True, True, True]
    assert allowed(folders="same") == [True, False, False, False]
    assert allowed(within=(place("a"),)) == [True, False, False, False]
    assert allowed(within=(place("a"), place("ab"))) == [True, False, True, False]
    assert allowed(reference=(place("a"),)) == [False, True, True, True]
    assert allowed(reference=(place("a"), place("b"))) == [False, False, True, True]
    assert allowed(within=(place("ab"),), reference=(place("a"),)) == [False, False, True, False]


def test_only_files_within_are_looked_at(pictures: Pictures) -> None:
    one = pictures("in/a.jpg", "out/a.jpg")
    pictures("out/b.jpg")
    scope = Scope(within=(str(pictures.folder / "in"),))
    (found,) = scope.narrow(pictures.made)
    assert (found.id, found.paths) == (one.id, (str(pictures.folder / "in/a.jpg"),))
    assert grouped(pictures, {("in/a.jpg", "out/b.jpg"): ("near", 0.99)}, scope=scope) == []


def test_folders_may_be_named_from_here_and_through_a_link(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures("real/a.jpg")
    (pictures.folder / "link").symlink_to("real")
    monkeypatch.chdir(pictures.folder)
    for name in ("real", "./link", "link/"):
        assert Scope(within=(name,)).narrow(pictures.made) == pictures.made


def test_a_group_drops_the_files_that_the_scope_does_not_allow_with_the_keeper(pictures: Pictures) -> None:
    pictures("x/big.jpg", "y/big.jpg", size=(200, 200))
    pictures("x/small.jpg", "y/small.jpg")
    table: Table = {("x/big.jpg", "x/small.jpg"): ("near", 0.99)}
    found = grouped(pictures, table, scope=Scope(folders="across"))
    assert names(pictures, found) == [["x/big.jpg", "y/big.jpg", "y/small.jpg"]]
    found = grouped(pictures, table, scope=Scope(folders="same"))
    assert names(pictures, found) == [["x/big.jpg", "x/small.jpg"], ["y/big.jpg", "y/small.jpg"]]


def test_a_reference_folder_is_never_touched(pictures: Pictures) -> None:
    pictures("ref/a.jpg", "ref/b.jpg", "mine/c.jpg")
    pictures("ref/small.jpg", size=(10, 10))
    pictures("mine/big.jpg", size=(900, 900))
    ref = (str(pictures.folder / "ref"),)
    table: Table = {
        ("ref/a.jpg", "ref/small.jpg"): ("near", 0.99),
        ("ref/a.jpg", "mine/big.jpg"): ("near", 0.98),
        ("ref/small.jpg", "mine/big.jpg"): ("near", 0.97),
    }
    order = plain(KeeperPolicy(reference=ref))
    for scope in (Scope(reference=ref), Scope()):
        found = grouped(pictures, table, order=order, scope=scope)
        assert names(pictures, found) == [["ref/a.jpg", "mine/big.jpg", "mine/c.jpg"]]


def test_a_link_to_a_file_in_a_reference_folder_is_never_touched(pictures: Pictures) -> None:
    pictures("ref/a.jpg")
    pictures("mine/b.jpg", size=(10, 10))
    (pictures.folder / "mine/b.jpg").unlink()
    (pictures.folder / "ref/b.jpg").write_bytes(b"x")
    (pictures.folder / "mine/b.jpg").symlink_to("../ref/b.jpg")
    order = plain(KeeperPolicy(reference=(str(pictures.folder / "ref"),)))
    assert grouped(pictures, {("ref/a.jpg", "mine/b.jpg"): ("near", 0.99)}, order=order) == []


def test_names_of_any_bytes_are_grouped(pictures: Pictures) -> None:
    odd = os.fsdecode(b"\xff\xfe name.jpg")
    pictures(odd, "a.jpg")
    (found,) = grouped(pictures, {})
    assert [os.path.basename(photo.path) for photo in found.photos] == ["a.jpg", odd]
