#!/usr/bin/env bash
# Trains what the protocol lists, two trainings at a time; finished ones are not repeated, and the same
# command goes on where it was stopped.
#
#   bash results/label_efficiency/run.sh prepare
#   bash results/label_efficiency/run.sh STAGE FOLDER [METHOD ...]
#
# STAGE: untouched_5, tuned_5 (stage A), stage_b, cases_20 and all_labels (with PCRLv2 and the methods that
# were best in stage A); prepare_whole, then whole_2d and whole_3d (stage C, where a patch sees the
# whole image); prepare, prepare_pool, then pool (pretrained on the images of all MR sets).
# nnU-Net's three folders are set; the data sets lie in nnUNet_raw, and splits_final.json of 101, 103
# and 105, with patients apart, in nnUNet_preprocessed. FOLDER takes logs and comparisons.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
plans=nnUNetPlansFew configuration=2d
pretraining='{"pretraining": {"num_epochs": 20, "num_iterations_per_epoch": 30,
    "num_val_iterations_per_epoch": 4, "batch_size": 16, "views_at_a_time": 16, "probe_every": 20,
    "pictures_every": 0}}'
twin=PCRLv2FinetuneTrainer_fromScratch
mr_names="Dataset004_Hippocampus Dataset101_LGGFlair2D Dataset103_ACDC"
pool_name=Dataset191_AllMR
names="$mr_names Dataset105_CXRLung2D"

prepare() {
    for name in $names; do
        local of=$nnUNet_preprocessed/$name
        # nnU-Net takes numbers alone.
        local number=${name:7:3}
        [ -d "$of/nnUNetPlans_2d" ] || nnUNetv2_plan_and_preprocess -d $((10#$number)) -c 2d
        [ -f "$of/$plans.json" ] || few "$of/nnUNetPlans.json" $plans
    done
    python "$here/splits.py"
    draw_label_folds
}

# few PLANS_FILE NAME: few features and a small patch.
few() {
    python scripts/shrink_plans.py "$1" --name "$2" --base_features 8 --max_features 64 \
        --max_patch 48 --batch_size 4 --settings "$pretraining"
}

# Their numbers, which are the seeds of trainings, follow from the order.
draw_label_folds() {
    for name in $names; do
        nnUNetv2_pcrl_label_folds -d "$name" --cases 5 20 --folds 0 --repeats 4
        nnUNetv2_pcrl_label_folds -d "$name" --cases 5 --folds 1 --repeats 8
        nnUNetv2_pcrl_label_folds -d "$name" --fractions 1 --folds 1 --repeats 1
        nnUNetv2_pcrl_label_folds -d "$name" --cases 20 --folds 1 --repeats 4
    done
}

# prepare_pool: a data set of all MR images, and plans by another name, because results from other weights
# cannot lie in the same folders.
prepare_pool() {
    local pool=$nnUNet_preprocessed/$pool_name
    nnUNetv2_pcrl_pool -d 4 101 103 -o 191 --name AllMR --channels zscore
    nnUNetv2_pcrl_plan_and_preprocess -d 191 -c 2d
    few "$pool/nnUNetPlans_unlabelled.json" nnUNetPlansPool
    for name in $mr_names; do
        few "$nnUNet_preprocessed/$name/nnUNetPlans.json" nnUNetPlansPool
    done
    python "$here/splits.py"
}

# prepare_whole: coarser voxels, so that the patch holds the film, the slice, the heart.
prepare_whole() {
    plan_whole Dataset101_LGGFlair2D 2d 2 64
    plan_whole Dataset103_ACDC 3d_fullres 4 32
    plan_whole Dataset105_CXRLung2D 2d 4 64
    python "$here/splits.py"
    names="Dataset101_LGGFlair2D Dataset103_ACDC Dataset105_CXRLung2D"
    draw_label_folds
}

# plan_whole NAME CONFIGURATION SPACING PATCH
plan_whole() {
    local of=$nnUNet_preprocessed/$1 number=${1:7:3}
    [ -f "$of/nnUNetPlans.json" ] || nnUNetv2_plan_and_preprocess -d $((10#$number)) --no_pp -c "$2"
    [ -f "$of/nnUNetPlansWhole.json" ] || python scripts/shrink_plans.py "$of/nnUNetPlans.json" \
        --name nnUNetPlansWhole --base_features 8 --max_features 64 --max_patch "$4" --batch_size 2 \
        --min_spacing "$3" --settings "$pretraining"
    [ -d "$of/nnUNetPlansWhole_$2" ] ||
        nnUNetv2_preprocess -d $((10#$number)) -plans_name nnUNetPlansWhole -c "$2"
}

# Methods whose steps are cheap take more of them: all pretrainings last about as long as each other.
epochs_of() {
    case $1 in
    MAE | ModelsGenesis) echo 60 ;;
    *) echo 20 ;;
    esac
}

# num_training_cases NAME FOLD
num_training_cases() {
    python -c 'import json, sys; print(len(json.load(open(sys.argv[1]))[int(sys.argv[2])]["train"]))' \
        "$nnUNet_preprocessed/$1/splits_final.json" "$2"
}

# train NAME DATA_SETS "CASES..." FOLD REPEATS METHOD...: draw by draw, so that a part is a whole with fewer.
train() {
    local name=$1 data=$2 cases=$3 fold=$4 repeats=$5
    shift 5
    # shellcheck disable=SC2086
    local common=(-d $data -c $configuration -p $plans --cases $cases --folds "$fold")
    for draws in $(seq "$repeats"); do
        for epochs in 20 60; do
            local trainers=()
            [ $epochs = 60 ] || trainers=($twin)
            for method in "$@"; do
                [ "$(epochs_of "$method")" != $epochs ] || trainers+=("${method}FinetuneTrainer")
            done
            [ ${#trainers[@]} = 0 ] || nnUNetv2_pcrl_experiment "${common[@]}" --repeats "$draws" \
                -device cpu --jobs 2 --budget 10 --pretrain_epochs $epochs \
                -o "$folder/$name-epochs_$epochs-draws_$draws" --trainers "${trainers[@]}"
        done
        nnUNetv2_pcrl_compare "${common[@]}" --repeats "$draws" --twin ${twin}_10epochs \
            -o "$folder/$name"
    done
}

# pool METHOD...: pretrained on the images of all MR sets, fine-tuned on each.
pool() {
    export nnUNet_def_n_proc=1
    local draws=(-d 4 101 103 -c $configuration -p $plans --cases 5 --folds 0 --repeats 4)
    local train_command trainers=($twin)
    train_command=$(command -v nnUNetv2_train)
    for method in "$@"; do
        local pretrainer=${method}PretrainTrainer_$(epochs_of "$method")epochs
        local of=$nnUNet_results/$pool_name/${pretrainer}__${plans}__$configuration/fold_0
        [ -f "$of/checkpoint_final.pth" ] ||
            python -P -m nnunetv2_pcrl.experiments.one_core "$train_command" \
                $pool_name $configuration 0 -tr "$pretrainer" -p $plans -device cpu --c
        nnUNetv2_pcrl_experiment "${draws[@]}" -device cpu --jobs 2 --budget 10 \
            --weights "$of/pretrained_weights.pth" -o "$folder/pool-$method" \
            --trainers "${trainers[@]}" "${method}FinetuneTrainer"
        trainers=()
    done
    nnUNetv2_pcrl_compare "${draws[@]}" --twin ${twin}_10epochs -o "$folder/pool"
}

stage=$1 folder=${2:-} methods=("${@:3}")
arms=(PCRLv2 SimCLR MAE ModelsGenesis VoCo)
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
# Planning counts these workers as its threads, and so needs some.
case $stage in prepare*) ;; *) export nnUNet_n_proc_DA=0 ;; esac
case $stage in
prepare) prepare ;;
untouched_5) train untouched_5 "101 105" 5 0 4 "${arms[@]}" ;;
tuned_5) train tuned_5 "4 103" 5 0 4 "${arms[@]}" ;;
stage_b) train stage_b "4 101 103 105" 5 1 8 "${methods[@]}" ;;
cases_20) train cases_20 "4 101 103 105" 20 1 4 "${methods[@]}" ;;
prepare_whole) prepare_whole ;;
whole_2d)
    plans=nnUNetPlansWhole
    train whole_2d "101 105" "5 20" 1 4 PCRLv2 VoCo MAE
    ;;
whole_3d)
    plans=nnUNetPlansWhole configuration=3d_fullres
    train whole_3d/Dataset103_ACDC 103 5 1 4 PCRLv2 VoCo MAE
    ;;
prepare_pool) prepare_pool ;;
pool)
    plans=nnUNetPlansPool
    pool PCRLv2 MAE
    ;;
all_labels)
    for name in $names; do
        train "all_labels/$name" "$name" "$(num_training_cases "$name" 1)" 1 1 "${methods[@]}"
    done
    ;;
*) echo "no stage $stage" >&2 && exit 2 ;;
esac
