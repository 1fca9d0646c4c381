"""results/label_efficiency: its splits, and that its commands are those of the package."""

import json

import page_copies
import pytest

from nnunetv2_pcrl.cli import compare, experiment, label_folds

SCRIPT = page_copies.ROOT / "results" / "label_efficiency" / "run.sh"
PARSERS = {
    "nnUNetv2_pcrl_label_folds": label_folds.build_parser,
    "nnUNetv2_pcrl_experiment": experiment.build_parser,
    "nnUNetv2_pcrl_compare": compare.build_parser,
}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """What a stage would run, as parsed arguments by command."""
    log = tmp_path / "log"
    names = (*PARSERS, "nnUNetv2_plan_and_preprocess", "python")
    programs = page_copies.recorders(tmp_path / "programs", log, names)
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))

    def run(*arguments: str):
        page_copies.run([str(SCRIPT), *arguments], programs)
        calls = [line.split() for line in log.read_text().splitlines()]
        found = [
            (words[0], PARSERS[words[0]]().parse_args(words[1:]))
            for words in calls
            if words[0] in PARSERS
        ]
        return [[args for name, args in found if name == wanted] for wanted in PARSERS]

    return run


def test_every_fourth_slice_is_validated(tmp_path, monkeypatch):
    splits = page_copies.script("label_efficiency", "splits", monkeypatch)
    path = tmp_path / splits.NAME / "splits_final.json"
    path.parent.mkdir()
    names = [f"LGG_CS_4941_s{number:03}" for number in range(1, 10)]
    path.write_text(json.dumps([{"train": ["LGG_DU_1_s001"], "val": names}]))
    monkeypatch.setattr(splits, "nnUNet_preprocessed", str(tmp_path))
    for _ in range(2):
        splits.main()
        (fold,) = json.loads(path.read_text())
        assert fold == {"train": ["LGG_DU_1_s001"], "val": [names[3], names[7]]}


@pytest.mark.slow
def test_the_draws_that_are_prepared_are_those_that_are_trained(commands):
    (folds, _, _) = commands("prepare")
    assert {(tuple(args.cases), tuple(args.folds), args.repeats) for args in folds} == {
        ((5, 20), (0,), 4),
        ((5,), (1,), 8),
    }
    assert len(folds) == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "methods", "draws", "num_arms"),
    [("untouched_5", (), 4, 6), ("cases_20", (), 4, 6), ("stage_b", ("PCRLv2", "MAE"), 8, 3)],
)
def test_every_arm_is_trained_on_every_draw_and_compared_with_the_twin(
    stage, methods, draws, num_arms, commands, tmp_path
):
    _, experiments, compared = commands(stage, str(tmp_path / "out"), *methods)
    last = [args for args in experiments if args.repeats == draws]
    trainers = {trainer for args in last for trainer in args.trainers}
    assert len(trainers) == num_arms
    twin = compared[-1].twin.removesuffix("_10epochs")
    assert twin in trainers and {args.budget for args in experiments} == {10}
    # The twin stands in the first experiment of each draw.
    assert all((twin in args.trainers) == (args.pretrain_epochs == 20) for args in experiments)
    assert len({str(args.o) for args in experiments}) == 2 * draws
