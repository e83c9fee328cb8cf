"""Wehrmann and Barros 2017, "Movie genre classification: A multi-label approach based on convolutions through
time". What the typeset tables hold is not known here; docs/results.md says so, and what ours hold.
"""

from __future__ import annotations

from train.comparison.paper import Paper, PaperTable, TrainingRecipe, named

FRAMES, SOUND, DESCRIPTORS = "resnet152", "spectrogram", "lowlevel_video"


def _recipe(preset: str, *changes: str) -> TrainingRecipe:
    return TrainingRecipe(preset=f"wehrmann2017/{preset}", changes=changes)


CTT_A, CTT_B, CTT_C = (
    named(f"CTT-MMC-{head}", _recipe(f"ctt-{head.lower()}", f"model.head={head}"), FRAMES) for head in "ABC"
)
CTT_S = named("CTT-MMC-S", _recipe("ctt-s"), SOUND)
CTT_TN = named("CTT-MMC-TN", _recipe("ctt-tn"), FRAMES, SOUND)
BASELINES = (
    named("SVM, VLLF", _recipe("svm-vllf"), DESCRIPTORS),
    named("SVM, AV", _recipe("svm-av"), DESCRIPTORS),
    named("LSTM", _recipe("lstm"), FRAMES),
)
COMPARED = (*BASELINES, CTT_C, CTT_S, CTT_TN)

PAPER = Paper(
    title="Wehrmann and Barros 2017",
    terms={
        "AU(PRC) micro": "ap_micro",
        "AU(PRC) macro": "ap_macro",
        "AU(PRC) weighted": "ap_weighted",
    },
    headline="ap_weighted",
    experts=(FRAMES, SOUND, DESCRIPTORS),
    tables=(
        PaperTable(
            "heads",
            "Table 1",
            "convolutions through time, by head and by what they see",
            key="model",
            rows=(CTT_A, CTT_B, CTT_C, CTT_S, CTT_TN),
            more=("parameters",),
        ),
        PaperTable(
            "models",
            "Table 3",
            "convolutions through time and the baselines",
            key="model",
            rows=COMPARED,
            more=("parameters", "seconds"),
        ),
        PaperTable(
            "genres",
            "Table 4",
            "AU(PRC) of every genre",
            key="genre",
            kind="genres",
            rows=COMPARED,
            figure="ap",
            label="AU(PRC)",
        ),
        PaperTable(
            "curves",
            "Figure 2",
            "precision over recall",
            key="model",
            kind="curves",
            rows=COMPARED,
            figure="ap_micro",
        ),
    ),
)
