"""Fetching a published dump from a server on this machine that breaks off, refuses, or sends too little."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import h5py
import pytest

import priors.dumps.download
from priors.dumps.download import PUBLISHED, DownloadError, Published, download

PAGE = "https://example.org/page"


@pytest.fixture(autouse=True)
def straight_to_this_machine(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "dump.h5"


def fetch(server, out, **options):
    return download(Published(server.url, PAGE, (640, 150, 5)), out, **options)


def failure(server, out):
    with pytest.raises(DownloadError) as caught:
        fetch(server, out)
    assert not out.exists()
    lines = str(caught.value).splitlines()
    assert 1 <= len(lines) <= 2
    return str(caught.value)


def assert_fetched(server, out, checksum):
    assert out.read_bytes() == server.content
    assert checksum == hashlib.sha256(server.content).hexdigest()
    assert sorted(path.name for path in out.parent.iterdir()) == ["dump.h5", "dump.h5.sha256"]


def test_a_whole_file_its_checksum_and_the_headers(server, out):
    seen = []
    checksum = fetch(server, out, on_progress=lambda have, total: seen.append((have, total)))
    assert_fetched(server, out, checksum)
    assert out.with_name("dump.h5.sha256").read_text() == f"{checksum}  dump.h5\n"
    assert seen[-1] == (len(server.content), len(server.content))
    assert seen == sorted(seen)
    [headers] = server.requests
    assert headers["User-Agent"].startswith("Mozilla/5.0 (")
    assert headers["Referer"] == "https://figshare.com/"
    assert "Range" not in headers


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")
def test_sha256sum_takes_the_record(server, out):
    fetch(server, out)
    subprocess.run(["sha256sum", "-c", "dump.h5.sha256"], cwd=out.parent, check=True, capture_output=True)


def test_the_headers_survive_a_redirect(server, out):
    server.plan["redirect"] = True
    out.with_name("dump.h5.part").write_bytes(server.content[:1000])
    assert_fetched(server, out, fetch(server, out))
    assert server.requests[-1]["Range"] == "bytes=1000-"
    assert server.requests[-1]["Referer"] == "https://figshare.com/"


def test_a_download_that_breaks_off_goes_on_from_there(server, out):
    part = out.with_name("dump.h5.part")
    for share in (1000, 200_000, 70_000):
        server.plan["break_after"] = share
        before = part.stat().st_size if part.exists() else 0
        message = failure(server, out)
        assert f"broke off at {before + share:,} of {len(server.content):,} bytes" in message
        assert PAGE in message
        assert part.read_bytes() == server.content[: before + share]
    server.plan.clear()
    assert_fetched(server, out, fetch(server, out))
    ranges = [headers.get("Range") for headers in server.requests]
    assert ranges == [None, "bytes=1000-", "bytes=201000-", "bytes=271000-"]


@pytest.mark.parametrize("have", [1, 500_000])
def test_a_server_without_ranges_starts_again(server, out, have):
    out.with_name("dump.h5.part").write_bytes(b"?" * have)  # nothing of it may stay
    server.plan["no_ranges"] = True
    assert_fetched(server, out, fetch(server, out))


def test_a_part_that_is_whole_already_is_only_checked(server, out):
    out.with_name("dump.h5.part").write_bytes(server.content)
    assert_fetched(server, out, fetch(server, out))
    assert len(server.requests) == 1


def test_a_part_that_is_longer_than_the_file_starts_again(server, out):
    out.with_name("dump.h5.part").write_bytes(server.content + b"more")
    assert_fetched(server, out, fetch(server, out))
    assert "Range" not in server.requests[1]


def test_a_server_that_hides_the_length(server, out):
    server.plan["no_length"] = True
    assert_fetched(server, out, fetch(server, out))
    out.unlink()
    server.plan["break_after"] = 100_000
    assert "what the server sent is not the dump: is not a whole HDF5 file" in failure(server, out)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_says_what_to_do(server, out, status):
    server.plan["status"] = status
    message = failure(server, out)
    assert f"{server.url}: {status} " in message
    assert f"save the file from {PAGE} in a browser as {out}" in message
    assert f"priors validate {out}" in message
    assert f"nanotabpfn train --dump {out}" in message
    assert list(out.parent.iterdir()) == []


def test_a_refusal_keeps_what_is_there(server, out):
    part = out.with_name("dump.h5.part")
    part.write_bytes(server.content[:1000])
    server.plan["status"] = 403
    failure(server, out)
    assert part.read_bytes() == server.content[:1000]


@pytest.mark.parametrize("content", [b"<html>Are you human?</html>", b""])
def test_a_page_instead_of_the_file_is_not_kept(server, out, content):
    server.content, whole = content or b"x", server.content
    assert "what the server sent is not the dump: is not a whole HDF5 file" in failure(server, out)
    assert list(out.parent.iterdir()) == []
    server.content = whole
    assert_fetched(server, out, fetch(server, out))


def test_a_short_file_that_the_server_takes_for_whole(server, out):
    server.content = server.content[:-1000]
    assert "is not a whole HDF5 file" in failure(server, out)
    assert list(out.parent.iterdir()) == []


def test_another_dump_is_not_the_published_one(server, out, tiny_dump):
    server.content = tiny_dump.read_bytes()
    assert "must have the shape (640, 150, 5), got (64, 24, 3)" in failure(server, out)
    assert list(out.parent.iterdir()) == []


def test_without_network_it_says_what_to_do(out):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and no server listens
        with pytest.raises(DownloadError) as caught:
            download(Published(f"http://127.0.0.1:{taken.getsockname()[1]}/", PAGE, (640, 150, 5)), out)
    message = str(caught.value)
    assert "cannot be reached: " in message
    assert f"save the file from {PAGE} in a browser" in message
    assert list(out.parent.iterdir()) == []


def test_a_silent_server_is_given_up(server, out, monkeypatch):
    monkeypatch.setattr(priors.dumps.download, "TIMEOUT", 0.3)
    server.plan["wait"] = threading.Event()
    started = time.perf_counter()
    assert "broke off: " in failure(server, out)
    assert time.perf_counter() - started < 10
    server.plan["wait"].set()
    assert out.with_name("dump.h5.part").stat().st_size > 0


def test_a_second_process_is_refused_and_damages_nothing(server, out):
    server.plan["wait"] = threading.Event()
    code = (
        "import sys; from priors.dumps.download import *\n"
        "download(Published(sys.argv[1], '', (640, 150, 5)), sys.argv[2])"
    )
    first = subprocess.Popen([sys.executable, "-c", code, server.url, str(out)])
    deadline = time.monotonic() + 30
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    message = failure(server, out)
    assert message == f"{out}.part: another process is downloading this file"
    server.plan.pop("wait").set()
    assert first.wait(30) == 0
    assert out.read_bytes() == server.content


def test_a_disk_that_is_too_small_is_told_before_the_work(server, out, monkeypatch):
    usage = shutil.disk_usage(out.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert f"cannot be written: the disk is full (needs {len(server.content):,} bytes)" in failure(
        server, out
    )


def test_the_published_dump_is_the_one_of_the_schema():
    published = PUBLISHED["300k_150x5_2"]
    assert (
        published.url == "https://figshare.com/ndownloader/files/58932628?private_link=63fc1ada93e42e388e63"
    )
    assert published.shape == (300_000, 150, 5)


@pytest.mark.parametrize("damage", ["chunk", "labels"])
def test_a_damaged_file_does_not_get_its_name_or_a_checksum(server, out, tmp_path_factory, damage):
    copy = tmp_path_factory.mktemp("damaged") / "copy.h5"
    copy.write_bytes(server.content)
    with h5py.File(copy, "r+") as file:
        if damage == "labels":
            file["y"][100, 3] = 7
        else:
            info = file["X"].id.get_chunk_info(3)
    content = bytearray(copy.read_bytes())
    if damage == "chunk":
        content[info.byte_offset : info.byte_offset + info.size] = b"\xff" * info.size
    server.content = bytes(content)
    message = failure(server, out)
    place = {"chunk": "X: records 96 to 127 cannot be read", "labels": "y: record 100 has labels"}[damage]
    assert f"what the server sent is not the dump: {place}" in message
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_only_a_regular_file_is_resumed(server, out, tmp_path_factory, kind):
    part = out.with_name("dump.h5.part")
    victim = tmp_path_factory.mktemp("elsewhere") / "victim"
    victim.write_bytes(b"mine")
    if kind == "link":
        part.symlink_to(victim)
    else:
        os.mkfifo(part)
    assert "must be a regular file, got a link or a device" in failure(server, out)
    assert victim.read_bytes() == b"mine"
    assert server.requests == []
