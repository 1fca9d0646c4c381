#!/usr/bin/env bash
# Trains what the protocol lists, two trainings at a time; finished ones are not repeated, and the same
# command goes on where it was stopped.
#
#   bash results/label_efficiency/run.sh STAGE FOLDER     (nnU-Net's three folders are set)
#
# STAGE: prepare, untouched_5, tuned_5, cases_20. The data sets lie in nnUNet_raw; splits_final.json of
# 101, 103 and 105, with patients apart, lies in nnUNet_preprocessed. FOLDER takes logs and comparisons.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
folder=$2
data="Dataset004_Hippocampus Dataset101_LGGFlair2D Dataset103_ACDC Dataset105_CXRLung2D"
plans=nnUNetPlansFew
settings='{"pretraining": {"num_epochs": 20, "num_iterations_per_epoch": 30,
    "num_val_iterations_per_epoch": 4, "batch_size": 16, "views_at_a_time": 16, "probe_every": 20,
    "pictures_every": 0}}'

prepare() {
    for name in $data; do
        local of=$nnUNet_preprocessed/$name
        [ -d "$of/nnUNetPlans_2d" ] || nnUNetv2_plan_and_preprocess -d "$name" -c 2d
        [ -f "$of/$plans.json" ] || python scripts/shrink_plans.py "$of/nnUNetPlans.json" \
            --name $plans --base_features 8 --max_features 64 --max_patch 48 --batch_size 4 \
            --settings "$settings"
    done
    [ -f "$nnUNet_preprocessed/Dataset101_LGGFlair2D/label_folds.json" ] ||
        python "$here/splits.py"
    for name in $data; do
        nnUNetv2_pcrl_label_folds -d "$name" --cases 5 20 --folds 0 --repeats 4
        nnUNetv2_pcrl_label_folds -d "$name" --cases 5 --folds 1 --repeats 8
    done
}

# Methods whose steps are cheap take more of them: all pretrainings last about as long as each other.
experiment() {
    local cases=$1
    shift
    export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive nnUNet_n_proc_DA=0
    local common=(-d "$@" -c 2d -p $plans --cases "$cases" --folds 0)
    # Draw by draw, so that a part is a whole with fewer draws.
    for repeats in 1 2 3 4; do
        local of=$folder/cases_$cases-$1-draws_$repeats
        nnUNetv2_pcrl_experiment "${common[@]}" --repeats $repeats -device cpu --jobs 2 --budget 10 \
            --pretrain_epochs 20 -o "$of-costly" --trainers PCRLv2FinetuneTrainer_fromScratch \
            PCRLv2FinetuneTrainer SimCLRFinetuneTrainer
        nnUNetv2_pcrl_experiment "${common[@]}" --repeats $repeats -device cpu --jobs 2 --budget 10 \
            --pretrain_epochs 60 -o "$of-cheap" --trainers MAEFinetuneTrainer \
            ModelsGenesisFinetuneTrainer VoCoFinetuneTrainer
        nnUNetv2_pcrl_compare "${common[@]}" --repeats $repeats \
            --twin PCRLv2FinetuneTrainer_fromScratch_10epochs -o "$folder/comparison_cases_$cases-$1"
    done
}

case $1 in
prepare) prepare ;;
untouched_5) experiment 5 101 105 ;;
tuned_5) experiment 5 4 103 ;;
cases_20) experiment 20 101 105 4 103 ;;
*) echo "no stage $1" >&2 && exit 2 ;;
esac
