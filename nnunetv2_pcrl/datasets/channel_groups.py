"""Files and series become the channels of cases: by nnU-Net's file names, or by patterns."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from nnunetv2_pcrl.datasets.headers import differences
from nnunetv2_pcrl.datasets.image_files import ending_of
from nnunetv2_pcrl.datasets.survey import Source, matches

_CHANNEL_NUMBER = re.compile(r"_(\d{4})$")


@dataclass(frozen=True)
class Group:
    """Images that make a case.

    Attributes:
        text: that the case's name is made of.
        sources: one per channel, or one that holds all of them.
    """

    text: str
    sources: tuple[Source, ...]


def parse_channels(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of the channels, and their patterns if they have any.

    Args:
        arguments: NAME or NAME=PATTERN.

    Raises:
        ValueError: if only some have a pattern, or a name comes twice.
    """
    pairs = [argument.partition("=") for argument in arguments]
    names = [name for name, _, _ in pairs]
    patterns = [pattern for _, separator, pattern in pairs if separator]
    if patterns and (len(patterns) < len(pairs) or not all(patterns) or not all(names)):
        raise ValueError(
            f"Either all channels have a pattern or none, e.g. T1=*T1* FLAIR=*FLAIR*, got "
            f"{' '.join(arguments)}."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"A channel is named twice: {' '.join(names)}.")
    return names, patterns


def group_by_numbers(sources: Iterable[Source], num_channels: int) -> list[Group]:
    """Files CASE_0000, CASE_0001, ... of a folder together, if cases have several channels."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        text = text_of(source)
        if source.series is not None:
            groups[source.name] = [source]
            continue
        is_numbered = num_channels > 1 and _CHANNEL_NUMBER.search(text)
        key = _CHANNEL_NUMBER.sub("", text) if is_numbered else source.name
        groups.setdefault(key, []).append(source)
    return [
        Group(_CHANNEL_NUMBER.sub("", text_of(g[0])) if len(g) > 1 else text_of(g[0]), tuple(g))
        for g in groups.values()
    ]


def text_of(source: Source) -> str:
    """Path of a file without its ending, or of a series' folder; "" for the searched folder."""
    if source.series is not None:
        parent = source.relative.parent.as_posix()
        return "" if parent == "." else parent
    return source.relative.as_posix().removesuffix(ending_of(source.path))


def group_by_patterns(
    sources: Sequence[Source], channels: Sequence[str], patterns: Sequence[str]
) -> tuple[list[Group], dict[str, str], dict[str, str]]:
    """Images whose names have the patterns of the channels, a case for each examination.

    A pattern is compared with the names of files and the descriptions of series; if it has a / or
    fits none of these, with the paths. An image that has several belongs to the longest.
    Examinations are told apart by study, by folder at any depth, or by what the names of files have
    in common; what makes most cases complete is taken.

    Returns:
        Complete cases, why other images make none, and images without a pattern.
    """
    by_channel: dict[str, list[Source]] = {channel: [] for channel in channels}
    left_out = {}
    longest_first = sorted(zip(channels, patterns, strict=True), key=lambda pair: -len(pair[1]))
    pattern_of = {}
    of_path = {pattern for pattern in patterns if _is_of_path(pattern, sources)}
    for source in sources:
        texts = {True: source.relative.as_posix(), False: source.short_name}
        fitting = [
            pair for pair in longest_first if matches([pair[1]], [texts[pair[1] in of_path]])
        ]
        found = fitting[0] if fitting else None
        if found is None:
            left_out[source.name] = "it has the pattern of no channel"
            continue
        by_channel[found[0]].append(source)
        pattern_of[source.name] = found[1]
    groups = _best_grouping(by_channel, pattern_of)
    complete, failed = [], dict[str, str]()
    for text, members in groups.items():
        reason = _why_incomplete(members, channels)
        if reason:
            failed |= {s.name: reason for found in members.values() for s in found}
        else:
            complete.append(Group(text, tuple(members[channel][0] for channel in channels)))
    folders = [_common_folder(group.sources) for group in complete]
    if all(folders) and len(set(folders)) == len(folders):
        complete = [Group(f, g.sources) for f, g in zip(folders, complete, strict=True)]
    return complete, failed, left_out


def _is_of_path(pattern: str, sources: Sequence[Source]) -> bool:
    return "/" in pattern or not any(matches([pattern], [s.short_name]) for s in sources)


def _common_folder(sources: Sequence[Source]) -> str:
    """The folder that holds all images of a case, "" for the searched one."""
    common = os.path.commonpath([source.relative.parent for source in sources])
    return "" if common == "." else common


def _best_grouping(
    by_channel: Mapping[str, Sequence[Source]], pattern_of: Mapping[str, str]
) -> dict[str, dict[str, list[Source]]]:
    """Images per channel of each examination, in the order of their first images."""
    sources = [source for found in by_channel.values() for source in found]
    depth = max((len(source.relative.parts) for source in sources), default=1)
    keys: list[Callable[[Source], str]] = [_study]
    keys += [partial(_folder_above, up) for up in range(1, depth + 1)]
    keys.append(lambda s: _common_text(s, pattern_of[s.name]))
    best: dict[str, dict[str, list[Source]]] = {}
    most = -1
    for key in keys:
        groups: dict[str, dict[str, list[Source]]] = {}
        for channel, found in by_channel.items():
            for source in found:
                groups.setdefault(key(source), {}).setdefault(channel, []).append(source)
        complete = sum(
            not _why_incomplete(members, list(by_channel)) for members in groups.values()
        )
        if complete > most:
            best, most = groups, complete
    return dict(sorted(best.items()))


def _folder_above(up: int, source: Source) -> str:
    return "/".join(source.relative.parts[:-up])


def _study(source: Source) -> str:
    """Folder of a patient's study, which names it better than its number; files have none."""
    if source.series is None or not source.series.first.study_uid:
        return source.relative.as_posix()
    first = source.series.first
    return f"{first.patient or 'study'} {first.study_uid}"


def _common_text(source: Source, pattern: str) -> str:
    """What is left of a name when the words of its channel's pattern are taken out."""
    text = text_of(source)
    for word in re.split(r"[*?\[\]]+", pattern):
        text = re.sub(re.escape(word), "", text, flags=re.IGNORECASE) if word else text
    return re.sub(r"[\W_]+", "_", text).strip("_")


def _why_incomplete(members: Mapping[str, Sequence[Source]], channels: Sequence[str]) -> str:
    missing = [channel for channel in channels if channel not in members]
    if missing:
        return f"its case has {' and '.join(members)}, no {' and '.join(missing)}"
    many = [f"{len(found)} of {channel}" for channel, found in members.items() if len(found) > 1]
    return f"its case has {' and '.join(many)}: make the patterns narrower" if many else ""


def geometry_reason(sources: Sequence[Source]) -> str:
    """Why the images of a case do not lie on the same grid, empty if they do."""
    for source in sources[1:]:
        odd = differences(sources[0].header, source.header)
        if odd:
            return f"{sources[0].path.name} and {source.path.name} differ in {'; '.join(odd)}"
    return ""
