"""Tags of a store that was really extracted, with a small CLIP, against open_clip alone."""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from typer.testing import CliRunner

from extract.errors import UsageError, WeightsError
from extract.experts.tags import Tags, TagsOptions
from pipeline import run
from pipeline.about.cite import cite
from pipeline.about.describe import describe
from pipeline.export.export import export
from pipeline.report.site import report
from pipeline.search.meaning import Meaning
from pipeline.search.search import Searches, run_searches
from pipeline.store.layout import Store, open_store
from pipeline.store.reading import read
from pipeline.store.removal import remove
from pipeline.store.verify import verify
from pipeline.tagging import command
from pipeline.tagging.tagging import tagging
from pipeline.work.run import run_config
from tests.fixtures.open_clip_models import CLIP_NAME, SIGLIP_NAME, TOKENIZER, Registered, registered

ROOT = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.append("tests")
from pipeline.cli import marquee
from pipeline.store import parts
from pipeline.work import shards
from fixtures.open_clip_models import known

written = []
def merge_part(*given, **named):
    if written:
        os.kill(os.getpid(), signal.SIGKILL)
    parts.merge_part(*given, **named)
    written.append(given)
shards.merge_part = merge_part
with known(Path(sys.argv.pop(1))):
    marquee.main()
"""
WORDS = ("the sea: a photo of the sea | the sea by day", "two people kiss", "=1+1", "<script>night</script>")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Registered]]:
    with registered(tmp_path_factory.mktemp("open_clip")) as found:
        yield found


@pytest.fixture(scope="module")
def extracted(
    models: dict[str, Registered], small_trailers: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two shards of three trailers, whose videos are gone."""
    folder = tmp_path_factory.mktemp("tagged")
    videos = Path(shutil.copytree(small_trailers[0].parent, folder / "videos"))
    options = {"clip": {"model": SIGLIP_NAME}, "scenes": {"detector": "content"}}
    run(
        videos, folder / "store", experts=["clip"], options=options, weights=models[SIGLIP_NAME].folder,
        download=False, device="cpu", decoders=1, shard_size=2,
    )  # fmt: skip
    shutil.rmtree(videos)
    return folder / "store"


@pytest.fixture
def store(extracted: Path, tmp_path: Path) -> Store:
    return open_store(Path(shutil.copytree(extracted, tmp_path / "store")))


def tag(store: Store, words: Sequence[str] = WORDS) -> Any:
    return run_config(tagging(store, words, device="cpu"))


def scores(store: Store) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = read(store, "tags").to_pydict()
    return found


def test_scores_are_open_clips_zero_shot_classifier(store: Store, models: dict[str, Registered]) -> None:
    import open_clip

    assert tag(store).states["tags"] == {"ok": 3}
    theirs = models[SIGLIP_NAME]
    prompts = {"the sea": ["a photo of the sea", "the sea by day"]}
    columns = []
    for name in ("the sea", "two people kiss", "=1+1", "<script>night</script>"):
        templates = [lambda _, text=text: text for text in prompts.get(name, [name])]
        columns.append(
            open_clip.build_zero_shot_classifier(theirs.model, theirs.tokenizer, [name], templates)
        )
    clip = read(store, "clip")
    pictures = torch.tensor(np.stack(clip["embedding"].to_pylist()).astype(np.float32))
    expected = (torch.nn.functional.normalize(pictures) @ torch.cat(columns, dim=1)).numpy()
    found = read(store, "tags")
    for i, name in enumerate(found.column_names[5:9]):
        np.testing.assert_allclose(found[name].to_numpy(), expected[:, i], atol=1e-5)
    np.testing.assert_array_equal(np.stack(found["embedding"].to_pylist())[:, 1], found["two people kiss"])
    for name in ("video_id", "row", "start_seconds", "end_seconds", "scene"):
        assert found[name].equals(clip[name])
    # and search speaks to the store in the same model
    texts = ["two people kiss"]
    mine = Meaning(store, theirs.folder, device="cpu", download=False).of_texts(texts)
    with torch.inference_mode():
        np.testing.assert_allclose(mine, theirs.model.encode_text(theirs.tokenizer(texts)), atol=1e-5)
    (answer,) = run_searches(
        store, Searches(meaning=tuple(texts)), most=1, weights=theirs.folder, device="cpu"
    )
    best = answer.hits[0]
    top = found.sort_by([("two people kiss", "descending")]).to_pylist()[0]
    assert (best.video_id, best.start_seconds) == (top["video_id"], top["start_seconds"])


@pytest.mark.slow
def test_a_command_that_was_killed_goes_on(
    store: Store, models: dict[str, Registered], tmp_path: Path
) -> None:
    """SIGKILL to a process of its own, when it is about to write its second part."""
    words = tmp_path / "words.txt"
    words.write_text("\n".join(WORDS))
    folder = models[SIGLIP_NAME].folder
    arguments = ["tag", store.root, "--tags", words, "--weights", folder, "--device", "cpu"]
    program = [sys.executable, "-c", KILLED, *map(str, (folder, *arguments))]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (part,) = store.parts("tags")
    written = part.path.stat().st_ino
    assert not verify(store).clean and len(scores(store)["video_id"]) > 0
    resumed = tag(store)
    assert resumed.computed == (1 if part.shard == 0 else 2) and verify(store).clean
    assert part.path.stat().st_ino == written, "what was written stays"
    assert tag(store).computed == 0


def test_a_new_list_replaces_the_old(store: Store) -> None:
    tag(store)
    before = scores(store)
    tag(store, ["two people kiss"])
    after = scores(store)
    np.testing.assert_allclose(after["two people kiss"], before["two people kiss"], atol=1e-6)
    assert "the sea" not in after
    assert len(store.parts("tags")) == 4 and verify(store).clean  # older rows are kept, as of any expert
    assert tag(store).computed == 0 and scores(store) == before
    remove(store, ["a"])
    assert set(scores(store)["video_id"]) == {"b", "c"}


def test_another_tokenizer_makes_other_rows(store: Store, models: dict[str, Registered]) -> None:
    """The words that it knows are part of what a score is; a model with open_clip's own has none to name."""
    tag(store)
    settings = next(target for target in store.targets() if target.expert == "tags").made_of["settings"]
    assert settings["tokenizer"].keys() == {"tokenizer.json", "tokenizer_config.json"}
    file = models[SIGLIP_NAME].folder / TOKENIZER / "tokenizer.json"
    before, content = scores(store), file.read_text()
    assert settings["tokenizer"]["tokenizer.json"] == hashlib.sha256(file.read_bytes()).hexdigest()
    try:
        file.write_text(content.replace('"sea"', '"lake"'))
        assert tag(store).computed == 3
        assert scores(store)["the sea"] != before["the sea"]
        file.unlink()
        with pytest.raises(WeightsError, match=r"the tokenizer of .* cannot be loaded: .*HF_HOME"):
            tag(store)
    finally:
        file.write_text(content)
    assert tag(store).computed == 0 and scores(store) == before
    assert set(Tags().settings()) == {"version", "words", "model"}
    assert "tokenizer" not in Tags(TagsOptions(model=CLIP_NAME)).settings()


def test_hostile_tags_are_plain_text_wherever_a_store_is_shown(store: Store, tmp_path: Path) -> None:
    tag(store)
    (facts,) = describe(store, "tags")
    assert facts.columns[5].meaning == "cosine of the shot and 'a photo of the sea', 'the sea by day'"
    assert {"radford2021clip", "ilharco2021openclip", "tschannen2025siglip2"} <= cite(store).entries.keys()
    relation: Any = duckdb.sql(f"select max(\"=1+1\") from '{store.root}/tags/*.parquet'")
    assert relation.fetchall()[0][0] == pc.max(read(store, "tags")["=1+1"]).as_py()
    made = export(store, "csv", tmp_path / "csv")
    header = (made.folder / "tags/a_tags.csv").read_text().splitlines()[0]
    assert header.endswith('"two people kiss","\'=1+1","<script>night</script>"')
    report(store, tmp_path / "site")
    page = (tmp_path / "site/data/films/000000.js").read_text()
    assert "Tags two people kiss" in page and "<script>night" not in page


def test_the_command_and_what_it_refuses(store: Store, tmp_path: Path, models: dict[str, Registered]) -> None:
    words = tmp_path / "words.txt"
    words.write_text("\n".join(WORDS))
    shutil.rmtree(str(store.root / "clip"))
    done = CliRunner().invoke(command.app, [str(store.root), "--tags", str(words), "--device", "cpu"])
    assert "3 videos without rows of clip" in done.output.replace("\n", " ")
    assert re.search(r"next: .*report \S+ --out pages$", done.output.rstrip())
    with pytest.raises(UsageError, match=r"tags.model is ViT-B-32-quickgelu:openai, clip.model is ViT-tiny"):
        options = {"clip": {"model": CLIP_NAME}, "scenes": {"detector": "content"}}
        (tmp_path / "videos").mkdir()
        (tmp_path / "videos" / "a.mp4").write_bytes(b"x")
        run(tmp_path / "videos", tmp_path / "new", experts=["tags"], options=options, random_seed=0)
    empty = open_store(tmp_path / "empty", create=True)
    with pytest.raises(UsageError, match="has no rows of clip, which tags are compared with"):
        tagging(empty, WORDS)
