"""results/label_efficiency: its splits, and that its commands are those of the package."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from nnunetv2_pcrl.cli import compare, experiment, label_folds

FOLDER = Path(__file__).resolve().parents[2] / "results" / "label_efficiency"
PARSERS = {
    "nnUNetv2_pcrl_label_folds": label_folds.build_parser,
    "nnUNetv2_pcrl_experiment": experiment.build_parser,
    "nnUNetv2_pcrl_compare": compare.build_parser,
}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """What a stage would run, as parsed arguments by command."""
    programs, said = tmp_path / "programs", tmp_path / "said"
    programs.mkdir()
    for name in (*PARSERS, "nnUNetv2_plan_and_preprocess", "python"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@" END >> {said}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))

    def run(*arguments: str):
        command = ["bash", str(FOLDER / "run.sh"), *arguments]
        subprocess.run(command, check=True, capture_output=True)
        calls = [call.split("\n") for call in said.read_text().removesuffix("END\n").split("END\n")]
        found = [
            (words[0], PARSERS[words[0]]().parse_args([w for w in words[1:] if w]))
            for words in calls
            if words[0] in PARSERS
        ]
        return [[args for name, args in found if name == wanted] for wanted in PARSERS]

    return run


def test_every_fourth_slice_is_validated(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("lgg_splits", FOLDER / "splits.py")
    splits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(splits)
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
    twin = f"{compared[-1].twin}".removesuffix("_10epochs")
    assert twin in trainers and {args.budget for args in experiments} == {10}
    # The twin stands in the first experiment of each draw.
    assert all((twin in args.trainers) == (args.pretrain_epochs == 20) for args in experiments)
    assert len({str(args.o) for args in experiments}) == 2 * draws
