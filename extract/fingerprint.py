"""The fingerprint of an expert's rows: a hash of everything that determines their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from extract.declarations import Expert, TableSpec
from extract.options import Decode, Dtype, Precision
from extract.tables import embedding_dtype

HALF_VERSION = 2  # raise when networks below float32 give other values; 1 was autocast
MEDIA_VERSION = 2  # raise when the same file would give other frames, samples or times than before


def fingerprint(
    expert: Expert,
    *,
    weights: Mapping[str, str],
    upstream: Mapping[str, str],
    precision: Precision,
    dtype: Dtype,
    random_seed: int | None,
    decode: Decode = "cpu",
) -> tuple[str, dict[str, Any]]:
    """12 hex digits, and in the clear what they were made of.

    ``weights`` maps role to SHA-256, ``upstream`` expert to fingerprint. What cannot change the
    rows is left out: precision for an expert without a network (lane ``none``), any but float32 for one that
    is always computed in that, ``dtype`` for tables without vectors, the hashes of files that ``random_seed``
    stands in for, the seed where there are no weights to draw, and ``decode`` for an expert that sees no
    pictures, or where it is ``cpu``. Raises TypeError for settings that are not JSON.
    """
    drawn = random_seed is not None and bool(expert.weights())
    tables = expert.tables()
    described = {
        "expert": expert.name,
        "settings": expert.settings(),
        "tables": {name: _layout(spec, dtype) for name, spec in tables.items()},
        "weights": {} if drawn else dict(weights),
        "random_seed": random_seed if drawn else None,
        "upstream": dict(upstream),
        "precision": None if expert.lane == "none" else expert.computed_in(precision),
        "media": MEDIA_VERSION if expert.reads_media else None,
        "downmix": None if (sound := expert.streams().sound) is None else sound.downmix,
    }
    if described["precision"] not in (None, "float32"):
        described["half"] = HALF_VERSION
    if decode != "cpu" and "video" in expert.media_streams:
        described["decode"] = decode
    text = canonical_json(described)
    return digest(text), json.loads(text)


def canonical_json(value: Any) -> str:
    """One text for equal values: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _layout(spec: TableSpec, dtype: Dtype) -> dict[str, Any]:
    layout: dict[str, Any] = {"columns": [[column.name, column.type] for column in spec.columns]}
    if spec.embedding is not None:
        layout |= {"embedding": list(spec.embedding.shape), "dtype": embedding_dtype(spec, dtype)}
    return layout
