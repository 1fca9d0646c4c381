"""nnUNetv2_pcrl_predict_nodules: probabilities of candidates in raw scans."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error
from nnunetv2_pcrl.cli.trained_arguments import add_trained_arguments, folder_of


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_predict_nodules",
        description="Writes the probability of being a nodule of every candidate in a folder of "
        "scans, the mean over the folds of a training, as the challenge LUNA16 wants it.",
    )
    add = parser.add_argument
    add("-i", required=True, type=Path, metavar="FOLDER", help="scans, named as for nnU-Net")
    about = "CSV: seriesuid (or identifier),coordX,coordY,coordZ, in mm; further columns may follow"
    add("--candidates", required=True, type=Path, metavar="FILE.csv", help=about)
    add("-o", required=True, type=Path, metavar="FILE.csv", help="table to write")
    add_trained_arguments(parser, "PCRLv2NoduleTrainer", "3d_fullres")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = parsed(build_parser(), arguments)
    # Here, so that --help is quick.
    import torch

    from nnunetv2_pcrl.datasets.positions import PROBABILITY, read_positions, write_positions
    from nnunetv2_pcrl.tasks.encoder.raw_prediction import find_cases
    from nnunetv2_pcrl.tasks.encoder.trained_folds import num_input_channels, read_folds
    from nnunetv2_pcrl.tasks.nodules.raw_prediction import inputs_seen, predict_candidates
    from nnunetv2_pcrl.tasks.nodules.settings import NODULE_TRAININGS

    with exit_with_error():
        candidates = read_positions(args.candidates)
        folder = folder_of(args)
        folds = list(read_folds(folder, args.f, args.chk, NODULE_TRAININGS, inputs_seen).values())
        files = find_cases(
            args.i, folds[0].dataset_json["file_ending"], num_input_channels(folds[0])
        )
        if not args.o.parent.is_dir():
            raise ValueError(f"There is no folder {args.o.parent} to write {args.o.name} into.")
        print(f"Scoring candidates of {len(files)} scans with {len(folds)} folds of {folder}")
        scores = predict_candidates(folds, files, candidates, torch.device(args.device), args.npp)
        left_out = len(candidates) - len(scores)
        if left_out:
            print(f"{left_out} of {len(candidates)} candidates are left out: no scan for them.")
        write_positions(args.o, scores, PROBABILITY)
        print(f"Written: {args.o}, {len(scores)} candidates")


if __name__ == "__main__":
    main()
