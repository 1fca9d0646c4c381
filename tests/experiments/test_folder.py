import pytest
from fake_training import planned

from nnunetv2_pcrl.experiments.commands import TrainingOptions
from nnunetv2_pcrl.experiments.folder import write_folder
from nnunetv2_pcrl.experiments.trainings import DatasetGrid


def grids(tmp_path, *folds: int) -> list[DatasetGrid]:
    options = TrainingOptions(tmp_path / "results" / "Dataset001_One", "cpu")
    return [DatasetGrid(options, tuple(planned("A", fold) for fold in folds))]


@pytest.mark.parametrize("name", ["Snakefile", "config.json"])
def test_a_file_of_others_is_never_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=f"{name} .* name another folder with -o"):
        write_folder(tmp_path, grids(tmp_path, 5))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_another_experiment_in_the_same_folder_is_refused_and_the_same_one_is_not(tmp_path):
    write_folder(tmp_path, grids(tmp_path, 5))
    write_folder(tmp_path, grids(tmp_path, 5))
    with pytest.raises(ValueError, match="config.json describes another experiment"):
        write_folder(tmp_path, grids(tmp_path, 5, 6))


def test_the_profile_for_slurm_is_its_users_once_it_is_written(tmp_path):
    write_folder(tmp_path, grids(tmp_path, 5))
    profile = tmp_path / "slurm" / "config.yaml"
    assert "executor: slurm" in profile.read_text()
    profile.write_text("jobs: 3\n")
    write_folder(tmp_path, grids(tmp_path, 5))
    assert profile.read_text() == "jobs: 3\n"
