/* Lowering of loads, stores, atomics and packet loads. */
#include "gen/ctx.h"
#include "jit_code.h"

static struct x86_rm at_src(const struct ebpf_dinsn *in)
{
	return x86_m(jit_src(in), in->off);
}

static struct x86_rm at_dst(const struct ebpf_dinsn *in)
{
	return x86_m(jit_dst(in), in->off);
}

JIT_LOWER(jit_lower_imm64)
{
	(void)rule;
	jit_const(jit, jit_dst(in), in->imm);
}

/* x86 loads acquire and its stores release by themselves (Intel SDM vol. 3, 10.2.2). */
JIT_LOWER(jit_lower_load)
{
	(void)rule;
	jit_access(jit, in, at_src(in));
}

JIT_LOWER(jit_lower_load_sx)
{
	(void)rule;
	jit_access(jit, in, at_src(in));
}

JIT_LOWER(jit_lower_store)
{
	(void)rule;
	jit_access(jit, in, at_dst(in));
}

JIT_LOWER(jit_lower_store_k)
{
	(void)rule;
	jit_access(jit, in, at_dst(in));
}

bool jit_is_load(const struct ebpf_dinsn *in)
{
	return jit_rule_of(in)->lower == jit_lower_load || jit_rule_of(in)->lower == jit_lower_load_sx;
}

void jit_access(struct jit *jit, const struct ebpf_dinsn *in, struct x86_rm at)
{
	const struct jit_rule *rule = jit_rule_of(in);

	if (rule->lower == jit_lower_load)
		x86_load(&jit->out, rule->size, jit_dst(in), at);
	else if (rule->lower == jit_lower_load_sx)
		x86_load_sx(&jit->out, rule->size, 8, jit_dst(in), at);
	else if (rule->lower == jit_lower_store)
		x86_store(&jit->out, rule->size, at, jit_src(in));
	else
		x86_store_i(&jit->out, rule->size, at, (int32_t)in->imm);
}

/* Atomics whose old value nobody wants. */
JIT_LOWER(jit_lower_atomic)
{
	x86_lock(&jit->out);
	x86_alu_to(&jit->out, rule->x86, rule->size, at_dst(in), jit_src(in));
}

JIT_LOWER(jit_lower_fetch_add)
{
	x86_lock(&jit->out);
	x86_xadd(&jit->out, rule->size, at_dst(in), jit_src(in));
}

JIT_LOWER(jit_lower_xchg)
{
	x86_xchg(&jit->out, rule->size, at_dst(in), jit_src(in));
}

JIT_LOWER(jit_lower_cmpxchg)
{
	x86_lock(&jit->out);
	x86_cmpxchg(&jit->out, rule->size, at_dst(in), jit_src(in));
	if (rule->size == 4)
		x86_mov(&jit->out, 4, X86_RAX, X86_RAX); /* left alone when they were equal */
}

/* Fetching or, and, xor: a compare-and-exchange loop through rax, which is R0's. */
JIT_LOWER(jit_lower_fetch)
{
	struct x86_buf *b = &jit->out;
	uint8_t src = in->src == 0 ? JIT_T2 : jit_src(in);
	struct x86_rm mem = in->dst == 0 ? x86_m(JIT_T2, in->off) : at_dst(in);
	jit_label again = jit_new_label(jit);

	x86_mov(b, 8, JIT_T2, X86_RAX);
	x86_load(b, rule->size, X86_RAX, mem);
	jit_bind(jit, again);
	x86_mov(b, rule->size, JIT_T1, X86_RAX);
	x86_alu_to(b, rule->x86, rule->size, x86_r(JIT_T1), src);
	x86_lock(b);
	x86_cmpxchg(b, rule->size, mem, JIT_T1);
	jit_jcc(jit, X86_CC_NE, again);
	if (in->src == 0)
		return;
	x86_mov(b, rule->size, src, X86_RAX);
	x86_mov(b, 8, X86_RAX, JIT_T2);
}

/* Packet loads: R0 = the big-endian value at an offset of R6's packet, or the function returns 0.
 *
 * The offset is imm (LD_ABS), to which LD_IND adds a register.  Offsets that lie in the packet are loaded here;
 * ebpf_ld_abs does the others: negative ones have a meaning (Linux's SKF_*_OFF). */
#define LD_OFF  JIT_T2
#define LD_DATA JIT_T0
#define LD_END  JIT_T1

static void emit_ld_slow(struct jit *jit, const struct jit_cold *cold)
{
	struct x86_buf *b = &jit->out;

	if (jit_rule_of(cold->insn)->arg)
		x86_mov(b, 4, X86_RSI, LD_OFF);
	else
		x86_mov_i(b, X86_RSI, (uint32_t)cold->insn->imm);
	x86_mov(b, 8, X86_RDI, jit_regs[6]);
	x86_mov_i(b, X86_RDX, jit_rule_of(cold->insn)->size);
	jit_call_abs(jit, (uintptr_t)ebpf_ld_abs);
	x86_test(b, 8, x86_r(X86_RAX), X86_RAX);
	jit_jcc(jit, X86_CC_NS, cold->back);
	jit_jmp(jit, jit_fail_label(jit));
}

static void load_be(struct jit *jit, unsigned size, struct x86_rm at)
{
	struct x86_buf *b = &jit->out;

	if (size == 4 && jit->has_movbe) {
		x86_load_be(b, 4, X86_RAX, at);
		return;
	}
	x86_load(b, size, X86_RAX, at);
	if (size == 4) {
		x86_bswap(b, 4, X86_RAX);
	} else if (size == 2) {
		x86_shift_i(b, X86_ROL, 2, x86_r(X86_RAX), 8);
	}
}

/* rule->arg: 1 for LD_IND. */
JIT_LOWER(jit_lower_ld_abs)
{
	struct x86_buf *b = &jit->out;
	int32_t imm = (int32_t)in->imm;
	jit_label back = jit_new_label(jit);
	jit_label slow = jit_cold(jit, emit_ld_slow, in, back);
	struct x86_rm value = x86_m(LD_DATA, imm), end = x86_m(LD_DATA, imm + rule->size);

	if (!rule->arg && (imm < 0 || imm > INT32_MAX - 4)) {
		jit_jmp(jit, slow);
		jit_bind(jit, back);
		return;
	}
	x86_load(b, 8, LD_DATA, x86_m(jit_regs[6], offsetof(struct ebpf_skb, data)));
	if (rule->arg) {
		/* 32 bits wrap; a negative sum becomes one beyond any packet. */
		x86_lea(b, 4, LD_OFF, x86_m(jit_src(in), imm));
		value = x86_mx(LD_DATA, LD_OFF, 0, 0);
		end = x86_mx(LD_DATA, LD_OFF, 0, rule->size);
	}
	x86_lea(b, 8, LD_END, end);
	x86_alu(b, X86_CMP, 8, LD_END, x86_m(jit_regs[6], offsetof(struct ebpf_skb, data_end)));
	jit_jcc(jit, X86_CC_A, slow);
	load_be(jit, rule->size, value);
	jit_bind(jit, back);
}
