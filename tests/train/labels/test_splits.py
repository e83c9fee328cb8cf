"""Splits by every rule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from extract.errors import UsageError
from train.errors import DataError
from train.labels.splits import Rule, Split, check_genres, split_by_column, split_by_rule, split_from_json
from train.labels.table import LabelTable, read_labels


def labels(count: int = 200, *, groups: int | None = None, **columns: tuple[str, ...]) -> LabelTable:
    random = np.random.default_rng(5)
    matrix = random.random((count, 4)) < (0.5, 0.3, 0.2, 0.05)
    ids = tuple(f"v{i:03d}" for i in random.permutation(count))
    chosen = None if groups is None else tuple(f"film{i}" for i in random.integers(0, groups, count))
    return LabelTable(ids, ("a", "b", "c", "d"), matrix, chosen, columns=columns)


def sizes(split: Split) -> list[int]:
    return [len(ids) for ids in split.parts().values()]


def test_sulun_cuts_the_sorted_ids() -> None:
    split = split_by_rule(labels())
    assert sizes(split) == [140, 20, 40]
    assert [*split.train, *split.validation, *split.test] == [f"v{i:03d}" for i in range(200)]


@pytest.mark.slow
def test_sulun_gives_the_published_lists(shared: Path) -> None:
    table = read_labels(shared / "data/movienet_labels.csv", least_videos=2)
    published = split_from_json(table, shared / "data/movienet_splits.json")
    assert sizes(published) == [18488, 2642, 5282]
    assert published == split_by_rule(table)


@pytest.mark.parametrize("rule", ["sulun", "random", "stratified"])
def test_every_video_is_in_one_part_and_the_same_seed_gives_the_same(rule: Rule) -> None:
    table = labels()
    split = split_by_rule(table, rule, seed=3)
    assert sorted([*split.train, *split.validation, *split.test]) == sorted(table.ids)
    assert np.abs(np.array(sizes(split)) - (140, 20, 40)).max() <= (6 if rule == "stratified" else 0)
    assert split == split_by_rule(table, rule, seed=3)
    assert (split == split_by_rule(table, rule, seed=4)) == (rule == "sulun")


@pytest.mark.parametrize("rule", ["sulun", "random", "stratified"])
def test_groups_stay_together(rule: Rule) -> None:
    table = labels(groups=40)
    split = split_by_rule(table, rule, fractions=(0.5, 0.25, 0.25))
    group_of = dict(zip(table.ids, table.groups or (), strict=True))
    where = [{group_of[name] for name in ids} for ids in split.parts().values()]
    assert sum(map(len, where)) == len(set(group_of.values()))
    assert np.abs(np.array(sizes(split)) - (100, 50, 50)).max() <= 20
    assert sum(sizes(split)) == 200


def test_stratified_shares_rare_genres_out() -> None:
    table = labels(1000)
    split = split_by_rule(table, "stratified")
    for i, total in enumerate(table.matrix.sum(axis=0)):
        shares = [table.rows(ids)[:, i].sum() / total for ids in split.parts().values()]
        assert np.abs(np.array(shares) - (0.7, 0.1, 0.2)).max() < 0.03
    check_genres(split, table)


def test_by_column() -> None:
    values = ("train", "TRN", "val", "dev", "test", "")
    table = labels(6, part=values)
    split = split_by_column(table, "part")
    assert split.train == tuple(sorted(table.ids[:2])) and split.test == (table.ids[4],)
    assert split.notes == ("1 labelled video is in no part of column 'part': left out",)
    with pytest.raises(UsageError, match="no column 'fold'; they have part"):
        split_by_column(table, "fold")
    with pytest.raises(DataError, match="holds 'tset'"):
        split_by_column(labels(2, part=("train", "tset")), "part")


def test_from_json(tmp_path: Path) -> None:
    table = labels(6)
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"trn": ["v001", "v000"], "val": ["v002"], "tst": ["v003", "gone"]}))
    split = split_from_json(table, path)
    assert (split.train, split.validation, split.test) == (("v000", "v001"), ("v002",), ("v003",))
    assert [note.split(" of ")[0] for note in split.notes] == [
        "no labels for 1 id",
        "2 labelled videos are in no part",
    ]
    for content, what in (
        ({"train": ["v001"], "test": []}, "three lists of ids"),
        (["v001"], "three lists of ids"),
        ({"trn": ["x"], "val": [], "tst": []}, "no id of .* among the labels: it has 'x'"),
        ({"trn": ["v001"], "val": ["v001"], "tst": []}, "'v001' is in the split twice"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match=what):
            split_from_json(table, path)
    path.write_text("{")
    with pytest.raises(DataError, match="cannot read the split"):
        split_from_json(table, path)


def test_given_splits_name_videos_in_any_unicode_form_and_encoding(tmp_path: Path) -> None:
    names = ("Café", "Cafe\u0301 2", "c")
    table = LabelTable(names, ("a",), np.ones((3, 1), bool), columns={"part": (" Train", "VAL", "test")})
    lists = {"train": ["Cafe\u0301"], "val": ["Café 2.mp4"], "test": ["c"]}
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "x.json").write_bytes(json.dumps(lists, ensure_ascii=False).encode(encoding))
        split = split_from_json(table, tmp_path / "x.json")
        assert (split.train, split.validation, split.test) == (("Café",), ("Cafe\u0301 2",), ("c",))
        assert split.notes == () and split == split_by_column(table, "part")
    (tmp_path / "x.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match="nested too deeply"):
        split_from_json(table, tmp_path / "x.json")


def test_a_given_split_must_not_tear_groups(tmp_path: Path) -> None:
    table = labels(4, groups=1)
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"train": ["v000", "v001"], "valid": [], "test": ["v002"]}))
    with pytest.raises(DataError, match=r"splits group 'film0' \(train, test\)"):
        split_from_json(table, path)


def test_a_genre_that_a_part_lacks_is_named() -> None:
    table = labels(20)
    table = LabelTable(table.ids, table.genres, np.zeros((20, 4), bool))
    table.matrix[:, :3] = True
    table.matrix[table.ids.index("v000"), 3] = True
    with pytest.raises(DataError, match=r"leaves validation \(2 videos\) without a video of 'd'"):
        check_genres(split_by_rule(table), table)
    check_genres(Split(tuple(table.ids), (), ()), table)
    with pytest.raises(DataError, match="no video to train on"):
        check_genres(Split((), ("v001",), ()), table)


def test_fractions_and_rules_are_checked() -> None:
    for fractions in ((0.5, 0.2, 0.2), (0.0, 0.5, 0.5), (1.1, -0.1, 0.0), (0.5, 0.5)):
        with pytest.raises(UsageError, match="add up to 1"):
            split_by_rule(labels(), fractions=fractions)
    with pytest.raises(UsageError, match="no split rule 'alphabet'"):
        split_by_rule(labels(), "alphabet")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="'a' is in the split twice"):
        Split(("a", "b"), ("a",), ())


def test_names_are_mapped_to_videos() -> None:
    split = Split(("b", "a"), ("c",), ("d",), ("kept",)).map({"a": "z/a", "b": "y/b", "d": "d"}, "added")
    assert split == Split(("y/b", "z/a"), (), ("d",), ("kept", "added"))
