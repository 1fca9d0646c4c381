"""nnUNetv2_pcrl_from_folder: a folder tree of images becomes a raw data set without labels."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunetv2_pcrl.cli.arguments import parsed
from nnunetv2_pcrl.cli.messages import exit_with_error, print_bounded, print_table
from nnunetv2_pcrl.datasets.raw import MANIFEST, environment_folder, raw_folder

if TYPE_CHECKING:
    from nnunetv2_pcrl.datasets.folder_cases import FolderPlan


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_from_folder",
        description="Makes a raw data set without labels from all NIfTI, NRRD, MHA and MHD images "
        "and DICOM series, or all PNG, TIFF, BMP and JPEG images, below a folder. Files stay where "
        "they are; DICOM series are written as NIfTI images. Segmentations are left out.",
    )
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES_FOLDER")
    add("-d", type=int, required=True, metavar="ID", help="number of the new data set")
    add("--name", required=True, help="its name")
    add(
        "--channels",
        nargs="+",
        default=["image"],
        metavar="NAME[=PATTERN]",
        help="names of the channels; CT decides the normalisation (default: image, z-score). With "
        "several, files CASE_0000, CASE_0001, ... make a case; or give patterns of paths or series "
        "descriptions, e.g. T1='*T1*' FLAIR='*FLAIR*'",
    )
    add("--resample", action="store_true", help="bring channels onto the grid of the first")
    add("--include", nargs="+", default=[], metavar="PATTERN", help="take only these paths")
    add("--exclude", nargs="+", default=[], metavar="PATTERN", help="leave out these paths")
    add("--modality", nargs="+", default=[], help="of DICOM series, e.g. CT")
    add(
        "--one_per_scan",
        action="store_true",
        help="of several reconstructions of a scan take the one with most slices",
    )
    add("--keep_masks", action="store_true", help="take what looks like a segmentation too")
    add("--orient", default="", metavar="LPS", help="turn all volumes to this orientation")
    add("--link", action="store_true", help="put links into imagesTr")
    add("--dry_run", action="store_true", help="show what becomes what, and write nothing")
    add("--skip_bad", action="store_true", help="succeed although some files cannot be used")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; exits with 1 if a file cannot be used, unless --skip_bad."""
    args = parsed(build_parser(), arguments)
    # Here, so that --help is quick.
    from nnunetv2_pcrl.datasets.channel_groups import parse_channels
    from nnunetv2_pcrl.datasets.folder import build_from_folder, plan_from_folder
    from nnunetv2_pcrl.datasets.folder_cases import FolderRequest, table_of
    from nnunetv2_pcrl.datasets.orientation import check_orientation
    from nnunetv2_pcrl.datasets.survey import Wanted

    with exit_with_error():
        if not args.images.is_dir():
            raise ValueError(f"There is no folder {args.images}.")
        target = raw_folder(environment_folder("nnUNet_raw"), args.d, args.name)
        names, patterns = parse_channels(args.channels)
        request = FolderRequest(
            args.images.absolute(),
            tuple(names),
            tuple(patterns),
            Wanted(
                tuple(args.include),
                tuple(args.exclude),
                tuple(args.modality),
                args.keep_masks,
                args.one_per_scan,
            ),
            args.link,
            args.resample,
            check_orientation(args.orient) if args.orient else "",
        )
        make = plan_from_folder if args.dry_run else build_from_folder
        plan = make(request, target)
        if args.dry_run:
            print_table(table_of(plan))
            print(f"\n{len(plan.cases)} cases would be made; nothing was written.")
        else:
            print(f"{target} is ready: {len(plan.cases)} cases, whose sources {MANIFEST} names.")
            print("Prepare it with")
            print(f"  nnUNetv2_pcrl_plan_and_preprocess -d {args.d}")
        _report(plan, args.skip_bad, args.dry_run)


def _report(plan: "FolderPlan", skip_bad: bool, is_dry_run: bool) -> None:
    for remark in plan.survey.remarks:
        print(remark)
    when = "would be" if is_dry_run else "are"
    remainder = f"All of them {when} in {MANIFEST}."
    print_bounded(plan.survey.left_out, "files or series are left out on purpose", remainder)
    print_bounded(plan.survey.failed, "files or series cannot be used", remainder)
    if plan.survey.failed and not skip_bad:
        print("Repair these, leave them out by --exclude, or give --skip_bad.")
        sys.exit(1)


if __name__ == "__main__":
    main()
