"""nnUNetv2_pcrl_from_folder: a folder tree of images becomes a raw data set without labels."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_pcrl.cli.reports import exit_with_error, print_failed
from nnunetv2_pcrl.datasets.folder import build_from_folder
from nnunetv2_pcrl.datasets.raw import MANIFEST, environment_folder, raw_folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; exits with 1 if a file is left out, unless --skip_bad."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_from_folder",
        description="Makes a raw data set without labels from all NIfTI, NRRD, MHA and MHD images "
        "and DICOM series, or all PNG, TIFF, BMP and JPEG images, below a folder. Files stay where "
        "they are; DICOM series are written as NIfTI images.",
    )
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES_FOLDER")
    add("-d", type=int, required=True, metavar="ID", help="number of the new data set")
    add("--name", required=True, help="its name")
    add(
        "--channels",
        nargs="+",
        default=["image"],
        help="names of the channels; CT decides the normalisation (default: image, z-score). With "
        "several, files CASE_0000, CASE_0001, ... make a case",
    )
    add("--link", action="store_true", help="put links into imagesTr")
    add("--skip_bad", action="store_true", help="succeed although some files are left out")
    args = parser.parse_args(arguments)
    with exit_with_error():
        if not args.images.is_dir():
            raise ValueError(f"There is no folder {args.images}.")
        target = raw_folder(environment_folder("nnUNet_raw"), args.d, args.name)
        failed = build_from_folder(args.images.absolute(), target, args.channels, args.link)
    print(f"{target} is ready; {MANIFEST} says where each case comes from. Prepare it with")
    print(f"  nnUNetv2_pcrl_plan_and_preprocess -d {args.d}")
    print_failed(failed, "files are left out")
    if failed and not args.skip_bad:
        sys.exit(1)


if __name__ == "__main__":
    main()
