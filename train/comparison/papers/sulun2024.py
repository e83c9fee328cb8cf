"""Sulun, Viana and Davies 2024, "Movie trailer genre classification using multimodal pretrained features".

Table 2 is a picture in the text at hand: of it the means alone are known, which are Table 1's. The marks of
Table 3 that say which features a row has are lost there too, but for the asterisks of averaging; the rows
here add features in the order of the columns.
"""

from __future__ import annotations

from dataclasses import replace

from train.comparison.paper import Paper, PaperRows, PaperTable, TrainingRecipe, everything, named

CLIP, MUSIC, AUDIO, OCR, ASR = "clip", "musicnet", "panns", "ocr_distilbert", "asr_distilbert"
PICTURES, CLIPS = "resnet152", "i3d_rgb"
FRAMES = (8, 16, 32, 64, 128, 256)


def _recipe(preset: str, *changes: str) -> TrainingRecipe:
    return TrainingRecipe(preset=preset, changes=changes)


MLP, SINGLE, MULTI = (
    _recipe(f"sulun2024/{name}") for name in ("mlp", "single-transformer", "multi-transformer")
)
MOVIENET = named("MovieNet", _recipe("movienet/movienet"), PICTURES)
BASELINE = named("Baseline", _recipe("sulun2024/vit-ast"), "vit", "ast")
IN_TIME, SPEECH_IN_TIME = f"{OCR}.mean=false", f"{ASR}.mean=false"  # not averaged


def _frames() -> tuple[PaperRows, ...]:
    """CLIP alone, of so many frames drawn at random, in inference too (section 4, Figure 6)."""
    drawn = (f"{CLIP}.how=random", f"{CLIP}.whole=false")
    longest = f"model.longest={max(FRAMES)}"
    lines = {"MLP": replace(MLP, changes=drawn), "transformer": replace(MULTI, changes=(*drawn, longest))}
    return tuple(
        named(name, recipe, CLIP, steps=frames) for name, recipe in lines.items() for frames in FRAMES
    )


PAPER = Paper(
    title="Sulun et al. 2024",
    terms={"P@0.5": "precision_macro@0.5", "R@0.5": "recall_macro@0.5", "mAP": "ap_macro"},
    headline="ap_macro",
    threshold=0.5,
    experts=(CLIP, AUDIO, MUSIC, OCR, ASR),
    baselines=("vit", "ast", PICTURES, CLIPS),
    preset="sulun2024/multi-transformer",
    tables=(
        PaperTable(
            "models",
            "Table 1",
            "models of the literature, the baseline and the models on {experts}",
            key="model",
            rows=(
                named("TSN", _recipe("movienet/tsn"), PICTURES),
                named("I3D", _recipe("movienet/i3d-mean"), CLIPS),
                named("TRN", _recipe("movienet/trn"), PICTURES),
                MOVIENET,
                BASELINE,
                everything("MLP", MLP),
                everything("Single-transformer", SINGLE),
                everything("Multi-transformer", MULTI),
            ),
            more=("parameters",),
            remark="TSN, I3D, TRN and MovieNet are quoted from MovieNet's paper; here they read features.",
        ),
        PaperTable(
            "genres",
            "Table 2",
            "precision, recall and mAP of every genre",
            key="genre",
            kind="genres",
            rows=(MOVIENET, BASELINE, everything("Multi-transformer", MULTI)),
            terms={"P": "precision@0.5", "R": "recall@0.5", "mAP": "ap"},
            remark=(
                "Its genres are a picture in the text at hand; the means are those of Table 1. The "
                "multi-transformer is the best of the three in 14 of 21 genres by precision, 16 by recall, "
                "20 by mAP (section 4)."
            ),
        ),
        PaperTable(
            "features",
            "Table 3",
            "one feature after the other, mAP and the seconds of a video",
            key="features",
            rows=(
                BASELINE,
                named("CLIP", MULTI, CLIP),
                named("with Musicnet", MULTI, CLIP, MUSIC),
                named("with Audiotag", MULTI, CLIP, AUDIO, MUSIC),
                named("with OCR", replace(MULTI, changes=(IN_TIME,)), CLIP, AUDIO, MUSIC, OCR),
                named("with OCR averaged", MULTI, CLIP, AUDIO, MUSIC, OCR),
                named(
                    "with OCR and ASR",
                    replace(MULTI, changes=(IN_TIME, SPEECH_IN_TIME)),
                    CLIP, AUDIO, MUSIC, OCR, ASR,
                ),
                named("with OCR and ASR averaged", MULTI, CLIP, AUDIO, MUSIC, OCR, ASR),
            ),
            terms={"mAP": "ap_macro"},
            more=("extraction s", "classification s", "runtime s"),
            remark="Which features its rows have follows from their order and the asterisks of averaging.",
        ),
        PaperTable(
            "frames",
            "Figure 6",
            "number of random CLIP frames against mAP",
            key="model",
            kind="steps",
            label="frames",
            rows=_frames(),
        ),
    ),
)  # fmt: skip
