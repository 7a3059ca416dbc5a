/* Frames: what a function saves, its prologue and epilogue, and the entries from C. */
#include "jit_code.h"

/* Linux's BPF_MAX_LOOPS: how often a function may pass its may_goto instructions. */
#define MAY_GOTO_LOOPS (8 * 1024 * 1024)

/* Kept for the caller, in the order of their pushes. */
static const uint8_t callee_saved[] = { X86_RBP, X86_RBX, X86_R13, X86_R14, X86_R15, X86_R12 };

static bool makes_call(const struct jit *jit, const struct ebpf_dinsn *in)
{
	return jit->budget || in->op == OP_CALL_HELPER || in->op == OP_CALL_LOCAL || in->op == OP_TAIL_CALL ||
	       jit_is_ld_abs(in->op);
}

static uint32_t scan(struct jit *jit, bool *has_may_goto)
{
	uint32_t named = 0;

	for (uint32_t i = jit->func->start; i < jit->func->end; i++) {
		const struct ebpf_dinsn *in = &jit->code->insns[i];

		named |= jit_named(in);
		jit->frame.calls |= makes_call(jit, in);
		*has_may_goto |= in->op == OP_MAY_GOTO;
	}
	return named;
}

void jit_frame_plan(struct jit *jit)
{
	struct jit_frame *frame = &jit->frame;
	bool has_may_goto = false;
	uint32_t named, stack;

	*frame = (struct jit_frame){ .exit = JIT_NO_LABEL, .fail = JIT_NO_LABEL };
	named = scan(jit, &has_may_goto);
	frame->sets_run = jit->func->start == 0 && jit->needs_run && !jit->main_called;
	frame->has_fp = (named & 1u << 10) || has_may_goto;
	for (uint32_t r = 6; r <= 9; r++)
		if (named & 1u << r)
			frame->saved |= (uint16_t)(1u << jit_regs[r]);
	frame->saved |= (uint16_t)(frame->has_fp << X86_RBP | frame->sets_run << X86_R12);
	/* The return address and an odd number of registers make a multiple of 16. */
	frame->pad = __builtin_popcount(frame->saved) % 2 ? 0 : 8;
	stack = frame->has_fp ? (uint32_t)align_up(jit->func->stack_depth, 16) : 0;
	if (has_may_goto) {
		stack += 16;
		frame->may_goto = -(int32_t)stack;
	}
	frame->nbytes = frame->has_fp || frame->calls ? stack + frame->pad : 0;
}

/* What an unverified program reads before it writes it is 0, under either engine. */
static void zero_regs(struct jit *jit)
{
	uint32_t live = jit->flow.live[jit->func->start];

	for (uint32_t r = 0; r < 10; r++)
		if (r != 1 && r != 2 && (live & HALVES(r)))
			jit_const(jit, jit_regs[r], 0);
}

void jit_prologue(struct jit *jit)
{
	const struct jit_frame *frame = &jit->frame;
	struct x86_buf *b = &jit->out;

	for (size_t i = 0; i < ARRAY_SIZE(callee_saved); i++)
		if (frame->saved & 1u << callee_saved[i])
			x86_push(b, callee_saved[i]);
	if (frame->has_fp && frame->pad)
		x86_lea(b, 8, X86_RBP, x86_m(X86_RSP, -(int32_t)frame->pad));
	else if (frame->has_fp)
		x86_mov(b, 8, X86_RBP, X86_RSP);
	if (frame->nbytes)
		x86_alu_i(b, X86_SUB, 8, x86_r(X86_RSP), (int32_t)frame->nbytes);
	if (frame->sets_run)
		x86_mov(b, 8, JIT_RUN, X86_RDX);
	if (frame->may_goto)
		x86_store_i(b, 8, x86_m(X86_RBP, frame->may_goto), MAY_GOTO_LOOPS);
	if (jit->budget && jit->func->start == 0 && !jit->main_called)
		zero_regs(jit);
}

void jit_leave(struct jit *jit)
{
	struct x86_buf *b = &jit->out;

	if (jit->frame.nbytes)
		x86_alu_i(b, X86_ADD, 8, x86_r(X86_RSP), (int32_t)jit->frame.nbytes);
	for (size_t i = ARRAY_SIZE(callee_saved); i-- > 0;)
		if (jit->frame.saved & 1u << callee_saved[i])
			x86_pop(b, callee_saved[i]);
}

/* An epilogue no longer than the jump to it. */
static bool is_short(const struct jit_frame *frame)
{
	return !frame->nbytes && __builtin_popcount(frame->saved) <= 2;
}

void jit_exit(struct jit *jit)
{
	struct jit_frame *frame = &jit->frame;

	if (frame->exit != JIT_NO_LABEL && !is_short(frame)) {
		jit_jmp(jit, frame->exit);
		return;
	}
	frame->exit = jit_new_label(jit);
	jit_bind(jit, frame->exit);
	jit_leave(jit);
	x86_ret(&jit->out);
}

static void emit_fail(struct jit *jit, const struct jit_cold *cold)
{
	(void)cold;
	x86_alu(&jit->out, X86_XOR, 4, X86_RAX, x86_r(X86_RAX));
	jit_exit(jit);
}

jit_label jit_fail_label(struct jit *jit)
{
	if (jit->frame.fail == JIT_NO_LABEL)
		jit->frame.fail = jit_cold(jit, emit_fail, NULL, JIT_NO_LABEL);
	return jit->frame.fail;
}

/* R6 to R9, an even number: pushing them keeps the stack aligned. */
static const uint8_t kept[] = { X86_RBX, X86_R13, X86_R14, X86_R15 };

/* As zero_regs, for a function that is also called from inside. */
static void zero_all_regs(struct jit *jit)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		x86_push(&jit->out, kept[i]);
	for (uint32_t r = 0; r < 10; r++)
		if (r != 1 && r != 2)
			jit_const(jit, jit_regs[r], 0);
}

void jit_thunk(struct jit *jit, jit_label callee, uint8_t run_arg)
{
	bool zeroes = jit->budget && run_arg == X86_RDX;

	x86_push(&jit->out, JIT_RUN);
	x86_mov(&jit->out, 8, JIT_RUN, run_arg);
	if (zeroes)
		zero_all_regs(jit);
	jit_call(jit, callee);
	for (size_t i = ARRAY_SIZE(kept); zeroes && i-- > 0;)
		x86_pop(&jit->out, kept[i]);
	x86_pop(&jit->out, JIT_RUN);
	x86_ret(&jit->out);
}
