"""Nested subsets of labelled cases: how many, which, and in which order. Reads no files."""

import math
from collections.abc import Mapping, Sequence, Set

import torch

from nnunetv2_pcrl.views.seeding import seeded_generator

# Tells these draws apart from others of the same seed.
SUBSET_STREAM = 11


def counts_of_fractions(fractions: Sequence[float], available: int, fold: int) -> tuple[int, ...]:
    """Numbers of cases, ascending: rounded to the nearest, at least 1.

    Args:
        fractions: parts of the training cases, each above 0 and at most 1.
        available: training cases of the fold.
        fold: for messages.

    Raises:
        ValueError: if two fractions are the same number of cases.
    """
    counts: dict[int, float] = {}
    for fraction in sorted(fractions):
        # 0.29 * 50 is slightly less than 14.5.
        count = max(1, math.floor(round(fraction * available, 6) + 0.5))
        if count in counts:
            raise ValueError(
                f"The fractions {counts[count]:g} and {fraction:g} of the {available} training "
                f"cases of fold {fold} are both {count} {'case' if count == 1 else 'cases'}: leave "
                f"one of them out."
            )
        counts[count] = fraction
    return tuple(counts)


def draw_order(
    labels: Mapping[str, Set[str]], seed: int, fold: int, repeat: int
) -> tuple[list[str], int]:
    """A random order of cases, which begins with few cases that hold all labels together.

    Args:
        labels: names of the labels that occur, by case.
        seed: of the draw; with `fold` and `repeat` it decides the order.
        fold: the ordinary fold.
        repeat: 0, 1, ...

    Returns:
        As `cover_first`.
    """
    names = sorted(labels)
    generator = seeded_generator(seed, SUBSET_STREAM, fold, repeat)
    shuffled = [names[i] for i in torch.randperm(len(names), generator=generator).tolist()]
    return cover_first(shuffled, labels)


def cover_first(order: Sequence[str], labels: Mapping[str, Set[str]]) -> tuple[list[str], int]:
    """The order, but beginning with few cases that hold all labels together.

    Each prefix of the order is a subset, so smaller ones are parts of larger ones, and sizes asked
    for later fit those that are there. The first case holds most labels, the second most of those
    that are left, and so on, the first in the order among equal ones; where single cases hold all
    labels, the order stays but for the first case.

    Args:
        order: a random order of cases.
        labels: names of the labels that occur, by case.

    Returns:
        The cases in order, and how many of the first hold all labels that occur in any.
    """
    cover = _cover(order, labels)
    return cover + [case for case in order if case not in cover], len(cover)


def _cover(cases: Sequence[str], labels: Mapping[str, Set[str]]) -> list[str]:
    """Cases that hold all labels, those with most further labels first, ties by their order."""
    missing = set().union(*labels.values())
    cover = []
    while missing:
        # max() gives the first of several.
        cover.append(max(cases, key=lambda case: len(labels[case] & missing)))
        missing -= labels[cover[-1]]
    return cover


def order_through(subsets: Sequence[Sequence[str]], order: Sequence[str]) -> list[str]:
    """The order, changed as little as makes each of the subsets a prefix.

    Subsets drawn earlier stay prefixes if labels were corrected since, or if another version of a
    library draws otherwise.

    Args:
        subsets: nested in one another.
        order: of all cases.
    """
    members = [set(subset) for subset in subsets]
    # A stable sort: equal ones keep their order.
    return sorted(order, key=lambda case: sum(case not in subset for subset in members))
