import pytest

from nnunetv2_pcrl.experiments.data_set_tasks import trainers_for

SEGMENTS, CLASSIFIES, FINDS = (
    f"PCRLv2{task}Trainer_fromScratch_5epochs" for task in ("Finetune", "Classification", "Nodule")
)


@pytest.mark.parametrize(
    ("tables", "wanted"),
    [
        ([], SEGMENTS),
        (["classes.csv"], CLASSIFIES),
        (["candidates.csv"], FINDS),
        (["classes.csv", "candidates.csv"], FINDS),
    ],
)
def test_of_trainers_of_all_tasks_a_data_set_takes_those_that_its_tables_name(
    tmp_path, tables, wanted
):
    for name in tables:
        (tmp_path / name).touch()
    assert trainers_for([SEGMENTS, "nnUNetTrainer", CLASSIFIES, FINDS], tmp_path) == (
        [SEGMENTS, "nnUNetTrainer"] if wanted == SEGMENTS else [wanted]
    )
    # Nothing else is named.
    assert trainers_for([SEGMENTS], tmp_path) == [SEGMENTS]


def test_tables_of_a_task_that_nobody_learns_do_not_count(tmp_path):
    (tmp_path / "candidates.csv").touch()
    assert trainers_for([SEGMENTS, CLASSIFIES], tmp_path) == [SEGMENTS]
    (tmp_path / "classes.csv").touch()
    assert trainers_for([SEGMENTS, CLASSIFIES], tmp_path) == [CLASSIFIES]
