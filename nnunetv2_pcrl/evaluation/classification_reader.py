"""Classifications: AUROC and average precision of all validation cases of a run together."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nnunetv2_pcrl.evaluation.measured import Measured
from nnunetv2_pcrl.evaluation.metric import ALL_CASES, MEAN, Metric, ScoresOfRun
from nnunetv2_pcrl.evaluation.reader import Curve, SummaryReader
from nnunetv2_pcrl.experiments.runs import SUMMARY

AUROC = Metric(
    "AUROC", True, definition="chance that a positive case scores higher than a negative one"
)
AVERAGE_PRECISION = Metric(
    "average precision",
    True,
    definition="mean precision over the recall; the share of positive cases for guessing",
)
# As the entries of a class in the summary.
KEYS = {AUROC: "auroc", AVERAGE_PRECISION: "average_precision"}


class ClassificationReader(SummaryReader):
    """Reads the classes of a summary, all of which exist for a run as a whole only."""

    curve: ClassVar[Curve] = Curve("val_auroc", "AUROC", "AUROC of the validation cases")

    def __init__(self) -> None:
        """Knows no classes before the first run."""
        self._classes: tuple[Path, frozenset[str]] | None = None

    @classmethod
    def reads(cls, summary: Mapping[str, Any]) -> bool:
        """By the classes and what was measured of them."""
        return "classes" in summary and set(KEYS.values()) <= set(summary.get("mean", ()))

    @classmethod
    def of_dataset(
        cls, preprocessed: Path, plans: str, with_surfaces: bool
    ) -> "ClassificationReader":
        """The same for all data sets: the summaries name the classes."""
        return cls()

    def scores(self, folder: Path, fold: int, measured: Measured) -> ScoresOfRun:
        """AUROC and average precision by class; NaN where they are not defined.

        Raises:
            ValueError: if the summary is damaged, or has other classes than those before it.
        """
        path = folder / SUMMARY
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            entries = {**summary["classes"], MEAN: summary["mean"]}
            scores = {
                metric: {name: {ALL_CASES: _number(entry[key])} for name, entry in entries.items()}
                for metric, key in KEYS.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is no summary of a classification ({type(error).__name__}: {error}). Make "
                f"it again: nnUNetv2_train with the same arguments and --val."
            ) from error
        self._check_classes(path, frozenset(summary["classes"]))
        return scores

    def _check_classes(self, path: Path, names: frozenset[str]) -> None:
        first, known = self._classes = self._classes or (path, names)
        if names != known:
            raise ValueError(
                f"{path} has the classes {', '.join(sorted(names))}, {first} has "
                f"{', '.join(sorted(known))}: train both with the same table of classes."
            )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
