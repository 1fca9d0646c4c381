#!/usr/bin/env bash
# From nothing to a pretrained, fine-tuned and evaluated segmentation, with nnU-Net's commands.
#
#   bash scripts/quickstart.sh                     generated CT data (liver, tumour), on the CPU
#   bash scripts/quickstart.sh --data mr           generated four-channel MR data, nested regions
#   bash scripts/quickstart.sh --dataset ID --configuration C [--fold F] [--plans P]
#                                                  your own planned and preprocessed data
# Further options: --pretrain_epochs N, --finetune_epochs N (one of nnU-Net's trainer variants: 1,
# 5, 10, 20, 50, 100, ...), --device cpu|cuda|mps, --work FOLDER (of the generated data).
# QUICKSTART_VENV names the folder of the virtual environment (default: .venv).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh

data=ct dataset='' configuration=3d_fullres fold=0 plans='' device=''
pretrain_epochs='' finetune_epochs='' work=quickstart_data
while [ $# -gt 0 ]; do
    case $1 in
    --data) data=$2 ;;
    --dataset) dataset=$2 ;;
    --configuration) configuration=$2 ;;
    --fold) fold=$2 ;;
    --plans) plans=$2 ;;
    --device) device=$2 ;;
    --pretrain_epochs) pretrain_epochs=$2 ;;
    --finetune_epochs) finetune_epochs=$2 ;;
    --work) work=$2 ;;
    -h | --help) sed -n '2,11p' "$0" | cut -c 3- && exit ;;
    *) echo "unknown option $1 (see --help)" >&2 && exit 2 ;;
    esac
    shift 2 || { echo "option $1 needs a value" >&2; exit 2; }
done

# On a CPU, background workers want the cores too: let waiting threads sleep, not spin.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

begin=$SECONDS
say() { printf '\n[%d:%02d] %s\n' $(((SECONDS - begin) / 60)) $(((SECONDS - begin) % 60)) "$*"; }

# What of a training's output is shown.
progress='Epoch [0-9]|_loss|Pseudo dice|come from the file|Validation Dice'

# fail LOG WHAT: shows the end of its output, and ends.
fail() {
    tail -n 30 "$1" >&2
    echo "FAILED: $2 (all of its output: $1)" >&2
    exit 1
}

# run TITLE COMMAND...: the command's progress on the screen, all of its output in the log.
run() {
    say "$1"
    shift
    echo "  $*"
    set +e
    "$@" 2>&1 | tee -a "$log" | grep --line-buffered -E "$progress"
    local status=${PIPESTATUS[0]}
    set -e
    [ "$status" -eq 0 ] || fail "$log" "$*"
}

# What to type for one's own data: the steps above without this script.
say_what_next() {
    cat <<TEXT

With your own data, in nnU-Net's format (nnUNet_raw, nnUNet_preprocessed and nnUNet_results are set):
  . ${QUICKSTART_VENV:-.venv}/bin/activate
  nnUNetv2_pcrl_doctor                                          # would a training run?
  nnUNetv2_plan_and_preprocess -d 4 -c 3d_fullres               # 4: number of your data set
  nnUNetv2_train 4 3d_fullres all -tr PCRLv2PretrainTrainer     # learns from the images alone
  nnUNetv2_train 4 3d_fullres 0 -tr PCRLv2FinetuneTrainer       # starts from what was learned
  nnUNetv2_predict -i IN -o OUT -d 4 -c 3d_fullres -f 0 -tr PCRLv2FinetuneTrainer
Images without labels, several GPUs, whether it helps: docs/getting_started.md
TEXT
}

result_folder() { echo "$nnUNet_results/$dataset_name/$1__${plans}__$configuration/fold_$2"; }

generated=''
say "Environment"
make_environment "${QUICKSTART_VENV:-.venv}" .

if [ -n "$dataset" ]; then
    : "${nnUNet_raw:?set nnU-Nets folders first}" "${nnUNet_preprocessed:?}" "${nnUNet_results:?}"
    plans=${plans:-nnUNetPlans}
    [ -n "$device" ] || device=$(python -c \
        'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')
    log=$nnUNet_results/quickstart_$(date +%Y%m%d_%H%M%S).log
    # Without a number the pretraining is as long as its plan says.
    finetune_epochs=${finetune_epochs:-1000}
    pretrain_fold=$fold
    predict_options=()
    dataset_name=$(python -c 'import sys
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name as name
print(name(int(sys.argv[1]) if sys.argv[1].isdigit() else sys.argv[1]))' "$dataset" | tail -n 1)
else
    generated=yes
    case $data in
    ct) dataset=901 dataset_name=Dataset901_DemoCT size='28 48 48' ;;
    mr) dataset=902 dataset_name=Dataset902_DemoMR size='40 48 48' ;;
    *) echo "--data must be ct or mr, got $data" >&2 && exit 2 ;;
    esac
    mkdir -p "$work"/nnUNet_raw "$work"/nnUNet_preprocessed "$work"/nnUNet_results
    work=$(cd "$work" && pwd)
    export nnUNet_raw=$work/nnUNet_raw nnUNet_preprocessed=$work/nnUNet_preprocessed
    export nnUNet_results=$work/nnUNet_results nnUNet_def_n_proc=1 nnUNet_n_proc_DA=2
    plans=nnUNetPlansSmall device=${device:-cpu} log=$work/quickstart_$data.log
    pretrain_epochs=${pretrain_epochs:-4} finetune_epochs=${finetune_epochs:-1}
    pretrain_fold=all
    # Mirroring makes prediction eight times as long.
    predict_options=(--disable_tta)
    : >"$log"

    # shellcheck disable=SC2086
    run "Generate data ($data)" python scripts/generate_data.py "$data" "$nnUNet_raw" \
        --dataset_id "$dataset" --name "${dataset_name#*_}" --num_training 10 --num_test 3 \
        --size $size --seed 0
    run "Plan and preprocess" nnUNetv2_plan_and_preprocess -d "$dataset" -c "$configuration" \
        -np 1 -npfp 1 --verify_dataset_integrity
    run "Derive plans for a small network" python scripts/shrink_plans.py \
        "$nnUNet_preprocessed/$dataset_name/nnUNetPlans.json" --name "$plans" \
        --base_features 8 --max_features 64 --max_patch 32 \
        --settings '{"pretraining": {"batch_size": 8, "initial_lr": 0.01,
                     "num_iterations_per_epoch": 4, "num_val_iterations_per_epoch": 1}}'
fi

pretrainer=PCRLv2PretrainTrainer${pretrain_epochs:+_${pretrain_epochs}epochs}
suffix=_${finetune_epochs}epochs
[ "$finetune_epochs" != 1 ] || suffix=_1epoch
[ "$finetune_epochs" != 1000 ] || suffix=
finetuner=PCRLv2FinetuneTrainer$suffix
twin=nnUNetTrainer$suffix

run "Pretrain without labels (fold $pretrain_fold)" nnUNetv2_train "$dataset" "$configuration" \
    "$pretrain_fold" -tr "$pretrainer" -p "$plans" -device "$device"
weights=$(result_folder "$pretrainer" "$pretrain_fold")/pretrained_weights.pth
export nnUNet_pcrl_weights=$weights
fine_tune=(nnUNetv2_train "$dataset" "$configuration" "$fold" -tr "$finetuner" -p "$plans"
    -device "$device")
train_twin=(nnUNetv2_train "$dataset" "$configuration" "$fold" -tr "$twin" -p "$plans"
    -device "$device")
if [ -n "$generated" ] && [ "$device" = cpu ]; then
    # One core each: networks as small as these gain nothing from a second one.
    OMP_NUM_THREADS=1 nnUNet_n_proc_DA=1 "${train_twin[@]}" >"$log.twin" 2>&1 &
    twin_process=$!
    trap 'kill "$twin_process" 2>/dev/null || true' EXIT
    OMP_NUM_THREADS=1 nnUNet_n_proc_DA=1 run \
        "Fine-tune (fold $fold); beside it, its twin is trained from scratch" "${fine_tune[@]}"
    say "Its twin from scratch (fold $fold)"
    wait "$twin_process" || fail "$log.twin" "${train_twin[*]}"
    trap - EXIT
    grep -E "$progress" "$log.twin" || true
    cat "$log.twin" >>"$log"
    rm "$log.twin"
else
    run "Fine-tune (fold $fold)" "${fine_tune[@]}"
    run "Train its twin from scratch (fold $fold)" "${train_twin[@]}"
fi

pretraining=$(result_folder "$pretrainer" "$pretrain_fold")
# Of segmentations: those of the test images, or else the best, median and worst validation case.
segmentations=("$(result_folder "$finetuner" "$fold")/validation_cases.png")
if [ -d "$nnUNet_raw/$dataset_name/labelsTs" ]; then
    raw=$nnUNet_raw/$dataset_name
    for trainer in "$finetuner" "$twin"; do
        predictions=$nnUNet_results/$dataset_name/predictions/$trainer
        run "Predict the test images with $trainer" nnUNetv2_predict -i "$raw/imagesTs" \
            -o "$predictions" -d "$dataset" -c "$configuration" -f "$fold" -tr "$trainer" \
            -p "$plans" -device "$device" -npp 1 -nps 1 "${predict_options[@]}"
        run "Evaluate $trainer" nnUNetv2_evaluate_folder "$raw/labelsTs" "$predictions" \
            -djfile "$predictions/dataset.json" -pfile "$predictions/plans.json" -np 1
    done
    picture=$nnUNet_results/$dataset_name/predictions/predictions.png
    run "Draw predictions" python scripts/plot_predictions.py "$raw/imagesTs" "$raw/labelsTs" \
        "$picture" "pretrained=$nnUNet_results/$dataset_name/predictions/$finetuner" \
        "from scratch=$nnUNet_results/$dataset_name/predictions/$twin"
    segmentations=("$picture" "${segmentations[@]}")
    summary() { echo "$nnUNet_results/$dataset_name/predictions/$1/summary.json"; }
    cases="test cases"
else
    summary() { echo "$(result_folder "$1" "$fold")/validation/summary.json"; }
    cases="validation cases of fold $fold"
fi

say "Dice on the $cases"
python scripts/compare_dice.py "pretrained=$(summary "$finetuner")" \
    "from_scratch=$(summary "$twin")"
echo "(one run each; a single difference says nothing about the method)"
printf '\nReport of the pretraining:  file://%s\n' "$pretraining/report.html"
printf 'Segmentations:              file://%s\n' "${segmentations[@]}"
printf 'Pretrained weights:         %s\n' "$weights"
printf 'All output:                 %s\n' "$log"
say_what_next
