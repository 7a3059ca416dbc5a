/* Lowering of jumps, calls and exits. */
#include "helpers.h"
#include "jit_code.h"

/* Registers that a C function may change, R0 to R5's: an even number, so that pushing them keeps rsp aligned. */
static const uint8_t caller_saved[] = { X86_RAX, X86_RDI, X86_RSI, X86_RDX, X86_RCX, X86_R8 };

/* Ends the function if run->error is set. */
static void check_error(struct jit *jit)
{
	x86_alu_i(&jit->out, X86_CMP, 4, x86_m(JIT_RUN, offsetof(struct ebpf_run, error)), 0);
	jit_jcc(jit, X86_CC_NE, jit_fail_label(jit));
}

static void emit_refill(struct jit *jit, const struct jit_cold *cold)
{
	struct x86_buf *b = &jit->out;

	for (size_t i = 0; i < ARRAY_SIZE(caller_saved); i++)
		x86_push(b, caller_saved[i]);
	x86_mov(b, 8, X86_RDI, JIT_RUN);
	jit_call_abs(jit, (uintptr_t)ebpf_budget_refill);
	x86_test(b, 1, x86_r(X86_RAX), X86_RAX);
	for (size_t i = ARRAY_SIZE(caller_saved); i-- > 0;)
		x86_pop(b, caller_saved[i]); /* leaves the flags */
	jit_jcc(jit, X86_CC_NE, cold->back);
	jit_jmp(jit, jit_fail_label(jit));
}

/* Counts a back edge or a call of a program that nothing else bounds. */
static void count_budget(struct jit *jit)
{
	jit_label back;

	if (!jit->budget)
		return;
	back = jit_new_label(jit);
	x86_alu_i(&jit->out, X86_SUB, 8, x86_m(JIT_RUN, offsetof(struct ebpf_run, budget)), 1);
	jit_jcc(jit, X86_CC_S, jit_cold(jit, emit_refill, NULL, back));
	jit_bind(jit, back);
}

static bool is_back_edge(const struct jit *jit, const struct ebpf_dinsn *in)
{
	return in->target <= jit_insn_idx(jit, in);
}

void jit_branch(struct jit *jit, const struct ebpf_dinsn *in, enum x86_cc cc)
{
	jit_label skip;

	if (!jit->budget || !is_back_edge(jit, in)) {
		jit_jcc(jit, cc, in->target);
		return;
	}
	/* Only a back edge that is taken counts. */
	skip = jit_new_label(jit);
	jit_jcc(jit, cc ^ 1, skip);
	count_budget(jit);
	jit_jmp(jit, in->target);
	jit_bind(jit, skip);
}

static uint8_t verdict(const struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct insn_fact *facts = jit->code->facts;

	return facts ? facts[jit_insn_idx(jit, in)].flags & (FACT_ALWAYS | FACT_NEVER) : 0;
}

bool jit_is_decided(const struct jit *jit, const struct ebpf_dinsn *in)
{
	return verdict(jit, in) == FACT_ALWAYS || verdict(jit, in) == FACT_NEVER;
}

/* A decided jump needs no comparison. */
static bool lower_decided(struct jit *jit, const struct ebpf_dinsn *in)
{
	if (!jit_is_decided(jit, in))
		return false;
	if (verdict(jit, in) == FACT_ALWAYS && in->target != jit_insn_idx(jit, in) + 1)
		jit_jmp(jit, in->target);
	return true;
}

/* test reg, imm: of the low byte where that says the same. */
void jit_test_bits(struct jit *jit, unsigned size, uint8_t reg, int32_t imm)
{
	if (imm >= 0 && imm <= INT8_MAX)
		size = 1;
	else if (imm >= 0)
		size = 4;
	x86_test_i(&jit->out, size, x86_r(reg), imm);
}

static void compare_const(struct jit *jit, const struct ebpf_dinsn *in, const struct jit_rule *rule)
{
	uint8_t dst = jit_dst(in);
	int32_t imm = (int32_t)in->imm;

	if (rule->arg == JIT_JSET)
		jit_test_bits(jit, rule->size, dst, imm);
	else if (imm == 0)
		x86_test(&jit->out, rule->size, x86_r(dst), dst);
	else
		x86_alu_i(&jit->out, X86_CMP, rule->size, x86_r(dst), imm);
}

static void compare_regs(struct jit *jit, const struct ebpf_dinsn *in, const struct jit_rule *rule)
{
	uint8_t dst = jit_dst(in), src = jit_src(in);

	if (rule->arg == JIT_JSET)
		x86_test(&jit->out, rule->size, x86_r(dst), src);
	else
		x86_alu_to(&jit->out, X86_CMP, rule->size, x86_r(dst), src);
}

JIT_LOWER(jit_lower_jcc_k)
{
	if (lower_decided(jit, in))
		return;
	compare_const(jit, in, rule);
	jit_branch(jit, in, rule->x86);
}

JIT_LOWER(jit_lower_jcc_x)
{
	if (lower_decided(jit, in))
		return;
	compare_regs(jit, in, rule);
	jit_branch(jit, in, rule->x86);
}

bool jit_is_inverted(const struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *head;

	if ((in->op != OP_JA && in->op != OP_JA_LONG) || !is_back_edge(jit, in) || jit->budget)
		return false;
	head = &jit->code->insns[in->target];
	return jit_is_branch(head->op) && !jit_is_decided(jit, head);
}

/* A loop that goes back to its own test repeats the test instead, inverted: one jump less a turn. */
static void lower_inverted(struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct ebpf_dinsn *head = &jit->code->insns[in->target];
	const struct jit_rule *rule = jit_rule_of(head);

	if (rule->lower == jit_lower_jcc_k)
		compare_const(jit, head, rule);
	else
		compare_regs(jit, head, rule);
	jit_jcc(jit, rule->x86 ^ 1, in->target + 1);
	if (head->target != jit_insn_idx(jit, in) + 1)
		jit_jmp(jit, head->target);
}

JIT_LOWER(jit_lower_ja)
{
	(void)rule;
	if (jit_is_inverted(jit, in)) {
		lower_inverted(jit, in);
		return;
	}
	if (is_back_edge(jit, in))
		count_budget(jit);
	if (in->target != jit_insn_idx(jit, in) + 1)
		jit_jmp(jit, in->target);
}

/* Jumps once the function's counter has run out: it stays below 0. */
JIT_LOWER(jit_lower_may_goto)
{
	(void)rule;
	x86_alu_i(&jit->out, X86_SUB, 8, x86_m(X86_RBP, jit->frame.may_goto), 1);
	jit_branch(jit, in, X86_CC_S);
}

JIT_LOWER(jit_lower_call_helper)
{
	(void)rule;
	if (jit_inline_call(jit, in))
		return;
	x86_mov(&jit->out, 8, X86_R9, JIT_RUN);
	jit_call_abs(jit, in->imm);
	check_error(jit);
}

static void emit_too_deep(struct jit *jit, const struct jit_cold *cold)
{
	(void)cold;
	x86_store_i(&jit->out, 4, x86_m(JIT_RUN, offsetof(struct ebpf_run, error)), -E2BIG);
	jit_jmp(jit, jit_fail_label(jit));
}

/* The verifier has bounded the frames of a verified program. */
static void enter_frame(struct jit *jit)
{
	struct x86_rm frames = x86_m(JIT_RUN, offsetof(struct ebpf_run, frames));

	x86_alu_i(&jit->out, X86_CMP, 4, frames, EBPF_MAX_CALL_FRAMES - 1);
	jit_jcc(jit, X86_CC_AE, jit_cold(jit, emit_too_deep, NULL, JIT_NO_LABEL));
	x86_alu_i(&jit->out, X86_ADD, 4, frames, 1);
}

static uint32_t func_idx(const struct jit *jit, uint32_t start)
{
	return (uint32_t)(ebpf_func_of(jit->code, start) - jit->code->funcs);
}

JIT_LOWER(jit_lower_call_local)
{
	(void)rule;
	count_budget(jit);
	if (jit->budget)
		enter_frame(jit);
	jit_call(jit, jit->entries[func_idx(jit, in->target)].local);
	if (jit->budget)
		x86_alu_i(&jit->out, X86_SUB, 4, x86_m(JIT_RUN, offsetof(struct ebpf_run, frames)), 1);
	if (jit->nested_tail_calls) {
		/* The callee may have been replaced by another program, which has returned. */
		x86_mov_i(&jit->out, JIT_T0, (uintptr_t)jit->prog);
		x86_store(&jit->out, 8, x86_m(JIT_RUN, offsetof(struct ebpf_run, prog)), JIT_T0);
	}
	if (jit->may_fail)
		check_error(jit);
}

JIT_LOWER(jit_lower_func)
{
	(void)rule;
	jit_lea(jit, jit_dst(in), jit->entries[func_idx(jit, in->target)].c);
}

/* A tail call is a C sibling call of the other program's function: the frame goes first, and it makes its own. */
JIT_LOWER(jit_lower_tail_call)
{
	struct x86_buf *b = &jit->out;
	jit_label fall_through = jit_new_label(jit);

	(void)in, (void)rule;
	count_budget(jit);
	x86_alu_i(b, X86_SUB, 8, x86_r(X86_RSP), 16);
	x86_store(b, 8, x86_m(X86_RSP, 0), X86_RDI);
	x86_mov(b, 8, X86_RDI, JIT_RUN);
	jit_call_abs(jit, (uintptr_t)ebpf_tail_call);
	x86_load(b, 8, X86_RDI, x86_m(X86_RSP, 0));
	x86_alu_i(b, X86_ADD, 8, x86_r(X86_RSP), 16);
	x86_test(b, 8, x86_r(X86_RAX), X86_RAX);
	jit_jcc(jit, X86_CC_E, fall_through);
	x86_mov(b, 8, X86_RDX, JIT_RUN);
	x86_alu_to(b, X86_XOR, 4, x86_r(X86_RSI), X86_RSI);
	jit_leave(jit);
	x86_jmp(b, x86_m(X86_RAX, offsetof(struct ebpf_prog, fn)));
	jit_bind(jit, fall_through);
}

JIT_LOWER(jit_lower_exit)
{
	(void)in, (void)rule;
	jit_exit(jit);
}
