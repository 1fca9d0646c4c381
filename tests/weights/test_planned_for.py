from nnunetv2_pcrl.weights.planned_for import planned_for


def test_plans_of_nnunet_are_planned_for_their_own_data_set():
    plans = {"dataset_name": "Dataset001_A", "plans_name": "P", "configurations": {}}
    assert planned_for(plans) == {"dataset_name": "Dataset001_A", "plans_name": "P"}


def test_plans_after_a_target_name_the_target():
    origin = {"dataset_name": "Dataset002_B", "plans_name": "Q"}
    plans = {"dataset_name": "Dataset001_A", "plans_name": "P", "planned_for": origin}
    assert planned_for(plans) == origin
