"""ResNet18-Places365 against the reference vectors, from the pickle that Python 2 wrote."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts._classes import labels
from extract.experts._frames import FrameOptions
from extract.experts.places import FILE, Places

WHOLE_BATCHES = True  # of two rows, on one thread, a row's last bits depend on its place


@pytest.fixture(scope="module")
def checks(picture_checks: Any) -> Iterator[Any]:
    yield picture_checks(
        Places(FrameOptions(classes=5)), "resnet18_places365", FILE.name, "resnet18_places365"
    )


def test_features_agree_with_the_reference(checks: Any, parity: Any) -> None:
    name = "resnet18_places365"
    reference = parity.reference(name)
    parity.assert_close(name, "features", checks.rows[:2], reference["features"])
    parity.assert_close(name, "logits", checks.logits(), reference["logits"])
    parity.assert_close(name, "e2e_features", checks.rows[2:], reference["e2e_features"][:2])


def test_classes_are_those_of_the_published_head(checks: Any) -> None:
    checks.assert_classes_are_those_of_the_logits(labels("places365"))


def test_rows_do_not_depend_on_the_batch(checks: Any) -> None:
    checks.assert_rows_do_not_depend_on_the_batch()


def test_half_precision_points_the_same_way(checks: Any) -> None:
    assert checks.half_precision_cosines().min() >= 0.9999


def test_preprocessing_is_the_authors_bit_for_bit(parity: Any) -> None:
    reference = parity.reference("preprocess")
    for index, (height, width, seed) in enumerate(reference["images"].tolist()):
        crop = Places().crop(parity.inputs.image(height, width, seed))
        assert zlib.crc32(crop.tobytes()) == reference[f"im{index}_places365_u8_crc32"]


def test_the_network_has_the_published_names_and_shapes(published: Any) -> None:
    state = Places().build().state_dict()
    mine = {k: tuple(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert mine == published("resnet18_places365")


def test_an_imagenet_resnet18_is_refused(tmp_path: Path) -> None:
    from torchvision.models import resnet18

    with torch.device("meta"):
        state = resnet18().state_dict()
    path = tmp_path / FILE.name
    torch.save({name: torch.zeros(()).expand(value.shape) for name, value in state.items()}, path)
    said = r"ResNet18-Places365; 2 of another shape: fc.weight is \(1000, 512\), not \(365, 512\)"
    with pytest.raises(WeightsError, match=said):
        Places().load(Resources(weights={"model": path}))


def test_a_file_that_breaks_off_is_refused(parity: Any, tmp_path: Path) -> None:
    whole = parity.checkpoint("resnet18_places365", "truncated.pth.tar")
    path = tmp_path / FILE.name
    path.write_bytes(whole.read_bytes()[:20_000_000])
    with pytest.raises(WeightsError, match="truncated"):
        Places().load(Resources(weights={"model": path}))


def test_a_row_is_torchvision_on_the_frame_that_is_on_screen_at_that_time(small_trailers: list[Path]) -> None:
    """End to end: decoder, scenes, tap and model, against PyAV and torchvision alone."""
    import av
    from PIL import Image
    from torchvision import transforms

    from extract.api import video

    options = {"scenes": {"detector": "content"}}
    table = video(small_trailers[0], experts=["places"], options=options, device="cpu", random_seed=0)[
        "places"
    ]
    rows = table.to_pylist()
    with av.open(str(small_trailers[0])) as container:
        seen = {f.time: f.to_ndarray(format="rgb24") for f in container.decode(video=0)}
    prepare = transforms.Compose(
        [
            transforms.Resize((256, 256)),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    network: Any = Places().load(Resources(random_seed=0))
    with torch.inference_mode():
        expected = [
            network.network(prepare(Image.fromarray(seen[row["start_seconds"]]))[None])[0] for row in rows
        ]
    assert [row["scene"] for row in rows] == [0, 1, 2]
    np.testing.assert_allclose(np.stack([row["embedding"] for row in rows]), np.stack(expected), atol=1e-4)
