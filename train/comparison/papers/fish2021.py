"""Fish, Weinbren and Gilbert 2021, "Rethinking movie genre classification with fine-grained semantic
clustering". What the typeset tables hold is not known here; docs/results.md says so, and what ours hold.
"""

from __future__ import annotations

from dataclasses import replace

from train.comparison.paper import Paper, PaperTable, TrainingRecipe, alone, everything, pairs

LENGTHS = (1, 5, 9, 20)  # clips of a sequence


def _recipe(fusion: str, clips: int = 9) -> TrainingRecipe:
    return TrainingRecipe(preset="fish2021/mmx", changes=(f"model.fusion={fusion}", f"model.clips={clips}"))


GATED, SIDE_BY_SIDE, DIRECT = _recipe("gated"), _recipe("naive-concat"), _recipe("direct")
SPACES = (everything("coarse", GATED), everything("fine-tuned", replace(GATED, fine=True)))

PAPER = Paper(
    title="Fish et al. 2021",
    terms={
        "F1 weighted": "f1_weighted@0.3",
        "precision weighted": "precision_weighted@0.3",
        "recall weighted": "recall_weighted@0.3",
        "mAP": "ap_macro",
    },
    headline="f1_weighted@0.3",
    threshold=0.3,
    experts=("senet", "places", "i3d_flow", "r2plus1d", "vggish"),
    tables=(
        PaperTable(
            "map",
            "Figure 1",
            "test videos before and after the fine-grained stage",
            key="space",
            kind="maps",
            rows=SPACES,
        ),
        PaperTable(
            "experts",
            "Table 2",
            "single experts, pairs and all",
            key="experts",
            rows=(
                alone(DIRECT),
                pairs(GATED),
                everything("all, side by side", SIDE_BY_SIDE),
                everything("all, gated", GATED),
            ),
        ),
        PaperTable(
            "sequences",
            "Table 3",
            "clips of a sequence",
            key="clips",
            rows=tuple(everything(str(clips), _recipe("gated", clips)) for clips in LENGTHS),
            more=("parameters",),
        ),
        PaperTable(
            "genres",
            "Table 5",
            "F1 of every genre, by single experts and by all",
            key="genre",
            kind="genres",
            rows=(alone(DIRECT), everything("all, gated", GATED)),
            figure="f1@0.3",
            label="F1",
        ),
        PaperTable(
            "silhouette",
            "Figure 6",
            "silhouette of the genres over the epochs of the fine-grained stage",
            key="experts",
            kind="epochs",
            rows=(everything("all, gated", replace(GATED, fine=True)),),
        ),
        PaperTable(
            "retrieval",
            "Figure 9",
            "nearest videos before and after the fine-grained stage",
            key="space",
            kind="neighbours",
            rows=SPACES,
        ),
    ),
)
