#!/usr/bin/env bash
# Whole volumes of ACDC: end diastole against end systole, patients apart, to predictions.
#
#   bash results/classification/acdc.sh        (nnU-Net's three folders are set)
#
# Dataset103_ACDC lies in nnUNet_raw with cases.csv, and with patients apart in
# nnUNet_preprocessed/Dataset103_ACDC/splits_final.json.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$nnUNet_preprocessed/Dataset103_ACDC
results=$nnUNet_results/Dataset103_ACDC
[ -d "$folder/nnUNetPlans_3d_fullres" ] || nnUNetv2_plan_and_preprocess -d 103 -c 3d_fullres
# The first frame is the end of diastole.
awk -F, 'NR == 1 { print "identifier,patient,class" }
    NR > 1 { print $1 "," $2 "," ($3 == "01" ? "ED" : "ES") }' \
    "$nnUNet_raw/Dataset103_ACDC/cases.csv" > "$folder/classes.csv"
python scripts/shrink_plans.py "$folder/nnUNetPlans.json" --name nnUNetPlansPhase \
    --base_features 8 --max_features 64 --max_patch 64 --batch_size 4 --settings \
    '{"pretraining": {"batch_size": 4, "num_epochs": 4, "num_iterations_per_epoch": 25,
      "num_val_iterations_per_epoch": 1, "probe_every": 0, "pictures_every": 0},
      "classification": {"batch_size": 8, "num_epochs": 6, "num_iterations_per_epoch": 25,
      "initial_lr": 1e-3}}'
export nnUNet_n_proc_DA=0 OMP_NUM_THREADS=1
common=(-p nnUNetPlansPhase -device cpu)
weights=$results/PCRLv2PretrainTrainer__nnUNetPlansPhase__3d_fullres/fold_0/pretrained_weights.pth
[ -f "$weights" ] || nnUNetv2_train 103 3d_fullres 0 -tr PCRLv2PretrainTrainer "${common[@]}"
trainers=(PCRLv2ClassificationTrainer_fromScratch PCRLv2ClassificationTrainer)
for trainer in "${trainers[@]}"; do
    result=$results/${trainer}__nnUNetPlansPhase__3d_fullres/fold_0
    [ -f "$result/validation/summary.json" ] ||
        nnUNetv2_train 103 3d_fullres 0 -tr "$trainer" "${common[@]}"
done
# The volumes of the fold's last patients as raw images.
images=$results/phase_images
mkdir -p "$images"
python - "$folder/splits_final.json" <<'PYTHON' | while read -r case; do
import json, sys
print(*sorted(json.load(open(sys.argv[1]))[0]["val"])[-8:], sep="\n")
PYTHON
    ln -sf "$nnUNet_raw/Dataset103_ACDC/imagesTr/${case}_0000.nii.gz" "$images/"
done
nnUNetv2_pcrl_predict_classes -i "$images" -o "$results/phase.csv" -d 103 -c 3d_fullres -f 0 -npp 0 \
    -tr PCRLv2ClassificationTrainer "${common[@]}"
nnUNetv2_pcrl_evaluate_classes "$results/phase.csv" "$folder/classes.csv" -o "$results/phase"
