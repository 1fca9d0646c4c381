from pathlib import Path

from nnunetv2_pcrl.experiments.compare_command import compare_command
from nnunetv2_pcrl.experiments.request import ExperimentRequest


def test_the_comparison_is_of_the_label_folds_of_the_experiment():
    request = ExperimentRequest("4", "2d", "P", ["T"], cases=[5, 10], folds=[0], num_repeats=2)
    assert compare_command([request], [], Path("out")) == (
        "nnUNetv2_pcrl_compare -d 4 -c 2d -p P --cases 5 10 --folds 0 --repeats 2 -o out"
    )
    everything = ExperimentRequest("4", "2d", "P", ["T"])
    assert compare_command([everything], [], Path("out")) == (
        "nnUNetv2_pcrl_compare -d 4 -c 2d -p P -o out"
    )
