/* What instructions read and write, where jumps land, and which halves of registers are live.
 *
 * A set of halves is 32 bits: bit r is the low half of Rr, bit 16 + r its upper half.  Liveness is the usual
 * backward problem over instructions; straight code takes one pass, each level of loops one more.
 * It needs the decoded program only, and holds for unverified programs too. */
#include "jit_flow.h"

#include <stdlib.h>

#include "gen/kinds.h"

#define ARGS    (HALVES(1) | HALVES(2) | HALVES(3) | HALVES(4) | HALVES(5))
#define CLOBBER (HALVES(0) | ARGS)

/* What an op does to liveness: read: the registers whose halves it reads; demand: how the halves of its result ask for
 * those of its operands. */
enum demand {
	DEMAND_ALL,  /* both halves, whatever is live */
	DEMAND_LOW,  /* low halves */
	DEMAND_SAME, /* upper halves only if the result's is live: bits depend on bits at or below them */
};

struct effect {
	bool reads_dst, reads_src, writes_dst, writes_src;
	uint8_t demand;   /* of the value operands */
	bool pure;        /* does nothing but write dst */
	bool address_dst; /* dst is an address: both halves */
	bool address_src;
};

#define ALU_EFFECTS(name, same)                                                                                        \
	[OP_##name##64_K] = { .reads_dst = 1, .writes_dst = 1, .demand = same, .pure = 1 },                            \
	[OP_##name##64_X] = { .reads_dst = 1, .reads_src = 1, .writes_dst = 1, .demand = same, .pure = 1 },            \
	[OP_##name##32_K] = { .reads_dst = 1, .writes_dst = 1, .demand = DEMAND_LOW, .pure = 1 },                      \
	[OP_##name##32_X] = { .reads_dst = 1, .reads_src = 1, .writes_dst = 1, .demand = DEMAND_LOW, .pure = 1 }
#define UNARY(name, demand_) [OP_##name] = { .reads_dst = 1, .writes_dst = 1, .demand = demand_, .pure = 1 }
#define MOVE(name, demand_)  [OP_##name] = { .reads_src = 1, .writes_dst = 1, .demand = demand_, .pure = 1 }
#define CONSTANT(name)       [OP_##name] = { .writes_dst = 1, .pure = 1 }
#define JCC_EFFECTS(name)                                                                                              \
	[OP_##name##64_K] = { .reads_dst = 1 }, [OP_##name##64_X] = { .reads_dst = 1, .reads_src = 1 },                \
	[OP_##name##32_K] = { .reads_dst = 1, .demand = DEMAND_LOW },                                                  \
	[OP_##name##32_X] = { .reads_dst = 1, .reads_src = 1, .demand = DEMAND_LOW }
#define MEM_EFFECTS(size, demand_)                                                                                     \
	[OP_LDX_##size] = { .writes_dst = 1, .address_src = 1 },                                                       \
	[OP_LOAD_ACQ_##size] = { .writes_dst = 1, .address_src = 1 }, [OP_ST_##size] = { .address_dst = 1 },           \
	[OP_STX_##size] = { .address_dst = 1, .reads_src = 1, .demand = demand_ },                                     \
	[OP_STORE_REL_##size] = { .address_dst = 1, .reads_src = 1, .demand = demand_ }
#define ATOMIC_EFFECTS(bits, demand_)                                                                                  \
	[OP_ATOMIC_ADD##bits] = { .address_dst = 1, .reads_src = 1, .demand = demand_ },                               \
	[OP_ATOMIC_OR##bits] = { .address_dst = 1, .reads_src = 1, .demand = demand_ },                                \
	[OP_ATOMIC_AND##bits] = { .address_dst = 1, .reads_src = 1, .demand = demand_ },                               \
	[OP_ATOMIC_XOR##bits] = { .address_dst = 1, .reads_src = 1, .demand = demand_ },                               \
	[OP_ATOMIC_FETCH_ADD##bits] = { .address_dst = 1, .reads_src = 1, .writes_src = 1, .demand = demand_ },        \
	[OP_ATOMIC_FETCH_OR##bits] = { .address_dst = 1, .reads_src = 1, .writes_src = 1, .demand = demand_ },         \
	[OP_ATOMIC_FETCH_AND##bits] = { .address_dst = 1, .reads_src = 1, .writes_src = 1, .demand = demand_ },        \
	[OP_ATOMIC_FETCH_XOR##bits] = { .address_dst = 1, .reads_src = 1, .writes_src = 1, .demand = demand_ },        \
	[OP_ATOMIC_XCHG##bits] = { .address_dst = 1, .reads_src = 1, .writes_src = 1, .demand = demand_ },             \
	[OP_ATOMIC_CMPXCHG##bits] = { .address_dst = 1, .reads_src = 1, .demand = demand_ }

static const struct effect effects[JIT_OP_COUNT] = {
	[JIT_OP_ROL32] = { .reads_src = 1, .writes_dst = 1, .demand = DEMAND_LOW, .pure = 1 },
	ALU_EFFECTS(ADD, DEMAND_SAME),
	ALU_EFFECTS(SUB, DEMAND_SAME),
	ALU_EFFECTS(MUL, DEMAND_SAME),
	ALU_EFFECTS(OR, DEMAND_SAME),
	ALU_EFFECTS(AND, DEMAND_SAME),
	ALU_EFFECTS(XOR, DEMAND_SAME),
	ALU_EFFECTS(LSH, DEMAND_ALL), /* the count decides */
	ALU_EFFECTS(RSH, DEMAND_ALL),
	ALU_EFFECTS(ARSH, DEMAND_ALL),
	ALU_EFFECTS(DIV, DEMAND_ALL),
	ALU_EFFECTS(MOD, DEMAND_ALL),
	ALU_EFFECTS(SDIV, DEMAND_ALL),
	ALU_EFFECTS(SMOD, DEMAND_ALL),
	CONSTANT(MOV64_K),
	CONSTANT(MOV32_K),
	MOVE(MOV64_X, DEMAND_SAME),
	MOVE(MOV32_X, DEMAND_LOW),
	MOVE(MOVSX8_32, DEMAND_LOW),
	MOVE(MOVSX16_32, DEMAND_LOW),
	MOVE(MOVSX8_64, DEMAND_LOW),
	MOVE(MOVSX16_64, DEMAND_LOW),
	MOVE(MOVSX32_64, DEMAND_LOW),
	UNARY(NEG64, DEMAND_SAME),
	UNARY(NEG32, DEMAND_LOW),
	UNARY(LE16, DEMAND_LOW),
	UNARY(LE32, DEMAND_LOW),
	UNARY(LE64, DEMAND_SAME),
	UNARY(BE16, DEMAND_LOW),
	UNARY(BE32, DEMAND_LOW),
	UNARY(BE64, DEMAND_ALL),
	UNARY(BSWAP16, DEMAND_LOW),
	UNARY(BSWAP32, DEMAND_LOW),
	UNARY(BSWAP64, DEMAND_ALL),

	JCC_EFFECTS(JEQ),
	JCC_EFFECTS(JNE),
	JCC_EFFECTS(JGT),
	JCC_EFFECTS(JGE),
	JCC_EFFECTS(JLT),
	JCC_EFFECTS(JLE),
	JCC_EFFECTS(JSGT),
	JCC_EFFECTS(JSGE),
	JCC_EFFECTS(JSLT),
	JCC_EFFECTS(JSLE),
	JCC_EFFECTS(JSET),

	MEM_EFFECTS(B, DEMAND_LOW),
	MEM_EFFECTS(H, DEMAND_LOW),
	MEM_EFFECTS(W, DEMAND_LOW),
	MEM_EFFECTS(DW, DEMAND_ALL),
	[OP_LDXSX_B] = { .writes_dst = 1, .address_src = 1 },
	[OP_LDXSX_H] = { .writes_dst = 1, .address_src = 1 },
	[OP_LDXSX_W] = { .writes_dst = 1, .address_src = 1 },
	ATOMIC_EFFECTS(32, DEMAND_LOW),
	ATOMIC_EFFECTS(64, DEMAND_ALL),
	[OP_LD_IND_B] = { .reads_src = 1, .demand = DEMAND_LOW },
	[OP_LD_IND_H] = { .reads_src = 1, .demand = DEMAND_LOW },
	[OP_LD_IND_W] = { .reads_src = 1, .demand = DEMAND_LOW },
	CONSTANT(LD_IMM64),
	CONSTANT(LD_MAP_IDX),
	CONSTANT(LD_MAP_IDX_VALUE),
	CONSTANT(LD_FUNC),
};

bool jit_is_jump(uint32_t op)
{
	return op == OP_JA || op == OP_JA_LONG || op == OP_MAY_GOTO || jit_is_branch(op);
}

bool jit_is_branch(uint32_t op)
{
	const struct effect *e = &effects[op];

	return e->reads_dst && !e->writes_dst;
}

bool jit_is_pure(uint32_t op)
{
	return effects[op].pure;
}

bool jit_is_ld_abs(uint32_t op)
{
	return op == OP_LD_ABS_W || op == OP_LD_ABS_H || op == OP_LD_ABS_B || op == OP_LD_IND_W || op == OP_LD_IND_H ||
	       op == OP_LD_IND_B;
}

static bool is_cmpxchg(uint32_t op)
{
	return op == OP_ATOMIC_CMPXCHG32 || op == OP_ATOMIC_CMPXCHG64;
}

static bool is_call(uint32_t op)
{
	return op == OP_CALL_HELPER || op == OP_CALL_LOCAL || op == OP_TAIL_CALL;
}

/* Both halves of what is certainly written. */
static uint32_t written(const struct ebpf_dinsn *in)
{
	const struct effect *e = &effects[in->op];

	if (is_call(in->op))
		return CLOBBER;
	if (is_cmpxchg(in->op) || jit_is_ld_abs(in->op))
		return HALVES(0);
	return (e->writes_dst ? HALVES(in->dst) : 0) | (e->writes_src ? HALVES(in->src) : 0);
}

/* What calls and their like read, which have no operands. */
static uint32_t read_implicitly(const struct ebpf_dinsn *in)
{
	if (in->op == OP_EXIT)
		return HALVES(0);
	if (is_call(in->op))
		return ARGS;
	return (jit_is_ld_abs(in->op) ? HALVES(6) : 0) | (is_cmpxchg(in->op) ? HALVES(0) : 0);
}

uint32_t jit_named(const struct ebpf_dinsn *in)
{
	const struct effect *e = &effects[in->op];
	uint32_t named = read_implicitly(in) | written(in);

	if (e->reads_dst || e->address_dst)
		named |= HALVES(in->dst);
	if (e->reads_src || e->address_src)
		named |= HALVES(in->src);
	return named & 0xffff;
}

uint32_t jit_forgotten(const struct ebpf_dinsn *in)
{
	/* Packet loads may also forget R1 to R5. */
	return (written(in) & 0xffff) | (jit_is_ld_abs(in->op) ? CLOBBER & 0xffff : 0);
}

bool jit_may_write(const struct ebpf_dinsn *in, uint32_t reg)
{
	return jit_forgotten(in) & 1u << reg;
}

/* Halves (of R0) of the value operands that decide the live halves of the result. */
static uint32_t demanded(const struct ebpf_dinsn *in, bool upper_live)
{
	uint32_t count = (uint32_t)in->imm & 63;

	if (in->op == OP_LSH64_K)
		return !upper_live || count >= 32 ? LOW(0) : HALVES(0);
	if (in->op == OP_RSH64_K && count >= 32)
		return UPPER(0);
	switch (effects[in->op].demand) {
	case DEMAND_LOW: return LOW(0);
	case DEMAND_SAME: return upper_live ? HALVES(0) : LOW(0);
	default: return HALVES(0);
	}
}

uint32_t jit_live_before(const struct ebpf_dinsn *in, uint32_t after)
{
	const struct effect *e = &effects[in->op];
	uint32_t halves, read = read_implicitly(in);

	if (e->pure && !(after & HALVES(in->dst)))
		return after; /* will not be there */
	halves = demanded(in, after & UPPER(in->dst));
	if (e->reads_dst)
		read |= halves << in->dst;
	if (e->reads_src)
		read |= halves << in->src;
	if (e->address_dst)
		read |= HALVES(in->dst);
	if (e->address_src)
		read |= HALVES(in->src);
	return (after & ~written(in)) | read;
}

/* Live halves behind instruction i, from what is known of its successors. */
static uint32_t live_after(const struct ebpf_code *code, const uint32_t *before, uint32_t i, uint32_t end)
{
	const struct ebpf_dinsn *in = &code->insns[i];
	uint32_t live = 0;

	if (in->op != OP_EXIT && in->op != OP_JA && in->op != OP_JA_LONG && i + 1 < end)
		live = before[i + 1];
	if (jit_is_jump(in->op))
		live |= before[in->target];
	return live;
}

void jit_flow_solve(struct jit_flow *flow, const struct ebpf_code *code, const struct ebpf_func *func)
{
	uint32_t *before = flow->live; /* first the sets before, then those behind */
	bool changed = true;

	while (changed) {
		changed = false;
		for (uint32_t i = func->end; i-- > func->start;) {
			const struct ebpf_dinsn *in = &code->insns[i];
			uint32_t now = jit_live_before(in, live_after(code, before, i, func->end));

			/* A set that grew is news only to a jump back. (i < end <= n, the array's length.)
			 * NOLINTNEXTLINE(clang-analyzer-security.ArrayBound) */
			if (now != before[i] && flow->back_target[i])
				changed = true;
			before[i] = now;
		}
	}
	for (uint32_t i = func->start; i < func->end; i++)
		flow->after[i] = live_after(code, before, i, func->end);
}

static void find_targets(const struct ebpf_code *code, struct jit_flow *flow)
{
	for (uint32_t k = 0; k < code->n_funcs; k++)
		flow->target[code->funcs[k].start] = true;
	for (uint32_t i = 0; i < code->n; i++) {
		const struct ebpf_dinsn *in = &code->insns[i];

		if (!jit_is_jump(in->op))
			continue;
		flow->target[in->target] = true;
		if (in->target <= i)
			flow->back_target[in->target] = true;
	}
}

bool jit_flow_init(struct jit_flow *flow, const struct ebpf_code *code)
{
	*flow = (struct jit_flow){
		.live = calloc(code->n, sizeof(*flow->live)),
		.after = calloc(code->n, sizeof(*flow->after)),
		.target = calloc(code->n, 1),
		.back_target = calloc(code->n, 1),
	};
	if (!flow->live || !flow->after || !flow->target || !flow->back_target)
		return false;
	find_targets(code, flow);
	for (uint32_t k = 0; k < code->n_funcs; k++)
		jit_flow_solve(flow, code, &code->funcs[k]);
	return true;
}

void jit_flow_destroy(struct jit_flow *flow)
{
	free(flow->live);
	free(flow->after);
	free(flow->target);
	free(flow->back_target);
}
