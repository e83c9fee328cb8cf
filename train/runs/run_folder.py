"""A run folder: everything that one training leaves behind, and all that a prediction needs."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.errors import UsageError, command
from extract.options import Checked
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.inside import link_refusal
from pipeline.storage.versions import installed, marquee_version
from train.loading.tensor_file import whole_tensors
from train.log import Log, silent
from train.registry import make_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from train.model import GenreModel
    from train.settings import Hardware

FORMAT = 1
VERSIONED = ("torch", "lightning", "scikit-learn", "numpy", "pyarrow")
# Parts of config.json that may differ between two starts of one run.
NOT_THE_RUN = ("marquee", "versions", "started", "hardware")


@dataclass(frozen=True)
class RunFolder(Checked):
    """The paths of a run; opening one reads nothing. Raises UsageError for what is no path.

    ::

        config.json                 what was asked, what it was trained on, versions
        model.safetensors           the weights that did best on the validation split
        normalisation.safetensors   each expert's mean and standard deviation on the training split
        checkpoints/last.ckpt       where a killed run resumes; best.ckpt: the best so far
        networks/NAME/              checkpoints and epochs.csv of each network that is trained alone
        epochs.csv                  training loss and validation figures of every epoch
        silhouette.csv              of the fine-grained stage: the silhouette after every epoch
        training.json               epochs, seconds, parameters
        predictions.parquet         of every labelled video
        metrics.json, per_genre.csv, bootstrap.npz, curves/*.svg, tensorboard/

    Attributes:
        root: the folder.

    Example:
        >>> import train
        >>> run = train.RunFolder("runs/first")
        >>> run.finished, run.config()["model"], run.config()["genres"]
        (True, 'mlp', ['fast', 'slow'])
        >>> genres_of = run.load_model()  # a torch module
    """

    root: Path

    @classmethod
    def of(cls, run: RunFolder | str | os.PathLike[str]) -> RunFolder:
        """A run, or the one in a folder. Raises UsageError for what names none."""
        return run if isinstance(run, RunFolder) else cls(run)  # type: ignore[arg-type]  # checked

    @classmethod
    def named(cls, field: str) -> str:
        return "run"

    @property
    def config_path(self) -> Path:
        return self.root / "config.json"

    @property
    def model_path(self) -> Path:
        return self.root / "model.safetensors"

    @property
    def normalisation_path(self) -> Path:
        return self.root / "normalisation.safetensors"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        return self.checkpoints / "last.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        return self.checkpoints / "best.ckpt"

    def of_network(self, name: str) -> RunFolder:
        """Where the checkpoints of a network are that is trained alone."""
        return RunFolder(self.root / "networks" / name)

    @property
    def predictions_path(self) -> Path:
        return self.root / "predictions.parquet"

    @property
    def training_path(self) -> Path:
        return self.root / "training.json"

    @property
    def history_path(self) -> Path:
        return self.root / "epochs.csv"

    @property
    def silhouette_path(self) -> Path:
        return self.root / "silhouette.csv"

    @property
    def finished(self) -> bool:
        """Whether the training ended and its predictions are written; this file is the last."""
        return self.training_path.exists()

    def create(self, *, flag: str = "--run") -> None:
        """Raises UsageError for a folder that contains other files or cannot be made; ``flag`` named it."""
        there = self.root.is_file() or (
            self.root.is_dir() and any(not path.name.startswith(".") for path in self.root.iterdir())
        )
        if there and not self.config_path.exists():
            raise UsageError(
                f"{flag} {str(self.root)!r} contains other files: give a new folder, or a run to resume"
            )
        links = sorted(path for path in self.root.glob("*") if path.is_symlink())
        if links:
            raise UsageError(link_refusal(links[0]))
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{flag} {str(self.root)!r} cannot be made: {error.strerror}") from error

    def write_json(self, path: Path, record: dict[str, Any]) -> None:
        """A figure that has no value is null: JSON has no NaN."""
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(_without_nan(record), indent=2) + "\n", "utf-8")

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """``epochs.csv``; all rows have the names of the last one."""
        self.root.mkdir(parents=True, exist_ok=True)
        columns = list(rows[-1])
        with atomic(self.history_path) as path, path.open("w", newline="", encoding="utf-8") as file:
            write_csv(file, columns, ([row.get(name, "") for name in columns] for row in rows))

    def claim(self, record: Mapping[str, Any], *, flag: str = "--run", log: Log = silent) -> None:
        """Write ``config.json``, or go on. What failed before its first checkpoint gives way, and is logged.

        Raises UsageError where a run with other settings is in the folder.
        """
        wanted = json.loads(json.dumps(record))
        if not self.config_path.exists():
            self.write_json(self.config_path, wanted)
            return
        there = self.config()
        different = _differences(
            {key: value for key, value in there.items() if key not in NOT_THE_RUN},
            {key: value for key, value in wanted.items() if key not in NOT_THE_RUN},
        )
        if not different:
            return
        name, old, new = different[0]
        more = f", and {len(different) - 1} more" if len(different) > 1 else ""
        root, changed = repr(str(self.root)), f"({name} was {old}, now {new}{more})"
        if self.begun:
            anew = shlex.join(["rm", "-r", str(self.root)])
            instead = "" if self.finished else f", or delete it to begin anew: {anew}"
            raise UsageError(
                f"{root} holds a run of different settings {changed}: give another {flag}{instead}"
            )
        log(f"begins anew: {root} had trained nothing yet {changed}")
        for path in (self.normalisation_path, self.history_path, self.silhouette_path):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.root / "tensorboard", ignore_errors=True)
        self.write_json(self.config_path, wanted)

    @property
    def begun(self) -> bool:
        """Whether there is anything that was trained."""
        return self.finished or any(self.root.glob("**/checkpoints/*.ckpt")) or self.model_path.exists()

    def config(self) -> dict[str, Any]:
        """Raises UsageError where there is no run, or one that a newer version wrote."""
        try:
            record: dict[str, Any] = json.loads(self.config_path.read_text("utf-8"))
            known = record["format"] <= FORMAT
        except FileNotFoundError:
            raise UsageError(
                f"{str(self.root)!r} is not a run: it has no config.json; give a folder that "
                f"`{command('train')} --run` wrote"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{str(self.config_path)!r} cannot be read ({error}): train again") from error
        if not known:
            raise UsageError(
                f"{str(self.root)!r} was written by a newer marquee (format {record['format']}, this one "
                f"knows {FORMAT}): upgrade marquee"
            )
        return record

    def save_model(self, model: GenreModel) -> None:
        from safetensors.torch import save_model

        with whole_tensors(self.model_path) as temporary:
            save_model(model, str(temporary))

    def load_model(self) -> GenreModel:
        """The trained model, in evaluation mode.

        Raises UsageError for a run that is not finished, and for one of an older form of the model.
        """
        from safetensors.torch import load_model

        config = self.config()
        if not self.model_path.exists():
            raise UsageError(f"the run {str(self.root)!r} is not finished: start it again to resume it")
        model = make_model(
            config["model"], config["inputs"], len(config["genres"]), config["options"]["model"]
        )
        try:
            load_model(model, str(self.model_path))
        except RuntimeError as error:
            raise UsageError(
                f"the weights of {str(self.root)!r} do not fit the model {config['model']!r} of marquee "
                f"{marquee_version()}, which has changed since {config['marquee']}: train again"
            ) from error
        return model.eval()


def stamp(hardware: Hardware) -> dict[str, Any]:
    """What ``config.json`` begins with: by what, when and on what a run was started."""
    return {
        "format": FORMAT,
        "marquee": marquee_version(),
        "versions": {"python": sys.version.split()[0], **installed(VERSIONED)},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": asdict(hardware),
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _differences(old: Any, new: Any, name: str = "") -> list[tuple[str, str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
        return found
    return [] if old == new else [(name, _short(old), _short(new))]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def write_predictions(
    path: Path,
    genres: Sequence[str],
    *,
    ids: Sequence[str],
    splits: Sequence[str],
    targets: NDArray[np.bool_] | None,
    scores: NDArray[np.float32],
    groups: Sequence[str] | None = None,
) -> None:
    """One row for each video: ``video_id``, ``split``, ``target`` and ``score`` of every genre, ``group``.

    ``targets`` and ``scores`` are (videos, genres); the genres' names are in the schema's metadata under
    ``genres``, as JSON. What is not given is left out.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    def vectors(matrix: NDArray[Any]) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), len(genres))

    columns: dict[str, pa.Array] = {
        "video_id": pa.array(list(ids), pa.string()),
        "split": pa.array(list(splits), pa.string()),
    }
    if targets is not None:
        columns["target"] = vectors(targets.astype(np.uint8))
    columns["score"] = vectors(scores.astype(np.float32))
    if groups is not None:
        columns["group"] = pa.array(list(groups), pa.string())
    table = pa.table(columns).replace_schema_metadata({b"genres": json.dumps(list(genres)).encode()})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
