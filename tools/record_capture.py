"""Records the capture that ships with pyebpf: `python tools/record_capture.py OUT.pcapng`, as root.

Two network namespaces of its own, client and server, and this process between them in a third, which forwards every
frame. curl, wget, iperf3, nc, ping and small socket programs talk through it: all of that is real, and recorded on the
interface `client`. Some of the flows it wraps on the way (VLAN, QinQ, PPPoE, GRE, IPIP, 6in4, SCTP), since Linux here
has no such devices: those frames travel over a link of their own, recorded as interface `synthetic`, and are unwrapped
before they are handed on, so that the programs' data goes through them.
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

SNAPLEN = 128
ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35
CLIENT, SERVER = ("10.7.0.1", "fd07::1"), ("10.7.0.2", "fd07::2")

# What a frame is wrapped in: (wrap, unwrap), each from frame to frame.
ETH, IP4, IP6 = 14, 0x0800, 0x86DD
OUTER = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2")


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def outer_ip(proto: int, payload: bytes) -> bytes:
    """An IPv4 packet of the tunnel."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, 0) + OUTER
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def tag(kinds: tuple[tuple[int, int], ...], frame: bytes) -> bytes:
    """VLAN tags: (EtherType, id) each, outermost first."""
    tags = b"".join(struct.pack("!HH", kind, vid) for kind, vid in kinds)
    return frame[:12] + tags + frame[12:]


def pppoe(frame: bytes) -> bytes:
    """A PPPoE session's data."""
    ppp = 0x21 if frame[12:14] == b"\x08\x00" else 0x57
    return frame[:12] + struct.pack("!HBBHHH", 0x8864, 0x11, 0, 7, len(frame) - ETH + 2, ppp) + frame[ETH:]


def from_pppoe(frame: bytes) -> bytes:
    """Undo it."""
    kind = IP4 if frame[20:22] == b"\x00\x21" else IP6
    return frame[:12] + struct.pack("!H", kind) + frame[22:]


def gre(flags: int, words: bytes, bridged: bool) -> Callable[[bytes], bytes]:
    """GRE over IPv4 with those flags and the words they announce; bridged: the whole frame inside."""

    def wrap(frame: bytes) -> bytes:
        kind = b"\x65\x58" if bridged else frame[12:14]
        payload = struct.pack("!H", flags) + kind + words + (frame if bridged else frame[ETH:])
        return frame[:12] + b"\x08\x00" + outer_ip(47, payload)

    return wrap


def from_gre(nbytes: int, bridged: bool) -> Callable[[bytes], bytes]:
    """Undo it; nbytes: of the GRE header."""

    def unwrap(frame: bytes) -> bytes:
        at = ETH + 20 + nbytes
        return frame[at:] if bridged else frame[:12] + frame[ETH + 22 : ETH + 24] + frame[at:]

    return unwrap


def in_ip(frame: bytes) -> bytes:
    """IPIP or 6in4."""
    return frame[:12] + b"\x08\x00" + outer_ip(4 if frame[12:14] == b"\x08\x00" else 41, frame[ETH:])


def from_ip(frame: bytes) -> bytes:
    """Undo it."""
    return frame[:12] + struct.pack("!H", IP4 if frame[23] == 4 else IP6) + frame[ETH + 20 :]


def sctp(frame: bytes) -> bytes:
    """UDP over IPv4 without options as a DATA chunk of SCTP; the tag keeps UDP's checksum."""
    head, udp, data = frame[ETH : ETH + 20], frame[ETH + 20 : ETH + 28], frame[ETH + 28 :]
    body = udp[:4] + struct.pack("!HHI", 0, *struct.unpack("!H", udp[6:8]), 0)
    body += struct.pack("!BBHIHHI", 0, 3, 16 + len(data), 1, 0, 0, 0) + data
    head = head[:2] + struct.pack("!H", 20 + len(body)) + head[4:9] + b"\x84" + b"\0\0" + head[12:]
    return frame[:ETH] + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def from_sctp(frame: bytes) -> bytes:
    """Undo it."""
    head, ports, data = frame[ETH : ETH + 20], frame[ETH + 20 : ETH + 24], frame[ETH + 48 :]
    head = head[:2] + struct.pack("!H", 28 + len(data)) + head[4:9] + b"\x11" + b"\0\0" + head[12:]
    udp = ports + struct.pack("!H", 8 + len(data)) + frame[ETH + 26 : ETH + 28]
    return frame[:ETH] + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp + data


WRAPS: tuple[tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]], ...] = (
    (lambda f: tag(((0x8100, 5),), f), lambda f: f[:12] + f[16:]),
    (lambda f: tag(((0x88A8, 7), (0x8100, 9)), f), lambda f: f[:12] + f[20:]),
    (pppoe, from_pppoe),
    (gre(0, b"", False), from_gre(4, False)),
    (gre(0x3000, struct.pack("!II", 99, 3), False), from_gre(12, False)),
    (gre(0x2000, struct.pack("!I", 1), True), from_gre(8, True)),
    (in_ip, from_ip),
    (in_ip, from_ip),
)
SCTP_WRAP = (sctp, from_sctp)
PLAIN_SHARE = 16
"""Of so many flows, those whose number is below len(WRAPS) are wrapped."""


def wrap_of(frame: bytes) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]] | None:
    """How a frame's flow is wrapped, the same for both directions; None: not, as fragments and what is neither TCP nor
    UDP."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) >= 38 and frame[14] == 0x45 and not frame[20] & 0x3F and not frame[21]:
        proto, ends = frame[23], (frame[26:30] + frame[34:36], frame[30:34] + frame[36:38])
    elif kind == b"\x86\xdd" and len(frame) >= 58:
        proto, ends = frame[20], (frame[22:38] + frame[54:56], frame[38:54] + frame[56:58])
    else:
        return None
    if proto not in (6, 17):
        return None
    number = zlib.crc32(bytes([proto]) + b"".join(sorted(ends))) % PLAIN_SHARE
    if proto == 17 and kind == b"\x08\x00" and number == len(WRAPS):
        return SCTP_WRAP
    return WRAPS[number] if number < len(WRAPS) else None


# The links


def sh(*command: str) -> None:
    """Run one command."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def namespace(inside: str, outside: str, addresses: tuple[str, str], mac: str) -> Iterator[list[str]]:
    """A namespace joined to this one by the veth pair inside/outside; gives what runs a command in it."""
    holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
    try:
        time.sleep(0.3)
        enter = ["nsenter", "-t", str(holder.pid), "-n"]
        sh("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "address", mac)
        sh("ip", "link", "set", inside, "netns", str(holder.pid))
        for command in (
            ["ip", "addr", "add", f"{addresses[0]}/24", "dev", inside],
            ["ip", "addr", "add", f"{addresses[1]}/64", "dev", inside, "nodad"],
            ["ip", "link", "set", "lo", "up"],
            ["ip", "link", "set", inside, "up"],
            ["ethtool", "-K", inside, "tx", "off", "tso", "off", "gso", "off", "gro", "off", "sg", "off"],
        ):
            sh(*enter, *command)
        quiet(outside)
        yield enter
    finally:
        holder.kill()
        holder.wait()


def quiet(interface: str) -> None:
    """Up, without addresses and neighbour discovery of its own."""
    pathlib.Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("1")
    sh("ip", "link", "set", interface, "mtu", "1600", "up")
    sh("ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off")


def packet_socket(interface: str) -> socket.socket:
    """A raw socket on an interface."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.bind((interface, ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
    return sock


def forward(client: str, server: str, wrapped: str) -> None:
    """Hand frames on between client and server; a wrapped one is seen on that link."""
    import selectors

    ends = {packet_socket(client): packet_socket(server)}
    ends |= {b: a for a, b in ends.items()}
    link = packet_socket(wrapped)
    select = selectors.DefaultSelector()
    for sock in ends:
        select.register(sock, selectors.EVENT_READ)
    while True:
        for key, _ in select.select():
            sock = key.fileobj
            frame, where = sock.recvfrom(65536)  # type: ignore[union-attr]
            if where[2] == PACKET_OUTGOING:
                continue
            how = wrap_of(frame)
            if how:
                wire = how[0](frame)
                link.send(wire)
                assert how[1](wire) == frame, "unwrapping does not give the frame back"
                frame = how[1](wire)
            ends[sock].send(frame)  # type: ignore[index]


# The recorder


def block(kind: int, body: bytes) -> bytes:
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def options(*pairs: tuple[int, bytes]) -> bytes:
    """Options of a block."""
    return b"".join(struct.pack("<HH", c, len(v)) + v + bytes(-len(v) % 4) for c, v in pairs) + bytes(4)


def record(out: BinaryIO, links: list[tuple[str, bytes, bytes]]) -> None:
    """Write what the links carry until SIGTERM; links: (interface, name, description), the first recorded both ways."""
    import select

    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    comment = (
        b"Made by pyebpf's tools/record_capture.py. Interface client: real programs over veth. Interface synthetic: "
    )
    comment += b"some of these flows as a forwarder wrapped them."
    out.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options((1, comment))))
    socks = []
    for interface, name, description in links:
        sock = packet_socket(interface)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        socks.append(sock)
        told = options((2, name), (3, description), (9, b"\x09"))
        out.write(block(1, struct.pack("<HHI", 1, 0, SNAPLEN) + told))
    while running:
        ready, _, _ = select.select(socks, [], [], 0.2)
        for sock in ready:
            take(out, sock, socks.index(sock))
    out.close()


def take(out: BinaryIO, sock: socket.socket, iface: int) -> None:
    """One packet."""
    data, ancillary, _, where = sock.recvmsg(65536, 64)
    if iface and where[2] != PACKET_OUTGOING:
        return
    seconds, ns = next(struct.unpack("qq", d[:16]) for lev, kind, d in ancillary if kind == SO_TIMESTAMPNS)
    stamp = seconds * 10**9 + ns
    kept = data[:SNAPLEN]
    head = struct.pack("<IIIII", iface, stamp >> 32, stamp & 0xFFFFFFFF, len(kept), len(data))
    out.write(block(6, head + kept))


# The programs


UDP_TALK = """
import socket, sys, time
family, where = (socket.AF_INET6, sys.argv[2]) if ":" in sys.argv[2] else (socket.AF_INET, sys.argv[2])
if sys.argv[1] == "serve":
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(("::", 5353))
    while True:
        data, peer = s.recvfrom(65536)
        s.sendto(data[::-1], peer)
for flow in range(60):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(1)
    if family == socket.AF_INET6 and flow % 3 == 0:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
    if family == socket.AF_INET6 and flow % 3 == 1:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
    if family == socket.AF_INET and flow % 5 == 0:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, 1, 1, 1]))
    for i in range(12):
        s.sendto(b"x" * (40 + 97 * i), (where, 5353))
        try:
            s.recv(65536)
        except TimeoutError:
            print("lost", flow, i)
"""


def serve(enter: list[str], folder: pathlib.Path) -> list[subprocess.Popen[bytes]]:
    """The server's programs."""
    for size in (200, 3000, 40_000, 600_000):
        (folder / f"{size}").write_bytes(os.urandom(size))
    commands: list[list[str]] = [
        [sys.executable, "-m", "http.server", "--bind", "::", "8080", "-d", str(folder)],
        ["iperf3", "-s"],
        [sys.executable, "-c", UDP_TALK, "serve", "::"],
        ["nc", "-6", "-k", "-l", "-p", "9000"],
    ]
    return [
        subprocess.Popen([*enter, *c], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for c in commands
    ]


def talk(enter: list[str]) -> None:
    """The client's programs, one after another."""

    def run(*command: str, data: bytes | None = None) -> None:
        done = subprocess.run([*enter, *command], input=data, stdout=subprocess.DEVNULL, timeout=120)
        print(" ".join(command[:6]).replace("\n", " ")[:90], "->", done.returncode, flush=True)

    run("ping", "-c", "300", "-i", "0.01", "-q", SERVER[0])
    run("ping", "-c", "300", "-i", "0.01", "-q", SERVER[1])
    run("ping", "-c", "60", "-i", "0.01", "-s", "4000", "-q", SERVER[0])
    run("ping", "-c", "60", "-i", "0.01", "-s", "4000", "-q", SERVER[1])
    run("ping", "-R", "-c", "60", "-i", "0.01", "-q", SERVER[0])
    for host in (SERVER[0], f"[{SERVER[1]}]"):
        for size, times in ((200, 60), (3000, 40), (40_000, 20), (600_000, 4)):
            for _ in range(times):
                subprocess.run([*enter, "curl", "-s", "-o", "/dev/null", f"http://{host}:8080/{size}"], check=True)
        run("wget", "-q", "-O", "/dev/null", f"http://{host}:8080/600000")
    for where in SERVER:
        run(sys.executable, "-c", UDP_TALK, "ask", where)
        run("iperf3", "-c", where, "-n", "2M", "-P", "4", "-l", "16K")
        run("iperf3", "-c", where, "-u", "-b", "4M", "-n", "1M", "-l", "900", "-P", "3")
        run("iperf3", "-c", where, "-u", "-b", "4M", "-n", "400K", "-l", "4000")
        run("nc", "-N", where, "9000", data=os.urandom(100_000))


def child(work: Callable[[], None]) -> int:
    """work() in a child process that ends with this one."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
        if os.getppid() == parent:
            work()
        os._exit(0)
    return pid


def main() -> int:
    """Record into sys.argv[1]."""
    if os.environ.get("PYEBPF_RECORD_NETNS") != "1":
        os.environ["PYEBPF_RECORD_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    target = pathlib.Path(sys.argv[1])
    with (
        tempfile.TemporaryDirectory() as folder,
        namespace("c0", "c1", CLIENT, "02:00:00:00:07:01") as client,
        namespace("s0", "s1", SERVER, "02:00:00:00:07:02") as server,
    ):
        sh("ip", "link", "add", "w1", "type", "veth", "peer", "name", "w2")
        quiet("w1")
        quiet("w2")
        links = [
            ("c1", b"client", b"real traffic of real programs"),
            ("w1", b"synthetic", b"some flows of client, wrapped"),
        ]
        forwarder = child(lambda: forward("c1", "s1", "w1"))
        recorder = child(lambda: record(target.open("wb"), links))
        time.sleep(0.5)
        servers = serve(server, pathlib.Path(folder))
        time.sleep(1.0)
        try:
            talk(client)
            time.sleep(1.0)
        finally:
            for process in servers:
                process.kill()
                process.wait()
            for pid in (forwarder, recorder):
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)
    print(f"{target}: {target.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
