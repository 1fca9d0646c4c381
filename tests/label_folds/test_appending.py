"""Label folds in the preprocessed folder: what is appended, and what is refused."""

import json

import pytest
from labelled_dataset import write_labelled
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from prepared_dataset import PreparedDataset, configuration, smooth_image
from raw_images import write_image

from nnunetv2_pcrl.label_folds import files
from nnunetv2_pcrl.label_folds.appending import append_label_folds
from nnunetv2_pcrl.label_folds.request import Request
from nnunetv2_pcrl.label_folds.results import in_words, remove_label_folds
from nnunetv2_pcrl.label_folds.table import LabelFold, ordinary_fold, read_label_folds

NAME = "Dataset007_Labelled"
RARE = ("case03", "case20")


@pytest.fixture
def values():
    """Label values of 40 cases; two have a tumour."""
    return {f"case{i:02d}": [1, 2] if f"case{i:02d}" in RARE else [1] for i in range(40)}


@pytest.fixture
def dataset(nnunet_folders, values):
    return write_labelled(nnunet_folders / "nnUNet_preprocessed", NAME, values)


@pytest.fixture
def results(nnunet_folders):
    return nnunet_folders / "nnUNet_results" / NAME


def splits_of(dataset) -> list[dict]:
    return json.loads((dataset / "splits_final.json").read_text())


def write_splits(dataset, splits) -> None:
    (dataset / "splits_final.json").write_text(json.dumps(splits))


def files_of(dataset) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in dataset.glob("*.json")}


def add_result(results, fold: int) -> None:
    folder = results / "nnUNetTrainer__nnUNetPlans__2d" / f"fold_{fold}"
    folder.mkdir(parents=True)
    (folder / "checkpoint_final.pth").touch()


@pytest.fixture
def append(dataset, results):
    def call(**request):
        return append_label_folds(dataset, results, Request(**request), 1)

    return call


def assert_nested(dataset) -> None:
    """Checks every label fold against the splits and against the smaller ones of its draw."""
    splits = splits_of(dataset)
    by_draw: dict[tuple[int, int], list[LabelFold]] = {}
    for fold in read_label_folds(dataset):
        whole, part = splits[fold.of_fold], splits[fold.fold]
        assert part["val"] == whole["val"]
        assert set(part["train"]) <= set(whole["train"])
        assert len(set(part["train"])) == len(part["train"]) == fold.num_cases
        assert fold.fraction == fold.num_cases / len(whole["train"])
        by_draw.setdefault((fold.of_fold, fold.repeat), []).append(fold)
    for folds in by_draw.values():
        trained = [set(splits[f.fold]["train"]) for f in sorted(folds, key=lambda f: f.num_cases)]
        assert all(small < large for small, large in zip(trained[:-1], trained[1:], strict=True))


def test_smaller_subsets_lie_in_larger_ones_and_validate_on_the_same_cases(dataset, append):
    appended = append(counts=(3, 10, 20), folds=(0, 2), repeats=2)
    assert [f.fold for f in appended.folds] == list(range(5, 17))
    assert appended.folds == read_label_folds(dataset)
    assert {(f.of_fold, f.num_cases, f.repeat) for f in appended.folds} == {
        (fold, cases, repeat) for fold in (0, 2) for cases in (3, 10, 20) for repeat in (0, 1)
    }
    assert len(splits_of(dataset)) == 17
    assert_nested(dataset)
    subsets = [splits_of(dataset)[f.fold]["train"] for f in appended.folds if f.num_cases == 10]
    assert len({tuple(subset) for subset in subsets}) == 4
    assert [ordinary_fold(appended.folds, n) for n in (0, 5, 16, "all")] == [0, 0, 2, "all"]


def test_all_five_folds_and_three_repeats_are_the_default(append):
    appended = append(fractions=(0.25, 1.0))
    assert len(appended.folds) == 5 * 2 * 3
    assert {f.num_cases for f in appended.folds} == {8, 32}


def test_a_rare_label_is_in_every_subset_of_a_fold_that_trains_with_it(dataset, append, values):
    appended = append(counts=(1, 2), repeats=4)
    splits = splits_of(dataset)
    for fold in appended.folds:
        if set(RARE) & set(splits[fold.of_fold]["train"]):
            assert set(RARE) & set(splits[fold.fold]["train"])
    assert appended.warnings == ()


def test_labels_that_do_not_fit_into_so_few_cases_are_named(nnunet_folders, results):
    values = {f"case{i}": [1] if i % 2 else [2] for i in range(10)}
    folder = write_labelled(nnunet_folders / "nnUNet_preprocessed", "Dataset008_Two", values)
    train = [f"case{i}" for i in range(7)]
    write_splits(folder, [{"train": train, "val": ["case7", "case8", "case9"]}])
    appended = append_label_folds(folder, results, Request(counts=(1, 2), repeats=1), 1)
    (warning,) = appended.warnings
    held_by = {"organ": 3, "tumour": 4}
    (case,) = splits_of(folder)[1]["train"]
    lacking = "tumour" if values[case] == [1] else "organ"
    assert (
        f'no "{lacking}" (in {held_by[lacking]} of 7 cases): all labels occur from 2 cases on'
        in warning
    )


def test_a_region_occurs_where_one_of_its_labels_does_and_ignore_does_not_count(
    nnunet_folders, results
):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "ignore": 4}
    values = {f"case{i}": [1] for i in range(8)} | {"case8": [3], "case9": [1, 4]}
    folder = write_labelled(nnunet_folders / "nnUNet_preprocessed", NAME, values, labels)
    write_splits(folder, [{"train": sorted(values), "val": []}])
    appended = append_label_folds(folder, results, Request(counts=(1,), repeats=5), 1)
    assert [splits_of(folder)[f.fold]["train"] for f in appended.folds] == [["case8"]] * 5
    assert appended.warnings == ()


def test_the_same_request_again_changes_nothing(dataset, append):
    first = append(counts=(3, 10))
    before = files_of(dataset)
    again = append(counts=(3, 10))
    assert (again.folds, again.num_new) == (first.folds, 0)
    assert append(fractions=(10 / 32,), repeats=1, folds=(4,)).num_new == 0
    assert files_of(dataset) == before


def test_further_sizes_repeats_and_folds_are_appended_and_nested(dataset, append):
    append(counts=(5, 20), folds=(1,), repeats=2)
    before = splits_of(dataset)
    appended = append(counts=(2, 5, 10, 32), folds=(1, 3), repeats=3)
    assert splits_of(dataset)[: len(before)] == before
    assert appended.num_new == 2 * 4 * 3 - 2
    assert [f.fold for f in appended.folds] == list(range(5, len(splits_of(dataset))))
    assert_nested(dataset)


def subsets_of(dataset) -> dict[tuple[int, int, int], dict]:
    splits, folds = splits_of(dataset), read_label_folds(dataset)
    return {(f.of_fold, f.num_cases, f.repeat): splits[f.fold] for f in folds}


def test_folds_asked_for_in_steps_are_those_asked_for_at_once(dataset, append):
    append(counts=(10,), folds=(0,), repeats=1, seed=3)
    append(counts=(3, 10), folds=(0, 1), repeats=2)
    in_steps = subsets_of(dataset)
    for name in ("splits_final.json", "label_folds.json"):
        (dataset / name).unlink()
    append(counts=(3, 10), folds=(0, 1), repeats=2, seed=3)
    assert subsets_of(dataset) == in_steps


def test_subsets_stay_nested_when_labels_were_corrected_in_between(dataset, append):
    append(counts=(5,), folds=(0,))
    for case in splits_of(dataset)[0]["train"]:
        path = dataset / "gt_segmentations" / f"{case}.nii.gz"
        path.unlink()
        write_labelled(dataset.parent / "new", case, {case: [1]})
        (dataset.parent / "new" / case / "gt_segmentations" / f"{case}.nii.gz").rename(path)
    append(counts=(2, 5, 9), folds=(0,))
    assert_nested(dataset)


def test_folds_that_a_person_appended_are_ordinary_ones(dataset, append):
    append(counts=(3,), folds=(0,), repeats=1)
    splits = splits_of(dataset)
    cases = sorted(splits[0]["train"] + splits[0]["val"])
    write_splits(dataset, [*splits, {"train": cases[:30], "val": cases[30:]}])
    appended = append(counts=(4,), folds=(6,), repeats=1)
    assert appended.folds[-1] == LabelFold(7, 6, 4, 4 / 30, 0)
    assert splits_of(dataset)[6:] == [
        {"train": cases[:30], "val": cases[30:]},
        {"train": splits_of(dataset)[7]["train"], "val": cases[30:]},
    ]


def test_the_order_of_cases_within_a_fold_may_change(dataset, append):
    append(counts=(3,), folds=(0,))
    splits = splits_of(dataset)
    splits[0]["train"].reverse()
    write_splits(dataset, splits)
    assert append(counts=(3,), folds=(0,)).num_new == 0


def test_edited_folds_are_refused_naming_those_that_have_results(dataset, results, append):
    append(counts=(3,), folds=(0,))
    splits = splits_of(dataset)
    splits[6]["train"][0] = next(c for c in splits[0]["train"] if c not in splits[6]["train"])
    write_splits(dataset, splits)
    before = files_of(dataset)
    with pytest.raises(ValueError, match=r"missing are the folds 6\. .* back\. Or take .* None of"):
        append(counts=(5,))
    add_result(results, 7)
    with pytest.raises(ValueError, match=r"folds 6\. .* Or move .* results of folds 7, .*fold_7"):
        append(counts=(5,))
    assert files_of(dataset) == before


def test_splits_made_anew_are_refused(dataset, append):
    append(counts=(3,), folds=(0,))
    write_splits(dataset, splits_of(dataset)[:5])
    with pytest.raises(ValueError, match="missing are the folds 5-7"):
        append(counts=(3,), folds=(0,))
    (dataset / "splits_final.json").unlink()
    with pytest.raises(ValueError, match="missing are the folds 0, 5-7"):
        append(counts=(3,), folds=(0,))


def test_another_seed_draws_other_cases_but_not_beside_label_folds_that_are_there(
    dataset, results, append
):
    append(counts=(10,), folds=(0,), repeats=1, seed=3)
    drawn = splits_of(dataset)[5]
    assert append(counts=(10,), folds=(0,), repeats=1).num_new == 0
    with pytest.raises(ValueError, match="folds 5 were drawn with the seed 3, not 0"):
        append(counts=(10,), folds=(0,), repeats=1, seed=0)
    assert remove_label_folds(dataset, results).count == 1
    append(counts=(10,), folds=(0,), repeats=1, seed=0)
    assert splits_of(dataset)[5] != drawn


def test_new_numbers_that_other_results_have_are_refused(dataset, results, append):
    # nnU-Net trains fold 6 of five folds on a random split.
    add_result(results, 6)
    with pytest.raises(ValueError, match="be 5-7, but there are results of other folds 6"):
        append(counts=(3,), folds=(0,))
    assert not (dataset / "splits_final.json").exists()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"counts": (5, 5)}, "--cases names 5 more than once"),
        ({"counts": (5, 0)}, "--cases must be at least 1, got 0"),
        ({"fractions": (0.5, 0.5)}, "--fractions names 0.5 more than once"),
        ({"fractions": (0.5, 5.0)}, r"above 0 and at most 1, got 5"),
        ({"fractions": (float("nan"),)}, "above 0 and at most 1, got nan"),
        ({"fractions": (0.0,)}, "above 0 and at most 1"),
        ({"counts": (5,), "repeats": 0}, "--repeats must be at least 1, got 0"),
        ({"counts": (5,), "seed": -1}, "--seed must be at least 0"),
        ({"counts": (5,), "folds": (1, 1)}, "--folds names 1 more than once"),
        ({"counts": (5,), "folds": (9,)}, "no fold 9 .* ordinary folds are 0-4"),
        ({"counts": (33,)}, "Fold 0 has 32 training cases, 33 were asked for"),
    ],
)
def test_requests_that_cannot_be_met_are_refused_before_anything_is_written(
    dataset, append, request_, message
):
    with pytest.raises(ValueError, match=message):
        append(**request_)
    assert list(files_of(dataset)) == ["dataset.json"]


def test_a_label_fold_has_no_label_folds_of_its_own(append):
    append(counts=(3,), folds=(2,))
    with pytest.raises(ValueError, match="Fold 6 is a label fold itself, a part of fold 2"):
        append(counts=(2,), folds=(6,))


@pytest.mark.parametrize("killed_before", ["splits_final.json", "label_folds.json"])
def test_a_kill_between_the_two_files_is_repaired_by_the_next_call(
    dataset, append, monkeypatch, killed_before
):
    append(counts=(3,), folds=(0,))
    former = splits_of(dataset)
    replace = files.os.replace

    def killed(source, target):
        if str(target).endswith(killed_before):
            raise KeyboardInterrupt
        replace(source, target)

    # The temporary file of an atomic write is renamed by the same function.
    monkeypatch.setattr(files.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        append(counts=(3, 6), folds=(0,))
    monkeypatch.undo()
    was_written = killed_before == "label_folds.json"
    assert len(splits_of(dataset)) == (11 if was_written else 8)
    appended = append(counts=(3, 6), folds=(0,))
    assert appended.num_new == (0 if was_written else 3)
    assert [f.fold for f in appended.folds] == list(range(5, 11))
    assert splits_of(dataset)[:8] == former
    assert_nested(dataset)
    assert not (dataset / "label_folds.pending.json").exists()


def test_label_folds_without_results_can_be_taken_out(dataset, results, append):
    append(counts=(3,))
    ordinary = splits_of(dataset)[:5]
    assert remove_label_folds(dataset, results).count == 15
    assert splits_of(dataset) == ordinary
    assert read_label_folds(dataset) == ()
    with pytest.raises(ValueError, match="has no label folds"):
        remove_label_folds(dataset, results)


def test_label_folds_with_results_stay(dataset, results, append):
    append(counts=(3,), folds=(0,))
    add_result(results, 0)
    add_result(results, 6)
    before = files_of(dataset)
    with pytest.raises(ValueError, match="results of label folds 6, .*fold_6, .* Move or"):
        remove_label_folds(dataset, results)
    assert files_of(dataset) == before


def test_label_folds_that_were_edited_stay_as_ordinary_folds_and_are_named(
    dataset, results, append
):
    append(counts=(3,), folds=(0,))
    splits = splits_of(dataset)
    for edited in splits:
        edited["val"] = edited["val"][:1]
    write_splits(dataset, splits)
    removed = remove_label_folds(dataset, results)
    assert (removed.count, removed.left) == (0, [5, 6, 7])
    assert "folds 5-7 of" in in_words(removed, dataset)
    assert splits_of(dataset) == splits
    append(counts=(3,), folds=(0,))
    assert "taken out" in in_words(removed := remove_label_folds(dataset, results), dataset)
    assert (removed.count, removed.left) == (3, [])


def test_folds_of_a_person_are_not_renumbered_by_taking_label_folds_out(dataset, results, append):
    append(counts=(3,), folds=(0,), repeats=1)
    write_splits(dataset, [*splits_of(dataset), splits_of(dataset)[0]])
    with pytest.raises(ValueError, match="Folds 6 of .* would get other numbers"):
        remove_label_folds(dataset, results)
    write_splits(dataset, splits_of(dataset)[:5])
    assert remove_label_folds(dataset, results).count == 1
    assert len(splits_of(dataset)) == 5


def test_data_sets_that_cannot_be_split_are_refused_with_the_remedy(nnunet_folders, results):
    root = nnunet_folders / "nnUNet_preprocessed"
    four = write_labelled(root, "Dataset001_Four", {name: [1] for name in "abcd"})
    with pytest.raises(ValueError, match="at least 5 cases, Dataset001_Four has 4. Write your own"):
        append_label_folds(four, results, Request(counts=(1,)), 1)
    unfinished = write_labelled(root, "Dataset002_Unfinished", {name: [1] for name in "abcdef"})
    (unfinished / "nnUNetPlans_2d" / "a.pkl").unlink()
    with pytest.raises(ValueError, match=r"labels of 6 cases, but .*\(nnUNetPlans_2d 5\)"):
        append_label_folds(unfinished, results, Request(counts=(1,)), 1)
    (unfinished / "gt_segmentations" / "b.nii.gz").unlink()
    write_splits(unfinished, [{"train": ["a", "b"], "val": ["c"]}])
    with pytest.raises(ValueError, match=r"1 of 2 training cases have no label .*b\.nii\.gz"):
        append_label_folds(unfinished, results, Request(counts=(1,)), 1)
    (unfinished / "gt_segmentations" / "b.nii.gz").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"cannot be read:\n  b\.nii\.gz"):
        append_label_folds(unfinished, results, Request(counts=(1,)), 1)


def test_splits_and_tables_of_another_form_are_refused(dataset, append):
    write_splits(dataset, [{"train": ["case00"]}])
    with pytest.raises(ValueError, match="must be a list of folds"):
        append(counts=(1,))
    (dataset / "splits_final.json").unlink()
    row = LabelFold(5, 0, 1, 1 / 32, 0).as_plain()
    (dataset / "label_folds.json").write_text(json.dumps({"label_folds": [row]}))
    with pytest.raises(ValueError, match="not written by nnUNetv2_pcrl_label_folds"):
        append(counts=(1,))


def test_without_splits_those_of_nnunet_are_made_and_its_trainer_takes_a_label_fold(
    nnunet_folders, results
):
    prepared = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", {"2d": configuration(2)})
    for seed in range(7):
        prepared.add_case("2d", f"c{seed}", smooth_image((1, 1, 16, 16), seed))
        write_image(
            prepared.folder / "gt_segmentations" / f"c{seed}.nii.gz",
            (smooth_image((1, 1, 16, 16), seed)[0] > 0.5).astype("uint8"),
        )
    prepared.trainer(nnUNetTrainer, "2d", fold=0).do_split()
    own_of_nnunet = splits_of(prepared.folder)
    (prepared.folder / "splits_final.json").unlink()
    append_label_folds(prepared.folder, results, Request(counts=(2,)), 1)
    assert splits_of(prepared.folder)[:5] == own_of_nnunet
    train, val = prepared.trainer(nnUNetTrainer, "2d", fold=8).do_split()
    fold = read_label_folds(prepared.folder)[3]
    assert (fold.fold, fold.of_fold) == (8, 1)
    assert len(train) == 2 and set(train) <= set(own_of_nnunet[1]["train"])
    assert val == own_of_nnunet[1]["val"]
