"""nnUNetv2_pcrl_evaluate_nodules: the FROC curve and the score of LUNA16 of scored candidates."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error
from nnunetv2_pcrl.tasks.nodules.challenge import EXCLUDED, MARKS_PER_SCAN, NUM_RESAMPLES


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
    args = parsed(build_parser(), arguments)
    # Here, so that --help is quick.
    from nnunetv2_pcrl.tasks.nodules.evaluating import NoduleTables, evaluate_nodules

    with exit_with_error():
        if args.resamples < 1 or args.marks_per_scan < 0:
            raise ValueError("--resamples must be 1 or more, and --marks_per_scan 0 or more.")
        tables = NoduleTables(args.scores, args.annotations, args.excluded, args.seriesuids)
        evaluation = evaluate_nodules(tables, args.o, args.marks_per_scan, args.resamples)
        for remark in evaluation.remarks:
            print(remark)
        _print(evaluation.summary, evaluation.excluded)
        print(f"\nWritten: {', '.join(map(str, evaluation.paths))}")


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
