#!/bin/sh
# Makes the tables of model/RESULTS.md: sh model/results/run.sh SET DATA BACKBONE [options of coopembed experiment]
# SET names the folder here. Trainings that are done are kept in target/experiments/SET and not done again.
set -eu
cd "$(dirname "$0")/../.."
set_name=$1 data=$2 backbone=$3
shift 3
out=target/experiments/$set_name
mkdir -p "model/results/$set_name"
for table in table1a table1b table1c table2a table2b table2c table3 options; do
    case $table in
    table1c) how="--preset recommended --weight-decay 5e-3 --stage head,epochs=12 --size 96" ;;
    *) how="--size 128" ;;
    esac
    ${COOPEMBED:-coopembed} experiment "$table" --data "$data" --backbone "$backbone" $how --out "$out" "$@"
    cp "$out/$table.csv" "$out/$table.json" "$out/$table.svg" "model/results/$set_name/"
done

# The same three tables with features of every level and a backbone that learns.
mkdir -p "model/results/$set_name/staged"
for table in table1a table2a table3; do
    ${COOPEMBED:-coopembed} experiment "$table" --data "$data" --backbone "$backbone" --preset recommended --stage head,epochs=8 \
        --stage upper,epochs=1 --unfreeze-from 12 --size 64 --out "$out/staged" "$@"
    cp "$out/staged/$table.csv" "$out/staged/$table.json" "$out/staged/$table.svg" "model/results/$set_name/staged/"
done
