"""Checks of the preprocessed cases before the first step: enough of them, and usable ones."""

from pathlib import Path

from nnunetv2_pcrl.views.cases import PreprocessedCase, UnusableCaseError

NUM_FOLDS = 5


def check_split_is_possible(folder: Path, splits_file: Path, fold: int | str) -> None:
    """Refuses an empty data set, and one that is too small for the fold.

    Args:
        folder: preprocessed data of the configuration.
        splits_file: nnU-Net's splits_final.json; made by nnU-Net where absent.
        fold: number or "all".

    Raises:
        ValueError: with the numbers and the remedy.
    """
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    cases = {n.rsplit(".", 1)[0] for n in names if n.endswith((".b2nd", ".npz"))}
    num_cases = len([name for name in cases if not name.endswith("_seg")])
    if num_cases == 0:
        raise ValueError(
            f"There are no preprocessed cases in {folder}. Run nnUNetv2_plan_and_preprocess for "
            f"this data set and configuration first."
        )
    if fold != "all" and not splits_file.is_file() and num_cases < NUM_FOLDS:
        raise ValueError(
            f"Fold {fold} of {NUM_FOLDS} needs at least {NUM_FOLDS} cases, {folder} has "
            f"{num_cases}. Use fold all, or write your own {splits_file.name}."
        )


def usable_cases(
    folder: Path, identifiers: list[str], num_channels: int, least: int
) -> tuple[list[str], list[tuple[str, str]]]:
    """Opens every case, without reading images, and sorts out those that cannot be used.

    Args:
        folder: preprocessed data of the configuration.
        identifiers: cases of the split.
        num_channels: channels that the network takes.
        least: fewest usable cases to go on with.

    Returns:
        Identifiers of usable cases, and (identifier, reason) of the others.

    Raises:
        ValueError: if fewer than `least` are usable, naming the others and the remedy.
    """
    usable, problems = [], []
    for identifier in identifiers:
        try:
            case = PreprocessedCase(folder, identifier)
        except UnusableCaseError as reason:
            problems.append((identifier, str(reason)))
            continue
        if case.num_channels != num_channels:
            problems.append(
                (identifier, f"it has {case.num_channels} channels, the network {num_channels}")
            )
        else:
            usable.append(identifier)
    if len(usable) < least:
        named = "".join(f"\n  {identifier}: {reason}" for identifier, reason in problems)
        raise ValueError(
            f"Pretraining needs at least {least} usable cases, this split of {folder} has "
            f"{len(usable)}. With a single case all views of a batch come from the same image, and "
            f'their comparison teaches little. Add cases, or set "min_cases": 1 in the '
            f'"pretraining" settings of the plans to go on all the same.{named}'
        )
    return usable, problems
