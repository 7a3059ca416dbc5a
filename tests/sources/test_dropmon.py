"""2014's dropmon reports exactly the frames that the test has the kernel drop, and names the place."""

import pathlib
import re
import subprocess
import sys

import pytest

from tests import require
from tests.netns import veth_pair
from tests.sources.test_sock_example import ENV, stop, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = str(ROOT / "examples" / "dropmon.py")
FRAMES = 1234

SENDER = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind((sys.argv[1], 0))
    frame = bytes.fromhex(sys.argv[2].replace(":", "") + sys.argv[3].replace(":", "")) + b"\\x88\\xb5" + bytes(46)
    for _ in range(int(sys.argv[4])):
        assert sock.send(frame) == len(frame)
"""


@pytest.mark.parametrize("form", [["--filter", "protocol == 0x88b5"], ["--raw"]], ids=["tracepoint", "raw_tracepoint"])
def test_dropmon_counts_unknown_ethertype_frames_exactly(form: list[str]) -> None:
    require.linux()
    require.netns()
    script = f'mount -t tracefs tracefs /sys/kernel/tracing && exec "{sys.executable}" "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "dropmon", EXAMPLE, "--seconds", "120", *form]
    with veth_pair() as (a, b):
        monitor = subprocess.Popen(
            command, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )  # fmt: skip
        try:
            wait_for(monitor, "watching")
            a.run(sys.executable, "-c", SENDER, a.interface, b.mac, a.mac, str(FRAMES))
            # The frames are received in the sender's context or a softirq right behind it: one full round trip
            # over the same veth comes after all of them.
            a.run("ping", "-c", "1", "-W", "5", b.ip4)
            out = stop(monitor)
        finally:
            monitor.kill()
            monitor.wait()
    total = re.findall(r"^ *(\d+)  (0x[0-9a-f]+)  (\S+)$", out[out.rindex("-- total") :], re.M)
    # Without a filter others' drops may be there, at other places.
    here = [int(count) for count, _, symbol in total if symbol.startswith("__netif_receive_skb_core")]
    assert here == [FRAMES], out
    assert form == ["--raw"] or len(total) == 1, out
