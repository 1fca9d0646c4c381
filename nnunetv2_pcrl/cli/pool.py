"""nnUNetv2_pcrl_pool: several raw data sets, and their test images, become one for pretraining."""

import argparse
import sys
from collections.abc import Sequence

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error, print_failed


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_pool",
        description="Writes a raw data set that names the images of others, without copying them.",
    )
    add = parser.add_argument
    add("-d", nargs="+", required=True, metavar="ID", help="data sets to pool")
    add("-o", type=int, required=True, metavar="ID", help="number of the new data set")
    add("--name", required=True, help="its name")
    add("--include_test_images", action="store_true", help="use the images of imagesTs too")
    add("--channels", nargs="+", help="channel names, e.g. zscore, if those of the sets differ")
    add("--orient", default="", metavar="LPS", help="write volumes of other orientations anew")
    args = parsed(parser, arguments)
    # Here, so that --help is quick.
    from nnunetv2_pcrl.datasets.orientation import check_orientation
    from nnunetv2_pcrl.datasets.raw import environment_folder, raw_folder
    from nnunetv2_pcrl.preparation.pool import pool_datasets

    with exit_with_error():
        target = raw_folder(environment_folder("nnUNet_raw"), args.o, args.name)
        orientation = check_orientation(args.orient) if args.orient else ""
        pool = pool_datasets(args.d, target, args.include_test_images, args.channels, orientation)
        print(f"{target} names {pool.num_cases} cases. Prepare it with")
        in_2d = " -c 2d" if pool.num_photographs else ""
        print(f"  nnUNetv2_pcrl_plan_and_preprocess -d {args.o}{in_2d}")
        if in_2d:
            print(
                f"{pool.num_photographs} photographs were written as volumes of one slice: "
                f"together with volumes they are pretrained on in 2D."
            )
        if pool.orientations:
            print(
                f"The volumes are of several orientations ({pool.orientations}); --orient LPS "
                f"makes them one."
            )
        print_failed(pool.failed, "images cannot be used")
        if pool.failed:
            sys.exit(1)


if __name__ == "__main__":
    main()
