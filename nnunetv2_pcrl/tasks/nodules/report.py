"""What a scored table of candidates achieved, as numbers for a file."""

from typing import Any

import numpy as np

from nnunetv2_pcrl.tasks.nodules.challenge import RATES
from nnunetv2_pcrl.tasks.nodules.froc import (
    cpm,
    froc,
    interval,
    resampled_sensitivities,
)
from nnunetv2_pcrl.tasks.nodules.hits import Judgement


def summary_of(judgement: Judgement, num_resamples: int) -> dict[str, Any]:
    """Score, sensitivities and their intervals, and counts, plain Python.

    Raises:
        ValueError: if there is no nodule in the scans.
    """
    curve = froc(judgement)
    sensitivities = curve.at()
    samples = resampled_sensitivities(judgement, num_resamples=num_resamples)
    intervals = interval(samples).T
    return {
        "cpm": cpm(sensitivities),
        "cpm_interval": interval(samples.mean(1)).tolist(),
        "sensitivity": {
            f"{rate:g}": float(value) for rate, value in zip(RATES, sensitivities, strict=True)
        },
        "sensitivity_interval": {
            f"{rate:g}": limits.tolist() for rate, limits in zip(RATES, intervals, strict=True)
        },
        "largest_sensitivity": float(curve.sensitivities[-1]),
        "num_scans": len(judgement.num_nodules),
        "num_scans_without_nodules": int(np.sum(judgement.num_nodules == 0)),
        "num_nodules": int(judgement.num_nodules.sum()),
        "num_found": len(judgement.hit_scores),
        "num_marks": judgement.num_marks,
        "num_false_positives": len(judgement.false_scores),
        "num_ignored": judgement.num_ignored,
        "num_double": judgement.num_double,
        "num_resamples": num_resamples,
    }
