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
