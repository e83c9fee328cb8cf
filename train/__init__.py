"""From the store to genres: models, metrics and predictions.

``train.fit(features, labels, run)`` does what ``python -m train`` does, ``train.compare``, ``train.finetune``
and ``train.search`` what its commands of these names do; ``train.predict_store`` and ``train.predict_videos``
use the runs that they leave.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from train.api import compare as compare
    from train.api import finetune as finetune
    from train.api import fit as fit
    from train.api import search as search
    from train.runs.predict import Prediction as Prediction
    from train.runs.predict import predict_store as predict_store
    from train.runs.predict import predict_videos as predict_videos
    from train.runs.run_folder import RunFolder as RunFolder

# Loaded when they are used: predicting from a store needs no engine and no cluster.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "api": ["compare", "finetune", "fit", "search"],
        "runs.predict": ["Prediction", "predict_store", "predict_videos"],
        "runs.run_folder": ["RunFolder"],
    },
)
