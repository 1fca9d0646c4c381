"""nnUNetv2_pcrl_convert_msd: an archive of the Medical Segmentation Decathlon, by nnU-Net."""

import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from nnunetv2.dataset_conversion.convert_MSD_dataset import convert_msd_dataset

from nnunetv2_pcrl.cli.convert import build_parser, print_report
from nnunetv2_pcrl.cli.reports import exit_with_error
from nnunetv2_pcrl.datasets.conversion import ConversionReport
from nnunetv2_pcrl.datasets.headers import differences, read_header
from nnunetv2_pcrl.datasets.labels import read_label
from nnunetv2_pcrl.datasets.parallel import run_cases
from nnunetv2_pcrl.datasets.placing import write_image
from nnunetv2_pcrl.datasets.raw import environment_folder, raw_folder
from nnunetv2_pcrl.preparation.environment import nnunet_folders_at

_ENDING = ".nii.gz"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = build_parser(
        "nnUNetv2_pcrl_convert_msd",
        "Converts a task of the Medical Segmentation Decathlon (TaskNN_Name or TaskNN_Name.tar) by "
        "nnU-Net's own converter, and checks the result.",
    )
    parser.add_argument("-d", type=int, metavar="ID", help="number (default: that of the task)")
    args = parser.parse_args(arguments)
    with exit_with_error():
        source = _unpacked(args.source)
        folder = _convert(source, args.d, args.np)
        report = _check(source, folder, args.np)
        if args.link:
            _link_equal_files(source, folder)
    print_report(folder, report, args.skip_bad)


def _unpacked(source: Path) -> Path:
    """The task's folder; an archive is unpacked beside itself.

    Raises:
        ValueError: if it is neither, or if the archive would write elsewhere.
    """
    if source.is_file() and tarfile.is_tarfile(source):
        folder = source.with_suffix("")
        if not folder.is_dir():
            partial = source.with_name(f".{source.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            with tarfile.open(source) as archive:
                _check_members(archive, source)
                # The first releases of Python 3.10 and 3.11 have no filters.
                known = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                archive.extractall(partial, **known)
            (partial / folder.name).replace(folder)
            shutil.rmtree(partial)
        source = folder
    if not (source / "dataset.json").is_file():
        raise ValueError(f"{source} is no unpacked task: it has no dataset.json.")
    return source.resolve()


def _check_members(archive: tarfile.TarFile, source: Path) -> None:
    for member in archive:
        path = PurePosixPath(member.name)
        is_inside = not path.is_absolute() and ".." not in path.parts
        if not (is_inside and (member.isfile() or member.isdir())):
            raise ValueError(
                f"{source} holds {member.name}, which is no file or folder within it. The archives "
                f"of the decathlon hold nothing of the kind: download it again."
            )


def _convert(source: Path, number: int | None, num_processes: int) -> Path:
    """Runs nnU-Net's converter in a place of its own, so that a kill leaves nothing half done.

    Raises:
        ValueError: if the number is taken, or the folder is not as published.
    """
    root = environment_folder("nnUNet_raw")
    task, _, name = source.name.partition("_")
    try:
        number = int(task.removeprefix("Task")) if number is None else number
    except ValueError:
        raise ValueError(f"{source.name} is not of the form TaskNN_Name.") from None
    target = raw_folder(root, number, name)
    if target.is_dir():
        return target
    partial = root / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with nnunet_folders_at({"nnUNet_raw": partial}):
            convert_msd_dataset(str(source), number, num_processes)
    except AssertionError as error:
        raise ValueError(str(error)) from error
    (partial / target.name).replace(target)
    partial.rmdir()
    return target


def _check(source: Path, folder: Path, num_processes: int) -> ConversionReport:
    """Counts, geometry and label values of the converted task."""
    published = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    values = {int(value): int(value) for value in content["labels"].values()}
    num_channels = len(content["channel_names"])
    training = sorted(
        p.name.removesuffix(_ENDING) for p in (folder / "labelsTr").glob(f"*{_ENDING}")
    )
    jobs = {name: (folder, name, num_channels, values) for name in training}
    odd, remarks = run_cases(check_case, jobs, num_processes, published["name"])
    num_test = len(list((folder / "imagesTs").glob(f"*_0000{_ENDING}")))
    for kind, found, key in (
        ("training cases", len(training), "numTraining"),
        ("test cases", num_test, "numTest"),
    ):
        if found != published[key]:
            odd[kind] = f"{found} were found, dataset.json says {published[key]}"
    return ConversionReport(len(training), num_test, odd, remarks)


def check_case(folder: Path, name: str, num_channels: int, values: dict[int, int]) -> str | None:
    """Compares a label with its images, and repairs its header.

    Returns:
        A remark on what was repaired.

    Raises:
        ValueError: if they do not fit.
    """
    files = [folder / "imagesTr" / f"{name}_{c:04d}{_ENDING}" for c in range(num_channels)]
    header = read_header(files[0])
    for file in files[1:]:
        odd = differences(header, read_header(file))
        if odd:
            raise ValueError(f"{files[0].name} and {file.name} differ in {'; '.join(odd)}")
    label = folder / "labelsTr" / f"{name}{_ENDING}"
    if read_header(label).size != header.size:
        raise ValueError(f"image and label differ in {differences(header, read_header(label))[0]}")
    repaired, remark = read_label(label, header, values)
    if remark:
        write_image(repaired, label)
    return remark or None


def _link_equal_files(source: Path, folder: Path) -> None:
    """Replaces what nnU-Net's converter copied unchanged by links."""
    for part in ("imagesTr", "imagesTs", "labelsTr"):
        for file in sorted((folder / part).glob(f"*{_ENDING}")):
            name = (
                file.name if part == "labelsTr" else file.name.replace(f"_0000{_ENDING}", _ENDING)
            )
            original = source / part / name
            if not original.is_file() or file.is_symlink():
                continue
            if original.read_bytes() == file.read_bytes():
                file.unlink()
                file.symlink_to(original)


if __name__ == "__main__":
    main()
