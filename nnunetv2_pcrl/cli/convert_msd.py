"""nnUNetv2_pcrl_convert_msd: an archive of the Medical Segmentation Decathlon, by nnU-Net."""

import filecmp
import re
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunetv2.dataset_conversion.convert_MSD_dataset import convert_msd_dataset

from nnunetv2_pcrl.cli.convert import build_parser, print_report
from nnunetv2_pcrl.cli.reports import exit_with_error
from nnunetv2_pcrl.datasets.archives import unpacked
from nnunetv2_pcrl.datasets.conversion import ConversionReport
from nnunetv2_pcrl.datasets.headers import differences, read_header
from nnunetv2_pcrl.datasets.intact import check_is_intact
from nnunetv2_pcrl.datasets.labels import read_label
from nnunetv2_pcrl.datasets.layouts import files_below
from nnunetv2_pcrl.datasets.parallel import listed, run_cases
from nnunetv2_pcrl.datasets.placing import write_image
from nnunetv2_pcrl.datasets.raw import (
    DATASET_JSON,
    MADE_BY,
    ManifestRow,
    check_may_write,
    environment_folder,
    raw_folder,
    read_json,
    write_json,
    write_manifest,
)
from nnunetv2_pcrl.preparation.environment import nnunet_folders_at

MAKER = "nnUNetv2_pcrl_convert_msd"
_ENDING = ".nii.gz"
_PARTS = ("imagesTr", "imagesTs", "labelsTr")
_TASK = re.compile(r"Task(\d+)_([A-Za-z0-9]+)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = build_parser(
        "nnUNetv2_pcrl_convert_msd",
        "Converts a task of the Medical Segmentation Decathlon (its folder TaskNN_Name, or its "
        "archive under any name) by nnU-Net's own converter, and checks the result.",
    )
    parser.add_argument("-d", type=int, metavar="ID", help="number (default: that of the task)")
    about = "succeed although the folder holds a part of the task"
    parser.add_argument("--subset", action="store_true", help=about)
    args = parser.parse_args(arguments)
    with exit_with_error():
        source = _task_folder(args.source)
        published = _read_published(source)
        folder = _convert(source, published, args.d, args.np)
        report = _check(source, folder, published, args.np)
        if args.link:
            _link_equal_files(source, folder)
    print_report(folder, report, args.skip_bad, args.subset)


def _task_folder(source: Path) -> Path:
    """The task's folder; an archive is unpacked beside itself.

    Raises:
        ValueError: if it is neither.
    """
    if not source.exists():
        raise ValueError(f"There is no {source}: name the folder or the archive of a task.")
    if source.is_file():
        if not tarfile.is_tarfile(source):
            raise ValueError(
                f"{source} is no tar archive, or its beginning is damaged: unpack it and name the "
                f"folder of the task, or download it again."
            )
        source = unpacked(source)
    if not (source / DATASET_JSON).is_file():
        raise ValueError(f"{source} is no unpacked task: it has no {DATASET_JSON}.")
    return source.resolve()


def _read_published(source: Path) -> dict[str, Any]:
    """The task's own description.

    Raises:
        ValueError: if it lacks what the conversion needs.
    """
    path = source / DATASET_JSON
    content = read_json(path)
    kinds = {"name": str, "labels": dict, "modality": dict, "numTraining": int, "numTest": int}
    wrong = [key for key, kind in kinds.items() if not isinstance(content.get(key), kind)]
    wrong += [key for key in ("training", "test") if not isinstance(content.get(key), list)]
    if not wrong and not all(str(value).isdigit() for value in content["labels"]):
        wrong = ["labels"]
    if wrong:
        raise ValueError(
            f"{path} is not as published: see {', '.join(wrong)}. Download the task again."
        )
    missing = [part for part in _PARTS if not (source / part).is_dir()]
    if missing:
        raise ValueError(f"{source} has no folder {', '.join(missing)}: download the task again.")
    return content


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob(f"*{_ENDING}") if not p.name.startswith((".", "_")))


def _convert(
    source: Path, published: Mapping[str, Any], number: int | None, num_processes: int
) -> Path:
    """Runs nnU-Net's converter in a place of its own, so that a kill leaves nothing half done.

    Raises:
        ValueError: if the number is taken, or the folder is not as published.
    """
    root = environment_folder("nnUNet_raw")
    match = _TASK.fullmatch(source.name)
    if match is None:
        raise ValueError(
            f"{source.name} is not of the form TaskNN_Name, as nnU-Net wants it, e.g. "
            f"Task09_{published['name']}: rename the folder."
        )
    number = int(match.group(1)) if number is None else number
    target = raw_folder(root, number, match.group(2))
    if target.is_dir():
        names = {name: int(value) for value, name in published["labels"].items()}
        check_may_write(target, MAKER, names)
        return target
    files = {str(path): (path,) for part in _PARTS for path in _images(source / part)}
    damaged, _ = run_cases(check_is_intact, files, num_processes, "Files")
    if damaged:
        raise ValueError(
            f"nnU-Net converts whole tasks only; repair or download again:{listed(damaged)}"
        )
    partial = root / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with nnunet_folders_at({"nnUNet_raw": partial}):
            convert_msd_dataset(str(source), number, num_processes)
        converted = partial / target.name / DATASET_JSON
        write_json(converted, {MADE_BY: MAKER, **read_json(converted)})
        (partial / target.name).replace(target)
    except (AssertionError, RuntimeError, KeyError) as error:
        raise ValueError(f"nnU-Net cannot convert {source}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _check(
    source: Path, folder: Path, published: Mapping[str, Any], num_processes: int
) -> ConversionReport:
    """Counts, geometry and label values of the converted task."""
    content = read_json(folder / DATASET_JSON)
    values = {int(value): int(value) for value in content["labels"].values()}
    num_channels = len(content["channel_names"])
    training = sorted(
        p.name.removesuffix(_ENDING) for p in (folder / "labelsTr").glob(f"*{_ENDING}")
    )
    jobs = {name: (folder, name, num_channels, values) for name in training}
    odd, remarks = run_cases(check_case, jobs, num_processes, published["name"])
    tests = [
        p.name.removesuffix(f"_0000{_ENDING}")
        for p in sorted((folder / "imagesTs").glob(f"*_0000{_ENDING}"))
    ]
    missing = {
        kind: f"{len(found)} were found, {DATASET_JSON} says {published[key]}"
        for kind, found, key in (
            ("training cases", training, "numTraining"),
            ("test cases", tests, "numTest"),
        )
        if len(found) != published[key]
    }
    used = {source / DATASET_JSON, *(p for part in _PARTS for p in _images(source / part))}
    others = {str(p): "no part of the task" for p in files_below(source) if p not in used}
    rows = [
        ManifestRow(name, str(source / part / f"{name}{_ENDING}"), remarks.get(name, ""))
        for part, names in (("imagesTr", training), ("imagesTs", tests))
        for name in names
    ]
    for texts in (odd, missing, others):
        rows += [ManifestRow("", name, reason) for name, reason in texts.items()]
    write_manifest(folder, rows)
    return ConversionReport(len(training), len(tests), odd, remarks, missing, others)


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
    for part in _PARTS:
        for file in sorted((folder / part).glob(f"*{_ENDING}")):
            name = (
                file.name if part == "labelsTr" else file.name.replace(f"_0000{_ENDING}", _ENDING)
            )
            original = source / part / name
            if not original.is_file() or file.is_symlink():
                continue
            if filecmp.cmp(original, file, shallow=False):
                file.unlink()
                file.symlink_to(original)


if __name__ == "__main__":
    main()
