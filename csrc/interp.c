/* The interpreter: the reference for every instruction. */
#include "interp.h"

#include <string.h>

#include "decode.h"
#include "helpers.h"
#include "interp_ops.h"

/* Turns of a frame's may_goto loops before they are taken, Linux's BPF_MAX_LOOPS. */
#define INTERP_MAX_LOOPS (8u * 1024 * 1024)

/* What a local call saves. */
struct interp_frame {
	const struct ebpf_dinsn *call; /* where to go on behind */
	uint64_t saved[4];             /* R6..R9 */
	uint64_t loops;
};

typedef uint64_t (*interp_fn)(struct ebpf_run *run, const struct ebpf_dinsn *insn, const uint64_t args[5]);

/* A tail call out of a function: the target takes the function's place and returns to its caller, so it runs on
 * a stack of its own below us.  False: fall through. */
static bool interp_tail_call_nested(struct ebpf_run *run, uint64_t *regs, interp_fn fn)
{
	struct ebpf_prog *from = run->prog;
	struct ebpf_prog *to = ebpf_tail_call(run, (void *)(uintptr_t)regs[2], (uint32_t)regs[3]);

	if (!to)
		return false;
	if (run->depth >= EBPF_MAX_DEPTH) {
		run->error = -E2BIG;
		return true;
	}
	run->depth++;
	regs[0] = fn(run, to->code->insns, &regs[1]);
	run->depth--;
	run->prog = from;
	return true;
}

#define INTERP_NAME   interp_verified
#define INTERP_BUDGET 0
#include "interp_body.h"
#undef INTERP_NAME
#undef INTERP_BUDGET
#define INTERP_NAME   interp_budgeted
#define INTERP_BUDGET 1
#include "interp_body.h"
#undef INTERP_NAME
#undef INTERP_BUDGET

static uint64_t run_verified(void *r1, uint64_t r2, struct ebpf_run *run)
{
	return interp_verified(run, run->prog->code->insns, (uint64_t[5]){ (uintptr_t)r1, r2 });
}

static uint64_t run_budgeted(void *r1, uint64_t r2, struct ebpf_run *run)
{
	return interp_budgeted(run, run->prog->code->insns, (uint64_t[5]){ (uintptr_t)r1, r2 });
}

ebpf_fn interp_entry(uint32_t flags)
{
	return flags & PROG_NEEDS_BUDGET ? run_budgeted : run_verified;
}

uint64_t interp_call(struct ebpf_run *run, uint64_t insn, const uint64_t args[5])
{
	interp_fn fn = run->prog->flags & PROG_NEEDS_BUDGET ? interp_budgeted : interp_verified;

	return fn(run, (const struct ebpf_dinsn *)(uintptr_t)insn, args);
}
