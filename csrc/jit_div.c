/* Lowering of division and modulo: x / 0 = 0, x % 0 = x, INT_MIN / -1 = INT_MIN, INT_MIN % -1 = 0.
 *
 * The machine divides rdx:rax, which are R3 and R0; they are kept in scratch registers meanwhile. */
#include "jit_code.h"

#define DIVISOR   JIT_T2
#define SAVED_RAX JIT_T1
#define SAVED_RDX JIT_T0

/* rule->arg of the four families */
static bool is_mod(const struct jit_rule *rule)
{
	return rule->arg & JIT_DIV_MOD;
}

static bool is_signed(const struct jit_rule *rule)
{
	return rule->arg & JIT_DIV_SIGNED;
}

/* dst = dst / DIVISOR, for divisors that do not trap. */
static void divide(struct jit *jit, const struct jit_rule *rule, uint8_t dst)
{
	struct x86_buf *b = &jit->out;
	uint8_t result = is_mod(rule) ? X86_RDX : X86_RAX;

	if (dst != X86_RDX)
		x86_mov(b, 8, SAVED_RDX, X86_RDX);
	if (dst != X86_RAX) {
		x86_mov(b, 8, SAVED_RAX, X86_RAX);
		x86_mov(b, rule->size, X86_RAX, dst);
	}
	if (is_signed(rule))
		x86_sign_to_dx(b, rule->size);
	else
		x86_alu_to(b, X86_XOR, 4, x86_r(X86_RDX), X86_RDX);
	x86_unary(b, is_signed(rule) ? X86_IDIV : X86_DIV, rule->size, x86_r(DIVISOR));
	if (dst != result)
		x86_mov(b, rule->size, dst, result);
	if (dst != X86_RDX)
		x86_mov(b, 8, X86_RDX, SAVED_RDX);
	if (dst != X86_RAX)
		x86_mov(b, 8, X86_RAX, SAVED_RAX);
}

/* By 0: 0, or the dividend. */
static void by_zero(struct jit *jit, const struct jit_rule *rule, uint8_t dst)
{
	if (!is_mod(rule))
		jit_const(jit, dst, 0);
	else if (rule->size == 4)
		x86_mov(&jit->out, 4, dst, dst);
}

/* By -1: the negation, which wraps, or no remainder. */
static void by_minus_one(struct jit *jit, const struct jit_rule *rule, uint8_t dst)
{
	if (is_mod(rule))
		jit_const(jit, dst, 0);
	else
		x86_unary(&jit->out, X86_NEG, rule->size, x86_r(dst));
}

/* Unsigned, by a power of two. */
static void by_power(struct jit *jit, const struct jit_rule *rule, struct ebpf_dinsn in, uint64_t divisor)
{
	struct jit_rule shift = { .x86 = X86_SHR, .size = rule->size };
	struct jit_rule mask = { .x86 = X86_AND, .size = rule->size };

	in.imm = is_mod(rule) ? divisor - 1 : (uint64_t)__builtin_ctzll(divisor);
	if (is_mod(rule))
		jit_lower_alu_k(jit, &in, &mask);
	else
		jit_lower_shift_k(jit, &in, &shift);
}

JIT_LOWER(jit_lower_div_k)
{
	uint64_t divisor = rule->size == 8 ? in->imm : (uint32_t)in->imm;
	uint8_t dst = jit_dst(in);

	if (divisor == 0) {
		by_zero(jit, rule, dst);
	} else if (is_signed(rule) && (int32_t)in->imm == -1) {
		by_minus_one(jit, rule, dst);
	} else if (!is_signed(rule) && !(divisor & (divisor - 1)) && divisor <= INT32_MAX) {
		by_power(jit, rule, *in, divisor);
	} else {
		x86_mov_i(&jit->out, DIVISOR, divisor);
		divide(jit, rule, dst);
	}
}

static void emit_by_zero(struct jit *jit, const struct jit_cold *cold)
{
	by_zero(jit, jit_rule_of(cold->insn), jit_dst(cold->insn));
	jit_jmp(jit, cold->back);
}

static void emit_by_minus_one(struct jit *jit, const struct jit_cold *cold)
{
	by_minus_one(jit, jit_rule_of(cold->insn), jit_dst(cold->insn));
	jit_jmp(jit, cold->back);
}

JIT_LOWER(jit_lower_div_x)
{
	struct x86_buf *b = &jit->out;
	jit_label done = jit_new_label(jit);

	x86_mov(b, rule->size, DIVISOR, jit_src(in));
	x86_test(b, rule->size, x86_r(DIVISOR), DIVISOR);
	jit_jcc(jit, X86_CC_E, jit_cold(jit, emit_by_zero, in, done));
	if (is_signed(rule)) {
		x86_alu_i(b, X86_CMP, rule->size, x86_r(DIVISOR), -1);
		jit_jcc(jit, X86_CC_E, jit_cold(jit, emit_by_minus_one, in, done));
	}
	divide(jit, rule, jit_dst(in));
	jit_bind(jit, done);
}
