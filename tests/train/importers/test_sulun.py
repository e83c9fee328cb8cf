"""A ``features.pkl`` as it is published, and others that try to run something."""

from __future__ import annotations

import csv
import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pipeline.store.layout import Store, open_store
from pipeline.store.verify import verify
from train.cli.commands import app
from train.errors import DataError
from train.importers.pickles import load_arrays
from train.importers.sulun import import_sulun
from train.labels.table import read_labels
from train.loading.features import FeatureSet
from train.loading.stream import Loader

GENRES = ["Drama", "Horror", "War"]


def content(kind: Any = np.asarray) -> dict[str, Any]:
    random = np.random.default_rng(1)

    def sample(steps: int, labels: Any, **more: Any) -> dict[str, Any]:
        features = {"clip": kind(random.normal(size=(steps, 8)).astype(np.float32)), **more}
        return {"features": features, "labels": kind(labels)}

    return {
        "samples": {
            "-aB_c": sample(3, [0, 1, 1], beats=kind(np.ones((2, 4), np.float32))),
            "--x9": sample(1, [1, 0, 0], beats=None),
            "zzz": sample(5, [0, 0, 0], beats=kind(np.full(4, 2, np.float32))),
            "late": sample(2, [0, 0, 1], beats=kind(np.empty((0, 4), np.float32))),
        },
        "stats": {"clip": {"mean": kind(np.zeros(8))}},
        "idx_to_label": dict(enumerate(GENRES)),
    }


def write(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
@pytest.mark.slow
def test_a_file_becomes_a_store_and_labels(tmp_path: Path, kind: Any, protocol: int) -> None:
    made = content(kind)
    path = write(tmp_path / "features.pkl", made, protocol)
    report = import_sulun(path, tmp_path / "out", tmp_path / "labels.csv")
    assert (report.videos, report.dims, report.genres) == (4, {"beats": 4, "clip": 8}, tuple(GENRES))
    store = open_store(tmp_path / "out")
    assert verify(store).problems == ()
    features = FeatureSet.open(store)
    labels = read_labels(tmp_path / "labels.csv")
    assert labels.ids == features.ids == ("--x9", "-aB_c", "late", "zzz")
    assert labels.rows(["-aB_c", "late", "zzz"]).tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    (batch,) = Loader(features, features.ids)
    assert batch.present["beats"].tolist() == [False, True, False, True]
    for i, name in enumerate(batch.ids):
        stored = np.asarray(made["samples"][name]["features"]["clip"]).astype(np.float16)
        np.testing.assert_array_equal(batch.features["clip"][i, : len(stored)].numpy(), stored)
    assert batch.features["beats"][3, 0].tolist() == [2.0] * 4
    assert batch.start_seconds["clip"][3].tolist() == [0, 1, 2, 3, 4]


def test_the_command(tmp_path: Path) -> None:
    path = write(tmp_path / "features.pkl", content())
    arguments = ["import", "sulun", str(path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--labels", str(tmp_path / "labels.csv")])
    assert result.exit_code == 0, result.output
    assert "4 videos, 3 genres" in result.output and "beats [4], clip [8]" in result.output
    assert open_store(tmp_path / "out").shards() == [0]


def test_both_layouts_of_the_file_give_the_same(tmp_path: Path) -> None:
    tables = []
    for key in ("labels", "label"):
        made = content()
        for sample in made["samples"].values():
            sample[key] = sample.pop("labels")
        out = tmp_path / key
        import_sulun(write(tmp_path / "features.pkl", made), out, tmp_path / f"{key}.csv")
        tables.append((tmp_path / f"{key}.csv").read_text())
    assert tables[0] == tables[1]


def test_other_spellings_of_labels(tmp_path: Path) -> None:
    made = content()
    made["idx_to_label"] = OrderedDict({str(i): name for i, name in enumerate(GENRES)})
    for name, labels in zip(made["samples"], ([1, 2], ["Drama"], [], np.array([2])), strict=True):
        made["samples"][name]["labels"] = labels
    import_sulun(write(tmp_path / "f.pkl", made), tmp_path / "out", tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open() as file:
        rows = {row["video_id"]: row["genres"] for row in csv.DictReader(file)}
    assert rows == {"-aB_c": '["Horror", "War"]', "--x9": '["Drama"]', "zzz": "[]", "late": '["War"]'}


def test_equal_files_have_equal_fingerprints_and_others_do_not(tmp_path: Path) -> None:
    def fingerprints(name: str, value: Any) -> dict[str, str]:
        import_sulun(write(tmp_path / f"{name}.pkl", value), tmp_path / name, tmp_path / f"{name}.csv")
        return {target.expert: target.fingerprint for target in Store(tmp_path / name).targets()}

    other = content()
    other["samples"]["zzz"]["features"]["clip"][0, 0] += 1
    assert fingerprints("a", content()) == fingerprints("b", content())
    assert not set(fingerprints("c", other).values()) & set(fingerprints("d", content()).values())


class Runs:
    """What a hostile pickle does when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "hostile",
    [
        Runs(os.system, "true"),
        Runs(eval, "1"),
        Runs(getattr, np.ndarray, "tofile"),
        Runs(np.load, "x"),
        Runs(torch.load, "x"),
        Runs(io.open, "x"),
    ],
    ids=["system", "eval", "getattr", "numpy.load", "torch.load", "open"],
)
def test_nothing_in_a_pickle_runs(tmp_path: Path, hostile: Runs) -> None:
    made = content()
    made["samples"]["zzz"]["labels"] = hostile
    with pytest.raises(DataError, match="which no file of features needs") as caught:
        import_sulun(write(tmp_path / "f.pkl", made), tmp_path / "out", tmp_path / "labels.csv")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() and not (tmp_path / "labels.csv").exists()


def test_a_pickle_inside_a_tensor_does_not_run_either(tmp_path: Path) -> None:
    inner = io.BytesIO()
    torch.save(Runs(os.system, "true"), inner)
    outer = Runs(torch.storage._load_from_bytes, inner.getvalue())
    with pytest.raises(DataError, match="not a pickle of arrays"):
        load_arrays(write(tmp_path / "f.pkl", outer))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda made: made.pop("samples"), "no dictionary 'samples'"),
        (lambda made: made.pop("idx_to_label"), "no idx_to_label"),
        (lambda made: made["idx_to_label"].pop(0), "no idx_to_label"),
        (lambda made: made["samples"]["zzz"].pop("features"), "sample 'zzz' has no features"),
        (lambda made: made["samples"]["zzz"].pop("labels"), "sample 'zzz' has no 'label'"),
        (lambda made: made["samples"]["zzz"].update(labels=[7]), "there are 3 genres"),
        (lambda made: made["samples"]["zzz"].update(labels=[0.5]), "numbers of genres"),
        (lambda made: made["samples"]["zzz"]["features"].update(clip=np.ones((2, 9))), "others have 8"),
        (lambda made: made["samples"]["zzz"]["features"].update(clip=np.full((2, 8), np.nan)), "cannot hold"),
        (lambda made: made["samples"]["zzz"]["features"].update(clip=np.full((2, 8), 1e6)), "choose float32"),
    ],
)  # fmt: skip
def test_files_of_another_kind_are_refused(tmp_path: Path, change: Any, what: str) -> None:
    made = content()
    change(made)
    with pytest.raises(DataError, match=what) as caught:
        import_sulun(write(tmp_path / "f.pkl", made), tmp_path / "out", tmp_path / "labels.csv")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_files_that_are_not_pickles(tmp_path: Path) -> None:
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps(content())[:200])
    for name in ("cut.pkl", "nowhere.pkl"):
        with pytest.raises(DataError, match=r"not a pickle of arrays|cannot read"):
            load_arrays(tmp_path / name)
