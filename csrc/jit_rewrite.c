/* Rewriting before lowering: 32-bit operations that old bytecode spells in 64 bits, and rotations that a compiler
 * spells as two shifts and an or.
 *
 *     t = x; t >>= 32 - n; d = x; d <<= n; d |= t      (any order, t dead behind)       d = rol x, n
 *     t = d; t >>= 32 - n;        d <<= n; d |= t                                       d = rol d, n
 *     t = x; t <<= n;  x >>= 32 - n;       t |= x      (x dead behind)                  t = rol x, n
 *
 * The rotation takes the or's place and the others go; other instructions may stand between.  Works on the JIT's
 * own copy of the instructions, within one basic block. */
#include "jit_code.h"

/* How far back a part of a rotation is looked for. */
#define WINDOW 16

/* A shifted operand of the or: register reg is shifted at `shift`, having been copied from `from` at `copy`. */
struct part {
	uint32_t reg;
	uint32_t shift;
	uint32_t copy; /* == shift: shifted in place, from == reg */
	uint32_t from;
};

static const struct ebpf_dinsn *insn(const struct jit *jit, uint32_t i)
{
	return &jit->code->insns[i];
}

static bool reads(const struct ebpf_dinsn *in, uint32_t reg)
{
	return jit_live_before(in, HALVES_ALL & ~HALVES(reg)) & HALVES(reg);
}

/* The last instruction before i that writes reg, if no jump lands or leaves between and nothing there reads it;
 * else i. */
static uint32_t last_write(const struct jit *jit, uint32_t i, uint32_t reg)
{
	uint32_t k = i;

	for (uint32_t n = 0; n < WINDOW && k > jit->func->start && !jit->flow.target[k]; n++) {
		const struct ebpf_dinsn *in = insn(jit, --k);

		if (jit_may_write(in, reg))
			return k;
		if (jit_is_jump(in->op) || reads(in, reg))
			return i;
	}
	return i;
}

static void drop(struct jit *jit, uint32_t i)
{
	jit->code->insns[i] = (struct ebpf_dinsn){ .op = OP_DEAD };
}

static bool is_copy(const struct ebpf_dinsn *in)
{
	return (in->op == OP_MOV32_X || in->op == OP_MOV64_X) && in->dst != in->src;
}

static bool find_part(const struct jit *jit, uint32_t or, uint32_t reg, struct part *part)
{
	uint32_t shift = last_write(jit, or, reg), copy;
	uint32_t op = insn(jit, shift)->op;

	if (shift == or || (op != OP_LSH32_K && op != OP_RSH32_K))
		return false;
	copy = last_write(jit, shift, reg);
	*part = (struct part){ reg, shift, shift, reg };
	if (copy != shift && is_copy(insn(jit, copy)))
		*part = (struct part){ reg, shift, copy, insn(jit, copy)->src };
	return true;
}

static bool writes_between(const struct jit *jit, uint32_t from, uint32_t to, uint32_t reg)
{
	for (uint32_t i = from + 1; i < to; i++)
		if (jit_may_write(insn(jit, i), reg))
			return true;
	return false;
}

static bool is_rotation(const struct jit *jit, const struct part *a, const struct part *b)
{
	const struct ebpf_dinsn *x = insn(jit, a->shift), *y = insn(jit, b->shift);

	return x->op != y->op && (x->imm & 31) && (x->imm & 31) + (y->imm & 31) == 32;
}

/* Do both parts come from one value, which is still in its register at the or?  For a part in place, the value is what
 * the register held before the shift, and the other part's copy must have seen that. */
static bool same_value(const struct jit *jit, uint32_t or, const struct part *a, const struct part *b)
{
	uint32_t first = a->copy < b->copy ? a->copy : b->copy;

	if (a->from != b->from)
		return false;
	if (a->copy != a->shift && b->copy != b->shift)
		return a->from != a->reg && a->from != b->reg && !writes_between(jit, first, or, a->from);
	if (a->copy == a->shift && b->copy == b->shift)
		return false;
	if (a->copy == a->shift) /* a in place, b copied from it before */
		return b->copy < a->shift && !writes_between(jit, b->copy, a->shift, a->reg);
	return a->copy < b->shift && !writes_between(jit, a->copy, b->shift, b->reg);
}

static bool try_rotation(struct jit *jit, uint32_t or)
{
	const struct ebpf_dinsn *in = insn(jit, or);
	struct part d, t;
	uint32_t left;

	if (in->dst == in->src || (jit->flow.after[or] & HALVES(in->src)))
		return false;
	if (!find_part(jit, or, in->dst, &d) || !find_part(jit, or, in->src, &t))
		return false;
	if (!is_rotation(jit, &d, &t) || !same_value(jit, or, &d, &t))
		return false;
	left = (uint32_t)(insn(jit, d.shift)->op == OP_LSH32_K ? insn(jit, d.shift) : insn(jit, t.shift))->imm & 31;
	jit->code->insns[or] =
	    (struct ebpf_dinsn){ .op = JIT_OP_ROL32, .dst = in->dst, .src = (uint8_t)d.from, .imm = left };
	drop(jit, d.shift);
	drop(jit, t.shift);
	if (d.copy != d.shift)
		drop(jit, d.copy);
	if (t.copy != t.shift)
		drop(jit, t.copy);
	return true;
}

/* Loops that will be inverted go on behind their test: a jump lands there, and no pattern may reach over it. */
static void find_inverted(struct jit *jit)
{
	for (uint32_t i = jit->func->start; i < jit->func->end; i++)
		if (jit_is_inverted(jit, insn(jit, i)))
			jit->flow.target[insn(jit, i)->target + 1] = true;
}

/* r <<= 32; r >>= 32 + k, which -mcpu=v1 and v2 have for 32-bit shifts and extensions; the first goes. */
static bool try_half_shift(struct jit *jit, uint32_t i)
{
	struct ebpf_dinsn *in = &jit->code->insns[i];
	uint32_t up = last_write(jit, i, in->dst), count = (uint32_t)in->imm & 63, copy;
	bool is_signed = in->op == OP_ARSH64_K;

	if (count < 32 || insn(jit, up)->op != OP_LSH64_K || insn(jit, up)->imm != 32)
		return false;
	if (is_signed && count > 32 && (jit->flow.after[i] & UPPER(in->dst)))
		return false;
	copy = last_write(jit, up, in->dst);
	in->imm = count - 32;
	in->src = in->dst;
	if (count > 32)
		in->op = is_signed ? OP_ARSH32_K : OP_RSH32_K;
	else
		in->op = is_signed ? OP_MOVSX32_64 : OP_MOV32_X;
	drop(jit, up);
	if (count > 32 || insn(jit, copy)->op != OP_MOV64_X)
		return true;
	/* The copy extends at once. */
	jit->code->insns[copy].op = in->op;
	drop(jit, i);
	return true;
}

/* 64-bit operations whose lower half depends on lower halves alone. */
static const uint16_t narrow_ops[JIT_OP_COUNT] = {
	[OP_ADD64_K] = OP_ADD32_K, [OP_ADD64_X] = OP_ADD32_X, [OP_SUB64_K] = OP_SUB32_K, [OP_SUB64_X] = OP_SUB32_X,
	[OP_MUL64_K] = OP_MUL32_K, [OP_MUL64_X] = OP_MUL32_X, [OP_OR64_K] = OP_OR32_K,   [OP_OR64_X] = OP_OR32_X,
	[OP_AND64_K] = OP_AND32_K, [OP_AND64_X] = OP_AND32_X, [OP_XOR64_K] = OP_XOR32_K, [OP_XOR64_X] = OP_XOR32_X,
	[OP_LSH64_K] = OP_LSH32_K, [OP_NEG64] = OP_NEG32,
};

/* Does in 32 bits what nobody reads the upper half of. */
static void narrow(struct jit *jit, uint32_t i)
{
	struct ebpf_dinsn *in = &jit->code->insns[i];

	if (!narrow_ops[in->op] || (jit->flow.after[i] & UPPER(in->dst)))
		return;
	if (in->op != OP_LSH64_K || (in->imm & 63) < 32)
		in->op = narrow_ops[in->op];
}

/* Runs a rewrite over the function; liveness follows it. */
static void rewrite_each(struct jit *jit, uint32_t op, uint32_t op2, bool (*rewrite)(struct jit *jit, uint32_t i))
{
	bool changed = false;

	for (uint32_t i = jit->func->start; i < jit->func->end; i++)
		if (insn(jit, i)->op == op || insn(jit, i)->op == op2)
			changed |= rewrite(jit, i);
	if (changed)
		jit_flow_solve(&jit->flow, jit->code, jit->func);
}

void jit_rewrite(struct jit *jit, uint32_t func_idx)
{
	jit->func = &jit->code->funcs[func_idx];
	find_inverted(jit);
	rewrite_each(jit, OP_RSH64_K, OP_ARSH64_K, try_half_shift);
	for (uint32_t i = jit->func->start; i < jit->func->end; i++)
		narrow(jit, i);
	rewrite_each(jit, OP_OR32_X, OP_OR32_X, try_rotation);
}
