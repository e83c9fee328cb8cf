"""How much each shot looks like the user's own words: CLIP's text tower against the stored vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from extract.expert import Column, Embedding, Expert, Model, Package, Resources, TableSpec
from extract.experts._open_clip import (
    ImageTextModel,
    ModelName,
    TextEncoder,
    model_named,
    text_encoder,
    tokenizer_files,
)
from extract.experts.clip import Clip, clip_file
from extract.types import Item, Row
from extract.weights.files import WeightFile

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLE = (
    "day: a photo taken by day",
    "night: a photo taken at night | a dark street",
    "indoors",
    "outdoors",
)
OWN_COLUMNS = ("video_id", "row", "start_seconds", "end_seconds", "scene", "embedding")
LONGEST_TAG, LONGEST_PROMPT, MOST_TAGS = 100, 1000, 1000  # characters; a tag is a column
SHOTS = 64  # in an item


@dataclass(frozen=True)
class Tag:
    """A name, which is a column of the table, and what CLIP reads for it."""

    name: str
    prompts: tuple[str, ...]

    @classmethod
    def of(cls, line: str) -> Tag:
        """``tag: prompt | prompt``, or the tag alone, which then is its prompt. Raises ValueError."""
        name, colon, rest = line.partition(":")
        name = " ".join(name.split())
        prompts = [" ".join(text.split()) for text in rest.split("|")] if colon else [name]
        prompts = list(dict.fromkeys(filter(None, prompts)))
        if not name or not prompts:
            raise ValueError(
                f"{_short(line)} has no {'prompt' if name else 'tag'}: write TAG: PROMPT | PROMPT"
            )
        if name.casefold() in OWN_COLUMNS:
            raise ValueError(f"{name!r} is a column that every table of shots has: write another tag")
        for text, most in ((name, LONGEST_TAG), *((prompt, LONGEST_PROMPT) for prompt in prompts)):
            if len(text) > most:
                raise ValueError(f"{_short(text)} has {len(text):,} characters; allowed: {most:,}")
            if not text.isprintable():
                raise ValueError(f"{_short(text)} has a character that cannot be printed: remove it")
        return cls(name, tuple(prompts))

    @property
    def line(self) -> str:
        """The same as one line, however it was spaced."""
        return self.name if self.prompts == (self.name,) else f"{self.name}: {' | '.join(self.prompts)}"


@dataclass(frozen=True)
class TagsOptions:
    """``words``: a tag each, as :meth:`Tag.of` reads them. ``model``: the same as ``clip.model``."""

    words: tuple[str, ...] = EXAMPLE
    model: ModelName | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.words) <= MOST_TAGS:
            raise ValueError(f"{len(self.words):,} tags; allowed: 1 to {MOST_TAGS:,}")
        names = sorted((tag.name for tag in self.tags), key=str.casefold)
        for _, same in groupby(names, key=str.casefold):
            if len(found := list(same)) > 1:
                raise ValueError(
                    f"the tag {found[0]!r} is there {len(found)} times: write its prompts in one line"
                )

    @property
    def tags(self) -> list[Tag]:
        return [Tag.of(line) for line in self.words]


class Tags(Expert):
    """Zero-shot scores of CLIP (Radford et al. 2021, section 3.1): a column for each tag, without training.

    A score is the cosine of the vector of a keyframe, as ``clip`` has stored it, and that of the tag: its
    prompts' vectors by the text tower, each of length 1, averaged and again of length 1 (section 3.1.4, over
    the embedding space). ``embedding`` float32, (4,) for the four tags of the example that is the default,
    has the scores in the order of the tags. A row is a row of ``clip``, on the same interval in seconds.
    """

    summary = "how much each shot looks like words of one's own, by CLIP's text tower"
    cites = ("radford2021clip", "ilharco2021openclip")
    Options = TagsOptions
    lane = "host"
    upstream = ("clip",)
    packages = (Package("open_clip", "tags"),)
    empty_reason = "no video frames"
    on_request = True

    options: TagsOptions

    @property
    def model(self) -> ImageTextModel:
        return model_named(self.options.model)

    def settings(self) -> dict[str, Any]:
        """With the files of a tokenizer that is not open_clip's own: another one reads other words."""
        lines = [tag.line for tag in self.options.tags]
        settings = {"version": self.version, "words": lines, "model": self.model.name}
        return settings | ({"tokenizer": found} if (found := tokenizer_files(self.model)) else {})

    def tables(self) -> Mapping[str, TableSpec]:
        tags = self.options.tags
        scores = (
            Column(tag.name, "float32", f"cosine of the shot and {', '.join(map(repr, tag.prompts))}")
            for tag in tags
        )
        scene = Column("scene", "int32", "number of the shot, as in the scenes table")
        return {self.name: TableSpec((scene, *scores), Embedding((len(tags),), float32=True))}

    def weights(self) -> tuple[WeightFile, ...]:
        return (clip_file(self.model),)

    def misfit(self, experts: Mapping[str, Expert]) -> str | None:
        clip = experts["clip"]
        assert isinstance(clip, Clip)
        if clip.model == self.model:
            return None
        return (
            f"tags.model is {self.model.name}, clip.model is {clip.model.name}: texts and pictures can be "
            "compared in one model only, so give both the same"
        )

    def read_tables(self, tables: Mapping[str, pa.Table]) -> Iterator[Item]:
        """Shots as they lie in the table, some in each item."""
        from extract.tables import embedding_matrix  # it imports pyarrow

        table = tables.get("clip")
        if table is None:
            return
        for start in range(0, len(table), SHOTS):
            part = table.slice(start, SHOTS)
            arrays = {name: part[name].to_numpy() for name in ("start_seconds", "end_seconds", "scene")}
            arrays["embedding"] = embedding_matrix(part["embedding"])
            yield Item(float(arrays["start_seconds"].min()), float(arrays["end_seconds"].max()), arrays)

    def load(self, resources: Resources) -> Model:
        encode = text_encoder(self.model, replace(resources, device="cpu"))  # the host's lane
        tags = self.options.tags
        return Scores([tag.name for tag in tags], tag_vectors(tags, encode))


def tag_vectors(tags: Sequence[Tag], encode: TextEncoder) -> NDArray[np.float32]:
    """(tags, dimension), of length 1: the mean of each tag's prompts, whose vectors have length 1."""
    vectors = _unit(encode([prompt for tag in tags for prompt in tag.prompts]))
    ends = np.cumsum([len(tag.prompts) for tag in tags])
    return _unit(np.stack([part.mean(axis=0) for part in np.split(vectors, ends[:-1])]))


class Scores:
    """Shots to their cosines with each tag."""

    def __init__(self, names: Sequence[str], vectors: NDArray[np.float32]) -> None:
        self._names, self._vectors = names, vectors

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        return [self._rows(item.arrays) for item in items]

    def _rows(self, shots: Mapping[str, NDArray[Any]]) -> list[Row]:
        scores = _unit(shots["embedding"].astype(np.float32)) @ self._vectors.T
        return [
            {
                "start_seconds": float(start),
                "end_seconds": float(end),
                "scene": int(scene),
                **dict(zip(self._names, mine.tolist(), strict=True)),
                "embedding": mine,
            }
            for start, end, scene, mine in zip(
                shots["start_seconds"], shots["end_seconds"], shots["scene"], scores, strict=True
            )
        ]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
