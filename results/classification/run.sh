#!/usr/bin/env bash
# Pneumonia on chest films and nodules on patches: PCRLv2, SimCLR, MAE and from scratch, by labels.
# Runs for so many minutes at most; finished runs are not repeated, and results.csv holds them.
#
#   bash results/classification/run.sh FOLDER_OF_THE_SETS MINUTES     (nnU-Net's folders are set)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
sets=$(cd "$1" && pwd)
cd "$here/../.."
python "$here/prepare.py" "$sets"
for dataset in Dataset107_NIHPneumonia Dataset108_LUNAPatches; do
    folder=$nnUNet_preprocessed/$dataset
    [ -d "$folder/nnUNetPlans_unlabelled_2d" ] ||
        nnUNetv2_pcrl_plan_and_preprocess -d "$dataset" -c 2d -np 1
    plans=$folder/nnUNetPlansTiny.json
    [ -f "$plans" ] || python scripts/shrink_plans.py "$folder/nnUNetPlans_unlabelled.json" \
        --name nnUNetPlansTiny --base_features 8 --max_features 64 --max_patch 32 --batch_size 16 \
        --settings '{"pretraining": {"batch_size": 16, "num_epochs": 10,
          "num_iterations_per_epoch": 20, "num_val_iterations_per_epoch": 1, "probe_every": 0,
          "pictures_every": 0, "views_at_a_time": 32},
          "classification": {"batch_size": 16, "num_epochs": 2, "num_iterations_per_epoch": 20,
          "max_val_cases": 50, "initial_lr": 1e-3}}'
    [ -f "$folder/label_folds.json" ] ||
        nnUNetv2_pcrl_label_folds -d "$dataset" --fractions 0.01 0.1 1 --folds 0 --repeats 5 -np 1
done
export nnUNet_n_proc_DA=0 OMP_NUM_THREADS=1
python "$here/measure.py" "$2"
python "$here/table.py"
