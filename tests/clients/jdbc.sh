#!/usr/bin/env bash
# JDBC needs no adapter: the program of sql/clients.md runs and uses the index. Needs Java 11 or newer and PostgreSQL's driver, which Debian's package
# libpostgresql-jdbc-java has; JDBC_DRIVER names another.
source "$(dirname "$0")/../tools/clients_fixture.sh"
find_postgres
driver=${JDBC_DRIVER:-/usr/share/java/postgresql.jar}
if [ ! -f "$driver" ] || ! command -v java >/dev/null; then
  echo "skipped: needs Java and $driver"
  exit
fi
# The driver connects by TCP only.
export PGPORT=$((20000 + RANDOM % 20000))
shop_of_clothes "port=$PGPORT" listen_addresses=127.0.0.1
guide_program JDBC >"$SCRATCH/Search.java"
program_runs JDBC java -cp "$driver" "$SCRATCH/Search.java" "jdbc:postgresql://127.0.0.1:$PGPORT/postgres?user=postgres"
finish
