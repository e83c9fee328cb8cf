"""Tables of your own data, of any experts and models."""

from __future__ import annotations

from train.comparison.paper import (
    Paper,
    PaperTable,
    alone,
    alone_by_steps,
    each_model,
    everything,
    without_one,
)

PAPER = Paper(
    title="Experts, models, ablation and number of steps on your own data",
    terms={
        "mAP macro": "ap_macro",
        "mAP micro": "ap_micro",
        "mAP weighted": "ap_weighted",
        "mAP samples": "ap_samples",
        "precision macro": "precision_macro@0.5",
        "recall macro": "recall_macro@0.5",
        "F1 macro": "f1_macro@0.5",
    },
    headline="ap_macro",
    threshold=0.5,
    models=("multi-transformer", "single-transformer", "mlp"),
    tables=(
        PaperTable(
            "experts",
            "Table 1",
            "single experts and all, {model}",
            key="experts",
            rows=(alone(), everything("all")),
        ),
        PaperTable(
            "models",
            "Table 2",
            "models on {experts}",
            key="model",
            rows=(each_model(),),
            more=("parameters",),
        ),
        PaperTable(
            "ablation",
            "Table 3",
            "leaving one expert out, {model}",
            key="experts",
            rows=(everything("all"), without_one()),
            more=("change", "seconds"),
        ),
        PaperTable(
            "steps",
            "Figure 1",
            "number of steps against mAP, {model} on one expert",
            key="expert",
            kind="steps",
            rows=(alone_by_steps(),),
        ),
    ),
)
