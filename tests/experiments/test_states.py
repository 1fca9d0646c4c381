from dataclasses import replace

import pytest
from fake_training import planned, pretraining, write_files, write_report

from nnunetv2_pcrl.experiments.commands import TrainingOptions, command_of
from nnunetv2_pcrl.experiments.states import State, check_weights, jobs_left, state_of

FINAL, LATEST, BEST = (f"checkpoint_{name}.pth" for name in ("final", "latest", "best"))
SUMMARY, WEIGHTS = "validation/summary.json", "pretrained_weights.pth"


@pytest.mark.parametrize(
    ("files", "segmentation", "self_supervised"),
    [
        ([], State.MISSING, State.MISSING),
        (["progress.png"], State.MISSING, State.MISSING),
        ([BEST], State.INTERRUPTED, State.INTERRUPTED),
        ([LATEST, WEIGHTS], State.INTERRUPTED, State.INTERRUPTED),
        ([FINAL], State.NOT_VALIDATED, State.INTERRUPTED),
        ([FINAL, BEST, WEIGHTS], State.NOT_VALIDATED, State.FINISHED),
        ([SUMMARY], State.MISSING, State.MISSING),
        ([FINAL, SUMMARY], State.FINISHED, State.INTERRUPTED),
    ],
)
def test_the_files_of_a_training_tell_how_far_it_is(tmp_path, files, segmentation, self_supervised):
    for run, state in ((planned("A", 5), segmentation), (pretraining(), self_supervised)):
        write_files(tmp_path, run, files)
        assert state_of(run, tmp_path) is state


def test_only_what_is_not_finished_is_left_in_the_order_of_the_grid(tmp_path):
    runs = [planned("A", 5), pretraining(), *(planned("B", f, pretraining().run) for f in (5, 6))]
    write_files(tmp_path, runs[2], [FINAL, SUMMARY])
    write_files(tmp_path, runs[0], [LATEST])
    left = [(job.planned, job.state) for job in jobs_left(runs, tmp_path)]
    assert left == [
        (runs[0], State.INTERRUPTED),
        (runs[1], State.MISSING),
        (runs[3], State.MISSING),
    ]


def test_a_pretraining_that_nobody_has_to_load_any_more_is_not_left(tmp_path):
    runs = [pretraining(), *(planned("B", fold, pretraining().run) for fold in (5, 6))]
    write_files(tmp_path, runs[1], [FINAL, SUMMARY])
    write_files(tmp_path, runs[2], [LATEST])
    assert [job.planned for job in jobs_left(runs, tmp_path)] == [runs[2]]


def test_results_that_started_from_other_weights_are_refused(tmp_path):
    run = planned("B", 5, pretraining().run)
    folder = write_files(tmp_path, run, [FINAL, SUMMARY])
    for results in (tmp_path, tmp_path / "before it was moved" / tmp_path.name):
        write_report(folder, pretraining().run.folder(results) / WEIGHTS)
        check_weights([run], tmp_path)
    other = tmp_path.with_name("Dataset002_Other")
    write_report(folder, pretraining().run.folder(other) / WEIGHTS)
    with pytest.raises(ValueError, match=f"started from .*002_Other/.*fold_0/{WEIGHTS}, and this"):
        check_weights([run], tmp_path)
    write_report(folder, pretraining("all").run.folder(tmp_path) / WEIGHTS)
    with pytest.raises(ValueError, match=f"fold_5 started from .*fold_all/{WEIGHTS}, and this.*-p"):
        check_weights([run], tmp_path)
    # A new start loads anew.
    (folder / FINAL).unlink()
    check_weights([run], tmp_path)


def test_results_that_started_from_the_given_weights_are_taken(tmp_path):
    weights = tmp_path / "pool" / "PCRLv2PretrainTrainer" / "fold_0" / WEIGHTS
    run = replace(planned("B", 5), weights=weights)
    folder = write_files(tmp_path, run, [FINAL, SUMMARY])
    with pytest.raises(ValueError, match="experiment would start it from .*/pool/"):
        check_weights([run], tmp_path)
    write_report(folder, weights)
    check_weights([run], tmp_path)
    # Of equal names, as each nnUNet_results has them, but not the same file.
    other = tmp_path / "elsewhere" / weights.relative_to(tmp_path.parent)
    for path in (weights, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    check_weights([run], tmp_path)
    write_report(folder, other)
    with pytest.raises(ValueError, match="started from .*/elsewhere/.*, and this"):
        check_weights([run], tmp_path)


def test_results_from_scratch_and_from_weights_are_not_mixed(tmp_path):
    """Plans with `from_scratch`, and -pretrained_weights, leave no trace in a trainer's name."""
    pretrained, scratch = planned("B", 5, pretraining().run), planned("B", 5)
    folder = write_files(tmp_path, scratch, [FINAL, SUMMARY])
    check_weights([scratch], tmp_path)
    with pytest.raises(ValueError, match=f"started from no weights or others .*_0/{WEIGHTS}"):
        check_weights([pretrained], tmp_path)
    write_report(folder, pretraining().run.folder(tmp_path) / WEIGHTS)
    with pytest.raises(ValueError, match="experiment would start it from scratch"):
        check_weights([scratch], tmp_path)


def test_commands_start_from_named_weights_and_go_on_without(tmp_path):
    results = tmp_path / "with space" / "Dataset004_A"
    options = TrainingOptions(results, "cpu", 2)
    run = planned("B", 5, pretraining().run)

    def command() -> str:
        (job,) = (job for job in jobs_left([pretraining(), run], results) if job.planned == run)
        return command_of(job, options).for_shell()

    ending = "nnUNetv2_train Dataset004_A 2d 5 -tr B -p nnUNetPlans -device cpu -num_gpus 2"
    weights = results / "PCRLv2PretrainTrainer__nnUNetPlans__2d" / "fold_0" / WEIGHTS
    assert command() == f"nnUNet_pcrl_weights='{weights}' {ending}"
    write_files(results, run, [BEST])
    assert command() == f"{ending} --c"
    write_files(results, run, [FINAL])
    assert command() == f"{ending} --val"
