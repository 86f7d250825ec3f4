#!/usr/bin/env bash
# A full disk is an error (SQLSTATE 53100) of CREATE INDEX or INSERT, and the index stays as it was. Needs root, to mount a small disk.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 6000
if [ "$(id -u)" != 0 ] || ! mkdir "$SCRATCH/small" || ! mount -t tmpfs -o size=300k tmpfs "$SCRATCH/small" 2>/dev/null; then
  echo 'skipped: needs root, to mount a small disk'
  exit
fi
unmount() { stop_cluster "$SCRATCH"; umount "$SCRATCH/small"; }
at_exit unmount
mkdir "$SCRATCH/small/space"
give_to_server "$SCRATCH/small/space"
ask -c "CREATE TABLESPACE small LOCATION '$SCRATCH/small/space'"
outcome() { # SQL: "full" if it fails with the error of a full disk
  ask -c '\set VERBOSITY verbose' -c "$1" >"$SCRATCH/found" 2>&1 || true
  ! grep -q 'ERROR:  53100' "$SCRATCH/found" || echo full
}
expect 'CREATE INDEX on a full disk is an error' full "$(outcome "CREATE INDEX items_small ON items USING coop (emb) TABLESPACE small")"
expect 'it leaves no file behind' "0 t" "$(find "$SCRATCH/small" -type f ! -empty -path '*PG_*' | wc -l) $(sound)"
ask -c "CREATE TABLE few (id int, emb coopvec)" -c "CREATE INDEX few_emb ON few USING coop (emb) WITH (tail_rows = 64) TABLESPACE small"
more="INSERT INTO few SELECT i, random_embedding(i) FROM generate_series(1, 400) i"
for _ in $(seq 60); do [ "$(outcome "$more")" != full ] || break; done
expect 'INSERT on a full disk is an error' full "$(outcome "$more")"
few() { ask -c "SELECT coop_index_check('few_emb') = (SELECT count(*) FROM few)" -c "SELECT count(compare('few', 20)) FROM generate_series(1, 10)"; }
expect 'the index stays as it was' $'t\n10' "$(few)"
mount -o remount,size=20m "$SCRATCH/small"
ask -c "$more"
expect 'the index takes rows again when there is room' $'t\n10' "$(few)"
ask -c "DROP TABLE few" -c "CHECKPOINT" -c "DROP TABLESPACE small"
finish
