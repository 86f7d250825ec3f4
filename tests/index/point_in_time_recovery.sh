#!/usr/bin/env bash
# Recovery to a restore point, from a base backup and archived WAL, brings back the index of that time.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 6000 archive_mode=on archive_command="'cp %p ../archive/%f'"
mkdir "$SCRATCH/archive" "$SCRATCH/past"
give_to_server "$SCRATCH/archive" "$SCRATCH/past"
as_server "$BIN/pg_basebackup" -h "$SCRATCH" -U postgres -D "$SCRATCH/past/data" -c fast --no-sync
insert_items 700
ask -c "DELETE FROM items WHERE id % 11 = 0" -c "VACUUM items"
before=$(ask -c "SELECT count(*) FROM items" -c "SELECT pg_create_restore_point('before')")
ask -c "DELETE FROM items WHERE id % 2 = 0" -c "VACUUM items"
last=$(ask -c "SELECT pg_walfile_name(pg_switch_wal())")
archived() { [ "$(ask -c "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver")" = t ]; }
until_true 'the WAL is archived' archived
touch "$SCRATCH/past/data/recovery.signal"
give_to_server "$SCRATCH/past"
start_cluster "$SCRATCH/past" archive_mode=off recovery_target_name=before recovery_target_action=promote \
  restore_command="'cp ../../archive/%f %p'"
promoted() { [ "$(ask -c "SELECT pg_is_in_recovery()")" = f ]; }
until_true 'recovery has ended' promoted
expect 'recovery brings back the rows and the index of the restore point' "${before%%$'\n'*} t 20" "$(ask -c "SELECT count(*) FROM items") $(sound) $(agree 20)"
insert_items 700
expect 'the index takes rows after recovery' "t 20" "$(sound) $(agree 20)"
finish
