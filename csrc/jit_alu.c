/* Lowering of arithmetic, shifts, moves and byte swaps. */
#include "jit_code.h"

JIT_LOWER(jit_lower_nothing)
{
	(void)jit, (void)in, (void)rule;
}

static bool fits(const struct jit *jit, const struct ebpf_dinsn *in, uint32_t bits)
{
	return jit->widths.bits[in->dst] <= bits;
}

/* What a 32-bit operation that changes nothing still does. */
static void zero_extend(struct jit *jit, const struct ebpf_dinsn *in, unsigned size)
{
	if (size == 4 && !fits(jit, in, 32))
		x86_mov(&jit->out, 4, jit_dst(in), jit_dst(in));
}

/* Does the mask keep every bit that can be set? */
static bool keeps_all(const struct jit *jit, const struct ebpf_dinsn *in, unsigned size)
{
	uint32_t bits = jit->widths.bits[in->dst];
	uint64_t mask = size == 4 ? (uint32_t)in->imm : in->imm;

	return bits < 64 && !(((1ull << bits) - 1) & ~mask);
}

/* and with 0xff and 0xffff as zero-extending moves, which are shorter. */
static bool lower_mask(struct jit *jit, uint8_t dst, uint64_t mask)
{
	if (mask == 0xff || mask == 0xffff)
		x86_load(&jit->out, mask == 0xff ? 1 : 2, dst, x86_r(dst));
	return mask == 0xff || mask == 0xffff;
}

JIT_LOWER(jit_lower_alu_k)
{
	uint8_t dst = jit_dst(in);
	int32_t imm = (int32_t)in->imm;
	unsigned size = rule->size;

	if (rule->x86 == X86_AND && (keeps_all(jit, in, size) || lower_mask(jit, dst, in->imm)))
		return;
	/* A mask without sign clears the upper half either way. */
	if (rule->x86 == X86_AND && imm >= 0)
		size = 4;
	if (imm == 0 && rule->x86 != X86_AND)
		zero_extend(jit, in, size);
	else if (imm == 128 && rule->x86 == X86_ADD)
		x86_alu_i(&jit->out, X86_SUB, size, x86_r(dst), -128); /* fits 8 bits */
	else
		x86_alu_i(&jit->out, rule->x86, size, x86_r(dst), imm);
}

JIT_LOWER(jit_lower_alu_x)
{
	x86_alu_to(&jit->out, rule->x86, rule->size, x86_r(jit_dst(in)), jit_src(in));
}

JIT_LOWER(jit_lower_mul_k)
{
	uint8_t dst = jit_dst(in);
	uint32_t imm = (uint32_t)in->imm;
	bool power = (int32_t)imm > 0 && !(imm & (imm - 1));

	if (imm == 1)
		zero_extend(jit, in, rule->size);
	else if (power)
		x86_shift_i(&jit->out, X86_SHL, rule->size, x86_r(dst), (uint8_t)__builtin_ctz(imm));
	else
		x86_imul_i(&jit->out, rule->size, dst, x86_r(dst), (int32_t)imm);
}

JIT_LOWER(jit_lower_mul_x)
{
	x86_imul(&jit->out, rule->size, jit_dst(in), x86_r(jit_src(in)));
}

JIT_LOWER(jit_lower_shift_k)
{
	uint8_t count = (uint8_t)(in->imm & (rule->size * 8u - 1));

	if (count)
		x86_shift_i(&jit->out, rule->x86, rule->size, x86_r(jit_dst(in)), count);
	else
		zero_extend(jit, in, rule->size);
}

/* Without BMI2 the count must be in cl, which is R4's. */
static void shift_by_cl(struct jit *jit, const struct jit_rule *rule, uint8_t dst, uint8_t src)
{
	struct x86_buf *b = &jit->out;

	if (src == X86_RCX && dst != X86_RCX) {
		x86_shift_cl(b, rule->x86, rule->size, x86_r(dst));
		return;
	}
	x86_mov(b, 8, JIT_T0, X86_RCX);
	if (src != X86_RCX)
		x86_mov(b, 4, X86_RCX, src);
	x86_shift_cl(b, rule->x86, rule->size, x86_r(dst == X86_RCX ? JIT_T0 : dst));
	x86_mov(b, 8, X86_RCX, JIT_T0);
}

JIT_LOWER(jit_lower_shift_x)
{
	uint8_t dst = jit_dst(in), src = jit_src(in);

	if (jit->has_bmi2)
		x86_shiftx(&jit->out, rule->x86, rule->size, dst, x86_r(dst), src);
	else
		shift_by_cl(jit, rule, dst, src);
}

JIT_LOWER(jit_lower_mov_k)
{
	uint64_t imm = rule->size == 8 ? in->imm : (uint32_t)in->imm;

	if (imm || !fits(jit, in, 0))
		jit_const(jit, jit_dst(in), imm);
}

void jit_const(struct jit *jit, uint8_t reg, uint64_t imm)
{
	if (imm)
		x86_mov_i(&jit->out, reg, imm);
	else
		x86_alu_to(&jit->out, X86_XOR, 4, x86_r(reg), reg);
}

JIT_LOWER(jit_lower_mov_x)
{
	if (in->dst == in->src)
		zero_extend(jit, in, rule->size);
	else
		x86_mov(&jit->out, rule->size, jit_dst(in), jit_src(in));
}

/* rule->arg: bytes that are extended. */
JIT_LOWER(jit_lower_movsx)
{
	x86_load_sx(&jit->out, rule->arg, rule->size, jit_dst(in), x86_r(jit_src(in)));
}

JIT_LOWER(jit_lower_neg)
{
	x86_unary(&jit->out, X86_NEG, rule->size, x86_r(jit_dst(in)));
}

JIT_LOWER(jit_lower_bswap)
{
	uint8_t dst = jit_dst(in);

	if (rule->size != 2) {
		x86_bswap(&jit->out, rule->size, dst);
		return;
	}
	x86_shift_i(&jit->out, X86_ROL, 2, x86_r(dst), 8);
	if (!fits(jit, in, 16))
		x86_load(&jit->out, 2, dst, x86_r(dst));
}

/* The machine is little-endian: what is left is the truncation. */
JIT_LOWER(jit_lower_le)
{
	if (rule->size != 8 && !fits(jit, in, rule->size * 8u))
		x86_load(&jit->out, rule->size, jit_dst(in), x86_r(jit_dst(in)));
}

JIT_LOWER(jit_lower_rol)
{
	uint8_t dst = jit_dst(in), src = jit_src(in), left = (uint8_t)in->imm;

	(void)rule;
	if (dst != src && jit->has_bmi2) {
		x86_rorx(&jit->out, 4, dst, x86_r(src), (uint8_t)(32 - left));
		return;
	}
	if (dst != src)
		x86_mov(&jit->out, 4, dst, src);
	x86_shift_i(&jit->out, X86_ROL, 4, x86_r(dst), left);
}
