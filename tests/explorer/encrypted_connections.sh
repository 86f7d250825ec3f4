#!/usr/bin/env bash
# Connections of the page to the database by TCP: TLS with sslmode and certificates as libpq has them, passwords from PGPASSWORD and a password file.
# Needs openssl.
source "$(dirname "$0")/../tools/explorer_fixture.sh"
if ! command -v openssl >/dev/null; then
  echo 'skipped: needs openssl'
  exit
fi
shop_cluster 60
stop_cluster "$SCRATCH"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -addext basicConstraints=critical,CA:true \
  -keyout "$SCRATCH/ca.key" -out "$SCRATCH/ca.crt" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$SCRATCH/data/tls.key" -out "$SCRATCH/tls.csr" 2>/dev/null
echo "subjectAltName=DNS:localhost" >"$SCRATCH/extension"
openssl x509 -req -days 2 -in "$SCRATCH/tls.csr" -CA "$SCRATCH/ca.crt" -CAkey "$SCRATCH/ca.key" -CAcreateserial \
  -extfile "$SCRATCH/extension" -out "$SCRATCH/data/tls.crt" 2>/dev/null
chmod 600 "$SCRATCH/data/tls.key"
give_to_server "$SCRATCH/data/tls.key" "$SCRATCH/data/tls.crt"
sed -i '1i hostssl all secret 127.0.0.1/32 scram-sha-256' "$SCRATCH/data/pg_hba.conf"
tcp=$((20000 + RANDOM % 20000))
start_cluster "$SCRATCH" "port=$tcp" listen_addresses=127.0.0.1 ssl=on ssl_cert_file=tls.crt ssl_key_file=tls.key
PGPORT=$tcp psql_ -c "CREATE ROLE secret LOGIN PASSWORD 'open:sesame'" -c 'GRANT SELECT ON products TO secret'
encrypted() { PGPORT=$tcp ask -c "SELECT DISTINCT usename, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = 'coopembed serve'"; }
db="postgres://secret@localhost:$tcp/shop"
PGPASSWORD=open:sesame serve --db "$db?sslmode=verify-full&sslrootcert=$SCRATCH/ca.crt" --table products
expect 'verify-full with PGPASSWORD connects, encrypted' '200 secret|t' "$(search "$pool_ball") $(encrypted)"
echo "localhost:$tcp:shop:secret:open\\:sesame" >"$SCRATCH/pgpass"
chmod 600 "$SCRATCH/pgpass"
PGPASSFILE=$SCRATCH/pgpass serve --db "$db" --table products
expect 'the default with a password file connects, encrypted if the server can' '200 secret|t' "$(search "$pool_ball") $(encrypted)"
export PGPASSWORD=open:sesame
does_not_start 'a wrong password gets the error of the server' 'password authentication failed' --db "postgres://secret:wrong@localhost:$tcp/shop" --table products
does_not_start 'verify-full refuses a certificate for another host' 'NotValidForName\|not valid for name' --db "postgres://secret@127.0.0.1:$tcp/shop?sslmode=verify-full&sslrootcert=$SCRATCH/ca.crt" --table products
serve --db "postgres://secret@127.0.0.1:$tcp/shop?sslmode=verify-ca&sslrootcert=$SCRATCH/ca.crt" --table products
expect 'verify-ca accepts it' 200 "$(search "$pool_ball")"
does_not_start 'verify-ca refuses a certificate of another authority' 'UnknownIssuer\|self.signed\|CaUsedAsEndEntity\|certificate' \
  --db "$db?sslmode=verify-ca&sslrootcert=/etc/ssl/certs/ca-certificates.crt" --table products
finish
