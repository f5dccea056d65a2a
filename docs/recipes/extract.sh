#!/bin/bash
#SBATCH --job-name=extract
#SBATCH --array=1-4
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=02:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --output=logs/extract-%a.log
#SBATCH --open-mode=append
n_shards=4  # the last number of --array

. .venv/bin/activate
exec kapre-extract melspectrogram sample_audio -o "parts/$SLURM_ARRAY_TASK_ID.h5" \
    --shard "$SLURM_ARRAY_TASK_ID/$n_shards" --resume
