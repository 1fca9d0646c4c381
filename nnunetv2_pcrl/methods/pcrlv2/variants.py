"""Variants of PCRLv2: the authors' settings, and its ablations."""

from typing import Any

from nnunetv2_pcrl.methods.method import Variant
from nnunetv2_pcrl.methods.plan_facts import PlanFacts

# Everything of the method that the plan does not decide, so that changed defaults do not change it.
# Source: Zhou et al. 2023 (PCRLv2) and the authors' code. Their local crops measure 8 to 32 voxels
# for views of 16; in 2D they cover 5 to 30 % of the image, global ones 30 to 100 %.
_AUTHORS_BOTH = {
    "num_local": 6,
    "global_scale": (1.0, 1.75),
    "rotation_degrees": 10.0,
    "deformation_scale": 0.1,
    "blur_sigma": 2.0,
    "log_gamma": 0.3,
    "restoration_weight": 1.0,
    "comparison_weight": 1.0,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "num_epochs": 240,
    "shared_level": False,
}
_AUTHORS = {
    2: {
        **_AUTHORS_BOTH,
        "batch_size": 64,
        "initial_lr": 1e-2,
        "local_scale": (0.5, 1.3),
        "min_iou": 0.0,
        "swapped_part": 0.0,
        "num_cut_outs": 3,
        "cut_out_part": 1 / 7,
        "noise_std": 0.0,
        "contrast": 0.4,
    },
    3: {
        **_AUTHORS_BOTH,
        "batch_size": 32,
        "initial_lr": 1e-3,
        "local_scale": (0.5, 2.0),
        "min_iou": 0.3,
        "swapped_part": 0.2,
        "num_cut_outs": 0,
        "noise_std": 0.25,
        "contrast": 0.0,
    },
}


def authors_settings(facts: PlanFacts) -> dict[str, Any]:
    """The authors' settings for 2 or 3 axes. View sizes stay those of the plan."""
    return dict(_AUTHORS[facts.num_axes])


VARIANTS = {
    "authors": Variant(authors_settings, "the authors' settings", is_default=True),
    "restorationOnly": Variant(
        lambda facts: {"comparison_weight": 0.0}, "without the comparisons in the loss"
    ),
    "comparisonOnly": Variant(
        lambda facts: {"restoration_weight": 0.0}, "without the restorations in the loss"
    ),
}
