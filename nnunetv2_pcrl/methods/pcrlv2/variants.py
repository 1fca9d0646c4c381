"""Variants of PCRLv2: the authors' settings, and its ablations."""

from typing import Any

from nnunetv2_pcrl.methods.method import Variant
from nnunetv2_pcrl.methods.pcrlv2.settings import global_view_size
from nnunetv2_pcrl.methods.plan_facts import PlanFacts, nearest_multiple

# Everything of the method that the plan does not decide, so that changed defaults do not change it.
# Source: Zhou et al. 2023 (PCRLv2) and the authors' code.
_AUTHORS_BOTH = {
    "num_local": 6,
    "global_scale": (1.0, 1.75),
    "rotation_degrees": 10.0,
    "deformation_scale": 0.1,
    "blur_sigma": 2.0,
    "log_gamma": 0.3,
    "comparison_weight": 1.0,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "warmup_epochs": 0,
    "num_epochs": 240,
    "shared_level": False,
    "restoration_heads": "authors",
}
_AUTHORS = {
    2: {
        **_AUTHORS_BOTH,
        "batch_size": 64,
        "initial_lr": 1e-2,
        "min_iou": 0.0,
        # Their images in 2D have a variance of about 1.
        "restoration_weight": 1.0,
        "swapped_part": 0.0,
        "swaps_last": False,
        "num_cut_outs": 3,
        "cut_out_part": 1 / 7,
        "noise_std": 0.0,
        "contrast": 0.4,
        "normalize_views": False,
        # From left to right.
        "mirrored_axes": (1,),
        "depth_scale": None,
    },
    3: {
        **_AUTHORS_BOTH,
        "batch_size": 32,
        "initial_lr": 1e-3,
        "min_iou": 0.3,
        # Squared errors of images in [0, 1] are so much of their variance, and noise of 0.25 is 1.3
        # of their standard deviation.
        "restoration_weight": 0.05,
        "noise_std": 1.3,
        "swapped_part": 0.2,
        "swaps_last": True,
        "num_cut_outs": 0,
        "contrast": 0.0,
        "normalize_views": True,
        "mirrored_axes": (0,),
        "depth_scale": (1.0, 3.0),
    },
}
# Sides of local crops over the side of a global view: in 3D 8 to 32 voxels of 64; in 2D crops of 5
# to 30 % of an image of which global ones cover 30 to 100 %.
_LOCAL_PARTS = {2: (0.25, 0.65), 3: (1 / 8, 1 / 2)}


def authors_settings(facts: PlanFacts) -> dict[str, Any]:
    """The authors' settings for 2 or 3 axes, as near as a plan allows.

    Global views stay those of the plan; local ones have a quarter of their sides in 3D, or as few
    voxels as the network can take.
    """
    sizes = tuple(map(global_view_size, facts.patch_size, facts.total_stride))
    part = 0.25 if facts.num_axes == 3 else 0.5
    local = tuple(
        nearest_multiple(part * size, stride, least=2)
        for size, stride in zip(sizes, facts.total_stride, strict=True)
    )
    # Whatever local views measure, their crops are those of the authors.
    ratio = max(size / own for size, own in zip(sizes, local, strict=True))
    low, high = (round(ratio * part, 6) for part in _LOCAL_PARTS[facts.num_axes])
    return {**_AUTHORS[facts.num_axes], "local_size": local, "local_scale": (low, high)}


VARIANTS = {
    "authors": Variant(authors_settings, "the authors' settings", is_default=True),
    "restorationOnly": Variant(
        lambda facts: {"comparison_weight": 0.0}, "without the comparisons in the loss"
    ),
    "comparisonOnly": Variant(
        lambda facts: {"restoration_weight": 0.0}, "without the restorations in the loss"
    ),
}
