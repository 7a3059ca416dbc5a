"""`pyebpf run OBJ --pcap FILE`: a program over every packet of a capture; its verdicts and maps."""

import argparse
import json
import pathlib
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyebpf.loader import CollectionSpec
from pyebpf.objects.collection import Collection
from pyebpf.objects.program import Program
from pyebpf.report import maps as map_report
from pyebpf.report import table
from pyebpf.report.progress import Progress
from pyebpf.sources import pcap
from pyebpf.spec.kinds import ProgType

VERDICTS = {
    ProgType.XDP: ("XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"),
    ProgType.SCHED_CLS: ("TC_ACT_OK", "TC_ACT_RECLASSIFY", "TC_ACT_SHOT", "TC_ACT_PIPE", "TC_ACT_STOLEN"),
    ProgType.FLOW_DISSECTOR: ("BPF_OK", "", "BPF_DROP"),
}


@dataclass(slots=True)
class Tally:
    """What was seen. read_ns: waiting for the reader; run_ns: in the program."""

    packets: int = 0
    nbytes: int = 0
    read_ns: int = 0
    run_ns: int = 0
    verdicts: Counter[int] = field(default_factory=Counter)
    truncated: int = 0

    def add(self, returned: NDArray[Any]) -> None:
        """Count return values."""
        if len(returned) and int(returned.max()) < 1 << 12:
            counts = np.bincount(returned)
            found = np.flatnonzero(counts)
            self.verdicts.update(dict(zip(found.tolist(), counts[found].tolist(), strict=True)))
            return
        values, times = np.unique(returned, return_counts=True)
        self.verdicts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("object", metavar="OBJ", help="an object file that clang made for BPF")
    parser.add_argument("--prog", metavar="NAME", help="the program, where the object has several")
    parser.add_argument("--pcap", metavar="FILE", required=True, help="a pcap or pcapng capture; - is standard input")
    parser.add_argument("--engine", choices=("jit", "interp"), default="jit", help="how to run it (jit)")
    parser.add_argument("--repeat", type=positive, default=1, metavar="N", help="replay the capture N times (1)")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="run on N threads (1)")
    parser.add_argument("--top", type=positive, default=20, metavar="N", help="elements of a map to print (20)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def positive(text: str) -> int:
    """An int above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}, expected at least 1")
    return value


def choose(spec: CollectionSpec, wanted: str | None, path: str) -> str:
    """The program's name; SystemExit with the reason when it is not plain."""
    names = list(spec.programs)
    if wanted is not None:
        if wanted not in names:
            raise SystemExit(f"pyebpf run: {path}: no program {wanted!r}, found {', '.join(names) or 'none'}")
        return wanted
    if len(names) != 1:
        raise SystemExit(f"pyebpf run: {path} has {len(names)} programs, choose one with --prog: {', '.join(names)}")
    return names[0]


def replay(program: Program, path: str, options: argparse.Namespace, tally: Tally) -> None:
    """The whole capture once."""
    total = 0 if path == "-" else pathlib.Path(path).stat().st_size
    with pcap.open_capture(path) as capture, Progress(pathlib.Path(path).name, total) as progress:
        batches = iter(capture)
        while True:
            start = time.perf_counter_ns()
            batch = next(batches, None)
            read = time.perf_counter_ns()
            tally.read_ns += read - start
            if batch is None:
                break
            returned = program.run_batch(batch, threads=options.threads)
            tally.run_ns += time.perf_counter_ns() - read
            tally.packets += len(batch)
            tally.nbytes += batch.wire_bytes
            tally.add(returned)
            progress.update(capture.position)
        tally.truncated += capture.truncated is not None


def record(tally: Tally, coll: Collection) -> dict[str, Any]:
    """The result as JSON gives it."""
    spent = tally.read_ns + tally.run_ns
    n = max(tally.packets, 1)
    shown = {name: m for name, m in coll.maps.items() if not coll.spec.maps[name].is_data}
    return {
        "packets": tally.packets,
        "bytes": tally.nbytes,
        "verdicts": {str(k): v for k, v in sorted(tally.verdicts.items())},
        "ns_per_packet": round(spent / n, 3),
        "mpps": round(tally.packets / max(spent, 1) * 1e3, 4),
        "run_ns_per_packet": round(tally.run_ns / n, 3),
        "truncated": tally.truncated,
        "maps": map_report.as_json(shown),
    }


def show(tally: Tally, coll: Collection, program: Program, top: int) -> None:
    """The result for people."""
    spent = tally.read_ns + tally.run_ns
    n = max(tally.packets, 1)
    print(
        f"{program.name} ({program.type.name.lower()}, {program.engine}): {tally.packets:,} packets, "
        f"{tally.nbytes:,} bytes, {tally.run_ns / n:.1f} ns each in the program, "
        f"{spent / n:.1f} with reading ({tally.packets / max(spent, 1) * 1e3:.2f} Mpps)"
    )
    if tally.truncated:
        print("the capture's last record is cut off and was left out")
    names = VERDICTS.get(program.type, ())
    rows = [
        [str(value), names[value] if value < len(names) else "", f"{count:,}", f"{100 * count / n:.1f} %"]
        for value, count in tally.verdicts.most_common(10)
    ]
    if rows:
        print("\n" + table.render(["returned", "", "packets", "share"], rows))
    for name, m in coll.maps.items():
        spec = coll.spec.maps[name]
        shown = "" if spec.is_data else map_report.text(m, spec, top)
        if shown:
            print(f"\n{name}: {m.type.name.lower()}, {len(m):,} of {m.max_entries:,} elements\n{shown}")


def run(options: argparse.Namespace) -> int:
    """Replay and print."""
    spec = CollectionSpec.load(options.object)
    name = choose(spec, options.prog, options.object)
    if options.pcap == "-" and options.repeat > 1:
        raise SystemExit("pyebpf run: standard input cannot be replayed; leave out --repeat")
    tally = Tally()
    with Collection.load(spec, programs=(name,), engine=options.engine) as coll:
        program = coll.programs[name]
        for _ in range(options.repeat):
            replay(program, options.pcap, options, tally)
        if options.json:
            print(json.dumps(record(tally, coll)))
        else:
            show(tally, coll, program, options.top)
    return 0
