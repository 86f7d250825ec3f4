#!/usr/bin/env bash
# coopembed embed --http: images by their URLs, with limits on size, time, redirects and hosts; what may pass is tried again.
source "$(dirname "$0")/../tools/program_fixture.sh"
program_cluster
load_demo 3
ask -c "CALL coop_embed_table('products', 'image', 'emb')"
image=$SCRATCH/gallery/$(sed -n 2p "$SCRATCH/gallery/products.csv" | awk -F, '{print $NF}')
cat >"$SCRATCH/server.py" <<'PYTHON'
"""Serves one image in many ways, and writes each path that is asked for to a log."""
import http.server, sys, time
image, log = open(sys.argv[1], 'rb').read(), open(sys.argv[2], 'a', buffering=1)
asked = {}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self, status, body=b'', **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        if 'Content_Length' not in headers and 'Transfer_Encoding' not in headers:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        print(self.path, file=log)
        path = self.path.split('?')[0]
        asked[self.path] = asked.get(self.path, 0) + 1
        if path == '/ok':
            self.answer(200, image, Content_Type='image/png')
        elif path == '/once':
            self.answer(302, Location='/ok')
        elif path == '/loop':
            self.answer(302, Location='/loop')
        elif path == '/elsewhere':
            self.answer(302, Location=f'http://localhost:{self.server.server_port}/ok')
        elif path == '/busy':
            self.answer(503 if asked[self.path] < 3 else 200, image if asked[self.path] >= 3 else b'')
        elif path == '/wait':
            self.answer(429, Retry_After='1') if asked[self.path] < 2 else self.answer(200, image)
        elif path == '/down':
            self.answer(500)
        elif path == '/html':
            self.answer(200, b'<!DOCTYPE html><html><body>Not here</body></html>', Content_Type='text/html')
        elif path == '/large':
            self.answer(200, Content_Length='10000000000')
            self.close_connection = True
        elif path == '/endless':
            self.answer(200, Transfer_Encoding='chunked')
            try:
                while True:
                    self.wfile.write(b'10000\r\n' + b'x' * 0x10000 + b'\r\n')
            except OSError:
                self.close_connection = True
        elif path == '/slow':
            self.answer(200, Content_Length=str(len(image)))
            try:
                for byte in image:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.5)
            except OSError:
                self.close_connection = True
        elif path == '/cut':
            self.answer(200, image[:100], Content_Length=str(len(image)))
            self.close_connection = True
        else:
            self.answer(404)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
: >"$SCRATCH/asked"
python3 "$SCRATCH/server.py" "$image" "$SCRATCH/asked" >"$SCRATCH/port" &
server=$!
at_exit "kill $server 2>/dev/null"
has_port() { [ -s "$SCRATCH/port" ]; }
until_true 'the server of images listens' has_port
port=$(cat "$SCRATCH/port")
here=http://127.0.0.1:$port
ask -c 'CREATE TABLE links (id serial, url text, emb coopvec)'
# links URL...: the table has these.
links() { ask -c 'TRUNCATE links' -c 'DROP TABLE IF EXISTS links_embed_failures'; for url; do ask -c "INSERT INTO links (url) VALUES ('$url')"; done; }
options=(embed --table links --column url --http)
why() { ask -c "SELECT error FROM links_embed_failures WHERE source ~ '$1'"; }
embedded() { ask -c "SELECT count(*) FROM links WHERE emb = (SELECT emb FROM products ORDER BY id LIMIT 1)"; }

links "$here/ok" "$here/once" "$here/busy" "$here/wait"
runs 'images, behind a redirect, of a busy server and of one that asks to wait, are embedded' '4 rows' "${options[@]}" --allow-private --allow-host 127.0.0.1
expect 'as inside' 4 "$(embedded)"
expect 'a server that is busy is asked again' 3 "$(grep -c '^/busy' "$SCRATCH/asked")"

: >"$SCRATCH/asked"
links "$here/ok" "http://localhost:$port/ok" "http://[::1]:$port/ok" "http://169.254.169.254/latest/meta-data" "http://2130706433:$port/ok" "http://0x7f.1:$port/ok" "http://[::ffff:127.0.0.1]:$port/ok"
fails 'addresses of this machine and of private networks are refused' '7 of 7 images' "${options[@]}" --retries 0
expect 'and not even connected to' '' "$(cat "$SCRATCH/asked")"
expect 'with what to do' 1 "$(why '127.0.0.1.*ok$' | grep -c 'not on the public Internet: "http://127')"

links "$here/ok" "$here/elsewhere"
fails 'a redirect to a host that is not allowed is refused' '1 of 2' "${options[@]}" --allow-private --allow-host 127.0.0.1
expect 'with the name of the host' 1 "$(why elsewhere | grep -c 'host "localhost" is not allowed')"

: >"$SCRATCH/asked"
links "$here/loop" "$here/html" "$here/large" "$here/endless" "$here/none" "$here/down" "$here/cut" ftp://x/y file:///etc/passwd nonsense ''
fails 'what is no image, too large, missing or broken is listed' '11 of 11' "${options[@]}" --allow-private --max-size 1 --retries 1 --redirects 4
expect 'a loop of redirects ends' 'could not fetch' "$(why loop | grep -o 'could not fetch')"
expect 'after so many' t "$([ "$(grep -c '^/loop' "$SCRATCH/asked")" -le 5 ] && echo t)"
expect 'a page is named as one' 1 "$(why html | grep -ci 'html\|web page' | head -1)"
expect 'a large file is not read' 1 "$(why large | grep -c 'is too large')"
expect 'nor one without an end' 1 "$(why endless | grep -c 'is too large')"
expect 'a missing one is not asked for again' 1 "$(grep -c '^/none' "$SCRATCH/asked")"
expect 'what may pass is' 2 "$(grep -c '^/down' "$SCRATCH/asked")"
expect 'a status is named' 1 "$(why none | grep -c 'status 404')"
expect 'what is cut off is an error' 1 "$(why cut | grep -c .)"
expect 'and what is not of http' 3 "$(ask -c "SELECT count(*) FROM links_embed_failures WHERE error ~ 'not a URL of http'  AND source <> ''")"

links "$here/slow"
start=$SECONDS
fails 'a slow server is not waited for' '1 of 1' "${options[@]}" --allow-private --timeout 1 --retries 0
expect 'longer than is allowed' t "$([ $((SECONDS - start)) -lt 20 ] && echo t)"
expect 'it says so' 1 "$(why slow | grep -c 'no answer in 1 s')"
fails 'rules for hosts need --http' 'http' embed --table links --column url --root /tmp --allow-host x
finish
