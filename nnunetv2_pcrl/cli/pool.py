"""nnUNetv2_pcrl_pool: several raw data sets, and their test images, become one for pretraining."""

import argparse
from collections.abc import Sequence

from nnunetv2_pcrl.cli.reports import exit_with_error
from nnunetv2_pcrl.datasets.raw import environment_folder, raw_folder
from nnunetv2_pcrl.preparation.pool import pool_datasets


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
    args = parser.parse_args(arguments)
    with exit_with_error():
        target = raw_folder(environment_folder("nnUNet_raw"), args.o, args.name)
        count = pool_datasets(args.d, target, args.include_test_images, args.channels)
    print(f"{target} names {count} cases. Prepare it with")
    print(f"  nnUNetv2_pcrl_plan_and_preprocess -d {args.o}")


if __name__ == "__main__":
    main()
