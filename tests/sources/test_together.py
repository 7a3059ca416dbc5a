"""Two tracing and two socket programs over three maps, one of them shared by all, run at once; counts are exact."""

import json
import subprocess
import sys

from tests import require
from tests.sources.test_dropmon import ROOT, SENDER
from tests.sources.test_sock_example import ENV

FRAMES = 2000

# Runs where tracefs is mounted. `taps` is counted by the socket programs, `drops` by the tracing ones, `all` by both.
SCRIPT = """
import json, socket, struct, sys, time
import pyebpf
from tests.netns import veth_pair

def counter(name):
    return pyebpf.Map.create("array", key=4, value=8, max_entries=2, name=name)

def add(name, index):
    return f'''
        r2 = r10
        r2 += -4
        r1 = {index}
        *(u32 *)(r10 - 4) = r1
        r1 = {name} ll
        call bpf_map_lookup_elem
        if r0 == 0 goto +2
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
    '''

taps, drops, both = counter("taps"), counter("drops"), counter("both")
maps = {"taps": taps, "drops": drops, "both": both}
sockets = [
    pyebpf.Program.load(f'''
        r6 = r1
        r0 = *(u16 *)skb[12]
        if r0 != 0x88b5 goto out
        {add("taps", i)}
        {add("both", 0)}
    out:
        r0 = 0
        exit
    ''', "socket_filter", maps=maps)
    for i in range(2)
]
traces = [
    pyebpf.Program.load(f'''
        {add("drops", i)}
        {add("both", 1)}
        r0 = 0
        exit
    ''', "tracepoint", maps=maps)
    for i in range(2)
]
point = pyebpf.TracePoint("skb:kfree_skb", filter="protocol == 0x88b5")
with veth_pair() as (a, b):
    links, open_sockets = [], []
    with a.enter():
        for prog in sockets:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            sock.bind((a.interface, 3))
            open_sockets.append(sock)
            links.append(prog.attach(sock))
    links += [prog.attach(point) for prog in traces]
    a.run(sys.executable, "-c", sys.argv[1], a.interface, b.mac, a.mac, sys.argv[2])
    a.run("ping", "-c", "1", "-W", "5", b.ip4)
    for link in links:
        link.detach()
read = lambda m: [struct.unpack("<Q", m.lookup(struct.pack("<I", i)))[0] for i in range(2)]
print(json.dumps({"taps": read(taps), "drops": read(drops), "both": read(both),
                  "lost": [link.stats()["lost"] for link in links]}))
"""


def test_two_tracing_and_two_socket_programs_count_exactly() -> None:
    require.linux()
    require.netns()
    mount = f'mount -t tracefs tracefs /sys/kernel/tracing && exec "{sys.executable}" "$@"'
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "together", "-c", SCRIPT, SENDER, str(FRAMES)],
        cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    counts = json.loads(run.stdout)
    assert counts == {
        "taps": [FRAMES, FRAMES],
        "drops": [FRAMES, FRAMES],
        "both": [2 * FRAMES, 2 * FRAMES],
        "lost": [0, 0, 0, 0],
    }
