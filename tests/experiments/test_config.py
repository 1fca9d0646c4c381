import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_training import planned, pretraining

from nnunetv2_pcrl.experiments.commands import TrainingOptions
from nnunetv2_pcrl.experiments.config import config_text, read_config
from nnunetv2_pcrl.experiments.trainings import DatasetGrid


def grids(results, *names: str) -> list[DatasetGrid]:
    given = replace(planned("C", 5), weights=Path("/weights/pool.pth"))
    runs = (pretraining("all"), planned("A", 5), planned("B", 6, pretraining("all").run), given)
    return [DatasetGrid(TrainingOptions(results / name, "cpu", 2), runs) for name in names]


def written(tmp_path, change) -> None:
    content = json.loads(config_text(grids(tmp_path, "Dataset001_One")))
    change(content)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    read_config(path, tmp_path)


def test_what_is_written_is_read_again_wherever_the_results_lie(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(config_text(grids(tmp_path, "Dataset001_One", "Dataset002_Two")))
    moved = tmp_path / "moved"
    assert list(read_config(path, moved)) == grids(moved, "Dataset001_One", "Dataset002_Two")


def test_a_name_that_snakemake_or_a_shell_would_take_for_something_else_is_refused(tmp_path):
    for name in ("Dataset001_{One}", "Dataset001 One", "-o"):
        with pytest.raises(ValueError, match="characters other than letters"):
            config_text(grids(tmp_path, name))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(device="cpu; reboot"),
        lambda content: content.update(num_gpus="2"),
        lambda content: content["data_sets"][0].update(data_set="../../home"),
        lambda content: content["data_sets"][0]["trainings"][1].update(trainer="a b"),
        lambda content: content["data_sets"][0]["trainings"][1].update(fold="$(reboot)"),
        lambda content: content["data_sets"][0]["trainings"][1].update(label_fold={"fold": 1}),
        lambda content: content["data_sets"][0]["trainings"][2].update(weights_of=["A", 1]),
        lambda content: content["data_sets"][0]["trainings"][3].update(weights="pool.pth"),
        lambda content: content["data_sets"][0]["trainings"][3].update(weights=["/pool.pth"]),
        lambda content: content.pop("data_sets"),
    ],
)
def test_a_config_of_others_gives_plain_names_and_numbers_or_nothing(tmp_path, change):
    with pytest.raises(ValueError, match=r"config.json does not describe an experiment \("):
        written(tmp_path, change)
