"""LeBaron, movies by poster, trailer, text and metadata. The paper's Figure 5 is a table of average
precisions (micro, macro, samples) for each network; ours has a row for each genre.
"""

from __future__ import annotations

from train.comparison.paper import Paper, PaperTable, TrainingRecipe, alone, everything

ENSEMBLE = TrainingRecipe(preset="lebaron2021/ensemble")
NETWORKS = (alone(ENSEMBLE), everything("ensemble", ENSEMBLE))

PAPER = Paper(
    title="LeBaron",
    terms={"mAP macro": "ap_macro"},
    headline="ap_macro",
    experts=("poster", "vgg16", "words", "metadata"),
    tables=(
        PaperTable(
            "genres",
            "Figure 5",
            "average precision of every genre, by each network and by the ensemble",
            key="genre",
            kind="genres",
            rows=NETWORKS,
            figure="ap",
            label="average precision",
        ),
    ),
)
