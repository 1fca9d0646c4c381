#!/usr/bin/env bash
# Every method on ACDC (2d, a small plan), pretrained from three seeds, with the probe before and
# after; then one fine-tuning of each to a prediction. Finished runs are not repeated.
#
#   bash results/methods/run.sh [METHOD ...]        (nnU-Net's three folders are set)
#
# ACDC lies in nnUNet_raw as Dataset103_ACDC, with patients apart in
# nnUNet_preprocessed/Dataset103_ACDC/splits_final.json.
set -euo pipefail
cd "$(dirname "$0")/../.."
methods=("$@")
[ ${#methods[@]} -gt 0 ] || methods=(PCRLv2 MAE ModelsGenesis VoCo SimCLR RepRec PCRLv1)
folder=$nnUNet_preprocessed/Dataset103_ACDC
[ -d "$folder/nnUNetPlans_2d" ] || nnUNetv2_plan_and_preprocess -d 103 -c 2d
plans=$folder/nnUNetPlansTiny.json
[ -f "$plans" ] || python scripts/shrink_plans.py "$folder/nnUNetPlans.json" --name nnUNetPlansTiny \
    --base_features 8 --max_features 64 --max_patch 64 --batch_size 8 --settings \
    '{"pretraining": {"batch_size": 16, "num_epochs": 12, "num_iterations_per_epoch": 20,
      "num_val_iterations_per_epoch": 4, "probe_every": 12, "views_at_a_time": 16}}'
export nnUNet_n_proc_DA=0 OMP_NUM_THREADS=1
for method in "${methods[@]}"; do
    for seed in 0 1 2; do
        trainer=${method}PretrainTrainer_seed$seed
        result=$nnUNet_results/Dataset103_ACDC/${trainer}__nnUNetPlansTiny__2d/fold_0
        [ -f "$result/checkpoint_final.pth" ] && continue
        more=; [ -f "$result/checkpoint_latest.pth" ] && more=--c
        # shellcheck disable=SC2086
        nnUNetv2_train 103 2d 0 -tr "$trainer" -p nnUNetPlansTiny -device cpu $more
    done
    python results/methods/table.py "$nnUNet_results/Dataset103_ACDC"
done
