"""nnUNetv2_pcrl_plan_and_preprocess: prepares images without labels for pretraining."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error, print_failed
from nnunetv2_pcrl.cli.num_processes import add_num_processes, num_processes

if TYPE_CHECKING:
    from nnunetv2_pcrl.preparation.prepare import Preparation


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_plan_and_preprocess",
        description="Fingerprint, plans and preprocessing of raw data sets whose labels are "
        "missing, partly or wholly. Labels are not used. A rerun does what is missing.",
    )
    add = parser.add_argument
    add("-d", nargs="+", required=True, metavar="ID", help="data sets, each prepared by itself")
    add("-c", nargs="+", default=["2d", "3d_fullres", "3d_lowres"], help="configurations")
    add("-pl", default="ExperimentPlanner", help="nnU-Net planner, e.g. nnUNetPlannerResEncM")
    add(
        "--plans_from",
        metavar="TARGET",
        help="take architecture, patch and spacing from the plans of this data set (number, name, "
        "or path of a plans file or its folder)",
    )
    add(
        "--normalization",
        choices=("own", "target"),
        default="own",
        help="with --plans_from: by the images' own intensities (default) or as the target's are",
    )
    add("--target_plans", default="nnUNetPlans", help="name of the target's plans")
    add("--plans_name", help="name of the new plans")
    add("--include_test_images", action="store_true", help="use the images of imagesTs too")
    add_num_processes(parser)
    add("--skip_bad", action="store_true", help="succeed although some images cannot be used")
    add("--clean", action="store_true", help="measure, plan and preprocess anew")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; exits with 1 if an image failed, unless --skip_bad."""
    args = parsed(build_parser(), arguments)
    # Here, so that --help is quick.
    from nnunetv2_pcrl.preparation.existing_plans import read_target_plans
    from nnunetv2_pcrl.preparation.preparation_settings import PreparationSettings
    from nnunetv2_pcrl.preparation.prepare import prepare

    all_good, unprepared = True, {}
    with exit_with_error():
        if args.normalization == "target" and not args.plans_from:
            raise ValueError("--normalization target goes with --plans_from.")
        target = read_target_plans(args.plans_from, args.target_plans) if args.plans_from else None
        settings = PreparationSettings(
            configurations=args.c,
            planner=args.pl,
            target=target,
            normalization=args.normalization,
            plans_name=args.plans_name,
            include_test_images=args.include_test_images,
            num_processes=num_processes(args.np),
            clean=args.clean,
        )
        for dataset in args.d:
            try:
                preparation = prepare(dataset, settings)
            except ValueError as error:
                if len(args.d) == 1:
                    raise
                unprepared[dataset] = str(error)
                continue
            _report(preparation)
            all_good = all_good and not preparation.failed and not preparation.nameless
        if unprepared:
            print_failed(unprepared, "data sets could not be prepared")
            sys.exit(1)
        if not all_good and not args.skip_bad:
            print("Repair or remove these images and run the command again, or give --skip_bad.")
            sys.exit(1)


def _report(preparation: "Preparation") -> None:
    name, plans = preparation.dataset_name, preparation.plans_name
    num_good = preparation.num_cases - len(preparation.failed)
    print(f"\n{name}: {num_good} of {preparation.num_cases} cases are ready. Pretrain with")
    for configuration in preparation.configurations:
        print(f"  nnUNetv2_train {name} {configuration} all -tr PCRLv2PretrainTrainer -p {plans}")
    if num_good == 1:
        print(
            "With a single case all views of a batch come from the same image, and their "
            "comparison teaches little: add cases if you can."
        )
    if preparation.needs_clean:
        print(
            "If the data set gets all its labels later, plan for segmentation with "
            "nnUNetv2_plan_and_preprocess --clean: the fingerprint is that of the images now."
        )
    print_failed(preparation.failed, "cases cannot be used")
    print_failed(preparation.nameless, "images belong to no case")


if __name__ == "__main__":
    main()
