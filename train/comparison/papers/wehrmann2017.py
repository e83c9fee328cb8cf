"""Wehrmann and Barros 2017, "Movie genre classification: A multi-label approach based on convolutions through
time".
"""

from __future__ import annotations

from train.comparison.paper import Paper, PaperRows, PaperTable, TrainingRecipe, named

FRAMES, SOUND, DESCRIPTORS = "resnet152", "spectrogram", "lowlevel_video"
PARTS, SAMPLES = (3, 5, 7, 9, 11), (5, 10)  # table 1: p, and samples at test


def _recipe(preset: str, *changes: str) -> TrainingRecipe:
    return TrainingRecipe(preset=f"wehrmann2017/{preset}", changes=changes)


def _of_parts(parts: int, samples: int, column: str = "") -> PaperRows:
    changes = (f"model.parts={parts}", f"{SOUND}.cap={parts}", f"model.samples={samples}")
    # The preset's own numbers are the network of the other tables.
    recipe = _recipe("ctt-s") if (parts, samples) == (PARTS[-1], SAMPLES[-1]) else _recipe("ctt-s", *changes)
    return named(str(parts), recipe, SOUND, column=column)


CTT_A, CTT_B, CTT_C = (named(f"CTT-MMC-{head}", _recipe(f"ctt-{head.lower()}"), FRAMES) for head in "ABC")
CTT_S = named("CTT-MMC-S", _recipe("ctt-s"), SOUND)
CTT_TN = named("CTT-MMC-TN", _recipe("ctt-tn"), FRAMES, SOUND)
VLLF = named("VLLF", _recipe("svm-vllf"), DESCRIPTORS)
AV = named("AV", _recipe("svm-av"), DESCRIPTORS)
LSTM = named("LSTM", _recipe("lstm"), FRAMES)
ALL = (VLLF, AV, LSTM, CTT_S, CTT_A, CTT_B, CTT_C, CTT_TN)
MICRO = "AU(PRC) micro"

PAPER = Paper(
    title="Wehrmann and Barros 2017",
    terms={
        "AU(PRC) macro": "ap_macro",
        MICRO: "ap_micro",
        "AU(PRC)w": "ap_weighted",
        "Ranking Loss": "ranking_loss",
    },
    headline="ap_macro",
    threshold=0.5,
    experts=(FRAMES, SOUND, DESCRIPTORS),
    tables=(
        PaperTable(
            "parts",
            "Table 1",
            "parts p of the sound and samples at test, AU(PRC) micro in the validation split",
            key="parts",
            kind="crossed",
            rows=tuple(_of_parts(p, n, f"{n} samples") for p in PARTS for n in SAMPLES),
            figure="ap_micro",
            part="validation",
        ),
        PaperTable("dataset", "Table 2", "videos by genre and part of the split", key="genre", kind="splits"),
        PaperTable(
            "models",
            "Table 3",
            "convolutions through time and the baselines",
            key="method",
            rows=ALL,
            more=("parameters", "seconds"),
            remark=(
                "Weighted by the frequencies of Table 2, the genres of LSTM and AV in Table 4 give 0.611 and "
                "0.578, where Table 3 prints 0.590 and 0.567."
            ),
        ),
        PaperTable(
            "genres",
            "Table 4",
            "AU(PRC) of every genre",
            key="genre",
            kind="genres",
            rows=(CTT_C, CTT_S, CTT_TN, LSTM, AV),
            figure="ap",
            label="AU(PRC)",
        ),
        PaperTable(
            "heads",
            "Figure 2",
            "training loss and validation AU(PRC) micro of the three heads",
            key="model",
            kind="training",
            rows=(CTT_A, CTT_B, CTT_C),
            figure="micro",
            label=MICRO,
        ),
        PaperTable(
            "parts-training",
            "Figure 5",
            "training loss and validation AU(PRC) micro by parts p of the sound",
            key="parts",
            kind="training",
            rows=tuple(_of_parts(p, SAMPLES[-1]) for p in PARTS),
            figure="micro",
            label=MICRO,
        ),
        PaperTable(
            "curves",
            "Figure 6",
            "precision over recall, a panel for each genre",
            key="genre",
            kind="curves",
            rows=ALL,
        ),
        PaperTable(
            "films",
            "Figure 7",
            "scores of the genres of six test videos",
            key="video",
            kind="scores",
            rows=(CTT_TN,),
            videos=6,
        ),
    ),
)
