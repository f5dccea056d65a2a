#!/bin/bash
#SBATCH --job-name=merge
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=01:00:00
#SBATCH --output=logs/merge.log

. .venv/bin/activate
exec kapre-extract merge parts/*.h5 -o all.h5 --overwrite
