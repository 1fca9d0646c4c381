import json

import pytest
from labelled_dataset import write_labelled

from nnunetv2_pcrl.cli.label_folds import main


@pytest.fixture
def dataset(nnunet_folders):
    values = {f"case{i}": [1, 2] for i in range(10)}
    return write_labelled(nnunet_folders / "nnUNet_preprocessed", "Dataset007_Labelled", values)


def run(*arguments: str) -> None:
    main(["-d", "7", "-np", "1", *arguments])


def test_the_command_prints_the_folds_and_how_to_train_them(dataset, capsys):
    run("--fractions", "0.25", "1.0", "--folds", "1", "--repeats", "2")
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines()[:5]]
    assert rows == [
        ["fold", "cases", "fraction", "of", "fold", "repeat"],
        ["5", "2", "25", "%", "1", "0"],
        ["6", "2", "25", "%", "1", "1"],
        ["7", "8", "100", "%", "1", "0"],
        ["8", "8", "100", "%", "1", "1"],
    ]
    assert "has 4 label folds, 4 of them new" in said
    assert "nnUNetv2_train Dataset007_Labelled CONFIG 5 -tr PCRLv2FinetuneTrainer" in said
    run("--fractions", "1.0", "0.25", "--folds", "1", "--repeats", "2")
    again = capsys.readouterr().out
    assert again == said.replace("4 of them new", "0 of them new")


def test_classes_are_asked_for_by_an_option_where_there_are_segmentations_too(dataset, capsys):
    rows = [f"case{i},patient{i // 2},{i % 2}" for i in range(10)]
    (dataset / "classes.csv").write_text("\n".join(["identifier,patient,sick", *rows]))
    run("--cases", "3", "--folds", "0", "--repeats", "1", "--classes")
    said = capsys.readouterr().out
    assert "CONFIG 5 -tr PCRLv2ClassificationTrainer_fromScratch" in said
    for fold in json.loads((dataset / "splits_final.json").read_text()):
        # case0 and case1 are of one patient, and so on.
        numbers = [{int(case[4:]) // 2 for case in fold[part]} for part in ("train", "val")]
        assert not numbers[0] & numbers[1]


def test_a_name_with_a_space_is_quoted_in_what_to_type(nnunet_folders, capsys):
    values = {f"case{i}": [1, 2] for i in range(10)}
    write_labelled(nnunet_folders / "nnUNet_preprocessed", "Dataset009_My data", values)
    main(["-d", "9", "-np", "1", "--cases", "2", "--folds", "0"])
    assert "  nnUNetv2_train 'Dataset009_My data' CONFIG 5 -tr nnUNetTrainer" in (
        capsys.readouterr().out
    )


def test_the_command_takes_label_folds_out_again(dataset, capsys):
    run("--cases", "2", "--folds", "0")
    assert len(json.loads((dataset / "splits_final.json").read_text())) == 8
    run("--remove")
    assert len(json.loads((dataset / "splits_final.json").read_text())) == 5
    assert "3 label folds were taken out" in capsys.readouterr().out


def test_errors_end_the_command_with_their_message(dataset, monkeypatch):
    with pytest.raises(SystemExit, match="ERROR: Fold 0 has 8 training cases, 9 were asked"):
        run("--cases", "9")
    with pytest.raises(SystemExit, match="ERROR: Data set 8 must be one folder"):
        main(["-d", "8", "--cases", "1"])
    monkeypatch.delenv("nnUNet_results")
    with pytest.raises(SystemExit, match="ERROR: The environment variable nnUNet_results"):
        run("--cases", "2")


def test_warnings_name_the_missing_label(nnunet_folders, capsys):
    values = {f"case{i}": [1 + i % 2] for i in range(10)}
    write_labelled(nnunet_folders / "nnUNet_preprocessed", "Dataset008_Two", values)
    main(["-d", "Dataset008_Two", "--cases", "1", "--folds", "0", "--repeats", "1", "-np", "1"])
    assert "WARNING: Fold 5, with 1 of the cases of fold 0, has no" in capsys.readouterr().out
