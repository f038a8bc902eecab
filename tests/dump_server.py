"""A server on this machine that sends a file whole, in pieces or not at all: for tests of downloads."""

import http.server
import re


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; `plan` says how, and `requests` what was asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = b""
        self.requests = []
        self.plan = {}

    def handle_error(self, request, client_address):
        pass  # a client that hung up

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/ndownloader/files/1?private_link=2"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        plan, content = self.server.plan, self.server.content
        wait = plan.get("wait")  # before the test sees the request, after which it may remove this
        self.server.requests.append(dict(self.headers))
        if self.path.startswith("/ndownloader") and plan.get("redirect"):
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(wanted[1]) if wanted and not plan.get("no_ranges") else 0
        status = plan.get("status", 206 if first else 200)
        if first >= len(content):
            status = 416
        self.send_response(status)
        if status == 416:
            self.send_header("Content-Range", f"bytes */{len(content)}")
        elif status == 206:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        body = content[first:] if status in (200, 206) else b""
        if not plan.get("no_length"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if wait:
            self.wfile.write(body[: len(body) // 2])
            wait.wait(30)
            body = body[len(body) // 2 :]
        self.wfile.write(body[: plan.get("break_after", len(body))])
        self.close_connection = True
