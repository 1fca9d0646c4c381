#!/usr/bin/env bash
# From a tiny pretraining of each method through fine-tuning to the prediction of two images, on
# the decathlon's hippocampus (2d): that all of it runs, and nothing about how good it is.
#
#   bash results/methods/finetune.sh [METHOD ...]   (nnU-Net's three folders are set)
set -euo pipefail
cd "$(dirname "$0")/../.."
methods=("$@")
[ ${#methods[@]} -gt 0 ] || methods=(VoCo SimCLR RepRec PCRLv1)
data=Dataset004_Hippocampus
plans=$nnUNet_preprocessed/$data/nnUNetPlansDemo.json
[ -f "$plans" ] || python scripts/shrink_plans.py "$nnUNet_preprocessed/$data/nnUNetPlans.json" \
    --name nnUNetPlansDemo --base_features 8 --max_features 32 --max_patch 48 --batch_size 2 \
    --settings '{"pretraining": {"batch_size": 8, "num_epochs": 2, "num_iterations_per_epoch": 10,
                 "num_val_iterations_per_epoch": 2, "probe_every": 1}}'
export nnUNet_n_proc_DA=1 OMP_NUM_THREADS=1
images=$(mktemp -d)
trap 'rm -rf "$images"' EXIT
for image in $(find "$nnUNet_raw/$data/imagesTr" -name '*.nii.gz' | sort | head -2); do
    ln -s "$image" "$images"
done
for method in "${methods[@]}"; do
    trainer=${method}FinetuneTrainer_1epoch
    nnUNetv2_train 4 2d all -tr "${method}PretrainTrainer" -p nnUNetPlansDemo -device cpu
    nnUNetv2_train 4 2d 0 -tr "$trainer" -p nnUNetPlansDemo -device cpu
    nnUNetv2_predict -i "$images" -o "$nnUNet_results/$data/predicted_$method" -d 4 -c 2d -f 0 \
        -tr "$trainer" -p nnUNetPlansDemo -device cpu --disable_tta -npp 1 -nps 1
done
