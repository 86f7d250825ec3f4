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
