"""`pyebpf demo`: the capture that ships with pyebpf dissected, its top flows, 2014's table, and a live socket."""

import argparse
import os
import pathlib
import socket
import subprocess
import sys
import time

from pyebpf.bench import data
from pyebpf.cli import bench
from pyebpf.cli import run as replay

PROGRAM = data.DATA / "bpf" / "xdp_flow.o"
ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "sock_example.py"
"""In the source tree; the package alone does not have it."""
INTERFACE = "lo"
DATAGRAMS_A_SECOND = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--top", type=replay.positive, default=15, metavar="N", help="flows to print (15)")
    parser.add_argument("--seconds", type=replay.positive, default=3, metavar="N", help="how long to count live (3)")
    parser.add_argument("--no-live", action="store_true", help="leave out the live socket")


def headline(text: str) -> None:
    """What comes next."""
    print(f"\n== {text}", flush=True)


def flows(top: int) -> int:
    """`pyebpf run` over the capture."""
    parser = argparse.ArgumentParser()
    replay.add_arguments(parser)
    return replay.run(parser.parse_args([str(PROGRAM), "--pcap", str(data.CAPTURE), "--top", str(top)]))


def table() -> int:
    """`pyebpf bench flow-dissector --quick`."""
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return bench.run(parser.parse_args(["flow-dissector", "--quick"]))


def refusal() -> str:
    """Why there is nothing to see live; "" when there is."""
    if not EXAMPLE.exists():
        return f"{EXAMPLE.name} is in the source tree, not in the package"
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError as err:
        return f"raw sockets are not permitted here: {err.strerror}"
    return ""


def send_until(end: float) -> int:
    """UDP datagrams to ourselves; how many."""
    sent = 0
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s,
    ):
        sink.bind(("127.0.0.1", 0))
        while time.monotonic() < end:
            s.sendto(b"pyebpf demo", sink.getsockname())
            sent += 1
            time.sleep(1 / DATAGRAMS_A_SECOND)
    return sent


def live(seconds: int) -> int:
    """sock_example on the loopback interface, with traffic of our own for it to count."""
    if reason := refusal():
        print(f"left out: {reason}")
        return 0
    command = [sys.executable, str(EXAMPLE), INTERFACE, "--seconds", str(seconds)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as example:
        assert example.stdout is not None
        print(example.stdout.readline(), end="", flush=True)
        sent = send_until(time.monotonic() + seconds - 0.5)
        for line in example.stdout:
            print(line, end="", flush=True)
    print(f"(sent {sent} UDP datagrams; {INTERFACE} shows each twice, going out and coming in)")
    return example.returncode


def run(options: argparse.Namespace) -> int:
    """The parts one after another; the first that fails ends it."""
    headline(f"{PROGRAM.name} over {data.CAPTURE.name}")
    if status := flows(options.top):
        return status
    headline("the flow dissector: ns a call (--quick: a look, not a measurement)")
    if status := table():
        return status
    if options.no_live:
        return 0
    headline(f"sock_example on {INTERFACE}: 2014's program, attached to a socket, its map read each second")
    return live(options.seconds)
