"""LeBaron, "Multi-label movie genre classification using multiple modalities"."""

from __future__ import annotations

from train.comparison.paper import Paper, PaperTable, TrainingRecipe, everything, named

ENSEMBLE = TrainingRecipe(preset="lebaron2021/ensemble")
POSTER = named("Poster", ENSEMBLE, "poster")
COMBINED = everything("Combined", ENSEMBLE)

PAPER = Paper(
    title="LeBaron",
    terms={"AP micro": "ap_micro", "AP macro": "ap_macro", "AP samples": "ap_samples"},
    headline="ap_macro",
    threshold=0.5,
    experts=("poster", "vgg16", "words", "metadata"),
    preset="lebaron2021/ensemble",
    tables=(
        PaperTable(
            "frequencies",
            "Figure 1",
            "videos of every genre",
            key="of",
            kind="statistics",
            more=("genre",),
        ),
        PaperTable(
            "learning",
            "Figure 4",
            "learning curve of the poster network with early stopping",
            key="network",
            kind="training",
            rows=(POSTER,),
            figure="loss",
            label="validation loss",
        ),
        PaperTable(
            "networks",
            "Figure 5",
            "average precision of each network and of the ensemble",
            key="network",
            rows=(
                POSTER,
                named("Metadata", ENSEMBLE, "metadata"),
                named("Video", ENSEMBLE, "vgg16"),
                named("Text", ENSEMBLE, "words"),
                COMBINED,
            ),
        ),
        PaperTable(
            "example",
            "Figure 6",
            "what the posters alone and the ensemble say of a test video",
            key="video",
            kind="films",
            rows=(POSTER, COMBINED),
            label="wrong",
            videos=1,
            remark="What is wrong follows from its labels.",
        ),
    ),
)
