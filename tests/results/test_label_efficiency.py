"""results/label_efficiency: its splits, and that its commands are those of the package."""

import csv
import json
from pathlib import Path

import page_copies
import prepared_dataset
import pytest
import torch
from method_runs import SHORT
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.cli import compare, experiment, label_folds
from nnunetv2_pcrl.trainers import trainer_named

SCRIPT = page_copies.ROOT / "results" / "label_efficiency" / "run.sh"
NAMES = (
    "Dataset004_Hippocampus",
    "Dataset101_LGGFlair2D",
    "Dataset103_ACDC",
    "Dataset105_CXRLung2D",
)
PARSERS = {
    "nnUNetv2_pcrl_label_folds": label_folds.build_parser,
    "nnUNetv2_pcrl_experiment": experiment.build_parser,
    "nnUNetv2_pcrl_compare": compare.build_parser,
}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """What a stage would run, as parsed arguments by command."""
    log = tmp_path / "log"
    planning = ("nnUNetv2_plan_and_preprocess", "nnUNetv2_preprocess")
    pooling = ("nnUNetv2_pcrl_pool", "nnUNetv2_pcrl_plan_and_preprocess", "nnUNetv2_train")
    names = (*PARSERS, *planning, *pooling, "python")
    programs = page_copies.recorders(tmp_path / "programs", log, names)
    for name in ("preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))

    def run(*arguments: str):
        if not arguments[0].startswith(("prepare", "pool")):
            (programs / "python").unlink()
        page_copies.run([str(SCRIPT), *arguments], programs)
        calls = [line.split() for line in log.read_text().splitlines()]
        found = [
            (words[0], PARSERS[words[0]]().parse_args(words[1:]))
            for words in calls
            if words[0] in PARSERS
        ]
        return [[args for name, args in found if name == wanted] for wanted in PARSERS]

    return run


def test_every_fourth_slice_and_every_second_patient_is_validated(tmp_path, monkeypatch):
    splits = page_copies.script("label_efficiency", "splits", monkeypatch)
    slices = [f"LGG_CS_4941_s{number:03}" for number in range(1, 10)]
    frames = [f"patient{number:03}_frame{frame:02}" for number in (3, 4, 10) for frame in (1, 12)]
    kept = [[slices[3], slices[7]], frames[2:]]
    paths = [tmp_path / name / "splits_final.json" for name in splits.KEPT]
    for path, names in zip(paths, (slices, frames), strict=True):
        path.parent.mkdir()
        path.write_text(json.dumps([{"train": ["a", "b"], "val": names}]))
    monkeypatch.setattr(splits, "nnUNet_preprocessed", str(tmp_path))
    for _ in range(2):
        splits.main()
        found = [json.loads(path.read_text()) for path in paths]
        assert found == [[{"train": ["a", "b"], "val": names}] for names in kept]


def test_the_pool_has_the_cases_of_all_folds_0_and_few_of_the_slices(tmp_path, monkeypatch):
    splits = page_copies.script("label_efficiency", "splits", monkeypatch)
    training = {
        splits.LGG: [f"LGG_CS_4941_s{number:03}" for number in range(1, 31)],
        splits.ACDC: ["patient001_frame01"],
        "Dataset004_Hippocampus": ["hippocampus_001"],
    }
    for name, cases in training.items():
        (tmp_path / name).mkdir()
        fold = {"train": cases, "val": [f"{cases[0][:-1]}4"]}
        (tmp_path / name / "splits_final.json").write_text(json.dumps([fold] * 2))
    (tmp_path / splits.POOL).mkdir()
    monkeypatch.setattr(splits, "nnUNet_preprocessed", str(tmp_path))
    splits.main()
    found = json.loads((tmp_path / splits.POOL / "splits_final.json").read_text())
    assert len(found) == 5 and all(fold == found[0] for fold in found)
    assert sorted(found[0]["train"]) == [
        "004_hippocampus_001",
        *(f"101_LGG_CS_4941_s{number:03}" for number in (10, 20, 30)),
        "103_patient001_frame01",
    ]
    assert "101_LGG_CS_4941_s004" in found[0]["val"]


@pytest.mark.slow
def test_the_pool_is_pretrained_once_and_fine_tuned_on_every_set(commands, tmp_path):
    pretrained = [
        tmp_path / "results" / "Dataset191_AllMR" / f"{name}__nnUNetPlansPool__2d" / "fold_0"
        for name in ("PCRLv2PretrainTrainer_20epochs", "MAEPretrainTrainer_60epochs")
    ]
    # Weights of a pretraining that was stopped are no reason to pass it over.
    for folder, name in zip(
        pretrained, ("checkpoint_final.pth", "pretrained_weights.pth"), strict=True
    ):
        folder.mkdir(parents=True)
        (folder / name).touch()
    _, experiments, (compared,) = commands("pool", str(tmp_path / "out"))
    calls = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    trained = [words[words.index("-tr") + 1] for words in calls if words[0] == "python"]
    assert trained == ["MAEPretrainTrainer_60epochs"]
    assert [args.weights for args in experiments] == [
        folder / "pretrained_weights.pth" for folder in pretrained
    ]
    twin = compared.twin.removesuffix("_10epochs")
    assert [args.trainers for args in experiments] == [
        [twin, "PCRLv2FinetuneTrainer"],
        ["MAEFinetuneTrainer"],
    ]
    assert all(args.d == compared.d == ["4", "101", "103"] for args in experiments)


@pytest.mark.slow
def test_the_draws_that_are_prepared_are_those_that_are_trained(commands, tmp_path):
    (folds, _, _) = commands("prepare")
    calls = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    # nnU-Net's own command takes numbers alone.
    planned = [words[2] for words in calls if words[0] == "nnUNetv2_plan_and_preprocess"]
    assert planned == ["4", "101", "103", "105"]
    assert {(tuple(args.cases or ()), tuple(args.folds), args.repeats) for args in folds} == {
        ((5, 20), (0,), 4),
        ((5,), (1,), 8),
        ((), (1,), 1),
        ((20,), (1,), 4),
    }
    assert len(folds) == 16


@pytest.mark.slow
def test_whole_images_are_preprocessed_with_the_coarser_plans(commands, tmp_path):
    (folds, _, _) = commands("prepare_whole")
    calls = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    shrunk = [words for words in calls if "scripts/shrink_plans.py" in words]
    spacings = [words[words.index("--min_spacing") + 1] for words in shrunk]
    preprocessed = [words[1:] for words in calls if words[0] == "nnUNetv2_preprocess"]
    assert spacings == ["2", "4", "4"]
    assert preprocessed == [
        ["-d", number, "-plans_name", "nnUNetPlansWhole", "-c", configuration]
        for number, configuration in (("101", "2d"), ("103", "3d_fullres"), ("105", "2d"))
    ]
    # The same draws, in the same order, as with the small patches.
    assert [args.d for args in folds] == [name for name in NAMES[1:] for _ in range(4)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "methods", "draws", "num_arms"),
    [
        ("untouched_5", (), 4, 6),
        ("stage_b", ("PCRLv2", "MAE"), 8, 3),
        ("cases_20", ("PCRLv2", "MAE"), 4, 3),
        ("whole_2d", (), 4, 4),
        ("whole_3d", (), 4, 4),
    ],
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


@pytest.mark.slow
def test_all_labels_are_those_of_the_folds_training_cases(commands, tmp_path):
    for number, name in enumerate(NAMES):
        folder = tmp_path / "preprocessed" / name
        folder.mkdir(parents=True)
        splits = [{"train": ["a"]}, {"train": ["a"] * (number + 2)}]
        (folder / "splits_final.json").write_text(json.dumps(splits))
    _, experiments, compared = commands("all_labels", str(tmp_path / "out"), "PCRLv2")
    assert [args.cases for args in compared] == [[2], [3], [4], [5]]
    assert len(experiments) == 4 and {tuple(args.folds) for args in experiments} == {(1,)}
    # Where the tables look for them.
    assert [Path(args.o).parts[-2:] for args in compared] == [
        ("all_labels", name) for name in NAMES
    ]


# Tables


def leave_comparison(folder: Path, rows: list[tuple]) -> None:
    """As nnUNetv2_pcrl_compare: runs and cases of one data set."""
    folder.mkdir(parents=True)
    with open(folder / "cases.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("trainer", "cases", "repeat", "case", "dice mean", "hd95_mm mean"))
        writer.writerows(rows)


def test_gains_are_paired_by_draw_and_judged_with_the_arms_of_a_data_set(monkeypatch, tmp_path):
    table = page_copies.script("label_efficiency", "table", monkeypatch)
    target = tmp_path / "results" / "label_efficiency"
    target.mkdir(parents=True)
    (tmp_path / "results" / "balance").mkdir()
    (tmp_path / "results" / "balance" / "dice.csv").write_text(
        "data set,arm,draw,Dice\nACDC,twin,0,0.5\nACDC,w1_sgd0.01,0,0.6\nACDC,w5_sgd0.01,0,0.1\n"
        "ACDC,twin,1,0.5\nACDC,w1_sgd0.01,1,0.64\n"
    )
    twin, ours = "PCRLv2FinetuneTrainer_fromScratch_10epochs", "MAEFinetuneTrainer_10epochs"
    rows = []
    for draw, gain in enumerate((0.1, 0.2, 0.3)):
        for case, dice in (("a", 0.4), ("b", 0.6)):
            rows.append((twin, 5, draw, case, dice, 10))
            # A case without the label has no Dice, one that was missed no distance.
            if draw < 2:
                rows.append((ours, 5, draw, case, dice + gain, 8 if case == "a" else "inf"))
        rows.append((twin, 5, draw, "c", "", ""))
    leave_comparison(tmp_path / "out" / "untouched_5" / "Dataset101_LGG", rows)
    leave_comparison(tmp_path / "out" / "untouched_5-epochs_20-draws_1" / "Dataset101_LGG", rows)
    once = [(twin, 90, 0, "a", 0.8, ""), (ours, 90, 0, "a", 0.85, "")]
    leave_comparison(tmp_path / "out" / "all_labels" / "Dataset101_LGG", once)
    (target / "probes.csv").write_text(
        "data set,stage,pretraining,seed,probe,retrieval / chance\n"
        "Dataset101_LGG,A,untrained,0,0.5,\nDataset101_LGG,A,untrained,1,0.6,\n"
        "Dataset101_LGG,A,MAE_60epochs,0,0.7,1.50\nDataset101_LGG,A,MAE_60epochs,1,0.6,1.50\n"
        "Dataset101_LGG,C,untrained,0,0.1,\nDataset101_LGG,C,MAE_60epochs,0,0.9,\n"
    )
    # Of an earlier run: the first is measured again, the second stays.
    (target / "runs.csv").write_text(
        "stage,data set,cases,arm,draw,Dice,HD95\n"
        "A,LGG,5,from scratch,0,0.1000,\nC,LGG,5,from scratch,0,0.7000,9.000\n"
    )
    table.main([str(tmp_path / "out")], target)
    cells = page_copies.cells_of(target / "gains.md")
    assert ["A", "LGG", "5", "from scratch", "3", "0.500", *[""] * 6] in cells
    found = next(row for row in cells if row[:4] == ["A", "LGG", "5", "MAE"])
    assert found[4:8] == ["2", "0.650", "+0.1500", "-0.4853 to +0.7853"]
    # A standard error of 0.05; with one degree of freedom 16.3 of them are needed.
    assert found[8] == "0.817" and found[10:] == ["2 of 2", "-2.00"]
    balance = next(row for row in cells if row[1] == "ACDC" and row[3] == "PCRLv2")
    assert balance[4:7] == ["2", "0.620", "+0.1200"] and balance[-1] == ""
    assert not [row for row in cells if "0.100" in row]
    # One draw has no interval.
    assert ["B", "LGG", "90", "MAE", "1", "0.850", "+0.0500", "", "", "", "1 of 1", ""] in cells
    assert len((target / "runs.csv").read_text().splitlines()) == 1 + 5 + 2 + 1
    assert ["C", "LGG", "5", "from scratch", "1", "0.700", *[""] * 6] in cells
    header, _, _, *of_lgg = page_copies.cells_of(target / "summary.md")
    assert header == ["data set", "stage", "cases", "from scratch", "MAE", "PCRLv2"]
    assert of_lgg == [
        ["LGG", "A", "5", "0.500", "+0.150 (-0.485 to +0.785), 2 draws", ""],
        ["LGG", "B", "90", "0.800", "+0.050, 1 draw", ""],
        ["LGG", "C", "5", "0.700", "", ""],
    ]
    predicted = ["LGG", "A", "MAE", "0.550", "0.650", "+0.100", "1.50", "+0.1500"]
    assert predicted in page_copies.cells_of(target / "predictors.md")
    names = ("gains.md", "summary.md", "gains.svg", "labels.svg")
    before = [(target / name).read_bytes() for name in names]
    table.main([], target)
    assert [(target / name).read_bytes() for name in names] == before


@pytest.mark.slow
def test_an_encoder_is_probed_as_it_was_pretrained(monkeypatch, nnunet_folders, one_thread):
    probes = page_copies.script("label_efficiency", "probes", monkeypatch)
    name = "Dataset105_CXRLung2D"
    monkeypatch.setattr(prepared_dataset, "NAME", name)
    stages = [probes.Pretrained(name, "A", 0), probes.Pretrained(name, "B", 1)]
    monkeypatch.setattr(probes, "STAGES", stages)
    monkeypatch.setattr(probes, "SEEDS", (0,))
    plan = configuration(2, nnunetv2_pcrl={"pretraining": SHORT})
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", {"2d": plan})
    dataset.plans["plans_name"] = stages[0].plans
    cases = [f"film_{number}" for number in range(6)]
    for number, case in enumerate(cases):
        dataset.add_case("2d", case, smooth_image((1, 1, 40, 40), number))
    (dataset.folder / "splits_final.json").write_text(
        json.dumps([{"train": cases[:4], "val": cases[4:]}] * 2)
    )
    (dataset.folder / f"{stages[0].plans}.json").write_text(json.dumps(dataset.plans))
    for folder in ("nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setattr(probes, folder, str(nnunet_folders / folder))
    trainer = dataset.trainer(trainer_named("SimCLRPretrainTrainer_1epoch"), "2d", fold=0)
    trainer.run_training()
    probes.main(nnunet_folders)
    path = nnunet_folders / "probes.csv"
    rows = list(csv.DictReader(path.open()))
    assert [(row["stage"], row["pretraining"]) for row in rows] == [
        ("A", "SimCLR_1epoch"),
        ("A", "untrained"),
        ("B", "untrained"),
    ]
    assert float(rows[0]["retrieval / chance"]) >= 0
    assert all(0 <= float(row["probe"]) <= 1 for row in rows)
    network = probes.FoldProbe(stages[0]).network(0)
    probes.load_encoder(network, Path(trainer.output_folder) / "pretrained_weights.pth")
    for key, value in trainer.network.backbone.encoder.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[key], value), key
    before = path.read_text()
    probes.main(nnunet_folders)
    assert path.read_text() == before
