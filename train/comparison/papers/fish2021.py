"""Fish, Weinbren and Gilbert 2021, "Rethinking movie genre classification with fine-grained semantic
clustering", the long version (arXiv 2012.02639).
"""

from __future__ import annotations

from dataclasses import replace

from train.comparison.paper import Paper, PaperTable, TrainingRecipe, everything, named

IMAGE, SCENE, MOTION, AUDIO = ("senet",), ("places",), ("i3d_flow", "r2plus1d"), ("vggish",)
FRAMES, SOUND, DESCRIPTORS = "resnet152", "spectrogram", "lowlevel_video"
LENGTHS = {1: "sequence-1", 5: "sequence-5", 9: "mmx", 20: "sequence-20"}  # clips of a sequence: preset


def _recipe(preset: str) -> TrainingRecipe:
    return TrainingRecipe(preset=preset)


GATED, SINGLE = _recipe("fish2021/mmx"), _recipe("fish2021/single")
WHOLE, FINE = everything("MMX-Trailer-20", GATED), everything("fine-grained", replace(GATED, fine=True))
SPACES = (everything("coarse", GATED), FINE)
SINGLES = (
    named("Scene", SINGLE, *SCENE),
    named("Audio", SINGLE, *AUDIO),
    named("Motion", SINGLE, *MOTION),
    named("Image", SINGLE, *IMAGE),
)

PAPER = Paper(
    title="Fish et al. 2021",
    terms={
        "F1w": "f1_weighted@0.3",
        "AU(PRC)w": "ap_weighted",
        "Pw": "precision_weighted@0.3",
        "Rw": "recall_weighted@0.3",
    },
    headline="f1_weighted@0.3",
    threshold=0.3,
    experts=(*IMAGE, *SCENE, *MOTION, *AUDIO),
    baselines=(FRAMES, SOUND, DESCRIPTORS),
    preset="fish2021/mmx",
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
            "datasets",
            "Table 1",
            "sizes of datasets",
            key="dataset",
            kind="dataset",
            remark="Of the 8,803 trailers 7,555 were used: others have fewer than ten clips (4.1).",
        ),
        PaperTable(
            "experts",
            "Table 2",
            "F1 of every genre by single experts, pairs and all",
            key="experts",
            kind="genre_columns",
            rows=(
                *SINGLES,
                named("Image + Audio", GATED, *IMAGE, *AUDIO),
                named("Image + Motion", GATED, *IMAGE, *MOTION),
                named("Image + Scene", GATED, *IMAGE, *SCENE),
                everything("Naive Concat", _recipe("fish2021/naive-concat")),
                WHOLE,
            ),
            figure="f1@0.3",
            label="F1",
            random="every",
            remark=(
                "Their Random AU(PRC)w of 0.134 is the macro figure of Table 3; the names of the columns "
                "after Horror are doubtful, by the support of Western and Thriller; the F1w of all is 0.597 "
                "here and 0.564 in Table 5."
            ),
        ),
        PaperTable(
            "methods",
            "Table 3",
            "methods",
            key="method",
            rows=(
                named("VLLF", _recipe("wehrmann2017/svm-vllf"), DESCRIPTORS),
                named("AV", _recipe("wehrmann2017/svm-av"), DESCRIPTORS),
                named("LSTM", _recipe("wehrmann2017/lstm"), FRAMES),
                named("CTT-MMC", _recipe("wehrmann2017/ctt-tn"), FRAMES, SOUND),
                WHOLE,
            ),
            terms={"AU(PRC) macro": "ap_macro", "AU(PRC) micro": "ap_micro", "AU(PRC)w": "ap_weighted"},
            figure="ap_weighted",
            more=("genres", "labels at most"),
            remark="The other methods' figures are of their own papers and data sets.",
        ),
        PaperTable(
            "statistics",
            "Figure 4",
            "genres, labels of a trailer and years",
            key="of",
            kind="statistics",
            more=("genre", "number of genres", "year"),
        ),
        PaperTable(
            "labels",
            "Table 4",
            "genres that the fine-grained model finds beside the labels",
            key="video",
            kind="films",
            rows=(everything("predicted", replace(GATED, fine=True)),),
            label="added",
            videos=10,
            remark="Added is what is not among its labels, blue there; those of The Hobbit are cut off.",
        ),
        PaperTable(
            "sequences",
            "Table 5",
            "clips of a sequence",
            key="clips",
            rows=tuple(
                everything(str(clips), _recipe(f"fish2021/{name}")) for clips, name in LENGTHS.items()
            ),
            more=("parameters",),
            random="every",
            remark="The F1w of nine clips is 0.564 here and 0.597 in Table 2.",
        ),
        PaperTable(
            "silhouette",
            "Figure 6",
            "silhouette of the genres over the epochs of the fine-grained stage",
            key="space",
            kind="epochs",
            rows=(FINE,),
        ),
        PaperTable(
            "scenes",
            "Figure 8",
            "genres of single scenes",
            key="video",
            kind="scenes",
            rows=(WHOLE,),
            videos=5,
        ),
        PaperTable(
            "curves",
            "Figure 9",
            "precision over recall of every genre, by each expert",
            key="expert",
            kind="curves",
            rows=SINGLES,
        ),
        PaperTable(
            "retrieval",
            "Figure 10",
            "nearest videos before and after the fine-grained stage",
            key="space",
            kind="neighbours",
            rows=SPACES,
        ),
    ),
)
