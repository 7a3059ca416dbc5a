/* Patterns of a few instructions that the machine does in fewer.
 *
 * Each matcher looks at the instructions from one on, and either emits all of a pattern and answers how many they
 * were, or emits nothing and answers 0.  No jump lands behind the first of them. */
#include "jit_code.h"

/* The instruction n behind in, if control comes to it from in alone; else a record that matches nothing. */
const struct ebpf_dinsn *jit_ahead(const struct jit *jit, const struct ebpf_dinsn *in, uint32_t n)
{
	static const struct ebpf_dinsn nothing = { .op = OP_DEAD };
	uint32_t idx = jit_insn_idx(jit, in);

	for (uint32_t i = idx + 1; i <= idx + n; i++)
		if (i >= jit->func->end || jit->flow.target[i])
			return &nothing;
	return in + n;
}

static bool dead_after(const struct jit *jit, const struct ebpf_dinsn *in, uint32_t reg)
{
	return !(jit->flow.after[jit_insn_idx(jit, in)] & HALVES(reg));
}

static bool upper_dead_after(const struct jit *jit, const struct ebpf_dinsn *in, uint32_t reg)
{
	const struct insn_fact *facts = jit->code->facts;

	return !(jit->flow.after[jit_insn_idx(jit, in)] & UPPER(reg)) ||
	       (facts && in->dst == reg && (facts[jit_insn_idx(jit, in)].flags & FACT_DST_UPPER_DEAD));
}

/* d = s; d += K, d -= K, d += t, or d <<= 1..3; d += t: one lea.  32-bit sums of 64-bit moves are 32-bit. */
static uint32_t match_lea(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *next = jit_ahead(jit, in, 1), *third = jit_ahead(jit, in, 2);
	bool wide = in->op == OP_MOV64_X;
	uint8_t d = jit_dst(in), s = jit_src(in);
	int32_t imm = (int32_t)next->imm;

	if (next->dst != in->dst || in->dst == in->src)
		return 0;
	if (next->op == OP_ADD32_K || (next->op == OP_ADD64_K && wide)) {
		x86_lea(&jit->out, next->op == OP_ADD32_K ? 4 : 8, d, x86_m(s, imm));
		return 2;
	}
	if ((next->op == OP_SUB32_K || (next->op == OP_SUB64_K && wide)) && imm != INT32_MIN) {
		x86_lea(&jit->out, next->op == OP_SUB32_K ? 4 : 8, d, x86_m(s, -imm));
		return 2;
	}
	if ((next->op == OP_ADD32_X || (next->op == OP_ADD64_X && wide)) && next->src != in->dst) {
		x86_lea(&jit->out, next->op == OP_ADD32_X ? 4 : 8, d, x86_mx(s, jit_src(next), 0, 0));
		return 2;
	}
	if (next->op == OP_LSH64_K && wide && imm >= 1 && imm <= 3 && third->op == OP_ADD64_X &&
	    third->dst == in->dst && third->src != in->dst) {
		x86_lea(&jit->out, 8, d, x86_mx(jit_src(third), s, (uint8_t)imm, 0));
		return 3;
	}
	return 0;
}

/* w = w where nobody looks at the upper half, or it is zero already. */
static uint32_t match_zext(struct jit *jit, const struct ebpf_dinsn *in)
{
	if (in->op != OP_MOV32_X || in->dst != in->src)
		return 0;
	return upper_dead_after(jit, in, in->dst) || jit->widths.bits[in->dst] <= 32;
}

/* The memory operand of a load or store through d, which nobody needs behind it; false for other instructions. */
static bool is_last_access(const struct jit *jit, const struct ebpf_dinsn *in, uint32_t d)
{
	const struct jit_rule *rule = jit_rule_of(in);

	if (rule->lower == jit_lower_load || rule->lower == jit_lower_load_sx)
		return in->src == d && (in->dst == d || dead_after(jit, in, d));
	if (rule->lower == jit_lower_store)
		return in->dst == d && in->src != d && dead_after(jit, in, d);
	return rule->lower == jit_lower_store_k && in->dst == d && dead_after(jit, in, d);
}

/* d = s; d += t or K; access of *(d + off), the last use of d: an access of [s + t + off] or [s + K + off]. */
static uint32_t match_address(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *add = jit_ahead(jit, in, 1), *access = jit_ahead(jit, in, 2);
	int64_t disp = access->off;
	struct x86_rm at;

	if (in->op != OP_MOV64_X || in->dst == in->src || add->dst != in->dst || !is_last_access(jit, access, in->dst))
		return 0;
	if (add->op == OP_ADD64_K)
		disp += (int32_t)add->imm;
	else if (add->op != OP_ADD64_X || add->src == in->dst)
		return 0;
	if (disp != (int32_t)disp)
		return 0;
	at = add->op == OP_ADD64_K ? x86_m(jit_src(in), (int32_t)disp)
				   : x86_mx(jit_src(in), jit_src(add), 0, (int32_t)disp);
	jit_access(jit, access, at);
	if (!(jit_is_load(access) && access->dst == in->dst))
		jit->unmade |= 1u << in->dst;
	return 3;
}

static uint32_t match_copy_test(struct jit *jit, const struct ebpf_dinsn *in);

static uint32_t match_mov(struct jit *jit, const struct ebpf_dinsn *in)
{
	uint32_t n = match_zext(jit, in);

	n = n ? n : match_address(jit, in);
	n = n ? n : match_copy_test(jit, in);
	return n ? n : match_lea(jit, in);
}

/* r <<= 1..3; r += s: one lea. */
static uint32_t match_scale(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *add = jit_ahead(jit, in, 1);

	if (in->imm < 1 || in->imm > 3 || add->op != OP_ADD64_X || add->dst != in->dst || add->src == in->dst)
		return 0;
	x86_lea(&jit->out, 8, jit_dst(in), x86_mx(jit_src(add), jit_dst(in), (uint8_t)in->imm, 0));
	return 2;
}

/* d += s; d += K */
static uint32_t match_add_add(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *add = jit_ahead(jit, in, 1);

	if (add->op != OP_ADD64_K || add->dst != in->dst)
		return 0;
	x86_lea(&jit->out, 8, jit_dst(in), x86_mx(jit_dst(in), jit_src(in), 0, (int32_t)add->imm));
	return 2;
}

/* r <<= 32; r >>= 32: how -mcpu=v1 and v2 extend. */
static uint32_t match_shifts(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *next = jit_ahead(jit, in, 1);
	uint8_t dst = jit_dst(in);

	if (in->imm != 32 || next->imm != 32 || next->dst != in->dst)
		return match_scale(jit, in);
	if (next->op == OP_ARSH64_K) {
		x86_load_sx(&jit->out, 4, 8, dst, x86_r(dst));
		return 2;
	}
	if (next->op != OP_RSH64_K)
		return 0;
	if (!upper_dead_after(jit, next, in->dst) && jit->widths.bits[in->dst] > 32)
		x86_mov(&jit->out, 4, dst, dst);
	return 2;
}

static bool is_zero_test(const struct ebpf_dinsn *in, uint32_t reg)
{
	return (in->op == OP_JEQ32_K || in->op == OP_JNE32_K || in->op == OP_JEQ64_K || in->op == OP_JNE64_K) &&
	       in->dst == reg && in->imm == 0;
}

static bool is_wide(const struct ebpf_dinsn *in)
{
	return jit_rule_of(in)->size == 8;
}

/* r &= mask; if r == 0: the mask sets the flags, and r itself is needed only if it lives on. */
static uint32_t match_and_test(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *jump = jit_ahead(jit, in, 1);
	int32_t imm = (int32_t)in->imm;
	uint8_t dst = jit_dst(in);

	/* 64-bit masks with a sign reach the upper half; then the widths must agree. */
	if (!is_zero_test(jump, in->dst) || jit_is_decided(jit, jump))
		return 0;
	if (imm < 0 && (in->op == OP_AND64_K) != is_wide(jump))
		return 0;
	if (dead_after(jit, jump, in->dst))
		jit_test_bits(jit, in->op == OP_AND64_K && is_wide(jump) ? 8 : 4, dst, imm);
	else
		x86_alu_i(&jit->out, X86_AND, in->op == OP_AND64_K && imm < 0 ? 8 : 4, x86_r(dst), imm);
	jit->unmade |= (uint32_t)dead_after(jit, jump, in->dst) << in->dst;
	jit_branch(jit, jump, jit_rule_of(jump)->x86);
	return 2;
}

/* t = r; t &= mask; if t == 0, where t dies: a test of r. */
static uint32_t match_copy_test(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *mask = jit_ahead(jit, in, 1), *jump = jit_ahead(jit, in, 2);
	bool wide = is_wide(in) && is_wide(mask) && is_wide(jump);

	if ((mask->op != OP_AND64_K && mask->op != OP_AND32_K) || mask->dst != in->dst || in->dst == in->src)
		return 0;
	if (!is_zero_test(jump, in->dst) || jit_is_decided(jit, jump) || !dead_after(jit, jump, in->dst))
		return 0;
	jit_test_bits(jit, wide ? 8 : 4, jit_src(in), (int32_t)mask->imm);
	jit->unmade |= 1u << in->dst;
	jit_branch(jit, jump, jit_rule_of(jump)->x86);
	return 3;
}

/* Comparisons that say the same of a loaded value and of the memory it came from. */
static bool is_unsigned_test(const struct ebpf_dinsn *in)
{
	switch (in->op) {
	case OP_JEQ64_K:
	case OP_JEQ32_K:
	case OP_JNE64_K:
	case OP_JNE32_K:
	case OP_JGT64_K:
	case OP_JGT32_K:
	case OP_JGE64_K:
	case OP_JGE32_K:
	case OP_JLT64_K:
	case OP_JLT32_K:
	case OP_JLE64_K:
	case OP_JLE32_K:
	case OP_JSET64_K:
	case OP_JSET32_K: return true;
	default: return false;
	}
}

/* r = *(size *)(s + off); if r op K, where r dies: a comparison with memory. */
static uint32_t match_load_test(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *jump = jit_ahead(jit, in, 1);
	unsigned size = jit_rule_of(in)->size;
	struct x86_rm mem = x86_m(jit_src(in), in->off);
	int64_t imm = (int64_t)jump->imm;

	if (!is_unsigned_test(jump) || jump->dst != in->dst || jit_is_decided(jit, jump) ||
	    !dead_after(jit, jump, in->dst))
		return 0;
	if (size == 8 ? jit_rule_of(jump)->size != 8 : imm < 0 || imm >> (8 * size))
		return 0;
	if (jit_rule_of(jump)->arg == JIT_JSET)
		x86_test_i(&jit->out, size, mem, (int32_t)imm);
	else
		x86_alu_i(&jit->out, X86_CMP, size, mem, (int32_t)imm);
	jit->unmade |= 1u << in->dst;
	jit_branch(jit, jump, jit_rule_of(jump)->x86);
	return 2;
}

/* r = *(size *)(s + off); r = be(r): movbe. */
static uint32_t match_load_be(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *swap = jit_ahead(jit, in, 1);
	unsigned size = jit_rule_of(in)->size;
	uint8_t dst = jit_dst(in);

	if (swap->dst != in->dst || size == 1 || jit_rule_of(swap)->lower != jit_lower_bswap ||
	    jit_rule_of(swap)->size != size)
		return 0;
	if (size == 2) {
		x86_load(&jit->out, 2, dst, x86_m(jit_src(in), in->off));
		x86_shift_i(&jit->out, X86_ROL, 2, x86_r(dst), 8);
		return 2;
	}
	if (!jit->has_movbe)
		return 0;
	x86_load_be(&jit->out, size, dst, x86_m(jit_src(in), in->off));
	return 2;
}

static uint32_t match_load(struct jit *jit, const struct ebpf_dinsn *in)
{
	uint32_t n = match_load_test(jit, in);

	return n ? n : match_load_be(jit, in);
}

/* r = K; *(base + off) = r, the last use of r: a store of K. */
static uint32_t match_store_const(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *store = jit_ahead(jit, in, 1);
	uint64_t value = is_wide(in) ? in->imm : (uint32_t)in->imm;
	unsigned size = jit_rule_of(store)->size;

	if (jit_rule_of(store)->lower != jit_lower_store || store->src != in->dst || store->dst == in->dst ||
	    !dead_after(jit, store, in->dst))
		return 0;
	/* A store of 8 bytes extends its 32 bits with sign. */
	if (size == 8 && value != (uint64_t)(int64_t)(int32_t)value)
		return 0;
	x86_store_i(&jit->out, size, x86_m(jit_dst(store), store->off), (int32_t)value);
	jit->unmade |= 1u << in->dst;
	return 2;
}

static uint32_t (*const matchers[JIT_OP_COUNT])(struct jit *jit, const struct ebpf_dinsn *in) = {
	[OP_MOV64_K] = match_store_const,
	[OP_MOV32_K] = match_store_const,
	[OP_MOV64_X] = match_mov,
	[OP_MOV32_X] = match_mov,
	[OP_LSH64_K] = match_shifts,
	[OP_AND64_K] = match_and_test,
	[OP_AND32_K] = match_and_test,
	[OP_LDX_B] = match_load,
	[OP_LDX_H] = match_load,
	[OP_LDX_W] = match_load,
	[OP_LDX_DW] = match_load,
	[OP_ADD64_X] = match_add_add,
	[OP_ST_B] = jit_match_zero_stores,
	[OP_ST_H] = jit_match_zero_stores,
	[OP_ST_W] = jit_match_zero_stores,
	[OP_ST_DW] = jit_match_zero_stores,
	[OP_STX_B] = jit_match_zero_stores,
	[OP_STX_H] = jit_match_zero_stores,
	[OP_STX_W] = jit_match_zero_stores,
	[OP_STX_DW] = jit_match_zero_stores,
};

uint32_t jit_match(struct jit *jit, const struct ebpf_dinsn *in)
{
	return matchers[in->op] ? matchers[in->op](jit, in) : 0;
}
