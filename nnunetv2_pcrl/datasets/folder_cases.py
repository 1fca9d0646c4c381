"""Cases that a folder of images makes: their names, their channels, and which go together."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_pcrl.datasets.case_names import case_name
from nnunetv2_pcrl.datasets.channel_groups import (
    Group,
    geometry_reason,
    group_by_numbers,
    group_by_patterns,
)
from nnunetv2_pcrl.datasets.dicom_series import SERIES_TITLE
from nnunetv2_pcrl.datasets.orientation import mixture, orientation_of
from nnunetv2_pcrl.datasets.photographs import num_colours
from nnunetv2_pcrl.datasets.raw import ITK_READER, NATURAL_READER, ManifestRow
from nnunetv2_pcrl.datasets.survey import Source, Survey, Wanted, survey_folder

_KINDS = {ITK_READER: "read as a volume", NATURAL_READER: "read as a photograph"}

# More numbers than these are a count of images.
_MOST_CHANNELS = 8


@dataclass(frozen=True)
class FolderRequest:
    """What is to be made of a folder of images.

    Attributes:
        images: the folder.
        channels: names in order.
        patterns: of the images of each channel; none if files are numbered as in nnU-Net.
        wanted: which images are taken.
        link: put links into imagesTr instead of paths into dataset.json.
        resample: bring channels of other geometry onto the grid of the first.
        orientation: code that all volumes are turned to; "" leaves them as they are.
    """

    images: Path
    channels: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    wanted: Wanted = Wanted()
    link: bool = False
    resample: bool = False
    orientation: str = ""


@dataclass(frozen=True)
class Case:
    """A case to be made.

    Attributes:
        identifier: its name.
        sources: one per channel, or one that holds all of them.
    """

    identifier: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class FolderPlan:
    """What a folder becomes.

    Attributes:
        cases: in the order of their paths.
        reader: nnU-Net's class that reads them.
        survey: everything else that was found.
    """

    cases: list[Case]
    reader: str
    survey: Survey


def known_names(rows: Iterable[ManifestRow]) -> dict[tuple[str, str], str]:
    """Names that images have in a manifest, by place and title."""
    return {
        (row.source, _key(row.note) if row.note.startswith(SERIES_TITLE) else ""): row.identifier
        for row in rows
        if row.identifier
    }


def _key(title: str) -> str:
    return title.split(";")[0]


def plan_folder(
    request: FolderRequest, target: Path, known: Mapping[tuple[str, str], str]
) -> FolderPlan:
    """Decides what a folder of images becomes, without writing anything.

    Args:
        request: what is wanted.
        target: folder of the raw data set, which is not searched.
        known: names that images have from an earlier run, by place and title.
    """
    found = survey_folder(
        request.images, target, request.wanted, request.channels, bool(request.patterns)
    )
    if request.patterns:
        groups, failed, left_out = group_by_patterns(
            found.sources, request.channels, request.patterns
        )
        found.failed |= failed
        found.left_out |= left_out
    else:
        groups = group_by_numbers(found.sources, len(request.channels))
    usable = []
    for group in groups:
        reason = _why_not(group, request)
        if reason:
            found.failed |= {source.name: reason for source in group.sources}
        else:
            usable.append(group)
    usable = _of_one_kind(usable, found)
    reader = usable[0].sources[0].reader if usable else ITK_READER
    if len(request.channels) == 1 and (numbered := _numbered_as_channels(usable)):
        found.remarks.append(
            f"{numbered} files are numbered like channels of the same case (CASE_0000, CASE_0001): "
            f"if they are, name the channels by --channels."
        )
    mixed = mixture(group.sources[0].header for group in usable)
    if mixed and not request.orientation:
        found.remarks.append(
            f"The volumes are of several orientations ({mixed}); --orient LPS makes them one."
        )
    return FolderPlan(_named(usable, request.images, known), reader, found)


def _numbered_as_channels(groups: Sequence[Group]) -> int:
    """How many images are numbered CASE_0000, CASE_0001, ... as the channels of a case."""
    numbers: dict[str, set[str]] = {}
    for group in groups:
        if match := re.fullmatch(r"(.*)_(\d{4})", group.text):
            numbers.setdefault(match[1], set()).add(match[2])
    cases = (found for found in numbers.values() if {"0000", "0001"} <= found)
    return sum(len(found) for found in cases if len(found) <= _MOST_CHANNELS)


def _why_not(group: Group, request: FolderRequest) -> str:
    """Why a group of images is no case with the wanted channels, empty if it is."""
    wanted, sources = len(request.channels), group.sources
    num_axes = sources[0].header.num_axes
    if num_axes > 3 and not (len(sources) == 1 and _num_channels(sources[0], wanted) == wanted):
        size = sources[0].header.size
        hint = f"; name its {size[3]} channels by --channels" if num_axes == 4 else ""
        return f"it has {num_axes} axes, size {size}{hint}"
    found = sum(_num_channels(source, wanted) for source in sources)
    if found != wanted:
        if wanted == 1 and sources[0].reader == NATURAL_READER:
            return "it is a colour image; take its colours by --channels R G B"
        return f"it has {found} channels, {wanted} are wanted (--channels)"
    sizes = {source.header.size for source in sources}
    if request.patterns and not request.resample and (reason := geometry_reason(sources)):
        return f"{reason}; --resample brings all channels onto the grid of {request.channels[0]}"
    if len(sizes) > 1 and not request.resample:
        return f"its channels have the sizes {', '.join(map(str, sorted(sizes)))}"
    return ""


def _num_channels(source: Source, wanted: int) -> int:
    """Channels that an image gives, if so many are wanted."""
    header = source.header
    if source.reader == NATURAL_READER:
        colours = num_colours(header)
        # Grey images go among coloured ones, and the other way.
        return wanted if wanted in (1, 3) and (source.is_grey or colours == wanted) else colours
    if header.num_axes == 4 and header.num_components == 1:
        return header.size[3]
    # A colour image may turn out to be grey, which its voxels say.
    return 1 if wanted == 1 and header.num_components == 3 else header.num_components


def _of_one_kind(groups: list[Group], found: Survey) -> list[Group]:
    """nnU-Net reads a data set in one way and plans for 2D or 3D: what most images are."""
    for kind, describe in (
        (lambda source: source.reader, _KINDS.get),
        (lambda source: min(source.header.num_axes, 3), "{}D".format),
    ):
        kinds = [kind(group.sources[0]) for group in groups]
        counts = Counter(kinds)
        most = max(counts, key=lambda value: (counts[value], value), default="")
        for group, other in zip(groups, kinds, strict=True):
            if other != most:
                reason = (
                    f"it is {describe(other)}, and most images are {describe(most)}: make a second "
                    f"data set of such"
                )
                found.failed |= {source.name: reason for source in group.sources}
        groups = [group for group, value in zip(groups, kinds, strict=True) if value == most]
    return groups


def _named(
    groups: Sequence[Group], images: Path, known: Mapping[tuple[str, str], str]
) -> list[Case]:
    """Names images as an earlier run did, and new ones by their paths."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for number, group in enumerate(groups):
        name = known.get((group.sources[0].place, _key(group.sources[0].title)), "")
        if name and case_name(name, taken) == name:
            names[number] = name
            taken.add(name.lower())
    for number, group in enumerate(groups):
        if number not in names:
            names[number] = case_name(group.text or images.name, taken)
            taken.add(names[number].lower())
    return [Case(names[number], group.sources) for number, group in enumerate(groups)]


def table_of(plan: FolderPlan) -> list[tuple[str, ...]]:
    """What becomes what, a row per image, with a header."""
    rows: list[tuple[str, ...]] = [("case", "size", "spacing", "orientation", "from", "what")]
    for case in plan.cases:
        for source in case.sources:
            header = source.header
            size = " x ".join(map(str, header.size[: max(2, header.num_axes)]))
            spacing = " x ".join(f"{value:.3g}" for value in header.spacing[:3])
            orientation = orientation_of(header)
            rows.append((case.identifier, size, spacing, orientation, source.place, source.title))
    return rows


def manifest_rows(plan: FolderPlan, remarks: Mapping[str, str]) -> list[ManifestRow]:
    """Rows of all cases and of everything else that was found.

    Args:
        plan: what the folder becomes.
        remarks: what was done to cases.
    """
    rows = []
    for case in plan.cases:
        for source in case.sources:
            note = "; ".join(part for part in (source.title, remarks.get(source.name)) if part)
            rows.append(ManifestRow(case.identifier, source.place, note))
    others = {**plan.survey.failed, **plan.survey.left_out}
    return rows + [ManifestRow("", name, reason) for name, reason in others.items()]
