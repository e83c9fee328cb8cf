"""What the experts of faces share: which detector looks for them, and on what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from extract.declarations import Resources
from extract.errors import UsageError
from extract.ops.network.batching import network_batch
from extract.ops.picture.faces import FaceDetector, Faces, Image
from extract.ops.picture.mtcnn import Mtcnn
from extract.ops.picture.yunet import YuNet
from extract.weights.checkpoints import fill, to_be_filled
from extract.weights.files import WeightFile

MOST_FRAMES = 16  # looked at together: some 0.2 GB of 960 x 540

_WHEEL = "pkg:pypi/facenet-pytorch@2.6.0#facenet_pytorch/data/"
MTCNN_FILES = tuple(
    WeightFile(role, f"{role}.pt", sha256, f"{_WHEEL}{role}.pt", size_bytes, "MIT")
    for role, sha256, size_bytes in (
        ("pnet", "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f", 28_570),
        ("rnet", "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86", 403_147),
        ("onet", "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d", 1_559_269),
    )
)
YUNET_NAME = "face_detection_yunet_2023mar.onnx"
YUNET_FILE = WeightFile(
    role="yunet",
    name=YUNET_NAME,
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    url=f"https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/{YUNET_NAME}",
    size_bytes=232_589,
    licence="MIT",
)


@dataclass(frozen=True)
class DetectorOptions:
    """Which faces are found.

    ``detector``: MTCNN on the device, or OpenCV's YuNet on the CPU. ``min_score``: faces that the detector is
    less sure of are left out; with MTCNN's own 0.7 textures are taken for faces. Faces are looked for on the
    frame with its longer side reduced to ``max_side`` pixels, from a size of about ``least_pixels`` there on.
    """

    detector: Literal["mtcnn", "yunet"] = "mtcnn"
    min_score: float = 0.9
    least_pixels: int = 20
    max_side: int = 960

    def __post_init__(self) -> None:
        if not 0 <= self.min_score < 1:
            raise ValueError(f"min_score is {self.min_score}; allowed: 0 to below 1")
        if not 64 <= self.max_side <= 4096:
            raise ValueError(f"max_side is {self.max_side}; allowed: 64 to 4096 pixels")
        if not 12 <= self.least_pixels <= self.max_side:
            raise ValueError(f"least_pixels is {self.least_pixels}; allowed: 12 to max_side, {self.max_side}")

    def weights(self) -> tuple[WeightFile, ...]:
        return MTCNN_FILES if self.detector == "mtcnn" else (YUNET_FILE,)

    def references(self) -> tuple[str, ...]:
        return ("zhang2016mtcnn",) if self.detector == "mtcnn" else ("wu2023yunet", "bradski2000opencv")


class FaceFinder:
    """Frames (height, width, 3) RGB of any sizes to their faces, in pixels of the frame as it was given."""

    def __init__(self, detector: FaceDetector, resources: Resources, max_side: int) -> None:
        self.detector = detector
        self._resources = resources
        self._max_side = max_side

    def __call__(self, images: Sequence[Image]) -> list[Faces]:
        reduced = [self._reduced(image) for image in images]
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for number, (image, _) in enumerate(reduced):
            by_size[image.shape].append(number)
        found: dict[int, Faces] = {}
        for numbers in by_size.values():
            start = 0
            while start < len(numbers):
                size = network_batch(self._resources.device, self._resources.at_most(MOST_FRAMES))
                part = numbers[start : start + size]
                faces = self.detector([reduced[number][0] for number in part])
                found |= dict(zip(part, faces, strict=True))
                start += size
        return [found[number].enlarged(factor) for number, (_, factor) in enumerate(reduced)]

    def _reduced(self, image: Image) -> tuple[Image, float]:
        """The picture as the detector sees it, and how many times as large the frame is."""
        import cv2

        height, width = image.shape[:2]
        factor = max(height, width) / self._max_side
        if factor <= 1:
            return image, 1.0
        size = max(round(width / factor), 1), max(round(height / factor), 1)
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(image.dtype, copy=False), factor


def load_finder(options: DetectorOptions, resources: Resources) -> FaceFinder:
    """The detector of these options with its published weights; MTCNN's may be seeded.

    Raises UsageError for a YuNet with random weights, WeightsError for another file.
    """
    chosen: FaceDetector
    if options.detector == "yunet":
        if resources.random_seed is not None:
            raise UsageError("YuNet's file is an ONNX graph, without which there is no network: with random "
                             "weights use detector=mtcnn")  # fmt: skip
        path = resources.weights[YUNET_FILE.role]
        chosen = YuNet(path, least_pixels=options.least_pixels, min_score=options.min_score)
    else:
        from extract.nets.mtcnn import OutputNet, ProposalNet, RefinementNet

        with to_be_filled():
            networks = ProposalNet(), RefinementNet(), OutputNet()
        for network, file in zip(networks, MTCNN_FILES, strict=True):
            fill(network, resources, file.role, what=f"MTCNN's {file.role}")
        chosen = Mtcnn(
            networks,
            device=resources.device,
            least_pixels=options.least_pixels,
            min_score=options.min_score,
        )
    return FaceFinder(chosen, resources, options.max_side)
