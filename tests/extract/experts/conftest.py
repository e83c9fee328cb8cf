"""What the tests of picture experts share: one pass over reference pictures, looked at from all sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from extract.expert import Resources
from extract.experts._pictures import PictureExpert, PictureModel
from extract.ops.network.staged import StagedModel
from extract.types import Frame, Item, MediaInfo, Scene
from extract.weights.checkpoints import load_state_dict

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, True, False)
SCENE = Scene(3, 10, 30, 0.4, 1.2, 20, 20480, 0.8, 0.84)


@dataclass(frozen=True)
class PictureChecks:
    """An expert with loaded weights; ``items`` are two prepared and two whole reference pictures.

    ``classifier`` is the file's last layer, which vectors leave out: weight and bias.
    """

    expert: PictureExpert
    model: StagedModel
    pictures: PictureModel
    items: list[Item]
    rows: NDArray[np.float32]
    classes: list[list[tuple[str, float]]]
    classifier: tuple[NDArray[np.float32], NDArray[np.float32]]

    def logits(self) -> NDArray[np.float32]:
        """(2, classes): what the published network says of the prepared pictures."""
        weight, bias = self.classifier
        return np.asarray(self.rows[:2] @ weight.T + bias)

    def embeddings(self, items: Sequence[Item], model: StagedModel | None = None) -> NDArray[np.float32]:
        return np.stack([row["embedding"] for (row,) in (model or self.model)(items)])

    def assert_classes_are_those_of_the_logits(self, names: Sequence[str]) -> None:
        """The expert's own, of an expert that asks for some, by torch's softmax and order."""
        scores, places = torch.from_numpy(self.logits()).softmax(1).topk(len(self.classes[0]))
        for mine, expected, at in zip(self.classes[:2], scores.tolist(), places.tolist(), strict=True):
            assert [name for name, _ in mine] == [names[place] for place in at]
            np.testing.assert_allclose([score for _, score in mine], expected, rtol=1e-4)

    def assert_rows_do_not_depend_on_the_batch(self) -> None:
        assert self.model([]) == []
        for order in ([2], [3, 0]):  # alone, and in another order
            mine = self.embeddings([self.items[i] for i in order])
            # Where a CPU lacks AVX-512, a row's last bits depend on its place in a product of matrices.
            exact = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
            atol = 0.0 if exact else 1e-5 * np.abs(self.rows).max()
            np.testing.assert_allclose(mine, self.rows[order], rtol=0, atol=atol)

    def half_precision_cosines(self) -> NDArray[np.floating]:
        half = PictureModel(
            deepcopy(self.pictures.network), Resources(precision="bfloat16"), self.pictures.normalisation
        )
        mine = self.embeddings(self.items, half)[:, : self.rows.shape[1]].astype(np.float64)
        norms = np.linalg.norm(mine, axis=1) * np.linalg.norm(self.rows, axis=1)
        cosines: NDArray[np.floating] = (mine * self.rows).sum(axis=1) / norms
        return cosines


@pytest.fixture(scope="module", autouse=True)
def small_batches(request: pytest.FixtureRequest) -> Iterator[None]:
    """Batches are padded, and most tests have one item: two rows in place of four halve what they take."""
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "WHOLE_BATCHES", False):
            patch.setattr("extract.ops.network.batching.CPU_BATCH", 2)
        yield


@pytest.fixture(scope="session")
def keyframe_items() -> Callable[[PictureExpert, NDArray[np.uint8]], list[Item]]:
    """The tap's items for one keyframe."""

    def items(expert: PictureExpert, image: NDArray[np.uint8]) -> list[Item]:
        return list(expert.tap(MEDIA).scene(SCENE, Frame(image, 20, 0.8, 0.84)))

    return items


@pytest.fixture(scope="session")
def picture_checks(parity: Any, keyframe_items: Any) -> Callable[..., PictureChecks]:
    def make(
        expert: PictureExpert, table: str, name: str, reference: str, *, whole: bool = True
    ) -> PictureChecks:
        """Loads the synthetic published file and removes it; one batch of four pictures."""
        path = parity.checkpoint(table, name)
        weights = path / "model.safetensors" if path.is_dir() else path
        model = expert.load(Resources(weights={"model": weights}))
        weight, bias = (t.numpy().copy() for t in list(load_state_dict(weights).values())[-2:])
        weights.unlink()  # hundreds of MB
        pictures = vars(model).get("_model", model)
        assert isinstance(model, StagedModel) and isinstance(pictures, PictureModel)
        stored = parity.reference(reference)
        seeds = stored["image_seeds"].tolist()
        items = [Item(0.0, 1.0, {"image": parity.inputs.image(224, 224, seed)}) for seed in seeds[:2]]
        for height, width, seed in parity.reference("preprocess")["images"].tolist()[:2]:
            items += keyframe_items(expert, parity.inputs.image(height, width, seed))
        rows = [row for (row,) in model(items)]
        vectors = np.stack([row["embedding"] for row in rows])
        classes = [list(zip(r.get("classes", ()), r.get("class_scores", ()), strict=True)) for r in rows]
        return PictureChecks(expert, model, pictures, items, vectors, classes, (weight, bias))

    return make


@pytest.fixture(scope="session")
def published(parity: Any) -> Callable[[str], dict[str, tuple[int, ...]]]:
    """Names and shapes of a published file, without DataParallel's prefix."""

    def read(table: str) -> dict[str, tuple[int, ...]]:
        keys = parity.rule.load_table(parity.folder / "shapes" / f"{table}.json")["keys"]
        return {key.removeprefix("module."): tuple(shape) for key, shape in keys.items()}

    return read
