"""Looks through a folder tree: which images there are, and why other files are none."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePath

from tqdm import tqdm

from nnunetv2_pcrl.datasets.dicom_headers import DicomHeader, read_dicom_header
from nnunetv2_pcrl.datasets.dicom_series import Series, group_series, source_name
from nnunetv2_pcrl.datasets.headers import Header, read_header, reason_of
from nnunetv2_pcrl.datasets.image_files import ending_of, find_files, is_photograph
from nnunetv2_pcrl.datasets.label_like import MAX_VALUES, has_label_name, has_label_values
from nnunetv2_pcrl.datasets.photographs import has_label_values as drawing_has_label_values
from nnunetv2_pcrl.datasets.photographs import is_grey, read_photograph, read_photograph_header
from nnunetv2_pcrl.datasets.raw import ITK_READER, MANIFEST, NATURAL_READER
from nnunetv2_pcrl.datasets.scans import without_localisers, without_reconstructions


@dataclass(frozen=True)
class Wanted:
    """Which images a person wants.

    Attributes:
        include: patterns of paths below the folder or of series descriptions; none means all.
        exclude: patterns of what is left out.
        modalities: of DICOM series; none means the one that the channels name, or the most common.
        keep_masks: take what looks like a segmentation.
        one_per_scan: of several reconstructions of a scan take the one with most slices.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    keep_masks: bool = False
    one_per_scan: bool = False


@dataclass(frozen=True)
class Source:
    """An image: a file or a DICOM series.

    Attributes:
        path: the file, or the first one of the series.
        relative: the same below the folder that is searched.
        header: geometry and components.
        reader: nnU-Net's class that reads it, or what is made of it.
        series: of a DICOM image.
        is_grey: a photograph has no colours, though it may be stored as if.
    """

    path: Path
    relative: PurePath
    header: Header
    reader: str
    series: Series | None = None
    is_grey: bool = True

    @property
    def name(self) -> str:
        """For lists; no two images have the same."""
        return str(self.path) if self.series is None else source_name(self.series.headers)

    @property
    def place(self) -> str:
        """Where it comes from, for the manifest: a file, or the folder of a series."""
        return str(self.path if self.series is None else self.path.parent)

    @property
    def title(self) -> str:
        """What a series is; empty for a file, whose name says it."""
        return "" if self.series is None else self.series.title

    @property
    def texts(self) -> tuple[str, ...]:
        """What patterns are compared with."""
        texts = (self.relative.as_posix(), self.relative.name)
        return texts if self.series is None else (*texts, self.series.first.description)


@dataclass
class Survey:
    """What was found.

    Attributes:
        sources: images in the order of their paths.
        failed: why files that should be images cannot be used.
        left_out: why images, or objects beside images, are not taken.
        remarks: what a person should know, a sentence each.
    """

    sources: list[Source] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def matches(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether one of the texts has the form of one of the patterns, in capitals or not."""
    return any(fnmatch(text.lower(), pattern.lower()) for pattern in patterns for text in texts)


def survey_folder(
    images: Path, skipped: Path, wanted: Wanted, channels: Sequence[str], any_modality: bool
) -> Survey:
    """Reads the headers of all files below a folder, each once.

    Args:
        images: the folder.
        skipped: what lies below it and is not searched.
        wanted: which images are taken.
        channels: names, of which one may name a modality.
        any_modality: modalities are told apart later, by the patterns of channels.
    """
    files, failed = find_files(images, skipped)
    found = Survey(failed=failed)
    headers = []
    for path in tqdm(files, desc="Headers", disable=None):
        relative = path.relative_to(images)
        texts = (relative.as_posix(), relative.name)
        if matches(wanted.exclude, texts):
            if ending_of(path):
                found.left_out[str(path)] = "left out by --exclude"
            continue
        try:
            if ending_of(path):
                if wanted.include and not matches(wanted.include, texts):
                    found.left_out[str(path)] = "not named by --include"
                    continue
                _survey_file(path, relative, wanted, found)
            elif path.name != MANIFEST:
                header = read_dicom_header(path)
                headers += [header] if header is not None else []
        except (ValueError, RuntimeError, OSError, MemoryError) as error:
            found.failed[str(path)] = _reason(error)
    _survey_series(headers, images, wanted, found, () if any_modality else channels)
    found.sources.sort(key=lambda source: source.relative.parts)
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read ({error.strerror})"
    return reason_of(error)


def _survey_file(path: Path, relative: PurePath, wanted: Wanted, found: Survey) -> None:
    if not wanted.keep_masks and has_label_name(relative):
        found.left_out[str(path)] = "named like a segmentation (--keep_masks takes it)"
        return
    if is_photograph(path):
        header = read_photograph_header(path)
        few = not wanted.keep_masks and drawing_has_label_values(path, header)
        grey = header.num_components <= 2 or few or is_grey(read_photograph(path))
        source = Source(path, relative, header, NATURAL_READER, is_grey=grey)
    else:
        header = read_header(path)
        few = not wanted.keep_masks and has_label_values(path)
        source = Source(path, relative, header, ITK_READER)
    if few:
        found.left_out[str(path)] = (
            f"looks like a segmentation: integers, {MAX_VALUES} different ones at most "
            f"(--keep_masks takes it)"
        )
        return
    found.sources.append(source)


def _survey_series(
    headers: Sequence[DicomHeader],
    images: Path,
    wanted: Wanted,
    found: Survey,
    channels: Sequence[str],
) -> None:
    series, failed, others = group_series(headers)
    found.failed |= failed
    found.left_out |= others
    sources = [
        Source(s.first.path, s.first.path.relative_to(images), s.geometry, ITK_READER, s)
        for s in series
    ]
    kept = []
    for source in sources:
        if matches(wanted.exclude, source.texts):
            found.left_out[source.name] = "left out by --exclude"
        elif wanted.include and not matches(wanted.include, source.texts):
            found.left_out[source.name] = "not named by --include"
        elif not wanted.keep_masks and has_label_name(source.relative.parent / "x"):
            found.left_out[source.name] = "named like a segmentation (--keep_masks takes it)"
        else:
            kept.append(source)
    kept = _of_wanted_modality(kept, wanted.modalities, channels, found)
    by_series = {id(source.series): source for source in kept}
    taken, localisers = without_localisers([source.series for source in kept])
    found.failed |= localisers
    taken, reconstructions = without_reconstructions(taken)
    if wanted.one_per_scan:
        found.left_out |= {source_name(s.headers): reason for s, reason in reconstructions}
    elif reconstructions:
        taken += [s for s, _ in reconstructions]
        found.remarks.append(
            f"{len(reconstructions)} images are further reconstructions of a scan that is there; "
            f"--one_per_scan takes one of each."
        )
    found.sources += [by_series[id(s)] for s in taken]


# What channels are called, by modality; radiographs count as one.
_CHANNEL_NAMES = {
    "CT": ("ct",),
    "MR": ("mr", "mri", "t1", "t1ce", "t1c", "t2", "flair", "dwi", "adc", "pd", "t1w", "t2w"),
    "PT": ("pt", "pet"),
    "NM": ("nm", "spect"),
    "US": ("us", "ultrasound"),
    "MG": ("mg", "mammography", "mammogram"),
    "DX": ("dx", "cr", "xray", "x-ray", "radiograph"),
}
_RADIOGRAPHS = ("CR", "DX", "RG", "PX", "IO")


def _family(modality: str) -> str:
    return "DX" if modality in _RADIOGRAPHS else modality


def _of_wanted_modality(
    sources: list[Source], wanted: Sequence[str], channels: Sequence[str], found: Survey
) -> list[Source]:
    """One modality's series, or those that a person named; a series that names none goes along."""
    counts = Counter(_family(source.series.first.modality) for source in sources)
    counts.pop("", None)
    if wanted:
        families, list_of_others, why = {_family(m.upper()) for m in wanted}, found.left_out, ""
    elif not channels or len(counts) < 2:
        return sources
    else:
        named = {
            family
            for family, names in _CHANNEL_NAMES.items()
            if any(channel.lower() in names for channel in channels) and family in counts
        }
        # Other images (OT) are mostly pictures of a screen.
        families = named or {max(counts, key=lambda family: (family != "OT", counts[family]))}
        # What nobody decided makes the command fail, so that it is seen.
        list_of_others = found.left_out if named else found.failed
        why = f", and {' and '.join(sorted(families))} is taken: choose by --modality"
        listed = ", ".join(f"{count} {family}" for family, count in counts.most_common())
        found.remarks.append(f"The series are of several modalities ({listed}){why}.")
    kept = []
    for source in sources:
        modality = source.series.first.modality
        if _family(modality) in {*families, ""}:
            kept.append(source)
        else:
            list_of_others[source.name] = f"its modality is {modality}{why}"
    return kept
