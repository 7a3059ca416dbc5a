/* Rewriting before lowering: the tests of loops, and rotations that a compiler spelled as two shifts and an or.
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

static void drop(struct jit *jit, uint32_t i)
{
	jit->code->insns[i] = (struct ebpf_dinsn){ .op = OP_DEAD };
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

void jit_rewrite(struct jit *jit, uint32_t func_idx)
{
	bool changed = false;

	jit->func = &jit->code->funcs[func_idx];
	find_inverted(jit);
	for (uint32_t i = jit->func->start; i < jit->func->end; i++)
		if (insn(jit, i)->op == OP_OR32_X)
			changed |= try_rotation(jit, i);
	if (changed)
		jit_flow_solve(&jit->flow, jit->code, jit->func);
}
