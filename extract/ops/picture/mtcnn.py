"""MTCNN: faces by a cascade of three small networks over a pyramid of the frame.

Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks" (2016, arXiv:1604.02878), section II. Scales, thresholds and the arithmetic of boxes, which count
pixels from 1 as the MATLAB original does, are those of facenet-pytorch 2.6.0, whose weights these networks
read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from extract.ops.network.batching import fixed_batches
from extract.ops.network.device import to_device
from extract.ops.network.inference import inference
from extract.ops.picture.faces import Faces, Image, faces_of

if TYPE_CHECKING:
    import torch

    from extract.nets.mtcnn import OutputNet, ProposalNet, RefinementNet

Array = NDArray[np.float32]

CELL_PIXELS, STRIDE_PIXELS = 12, 2  # what a value of the first network sees, and how far they are apart
PYRAMID = 0.709  # from one scale to the next
PROPOSED, REFINED = 0.6, 0.7  # least probabilities of the first two networks
REFINEMENT_SIZE, OUTPUT_SIZE = 24, 48
REFINEMENT_BATCH, OUTPUT_BATCH = 64, 16  # on a CPU, where a batch has one shape


@dataclass(frozen=True)
class Boxes:
    """Candidates of several frames: ``frames`` (n,) says whose, ``corners`` (n, 4), ``scores`` (n,)."""

    frames: NDArray[np.intp]
    corners: Array
    scores: Array

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, chosen: Any) -> Boxes:
        return Boxes(self.frames[chosen], self.corners[chosen], self.scores[chosen])


class Mtcnn:
    """Frames uint8 (height, width, 3) RGB of one size to the faces of each.

    They are at least about ``least_pixels`` high, where the pyramid begins, and scored above ``min_score``.
    Always float32: whether a box passes a threshold would hang on the precision.
    """

    def __init__(
        self,
        networks: tuple[ProposalNet, RefinementNet, OutputNet],
        *,
        device: str,
        least_pixels: int,
        min_score: float,
    ) -> None:
        self._proposal, self._refinement, self._output = (net.to(device).eval() for net in networks)
        self._device = device
        self._least_pixels = least_pixels
        self._min_score = min_score

    def __call__(self, images: Sequence[Image]) -> list[Faces]:
        pictures = self._summed(images)
        boxes = self._proposed(pictures)
        boxes, values = self._looked_at(boxes, pictures, self._refinement, REFINEMENT_SIZE, REFINEMENT_BATCH)
        passed = boxes.scores > REFINED
        boxes, values = boxes[passed], values[passed]
        kept = _largest_scores(boxes, 0.7)
        boxes = _squared(_shifted(boxes[kept], values[kept], pixel=1))
        boxes, values = self._looked_at(boxes, pictures, self._output, OUTPUT_SIZE, OUTPUT_BATCH)
        passed = boxes.scores > self._min_score
        boxes, values = boxes[passed], values[passed]
        landmarks = _landmarks(boxes, values)
        boxes = _shifted(boxes, values, pixel=1)
        kept = _largest_scores(boxes, 0.7, of_smaller=True)
        boxes, landmarks = boxes[kept], landmarks[kept]
        return [
            faces_of(boxes.corners[mine], boxes.scores[mine], landmarks[mine])
            for mine in (boxes.frames == number for number in range(len(images)))
        ]

    def maps(self, images: Sequence[Image]) -> list[Array]:
        """What the first network makes of frames of one size: (frames, 5, rows, columns) at each scale."""
        return [maps for _, maps in self._maps(self._summed(images))]

    def _summed(self, images: Sequence[Image]) -> list[SummedPicture]:
        return [SummedPicture(image, self._device) for image in images]

    def _maps(self, pictures: Sequence[SummedPicture]) -> Iterator[tuple[float, Array]]:
        import torch

        size = 1 if self._device == "cpu" else len(pictures)  # a large map fills a CPU's cores
        height, width = pictures[0].size
        for scale in self._scales(min(height, width)):
            shape = int(height * scale + 1), int(width * scale + 1)
            scaled = torch.cat([picture.crops(picture.whole, shape) for picture in pictures])
            yield scale, self._values(self._proposal, scaled, size)

    def _proposed(self, pictures: Sequence[SummedPicture]) -> Boxes:
        """What the first network takes for faces at any scale, made square."""
        found, shifts = [], []
        for scale, maps in self._maps(pictures):
            boxes, their_shifts = _cells(maps, scale)
            kept = _largest_scores(boxes, 0.5)
            found.append(boxes[kept])
            shifts.append(their_shifts[kept])
        if not found:
            return Boxes(np.empty(0, np.intp), np.empty((0, 4), np.float32), np.empty(0, np.float32))
        boxes = Boxes(
            np.concatenate([each.frames for each in found]),
            np.concatenate([each.corners for each in found]),
            np.concatenate([each.scores for each in found]),
        )
        kept = _largest_scores(boxes, 0.7)
        return _squared(_shifted(boxes[kept], np.concatenate(shifts)[kept], pixel=0))

    def _scales(self, shorter_side: int) -> Iterator[float]:
        scale = CELL_PIXELS / self._least_pixels
        while shorter_side * scale >= CELL_PIXELS:
            yield scale
            scale *= PYRAMID

    def _looked_at(
        self, boxes: Boxes, pictures: Sequence[SummedPicture], network: torch.nn.Module, side: int, batch: int
    ) -> tuple[Boxes, Array]:
        """The boxes that lie in their frames, scored anew by the network, and its other values of each."""
        import torch

        height, width = pictures[0].size
        pixels = boxes.corners.astype(np.int64)  # towards 0, as the published code does
        pixels = np.stack(
            [pixels[:, :2].clip(1) - 1, np.minimum(pixels[:, 2:], [width, height])], axis=1
        ).reshape(-1, 4)
        inside = (pixels[:, 0] < pixels[:, 2]) & (pixels[:, 1] < pixels[:, 3])
        boxes, pixels = boxes[inside], pixels[inside]
        order = np.argsort(boxes.frames, kind="stable")
        boxes, pixels = boxes[order], pixels[order]
        if not len(boxes):
            return boxes, np.empty((0, 14), np.float32)
        crops = torch.cat(
            [
                picture.crops(pixels[boxes.frames == number], (side, side))
                for number, picture in enumerate(pictures)
            ]
        )
        values = self._values(network, crops, batch if self._device == "cpu" else 8 * batch)
        return Boxes(boxes.frames, boxes.corners, values[:, 0]), values[:, 1:]

    def _values(self, network: torch.nn.Module, pictures: torch.Tensor, size: int) -> Array:
        def batch(part: torch.Tensor) -> Array:
            with inference(self._device):
                return np.asarray(network(part).cpu().numpy())

        return fixed_batches(batch, pictures, size, device=self._device).astype(np.float32, copy=False)


class SummedPicture:
    """A picture whose rectangles are scaled by the mean of the pixels under each new one.

    Sums over rectangles come from one table (Crow 1984), whole numbers, so a crop's values depend on nothing
    else; as PyTorch's ``adaptive_avg_pool2d``, new pixel i of n covers floor(i L / n) to ceil((i + 1) L / n).
    """

    def __init__(self, image: Image, device: str) -> None:
        import torch

        self.size = image.shape[:2]
        height, width = self.size
        self._sums = torch.zeros((height + 1, width + 1, 3), dtype=torch.int64, device=device)
        self._sums[1:, 1:] = to_device(image, device).long().cumsum(0).cumsum(1)

    @property
    def whole(self) -> NDArray[np.int64]:
        height, width = self.size
        return np.array([[0, 0, width, height]], np.int64)

    def crops(self, boxes: NDArray[np.int64], size: tuple[int, int]) -> torch.Tensor:
        """Rectangles (n, 4), left, top, right, bottom, as (n, 3, height, width), (x - 127.5) / 128."""
        import torch

        corners = torch.from_numpy(np.ascontiguousarray(boxes)).to(self._sums.device)
        top, bottom = _bins(corners[:, 1], corners[:, 3], size[0])
        left, right = _bins(corners[:, 0], corners[:, 2], size[1])

        def at(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
            return self._sums[rows[:, :, None], columns[:, None, :]]

        sums = at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
        pixels = (bottom - top)[:, :, None] * (right - left)[:, None, :]
        means = sums.float() / pixels[..., None]  # exact: a new pixel covers less than 2^16 old ones
        return ((means - 127.5) / 128).permute(0, 3, 1, 2).contiguous()


def _bins(start: torch.Tensor, end: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each of ``count`` new pixels begins and ends, (n, count) each."""
    import torch

    places = torch.arange(count, device=start.device)
    length = (end - start)[:, None]
    first = places * length // count
    last = ((places + 1) * length + count - 1) // count
    return start[:, None] + first, start[:, None] + last


def _cells(maps: Array, scale: float) -> tuple[Boxes, Array]:
    """Boxes of a map's cells that pass, counted in the frame's pixels, and their shifts (n, 4)."""
    frames, rows, columns = np.nonzero(maps[:, 0] >= PROPOSED)
    starts = STRIDE_PIXELS * np.stack([columns, rows], axis=1).astype(np.float32)
    corners = np.concatenate([starts + 1, starts + CELL_PIXELS], axis=1) / np.float32(scale)
    values = maps[frames, :, rows, columns]
    return Boxes(frames, np.floor(corners), values[:, 0]), values[:, 1:]


def _shifted(boxes: Boxes, shifts: Array, *, pixel: int) -> Boxes:
    """Sides moved by shares of the box's size, which is counted with or without the last pixel."""
    sizes = boxes.corners[:, 2:] - boxes.corners[:, :2] + np.float32(pixel)
    return Boxes(boxes.frames, boxes.corners + shifts[:, :4] * np.tile(sizes, 2), boxes.scores)


def _squared(boxes: Boxes) -> Boxes:
    """Each as wide as high, by its longer side, about the same centre."""
    sizes = boxes.corners[:, 2:] - boxes.corners[:, :2]
    longer = sizes.max(axis=1, keepdims=True)
    starts = boxes.corners[:, :2] + sizes * np.float32(0.5) - longer * np.float32(0.5)
    return Boxes(boxes.frames, np.concatenate([starts, starts + longer], axis=1), boxes.scores)


def _landmarks(boxes: Boxes, values: Array) -> Array:
    """(n, 5, 2) in pixels; ``values`` have the shifts before them."""
    starts = boxes.corners[:, None, :2]
    sizes = boxes.corners[:, None, 2:] - starts + np.float32(1)
    places = values[:, 4:14].reshape(-1, 2, 5).transpose(0, 2, 1)
    return sizes * places + starts - np.float32(1)


def _largest_scores(boxes: Boxes, most_overlap: float, *, of_smaller: bool = False) -> NDArray[np.intp]:
    """Non-maximum suppression within each frame: what is left, by frame and falling score.

    An overlap is a share of the union, or ``of_smaller`` box; then sizes count the last pixel too, as in the
    published code.
    """
    pixel = np.float32(1 if of_smaller else 0)
    kept: list[int] = []
    for frame in np.unique(boxes.frames):
        mine = np.flatnonzero(boxes.frames == frame)
        left = mine[np.argsort(-boxes.scores[mine], kind="stable")]
        while len(left):
            best, left = left[0], left[1:]
            kept.append(int(best))
            corners, rest = boxes.corners[best], boxes.corners[left]
            sides = np.minimum(corners[2:], rest[:, 2:]) - np.maximum(corners[:2], rest[:, :2]) + pixel
            shared = sides.clip(0).prod(axis=1)
            area, areas = ((each[..., 2:] - each[..., :2] + pixel).prod(axis=-1) for each in (corners, rest))
            whole = np.minimum(area, areas) if of_smaller else area + areas - shared
            left = left[shared <= np.float32(most_overlap) * whole]
    return np.array(kept, np.intp)
