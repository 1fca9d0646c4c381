"""nnUNetv2_pcrl_evaluate_nodules: the FROC curve and the score of LUNA16 of scored candidates."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_pcrl.cli.reports import exit_with_error
from nnunetv2_pcrl.datasets.positions import (
    DIAMETER,
    PROBABILITY,
    Positions,
    read_positions,
    read_scans,
)
from nnunetv2_pcrl.datasets.raw import write_json, write_table
from nnunetv2_pcrl.evaluation.froc_figure import draw_froc
from nnunetv2_pcrl.tasks.nodules.froc import (
    NUM_RESAMPLES,
    RATES,
    froc,
    interval,
    resampled_sensitivities,
)
from nnunetv2_pcrl.tasks.nodules.hits import MARKS_PER_SCAN, Judgement, judge
from nnunetv2_pcrl.tasks.nodules.report import summary_of

SUMMARY, CURVE = "summary.json", "froc.csv"
EXCLUDED = "annotations_excluded.csv"
# Points of the drawn curve, even on its logarithmic axis, the rates of the score among them.
NUM_POINTS = 97


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_evaluate_nodules",
        description="Judges scored candidates by the rule of LUNA16: sensitivities at 1/8 to 8 "
        "false positives per scan, and their mean (CPM), with bootstrap intervals over scans.",
    )
    add = parser.add_argument
    add("scores", type=Path, help="CSV: seriesuid,coordX,coordY,coordZ,probability")
    add("annotations", type=Path, help="annotations.csv: the nodules with their diameters")
    add("-o", type=Path, required=True, metavar="FOLDER", help="for the numbers and the curve")
    about = f"irrelevant findings (default: {EXCLUDED} beside the annotations, if it is there)"
    add("--excluded", type=Path, metavar="FILE", help=about)
    about = "list of the scans that count, one a line (default: those that have scores)"
    add("--seriesuids", type=Path, metavar="FILE", help=about)
    about = f"highest marks of a scan that count (default: {MARKS_PER_SCAN}; 0: all)"
    add("--marks_per_scan", type=int, default=MARKS_PER_SCAN, metavar="NUMBER", help=about)
    about = f"bootstrap samples (default: {NUM_RESAMPLES})"
    add("--resamples", type=int, default=NUM_RESAMPLES, metavar="NUMBER", help=about)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = build_parser().parse_args(arguments)
    with exit_with_error():
        if args.resamples < 1 or args.marks_per_scan < 0:
            raise ValueError("--resamples must be 1 or more, and --marks_per_scan 0 or more.")
        marks = read_positions(args.scores, PROBABILITY)
        nodules = read_positions(args.annotations, DIAMETER)
        excluded = args.excluded
        if excluded is None:
            beside = args.annotations.with_name(EXCLUDED)
            excluded = beside if beside.is_file() else None
        irrelevant = None if excluded is None else read_positions(excluded, DIAMETER)
        scans = _scans(args.seriesuids, marks, nodules)
        judgement = judge(marks, nodules, irrelevant, scans, args.marks_per_scan or None)
        summary = summary_of(judgement, args.resamples)
        args.o.mkdir(parents=True, exist_ok=True)
        files = {"scores": args.scores, "annotations": args.annotations, "excluded": excluded}
        sources = {name: path and str(path) for name, path in files.items()}
        write_json(args.o / SUMMARY, {**summary, "marks_per_scan": args.marks_per_scan, **sources})
        written = _write_curve(judgement, summary, args.resamples, args.o)
    _print(summary, excluded)
    print(f"\nWritten: {', '.join(map(str, (args.o / SUMMARY, *written)))}")


def _scans(listed: Path | None, marks: Positions, nodules: Positions) -> list[str]:
    """The scans that count, and a line on nodules that do not."""
    if listed is not None:
        scans = read_scans(listed)
    else:
        scans = list(dict.fromkeys(marks.scans))
        if not scans:
            raise ValueError("There are no scores. Name the scans by --seriesuids.")
    others = set(nodules.scans) - set(scans)
    if others:
        reason = "they have no scores; name all scans by --seriesuids to count them"
        reason = reason if listed is None else f"they are not in {listed}"
        print(f"{len(others)} scans with nodules are left out: {reason}.")
    unknown = len(set(marks.scans) - set(scans))
    if unknown:
        print(f"{unknown} scans with scores are not in {listed} and left out.")
    return scans


def _write_curve(
    judgement: Judgement, summary: dict[str, Any], num_resamples: int, folder: Path
) -> list[Path]:
    """The curve as a table and as a picture."""
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
    return [folder / CURVE, *draw_froc(rates, curve.at(rates), limits, RATES, title, folder)]


def _print(summary: dict[str, Any], excluded: Path | None) -> None:
    without = summary["num_scans_without_nodules"]
    print(
        f"{summary['num_scans']} scans ({without} without a nodule), {summary['num_nodules']} "
        f"nodules, of which {summary['num_found']} have a candidate; {summary['num_marks']} marks: "
        f"{summary['num_false_positives']} false, {summary['num_ignored']} on irrelevant findings, "
        f"{summary['num_double']} on nodules found already."
    )
    if excluded is None:
        print(f"There is no {EXCLUDED}: marks on irrelevant findings count as false positives.")
    print("\nfalse positives per scan  sensitivity  95 % interval")
    for rate, value in summary["sensitivity"].items():
        low, high = summary["sensitivity_interval"][rate]
        print(f"{rate:>24}  {value:11.4f}  {low:.4f} to {high:.4f}")
    low, high = summary["cpm_interval"]
    print(f"{'mean (CPM)':>24}  {summary['cpm']:11.4f}  {low:.4f} to {high:.4f}")


if __name__ == "__main__":
    main()
