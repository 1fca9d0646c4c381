"""The evaluation of LUNA16: from tables of scores and nodules to numbers, a curve and files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nnunetv2_pcrl.datasets.positions import (
    DIAMETER,
    PROBABILITY,
    Positions,
    read_positions,
    read_scans,
)
from nnunetv2_pcrl.datasets.raw import write_json, write_table
from nnunetv2_pcrl.monitoring.looks import save
from nnunetv2_pcrl.tasks.nodules.challenge import EXCLUDED, RATES
from nnunetv2_pcrl.tasks.nodules.froc import froc, interval, resampled_sensitivities
from nnunetv2_pcrl.tasks.nodules.froc_figure import FROC, draw_froc
from nnunetv2_pcrl.tasks.nodules.hits import Judgement, judge
from nnunetv2_pcrl.tasks.nodules.report import summary_of

SUMMARY, CURVE = "summary.json", "froc.csv"
# Points of the drawn curve, even on its logarithmic axis, the rates of the score among them.
NUM_POINTS = 97


@dataclass(frozen=True)
class NoduleTables:
    """What is evaluated.

    Attributes:
        scores: CSV of scored candidates.
        annotations: CSV of the nodules with their diameters.
        excluded: CSV of irrelevant findings; None takes the challenge's beside the annotations,
            if it is there.
        scans: list of the scans that count, one a line; None: those that have scores.
    """

    scores: Path
    annotations: Path
    excluded: Path | None = None
    scans: Path | None = None


@dataclass(frozen=True)
class NoduleEvaluation:
    """What came of it.

    Attributes:
        summary: score, sensitivities and counts, as in the written file.
        excluded: the table of irrelevant findings; None if there is none.
        remarks: on what does not count.
        paths: of the files written.
    """

    summary: dict[str, Any]
    excluded: Path | None
    remarks: tuple[str, ...]
    paths: tuple[Path, ...]


def evaluate_nodules(
    tables: NoduleTables, folder: Path, marks_per_scan: int, num_resamples: int
) -> NoduleEvaluation:
    """Judges scored candidates by the rule of LUNA16, and writes numbers, table and picture.

    Args:
        tables: what is evaluated.
        folder: is made if it is missing.
        marks_per_scan: highest marks of a scan that count; 0: all.
        num_resamples: bootstrap samples of the scans, 1 or more.

    Raises:
        ValueError: if a table cannot be read, or if no scan or no nodule counts.
    """
    marks = read_positions(tables.scores, PROBABILITY)
    nodules = read_positions(tables.annotations, DIAMETER)
    excluded = tables.excluded
    if excluded is None:
        beside = tables.annotations.with_name(EXCLUDED)
        excluded = beside if beside.is_file() else None
    irrelevant = None if excluded is None else read_positions(excluded, DIAMETER)
    scans, remarks = _scans(tables.scans, marks, nodules)
    judgement = judge(marks, nodules, irrelevant, scans, marks_per_scan or None)
    summary = summary_of(judgement, num_resamples)
    folder.mkdir(parents=True, exist_ok=True)
    files = {"scores": tables.scores, "annotations": tables.annotations, "excluded": excluded}
    sources = {name: path and str(path) for name, path in files.items()}
    write_json(folder / SUMMARY, {**summary, "marks_per_scan": marks_per_scan, **sources})
    _, paths = write_curve(judgement, summary, num_resamples, folder)
    return NoduleEvaluation(summary, excluded, remarks, (folder / SUMMARY, *paths))


def _scans(
    listed: Path | None, marks: Positions, nodules: Positions
) -> tuple[list[str], tuple[str, ...]]:
    """The scans that count, and remarks on those that do not."""
    if listed is not None:
        scans = read_scans(listed)
    else:
        scans = list(dict.fromkeys(marks.scans))
        if not scans:
            raise ValueError("There are no scores. Name the scans by --seriesuids.")
    remarks = []
    others = set(nodules.scans) - set(scans)
    if others:
        reason = "they have no scores; name all scans by --seriesuids to count them"
        reason = reason if listed is None else f"they are not in {listed}"
        remarks.append(f"{len(others)} scans with nodules are left out: {reason}.")
    unknown = len(set(marks.scans) - set(scans))
    if unknown:
        remarks.append(f"{unknown} scans with scores are not in {listed} and left out.")
    return scans, tuple(remarks)


def write_curve(
    judgement: Judgement, summary: dict[str, Any], num_resamples: int, folder: Path
) -> tuple[Figure, list[Path]]:
    """Writes the curve as a table and as a picture; the picture, and the paths written.

    Args:
        judgement: of all scans.
        summary: of it.
        num_resamples: bootstrap samples of the scans.
        folder: that is there.
    """
    curve = froc(judgement)
    rows = zip(curve.thresholds, curve.false_positives, curve.sensitivities, strict=True)
    header = ("threshold", "false_positives_per_scan", "sensitivity")
    write_table(folder / CURVE, [header, *(tuple(map(float, row)) for row in rows)])
    rates = np.geomspace(RATES[0], RATES[-1], NUM_POINTS)
    limits = interval(resampled_sensitivities(judgement, rates, num_resamples))
    low, high = summary["cpm_interval"]
    title = (
        f"CPM {summary['cpm']:.3f} (95 % interval {low:.3f} to {high:.3f})\n"
        f"{summary['num_nodules']} nodules in {summary['num_scans']} scans"
    )
    figure = draw_froc(rates, curve.at(rates), limits, RATES, title)
    return figure, [folder / CURVE, *save(figure, folder, FROC)]
