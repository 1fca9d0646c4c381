#!/usr/bin/env bash
# Every method on ACDC (2d, a small plan), pretrained from three seeds, with losses and the probe
# before and after. Finished runs are not repeated.
#
#   bash results/methods/run.sh [METHOD ...]        (nnU-Net's three folders are set)
#
# ACDC lies in nnUNet_raw as Dataset103_ACDC, with patients apart in
# nnUNet_preprocessed/Dataset103_ACDC/splits_final.json.
set -euo pipefail
cd "$(dirname "$0")/../.."
methods=("$@")
[ ${#methods[@]} -gt 0 ] || methods=(VoCo SimCLR RepRec PCRLv1 PCRLv2 MAE MAE_densified ModelsGenesis)
folder=$nnUNet_preprocessed/Dataset103_ACDC
[ -d "$folder/nnUNetPlans_2d" ] || nnUNetv2_plan_and_preprocess -d 103 -c 2d
plans=$folder/nnUNetPlansTiny.json
[ -f "$plans" ] || python scripts/shrink_plans.py "$folder/nnUNetPlans.json" --name nnUNetPlansTiny \
    --base_features 8 --max_features 64 --max_patch 64 --batch_size 8
export OMP_NUM_THREADS=1
out=results/methods/pretraining.csv
python results/methods/measure.py "$folder" "$out" --methods "${methods[@]}"
python results/methods/table.py "$out"
