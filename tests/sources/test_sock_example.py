"""2014's sock_example on a veth pair counts what tcpdump captured on the same wire."""

import collections
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time

import pytest

from tests import require
from tests.netns import Side, veth_pair

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
EXAMPLE = str(ROOT / "examples" / "sock_example.py")

SERVER = """
import socket, sys, threading
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind((sys.argv[1], 5000))
tcp = socket.create_server((sys.argv[1], 5000))
print("ready", flush=True)
def echo():
    while True:
        data, peer = udp.recvfrom(2048)
        udp.sendto(data, peer)
threading.Thread(target=echo, daemon=True).start()
while True:
    peer, _ = tcp.accept()
    with peer:
        while data := peer.recv(65536):
            peer.sendall(data)
"""

CLIENT = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.settimeout(5); udp.connect((sys.argv[1], 5000))
for i in range(200):
    udp.send(bytes(100 + i)); udp.recv(2048)
for i in range(10):
    with socket.create_connection((sys.argv[1], 5000), timeout=5) as tcp:
        for _ in range(20):
            tcp.sendall(b"x" * 1400)
            got = 0
            while got < 1400:
                got += len(tcp.recv(65536))
"""


def protocol_bytes(capture: bytes) -> collections.Counter[int]:
    """Byte 23 of every frame of a little-endian microsecond pcap."""
    assert capture[:4] == b"\xd4\xc3\xb2\xa1"
    counts: collections.Counter[int] = collections.Counter()
    at = 24
    while at < len(capture):
        (caplen,) = struct.unpack_from("<I", capture, at + 8)
        if caplen > 23:
            counts[capture[at + 16 + 23]] += 1
        at += 16 + caplen
    return counts


def wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"{process.args}: ended before it said {text!r}")


def stop(process: "subprocess.Popen[str]", how: signal.Signals = signal.SIGINT) -> str:
    process.send_signal(how)
    out, _ = process.communicate(timeout=30)
    return out


def traffic(here: Side, there: Side) -> None:
    server = there.popen(sys.executable, "-c", SERVER, there.ip4)
    try:
        wait_for(server, "ready")
        here.run(sys.executable, "-c", CLIENT, there.ip4)
        here.run("ping", "-c", "50", "-i", "0.01", "-q", there.ip4)
    finally:
        server.kill()
        server.communicate()


def test_sock_example_counts_what_tcpdump_counts(tmp_path: pathlib.Path) -> None:
    require.netns()
    require.need("netns", None if pathlib.Path("/usr/bin/tcpdump").exists() else "tcpdump is not installed")
    with veth_pair() as (a, b):
        capture = tmp_path / "a.pcap"
        tcpdump = a.popen(
            "tcpdump", "-i", a.interface, "--immediate-mode", "-U", "-B", "8192", "-Z", "root", "-w", str(capture)
        )
        wait_for(tcpdump, "listening")
        example = a.popen(sys.executable, EXAMPLE, a.interface, "--seconds", "120", cwd=ROOT, env=ENV)
        wait_for(example, "counting")
        traffic(a, b)
        time.sleep(1)  # tcpdump writes what it has when it is next scheduled
        out = stop(example)
        stop(tcpdump)
    total = re.search(r"^total TCP (\d+) UDP (\d+) ICMP (\d+)", out, re.M)
    assert total, out
    counts = protocol_bytes(capture.read_bytes())
    assert counts[6] > 400 and counts[17] == 400 and counts[1] == 100
    assert [int(n) for n in total.groups()] == [counts[6], counts[17], counts[1]]
