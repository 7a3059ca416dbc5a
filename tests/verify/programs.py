"""Programs and Linux 6.18's verdicts on them, for test_verdicts.py: name, type, assembly, errno, first message.

Maps by index: tests/fuzz/edge.py MAPS.
"""

PROGRAMS: tuple[tuple[str, str, str, int, str], ...] = (
    (
        "exit needs r0", "xdp",
        """
        exit
        """,
        13, "R0 !read_ok",
    ),
    (
        "constant", "xdp",
        """
        r0 = 1
        exit
        """,
        0, "",
    ),
    (
        "unreachable", "xdp",
        """
        r0 = 1
        exit
        r0 = 2
        exit
        """,
        22, "unreachable insn 2",
    ),
    (
        "falls off the end", "xdp",
        """
        r0 = 1
        """,
        22, "last insn is not an exit or jmp",
    ),
    (
        "jump out", "xdp",
        """
        if r1 == 0 goto +5
        r0 = 0
        exit
        """,
        22, "jump out of range from insn 0 to 6",
    ),
    (
        "uninitialised source", "xdp",
        """
        r0 = r2
        exit
        """,
        13, "R2 !read_ok",
    ),
    (
        "frame pointer is read only", "xdp",
        """
        r10 = 0
        r0 = 0
        exit
        """,
        13, "frame pointer is read only",
    ),
    (
        "division by zero", "xdp",
        """
        r0 = 1
        r0 /= 0
        exit
        """,
        22, "div by zero",
    ),
    (
        "shift too far", "xdp",
        """
        r0 = 1
        r0 <<= 64
        exit
        """,
        22, "invalid shift 64",
    ),
    (
        "shift of w too far", "xdp",
        """
        r0 = 1
        w0 <<= 32
        exit
        """,
        22, "invalid shift 32",
    ),
    (
        "endless loop", "xdp",
        """
        r0 = 0
        goto -1
        exit
        """,
        22, "unreachable insn 2",
    ),
    (
        "endless loop 2", "xdp",
        """
        r0 = 0
        l: if r0 == 0 goto l
        exit
        """,
        22, "infinite loop detected at insn 1",
    ),
    (
        "bounded loop", "xdp",
        """
        r0 = 0
        l: r0 += 1
        if r0 < 10 goto l
        exit
        """,
        0, "",
    ),
    (
        "pointer plus pointer", "xdp",
        """
        r2 = r1
        r2 += r1
        r0 = 0
        exit
        """,
        13, "R2 pointer += pointer prohibited",
    ),
    (
        "pointer minus pointer", "xdp",
        """
        r2 = r1
        r2 -= r1
        r0 = 0
        exit
        """,
        0, "",
    ),
    (
        "pointer times", "xdp",
        """
        r1 *= 2
        r0 = 0
        exit
        """,
        13, "R1 pointer arithmetic with *= operator prohibited",
    ),
    (
        "pointer and", "xdp",
        """
        r1 &= 7
        r0 = 0
        exit
        """,
        13, "R1 bitwise operator &= on pointer prohibited",
    ),
    (
        "32-bit pointer arithmetic", "xdp",
        """
        w1 += 1
        r0 = 0
        exit
        """,
        13, "R1 32-bit pointer arithmetic prohibited",
    ),
    (
        "scalar dereferenced", "xdp",
        """
        r1 = 5
        r0 = *(u64 *)(r1 + 0)
        exit
        """,
        13, "R1 invalid mem access 'scalar'",
    ),
    (
        "stack below", "xdp",
        """
        r0 = *(u64 *)(r10 - 520)
        exit
        """,
        13, "invalid read from stack R10 off=-520 size=8",
    ),
    (
        "stack above", "xdp",
        """
        r0 = *(u64 *)(r10 + 0)
        exit
        """,
        13, "invalid read from stack R10 off=0 size=8",
    ),
    (
        "stack misaligned", "xdp",
        """
        r0 = 0
        *(u64 *)(r10 - 12) = r0
        exit
        """,
        13, "misaligned stack access off 0+0+-12 size 8",
    ),
    (
        "spill and fill of a pointer", "xdp",
        """
        *(u64 *)(r10 - 8) = r1
        r2 = *(u64 *)(r10 - 8)
        r0 = *(u32 *)(r2 + 12)
        exit
        """,
        0, "",
    ),
    (
        "part of a spilled pointer", "xdp",
        """
        *(u64 *)(r10 - 8) = r1
        r0 = *(u32 *)(r10 - 8)
        exit
        """,
        13, "invalid size of register fill",
    ),
    (
        "narrow spill of a pointer", "xdp",
        """
        *(u32 *)(r10 - 8) = r1
        r0 = 0
        exit
        """,
        13, "invalid size of register spill",
    ),
    (
        "variable stack offset", "xdp",
        """
        r2 = *(u32 *)(r1 + 12)
        r2 &= 15
        r2 -= 16
        r3 = r10
        r3 += r2
        r0 = *(u8 *)(r3 + 0)
        exit
        """,
        0, "",
    ),
    (
        "unbounded stack offset", "xdp",
        """
        r2 = *(u32 *)(r1 + 12)
        r2 <<= 5
        r3 = r10
        r3 += r2
        r0 = *(u8 *)(r3 + 0)
        exit
        """,
        13, "invalid unbounded variable-offset read from stack R3",
    ),
    (
        "ctx field", "xdp",
        """
        r0 = *(u32 *)(r1 + 12)
        exit
        """,
        0, "",
    ),
    (
        "ctx narrow", "xdp",
        """
        r0 = *(u8 *)(r1 + 12)
        exit
        """,
        13, "invalid bpf_context access off=12 size=1",
    ),
    (
        "ctx beyond", "xdp",
        """
        r0 = *(u32 *)(r1 + 24)
        exit
        """,
        13, "invalid bpf_context access off=24 size=4",
    ),
    (
        "ctx write", "xdp",
        """
        r0 = 0
        *(u32 *)(r1 + 12) = r0
        exit
        """,
        13, "invalid bpf_context access off=12 size=4",
    ),
    (
        "ctx moved", "xdp",
        """
        r1 += 4
        r0 = *(u32 *)(r1 + 8)
        exit
        """,
        13, "dereference of modified ctx ptr R1 off=4 disallowed",
    ),
    (
        "skb cb", "socket_filter",
        """
        r0 = 0
        *(u32 *)(r1 + 48) = r0
        exit
        """,
        0, "",
    ),
    (
        "skb mark", "socket_filter",
        """
        r0 = 0
        *(u32 *)(r1 + 8) = r0
        exit
        """,
        13, "invalid bpf_context access off=8 size=4",
    ),
    (
        "tc mark", "sched_cls",
        """
        r0 = 0
        *(u32 *)(r1 + 8) = r0
        exit
        """,
        0, "",
    ),
    (
        "packet unchecked", "xdp",
        """
        r2 = *(u32 *)(r1 + 0)
        r0 = *(u8 *)(r2 + 0)
        exit
        """,
        13, "invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)",
    ),
    (
        "packet checked", "xdp",
        """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 14
        if r4 > r3 goto +2
        r0 = *(u8 *)(r2 + 13)
        exit
        r0 = 0
        exit
        """,
        0, "",
    ),
    (
        "packet one too far", "xdp",
        """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 14
        if r4 > r3 goto +2
        r0 = *(u8 *)(r2 + 14)
        exit
        r0 = 0
        exit
        """,
        13, "invalid access to packet, off=14 size=1, R2(id=0,off=14,r=14)",
    ),
    (
        "packet on the wrong branch", "xdp",
        """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 14
        if r4 > r3 goto +1
        goto +1
        r0 = *(u8 *)(r2 + 0)
        r0 = 0
        exit
        """,
        13, "invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)",
    ),
    (
        "packet with variable offset", "xdp",
        """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r5 = *(u32 *)(r1 + 12)
        r5 &= 255
        r2 += r5
        r4 = r2
        r4 += 4
        if r4 > r3 goto +2
        r0 = *(u32 *)(r2 + 0)
        exit
        r0 = 0
        exit
        """,
        0, "",
    ),
    (
        "packet write", "xdp",
        """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 1
        if r4 > r3 goto +1
        *(u8 *)(r2 + 0) = 1
        r0 = 0
        exit
        """,
        0, "",
    ),
    (
        "flow dissector may not write", "flow_dissector",
        """
        r2 = *(u32 *)(r1 + 76)
        r3 = *(u32 *)(r1 + 80)
        r4 = r2
        r4 += 1
        if r4 > r3 goto +1
        *(u8 *)(r2 + 0) = 1
        r0 = 0
        exit
        """,
        13, "cannot write into packet",
    ),
    (
        "flow keys", "flow_dissector",
        """
        r2 = *(u64 *)(r1 + 144)
        *(u16 *)(r2 + 0) = 14
        r0 = 0
        exit
        """,
        0, "",
    ),
    (
        "flow keys beyond", "flow_dissector",
        """
        r2 = *(u64 *)(r1 + 144)
        *(u32 *)(r2 + 56) = 14
        r0 = 0
        exit
        """,
        13, "invalid access to flow keys off=56 size=4",
    ),
    (
        "ld_abs", "socket_filter",
        """
        r6 = r1
        r0 = *(u8 *)skb[23]
        exit
        """,
        0, "",
    ),
    (
        "ld_abs without r6", "socket_filter",
        """
        r0 = *(u8 *)skb[23]
        exit
        """,
        13, "R6 !read_ok",
    ),
    (
        "ld_abs in xdp", "xdp",
        """
        r6 = r1
        r0 = *(u8 *)skb[23]
        exit
        """,
        22, "BPF_LD_[ABS|IND] instructions not allowed for this program type",
    ),
    (
        "ld_abs clobbers", "socket_filter",
        """
        r6 = r1
        r0 = *(u8 *)skb[23]
        r0 = r1
        exit
        """,
        13, "R1 !read_ok",
    ),
    (
        "unknown helper", "xdp",
        """
        call 9999
        exit
        """,
        22, "invalid func unknown#9999",
    ),
    (
        "helper of another type", "xdp",
        """
        call 26
        exit
        """,
        22, "program of this type cannot use helper bpf_skb_load_bytes#26",
    ),
    (
        "helper clobbers", "xdp",
        """
        call 5
        r0 = r1
        exit
        """,
        13, "R1 !read_ok",
    ),
    (
        "helper argument", "xdp",
        """
        r1 = 0
        r2 = r10
        call 1
        exit
        """,
        13, "R1 type=scalar expected=map_ptr",
    ),
    (
        "trace_printk size", "xdp",
        """
        r1 = r10
        r1 += -8
        r2 = 0
        call 6
        r0 = 0
        exit
        """,
        13, "R2 invalid zero-sized read: u64=[0,0]",
    ),
    (
        "trace_printk variable size", "xdp",
        """
        r3 = *(u32 *)(r1 + 12)
        r1 = r10
        r1 += -8
        r2 = r3
        call 6
        r0 = 0
        exit
        """,
        13, "R2 invalid zero-sized read: u64=[0,4294967295]",
    ),
    (
        "packet pointer after a resize", "xdp",
        """
        r6 = r1
        r7 = *(u32 *)(r1 + 0)
        r8 = *(u32 *)(r1 + 4)
        r2 = 0
        call 44
        r3 = r7
        r3 += 1
        if r3 > r8 goto +1
        r0 = *(u8 *)(r7 + 0)
        r0 = 0
        exit
        """,
        13, "R7 invalid mem access 'scalar'",
    ),
    (
        "atomic on ctx", "xdp",
        """
        r2 = 1
        lock *(u32 *)(r1 + 12) += r2
        r0 = 0
        exit
        """,
        13, "BPF_ATOMIC stores into R1 ctx is not allowed",
    ),
    (
        "atomic on stack", "xdp",
        """
        r2 = 1
        *(u64 *)(r10 - 8) = r2
        lock *(u64 *)(r10 - 8) += r2
        r0 = 0
        exit
        """,
        0, "",
    ),
    (
        "local call", "xdp",
        """
        call +1
        exit
        r0 = 3
        exit
        """,
        0, "",
    ),
    (
        "call saves r6 only", "xdp",
        """
        r2 = 1
        call +2
        r0 = r2
        exit
        r0 = 3
        exit
        """,
        13, "R2 !read_ok",
    ),
    (
        "stack pointer returned", "xdp",
        """
        call +1
        exit
        r0 = r10
        exit
        """,
        22, "cannot return stack pointer to the caller",
    ),
    (
        "call into the middle", "xdp",
        """
        call +9
        exit
        """,
        22, "call to invalid destination",
    ),
    (
        "deep chain of stacks", "xdp",
        """
        *(u64 *)(r10 - 300) = 0
        call +1
        exit
        *(u64 *)(r10 - 304) = 0
        r0 = 0
        exit
        """,
        13, "misaligned stack access off 0+0+-300 size 8",
    ),
    (
        "both halves", "xdp",
        """
        r2 = *(u32 *)(r1 + 12)
        if w2 > 7 goto +3
        r3 = r10
        r3 -= 1
        goto +1
        r0 = 0
        r0 = 0
        exit
        """,
        13, "R3 subtraction from stack pointer prohibited",
    ),
    (
        "tracepoint common fields", "tracepoint",
        """
        r0 = *(u64 *)(r1 + 0)
        exit
        """,
        13, "invalid bpf_context access off=0 size=8",
    ),
    (
        "tracepoint field", "tracepoint",
        """
        r0 = *(u64 *)(r1 + 8)
        exit
        """,
        0, "",
    ),
    (
        "raw arguments", "raw_tracepoint",
        """
        r0 = *(u64 *)(r1 + 88)
        exit
        """,
        0, "",
    ),
    (
        "raw arguments beyond", "raw_tracepoint",
        """
        r0 = *(u64 *)(r1 + 96)
        exit
        """,
        13, "invalid bpf_context access off=96 size=8",
    ),
    (
        "pt_regs", "kprobe",
        """
        r0 = *(u64 *)(r1 + 160)
        exit
        """,
        0, "",
    ),
    (
        "pt_regs beyond", "kprobe",
        """
        r0 = *(u64 *)(r1 + 168)
        exit
        """,
        13, "invalid bpf_context access off=168 size=8",
    ),
    (
        "perf data", "perf_event",
        """
        r0 = *(u64 *)(r1 + 168)
        exit
        """,
        0, "",
    ),
    (
        "perf data narrow register", "perf_event",
        """
        r0 = *(u32 *)(r1 + 160)
        exit
        """,
        13, "invalid bpf_context access off=160 size=4",
    ),
    (
        "equal scalars learn together", "xdp",
        """
        r2 = *(u32 *)(r1 + 12)
        r3 = r2
        if r2 > 7 goto +5
        r4 = r10
        r4 += -16
        r4 += r3
        r0 = *(u8 *)(r4 + 0)
        exit
        r0 = 0
        exit
        """,
        0, "",
    ),
    (
        "sum keeps the link", "xdp",
        """
        r2 = *(u32 *)(r1 + 12)
        r3 = r2
        r3 += 4
        if r2 > 7 goto +5
        r4 = r10
        r4 += -16
        r4 += r3
        r0 = *(u8 *)(r4 + 0)
        exit
        r0 = 0
        exit
        """,
        0, "",
    ),
    (
        "signed bound alone", "xdp",
        """
        r2 = *(u64 *)(r10 - 8)
        if r2 s> 7 goto +5
        r4 = r10
        r4 += -16
        r4 += r2
        r0 = *(u8 *)(r4 + 0)
        exit
        r0 = 0
        exit
        """,
        22, "math between fp pointer and register with unbounded min value is not allowed",
    ),
    (
        "may_goto loop", "xdp",
        """
        r0 = 0
        l: may_goto +2
        r0 += 1
        goto l
        exit
        """,
        0, "",
    ),
    (
        "map lookup unchecked", "xdp",
        """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[idx:2] ll
        call 1
        r0 = *(u64 *)(r0 + 0)
        exit
        """,
        13, "R0 invalid mem access 'map_value_or_null'",
    ),
    (
        "map lookup checked", "xdp",
        """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[idx:2] ll
        call 1
        if r0 == 0 goto +1
        r0 = *(u64 *)(r0 + 0)
        exit
        """,
        0, "",
    ),
    (
        "map value beyond", "xdp",
        """
        r1 = map[idx:0][0]+0 ll
        r0 = *(u64 *)(r1 + 256)
        exit
        """,
        13, "invalid access to map value, value_size=256 off=256 size=8",
    ),
    (
        "map value variable offset", "xdp",
        """
        r2 = *(u32 *)(r1 + 12)
        r2 &= 127
        r1 = map[idx:0][0]+0 ll
        r1 += r2
        r0 = *(u64 *)(r1 + 0)
        exit
        """,
        0, "",
    ),
    (
        "map value unbounded", "xdp",
        """
        r2 = *(u32 *)(r1 + 12)
        r1 = map[idx:0][0]+0 ll
        r1 += r2
        r0 = *(u64 *)(r1 + 0)
        exit
        """,
        13, "R1 unbounded memory access, make sure to bounds check any such access",
    ),
)  # fmt: skip
