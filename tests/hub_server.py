"""A Hugging Face Hub on this machine: the few requests by which `huggingface_hub` makes, fills and reads a
repository of small files. Repositories are in memory."""

import base64
import hashlib
import http.server
import json
import re
import threading
from contextlib import contextmanager

TOKEN = "hf_write"
"""The token that may write, and read private repositories."""


class Hub(http.server.ThreadingHTTPServer):
    """`repositories`: user/name -> {revision: {file name: content}}; `private` and `gated`: names of some;
    `requests`: (method, path) of all."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {}
        self.private, self.gated, self.requests = set(), set(), []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_hub():
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


def point_to(hub, cache, monkeypatch):
    """Let `huggingface_hub` use this Hub, a cache and no token: what HF_ENDPOINT and HF_HOME do, which it
    reads once, when it is imported."""
    from huggingface_hub import constants

    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)


def commit_of(files):
    """The name of a commit: 40 hexadecimal digits that depend on its files."""
    digest = hashlib.sha1()
    for name, content in sorted(files.items()):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self._read_file()

    def do_GET(self):
        self._read_file()

    def _read_file(self):
        self.server.requests.append((self.command, self.path))
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if not found:
            return self._send(404)
        name, revision, file = found.groups()
        is_known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if name not in self.server.repositories or (name in self.server.private and not is_known):
            return self._send(401, error="RepoNotFound")
        if name in self.server.gated:
            return self._send(403, error="GatedRepo")
        revisions = self.server.repositories[name]
        commits = {commit_of(files): files for files in revisions.values()}
        files = revisions.get(revision, commits.get(revision))
        if files is None:
            return self._send(404, error="RevisionNotFound")
        if file not in files:
            return self._send(404, error="EntryNotFound", commit=commit_of(files))
        return self._send(200, files[file], commit=commit_of(files))

    def do_POST(self):
        self.server.requests.append((self.command, self.path))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/validate-yaml":
            return self._send_json({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401)
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        name, step = re.fullmatch(r"/api/models/(.+/.+)/(preupload|commit)/main", self.path).groups()
        if step == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            plain = {"uploadMode": "regular", "shouldIgnore": False}
            return self._send_json({"files": [{"path": path, **plain} for path in paths]})
        files = dict(self.server.repositories[name]["main"])
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        self.server.repositories[name]["main"] = files
        commit = commit_of(files)
        url = f"{self.server.url}/{name}/commit/{commit}"
        return self._send_json({"success": True, "commitOid": commit, "commitUrl": url})

    def _create(self, wanted):
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        url = f"{self.server.url}/{name}"
        if name in self.server.repositories:
            return self._send_json({"url": url, "error": "You already created this model repo"}, 409)
        self.server.repositories[name] = {"main": {}}
        if wanted.get("private") or wanted.get("visibility") == "private":  # in versions below and from 2
            self.server.private.add(name)
        return self._send_json({"url": url, "name": name})

    def _send_json(self, document, status=200):
        self._send(status, json.dumps(document).encode(), kind="application/json")

    def _send(self, status, body=b"", kind="application/octet-stream", error=None, commit=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if error:
            self.send_header("X-Error-Code", error)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        if status == 200:
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
