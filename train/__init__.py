"""From the store to genres: models, metrics and predictions.

``train.fit(train.FitConfig(...))`` does what ``python -m train`` does; ``train.predict_store`` and
``train.predict_videos`` use the run that it leaves.
"""

from train.fit import FitConfig, fit
from train.predict import Prediction, predict_store, predict_videos
from train.run_folder import RunFolder

__all__ = ["FitConfig", "Prediction", "RunFolder", "fit", "predict_store", "predict_videos"]
