/* One interpreter: a direct-threaded function over decoded code. interp.c includes this once for each
 *   INTERP_NAME    name of the function
 *   INTERP_BUDGET  1: count back edges and calls
 * It is a file, since a function that takes addresses of its labels cannot be inlined into two others.
 */

#define DST  regs[insn->dst]
#define SRC  regs[insn->src]
#define IMM  insn->imm
#define SRC4 ((uint32_t)SRC)
#define DST4 ((uint32_t)DST)
#define IMM4 ((uint32_t)IMM)
#define NEXT                                                                                                           \
	do {                                                                                                           \
		insn++;                                                                                                \
		goto *labels[insn->op];                                                                                \
	} while (0)
/* With INTERP_BUDGET every call and every jump back takes one from the budget. */
#define SPEND                                                                                                          \
	do {                                                                                                           \
		if (INTERP_BUDGET && unlikely(--run->budget < 0) && !ebpf_budget_refill(run))                          \
			goto out;                                                                                      \
	} while (0)
#define JUMP                                                                                                           \
	do {                                                                                                           \
		const struct ebpf_dinsn *to = insns + insn->target;                                                    \
		if (INTERP_BUDGET && to <= insn)                                                                       \
			SPEND;                                                                                         \
		insn = to;                                                                                             \
		goto *labels[insn->op];                                                                                \
	} while (0)

#define ALU_X4(name, e64_k, e64_x, e32_k, e32_x)                                                                       \
	L_##name##64_K : DST = (e64_k);                                                                                \
	NEXT;                                                                                                          \
	L_##name##64_X : DST = (e64_x);                                                                                \
	NEXT;                                                                                                          \
	L_##name##32_K : DST = (uint32_t)(e32_k);                                                                      \
	NEXT;                                                                                                          \
	L_##name##32_X : DST = (uint32_t)(e32_x);                                                                      \
	NEXT;
#define ALU_OP(name, op)    ALU_X4(name, DST op IMM, DST op SRC, DST4 op IMM4, DST4 op SRC4)
#define ALU_SHIFT(name, op) ALU_X4(name, DST op(IMM & 63), DST op(SRC & 63), DST4 op(IMM4 & 31), DST4 op(SRC4 & 31))
#define ALU_FN(name, fn)    ALU_X4(name, fn##64(DST, IMM), fn##64(DST, SRC), fn##32(DST4, IMM4), fn##32(DST4, SRC4))

#define UNARY(name, expr)                                                                                              \
	L_##name : DST = (expr);                                                                                       \
	NEXT;

#define COND1(name, test)                                                                                              \
	L_##name : if (test) JUMP;                                                                                     \
	NEXT;
#define COND(name, op, type64, type32)                                                                                 \
	COND1(name##64_K, (type64)DST op(type64) IMM)                                                                  \
	COND1(name##64_X, (type64)DST op(type64) SRC)                                                                  \
	COND1(name##32_K, (type32)DST op(type32) IMM)                                                                  \
	COND1(name##32_X, (type32)DST op(type32) SRC)

#define ADDR(type, reg) ((type *)(uintptr_t)((reg) + (uint64_t)(int64_t)insn->off))
#define MEMORY(size, u, s)                                                                                             \
	L_LDX_##size : DST = *ADDR(any_##u, SRC);                                                                      \
	NEXT;                                                                                                          \
	L_ST_##size : *ADDR(any_##u, DST) = (any_##u)IMM;                                                              \
	NEXT;                                                                                                          \
	L_STX_##size : *ADDR(any_##u, DST) = (any_##u)SRC;                                                             \
	NEXT;                                                                                                          \
	L_LOAD_ACQ_##size : DST = __atomic_load_n(ADDR(shared_##u, SRC), __ATOMIC_ACQUIRE);                            \
	NEXT;                                                                                                          \
	L_STORE_REL_##size : __atomic_store_n(ADDR(shared_##u, DST), (shared_##u)SRC, __ATOMIC_RELEASE);               \
	NEXT;
#define MEMORY_NARROW(size, u, s, nbytes)                                                                              \
	L_LDXSX_##size : DST = (uint64_t)(int64_t)(s) * ADDR(any_##u, SRC);                                            \
	NEXT;                                                                                                          \
	L_LD_ABS_##size : value = ebpf_ld_abs((void *)(uintptr_t)regs[6], (int32_t)IMM, nbytes);                       \
	goto loaded;                                                                                                   \
	L_LD_IND_##size : value = ebpf_ld_abs((void *)(uintptr_t)regs[6], (int32_t)(SRC4 + IMM4), nbytes);             \
	goto loaded;

/* Without fetch nobody can see an order; with it all are fully ordered, as in Linux. */
#define ATOMIC_RMW(name, fn, bits)                                                                                     \
	L_ATOMIC_##name##bits : __atomic_fetch_##fn(ADDR(shared_u##bits, DST), (uint##bits##_t)SRC, __ATOMIC_RELAXED); \
	NEXT;                                                                                                          \
	L_ATOMIC_FETCH_##name##bits                                                                                    \
	    : SRC = __atomic_fetch_##fn(ADDR(shared_u##bits, DST), (uint##bits##_t)SRC, __ATOMIC_SEQ_CST);             \
	NEXT;
#define ATOMICS(bits)                                                                                                  \
	ATOMIC_RMW(ADD, add, bits)                                                                                     \
	ATOMIC_RMW(OR, or, bits)                                                                                       \
	ATOMIC_RMW(AND, and, bits)                                                                                     \
	ATOMIC_RMW(XOR, xor, bits)                                                                                     \
	L_ATOMIC_XCHG##bits                                                                                            \
	    : SRC = __atomic_exchange_n(ADDR(shared_u##bits, DST), (uint##bits##_t)SRC, __ATOMIC_SEQ_CST);             \
	NEXT;                                                                                                          \
	L_ATOMIC_CMPXCHG##bits:                                                                                        \
	{                                                                                                              \
		uint##bits##_t seen = (uint##bits##_t)regs[0];                                                         \
		__atomic_compare_exchange_n(ADDR(shared_u##bits, DST), &seen, (uint##bits##_t)SRC, false,              \
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                                       \
		regs[0] = seen;                                                                                        \
	}                                                                                                              \
	NEXT;

/* Runs from insn, a function of run->prog, with R1..R5 = args.  R0 back; run->error when it ended early. */
static uint64_t INTERP_NAME(struct ebpf_run *run, const struct ebpf_dinsn *insn, const uint64_t args[5])
{
#define LABEL(name, opcode, nbytes, off, imm, src, uses) [OP_##name] = &&L_##name,
	static const void *const labels[OP_COUNT] = { EBPF_OPS(LABEL)[OP_TAIL_CALL] = &&L_TAIL_CALL,
						      [OP_SECOND_SLOT] = &&L_DEAD, [OP_DEAD] = &&L_DEAD };
#undef LABEL
	uint64_t stack[EBPF_MAX_CALL_FRAMES * EBPF_STACK_SIZE / 8] __attribute__((aligned(16)));
	struct interp_frame frames[EBPF_MAX_CALL_FRAMES];
	struct interp_frame *frame = frames;
	const struct ebpf_dinsn *insns = run->prog->code->insns;
	uint64_t regs[11] = { 0, args[0], args[1], args[2], args[3], args[4] };
	uint64_t loops = INTERP_MAX_LOOPS;
	int64_t value;

	regs[10] = (uintptr_t)&stack[ARRAY_SIZE(stack)];
	goto *labels[insn->op];

	ALU_OP(ADD, +)
	ALU_OP(SUB, -)
	ALU_OP(MUL, *)
	ALU_OP(OR, |)
	ALU_OP(AND, &)
	ALU_OP(XOR, ^)
	ALU_SHIFT(LSH, <<)
	ALU_SHIFT(RSH, >>)
	ALU_FN(ARSH, arsh)
	ALU_FN(DIV, div)
	ALU_FN(MOD, mod)
	ALU_FN(SDIV, sdiv)
	ALU_FN(SMOD, smod)
	ALU_X4(MOV, IMM, SRC, IMM4, SRC4)
	UNARY(MOVSX8_64, (uint64_t)(int8_t)SRC)
	UNARY(MOVSX16_64, (uint64_t)(int16_t)SRC)
	UNARY(MOVSX32_64, (uint64_t)(int32_t)SRC)
	UNARY(MOVSX8_32, (uint64_t)(int8_t)SRC & UINT32_MAX)
	UNARY(MOVSX16_32, (uint64_t)(int16_t)SRC & UINT32_MAX)
	UNARY(NEG64, 0 - DST)
	UNARY(NEG32, 0 - DST4)
	UNARY(LE16, (uint16_t)DST)
	UNARY(LE32, DST4)
	UNARY(LE64, DST)
	UNARY(BE16, __builtin_bswap16((uint16_t)DST))
	UNARY(BE32, __builtin_bswap32(DST4))
	UNARY(BE64, __builtin_bswap64(DST))
	UNARY(BSWAP16, __builtin_bswap16((uint16_t)DST))
	UNARY(BSWAP32, __builtin_bswap32(DST4))
	UNARY(BSWAP64, __builtin_bswap64(DST))

	COND(JEQ, ==, uint64_t, uint32_t)
	COND(JNE, !=, uint64_t, uint32_t)
	COND(JGT, >, uint64_t, uint32_t)
	COND(JGE, >=, uint64_t, uint32_t)
	COND(JLT, <, uint64_t, uint32_t)
	COND(JLE, <=, uint64_t, uint32_t)
	COND(JSGT, >, int64_t, int32_t)
	COND(JSGE, >=, int64_t, int32_t)
	COND(JSLT, <, int64_t, int32_t)
	COND(JSLE, <=, int64_t, int32_t)
	COND(JSET, &, uint64_t, uint32_t)

	MEMORY(B, u8, int8_t)
	MEMORY(H, u16, int16_t)
	MEMORY(W, u32, int32_t)
	MEMORY(DW, u64, int64_t)
	MEMORY_NARROW(B, u8, int8_t, 1)
	MEMORY_NARROW(H, u16, int16_t, 2)
	MEMORY_NARROW(W, u32, int32_t, 4)
	ATOMICS(32)
	ATOMICS(64)

L_JA:
L_JA_LONG:
	JUMP;

L_MAY_GOTO:
	if (!loops)
		JUMP;
	loops--;
	SPEND;
	NEXT;

loaded:
	if (value < 0) {
		regs[0] = 0;
		goto L_EXIT;
	}
	regs[0] = (uint64_t)value;
	NEXT;

L_LD_IMM64:
L_LD_MAP_IDX:
L_LD_MAP_IDX_VALUE:
L_LD_FUNC:
	DST = IMM;
	insn++;
	NEXT;

L_CALL_HELPER:
	regs[0] = ((ebpf_helper_fn)(uintptr_t)IMM)(regs[1], regs[2], regs[3], regs[4], regs[5], run);
	if (unlikely(run->error))
		goto out;
	NEXT;

L_CALL_LOCAL:
	SPEND;
	if (unlikely(frame == &frames[EBPF_MAX_CALL_FRAMES - 1])) {
		run->error = -E2BIG;
		goto out;
	}
	*frame++ = (struct interp_frame){ insn, { regs[6], regs[7], regs[8], regs[9] }, loops };
	loops = INTERP_MAX_LOOPS;
	regs[10] -= EBPF_STACK_SIZE;
	insn = insns + insn->target;
	goto *labels[insn->op];

L_TAIL_CALL:
	SPEND;
	if (frame == frames) {
		struct ebpf_prog *to = ebpf_tail_call(run, (void *)(uintptr_t)regs[2], (uint32_t)regs[3]);

		if (!to)
			NEXT;
		loops = INTERP_MAX_LOOPS;
		insn = insns = to->code->insns;
		goto *labels[insn->op];
	}
	if (!interp_tail_call_nested(run, regs, INTERP_NAME))
		NEXT;
	if (run->error)
		goto out;
	goto L_EXIT;

L_EXIT:
	if (frame == frames)
		return regs[0];
	frame--;
	insn = frame->call;
	memcpy(&regs[6], frame->saved, sizeof(frame->saved));
	loops = frame->loops;
	regs[10] += EBPF_STACK_SIZE;
	NEXT;

	/* Never decoded to: an image that reaches one of them was refused. */
L_LD_MAP_FD:
L_LD_MAP_VALUE:
L_LD_BTF_ID:
L_CALL_KFUNC:
L_DEAD:
	run->error = -EFAULT;
out:
	return 0;
}

#undef DST
#undef SRC
#undef IMM
#undef SRC4
#undef DST4
#undef IMM4
#undef NEXT
#undef SPEND
#undef JUMP
#undef ALU_X4
#undef ALU_OP
#undef ALU_SHIFT
#undef ALU_FN
#undef UNARY
#undef COND1
#undef COND
#undef ADDR
#undef MEMORY
#undef MEMORY_NARROW
#undef ATOMIC_RMW
#undef ATOMICS
