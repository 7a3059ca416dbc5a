/* Programs: creation, references, one whole run. */
#include "prog.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "decode.h"
#include "entry.h"
#include "epoch.h"
#include "interp.h"
#include "jit.h"
#include "map.h"
#include "map_prog_array.h"
#include "stack.h"
#include "packet.h"

static int prog_copy(struct ebpf_prog *prog, const struct ebpf_prog_desc *desc)
{
	size_t nbytes;

	if (!mul_size(desc->n_insns, sizeof(*desc->insns), &nbytes))
		return -ENOMEM;
	prog->insns = malloc(nbytes + 1);
	prog->maps = calloc(desc->n_maps + 1u, sizeof(struct ebpf_map *));
	prog->code = calloc(1, sizeof(*prog->code));
	if (!prog->insns || !prog->maps || !prog->code)
		return -ENOMEM;
	if (nbytes)
		memcpy(prog->insns, desc->insns, nbytes);
	for (; prog->n_maps < desc->n_maps; prog->n_maps++) {
		prog->maps[prog->n_maps] = desc->maps[prog->n_maps];
		map_get(prog->maps[prog->n_maps]);
	}
	return 0;
}

static void prog_free(void *ptr)
{
	struct ebpf_prog *prog = ptr;

	prog_entry_free(prog);
	if (prog->jit.mapping)
		jit_free(&prog->jit);
	if (prog->code)
		ebpf_code_free(prog->code);
	free(prog->code);
	for (uint32_t i = 0; i < prog->n_maps; i++)
		map_put(prog->maps[i]);
	free(prog->maps);
	free(prog->insns);
	free(prog);
}

/* The end of the furthest access to a raw context that the facts show. */
static uint32_t min_ctx(const struct ebpf_code *code)
{
	uint32_t end = 0;

	if (!code->facts || packet_kind(code->type) != PACKET_RAW)
		return 0;
	for (uint32_t i = 0; i < code->n; i++) {
		const struct ebpf_dinsn *insn = &code->insns[i];
		int64_t last;

		if (insn->op >= OP_TAIL_CALL || code->facts[i].ptr_kind != PTR_CTX)
			continue;
		last = (int64_t)insn->off + ebpf_op_info[insn->op].nbytes;
		if (last > end)
			end = (uint32_t)last;
	}
	return end;
}

static bool has_map_of_type(const struct ebpf_prog *prog, uint32_t type)
{
	for (uint32_t i = 0; i < prog->n_maps; i++) {
		if (prog->maps[i]->type == type)
			return true;
	}
	return false;
}

/* As Linux: the PROG_ARRAYs of a program are for its type and engine. */
static int tail_calls_fit(const struct ebpf_prog *prog, struct ebpf_error *err)
{
	for (uint32_t i = 0; i < prog->n_maps; i++) {
		if (prog->maps[i]->type == BPF_MAP_TYPE_PROG_ARRAY && !prog_array_compatible(prog->maps[i], prog))
			return ebpf_fail(err, -EINVAL, -1, "map %s: its programs are of another type or engine",
					 prog->maps[i]->name);
	}
	return 0;
}

static int prog_build(struct ebpf_prog *prog, const struct ebpf_prog_desc *desc, struct ebpf_error *err)
{
	int rc = prog_copy(prog, desc);

	if (rc)
		return ebpf_fail(err, rc, -1, "no memory for %u instructions", desc->n_insns);
	rc = ebpf_decode(desc, prog->code, err);
	if (rc)
		return rc;
	rc = tail_calls_fit(prog, err);
	if (rc)
		return rc;
	prog->wants_stack = prog->engine == EBPF_ENGINE_JIT && has_map_of_type(prog, BPF_MAP_TYPE_STACK_TRACE);
	prog->min_ctx = min_ctx(prog->code);
	prog->max_insns = ebpf_code_bound(prog->code);
	prog->fn = interp_entry(desc->flags);
	if (prog->engine == EBPF_ENGINE_INTERP)
		return 0;
	rc = jit_compile(prog, prog->code, &prog->jit, err);
	prog->fn = prog->jit.fn;
	return rc;
}

int prog_create(const struct ebpf_prog_desc *desc, enum ebpf_engine engine, struct ebpf_prog **out,
		struct ebpf_error *err)
{
	struct ebpf_prog *prog = calloc(1, sizeof(*prog));
	int rc;

	if (!prog)
		return ebpf_fail(err, -ENOMEM, -1, "no memory for a program");
	prog->engine = engine;
	prog->type = desc->type;
	prog->flags = desc->flags;
	prog->refs = 1;
	prog->budget = EBPF_BUDGET_DEFAULT;
	prog->n_insns = desc->n_insns;
	memcpy(prog->name, desc->name, sizeof(prog->name));
	rc = prog_build(prog, desc, err);
	if (rc) {
		prog_free(prog);
		return rc;
	}
	*out = prog;
	return 0;
}

void prog_get(struct ebpf_prog *prog)
{
	__atomic_add_fetch(&prog->refs, 1, __ATOMIC_RELAXED);
}

void prog_put(struct ebpf_prog *prog)
{
	/* Release orders our uses before the free, acquire the others' uses before it. */
	if (__atomic_sub_fetch(&prog->refs, 1, __ATOMIC_ACQ_REL) == 0)
		epoch_retire(prog_free, prog);
}

void prog_run_budget(struct ebpf_run *run, struct ebpf_prog *prog)
{
	uint64_t budget = __atomic_load_n(&prog->budget, __ATOMIC_RELAXED);
	uint64_t slice = budget < EBPF_BUDGET_SLICE ? budget : EBPF_BUDGET_SLICE;

	run->budget = (int64_t)slice;
	run->budget_rest = budget - slice;
}

void prog_run_init(struct ebpf_run *run, struct ebpf_prog *prog)
{
	zero_struct(run, sizeof(*run));
	run->prog = prog;
	if (prog->wants_stack)
		run->ips = stack_of_thread(&run->n_ips);
	if (prog->flags & PROG_NEEDS_BUDGET)
		prog_run_budget(run, prog);
}

uint32_t prog_stats_users;

void prog_stats_enable(bool on)
{
	__atomic_add_fetch(&prog_stats_users, on ? 1u : UINT32_MAX, __ATOMIC_RELAXED);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t prog_invoke_counted(struct ebpf_prog *prog, void *r1, uint64_t r2, struct ebpf_run *run)
{
	uint64_t start = now_ns();
	uint64_t r0 = prog->fn(r1, r2, run);

	__atomic_add_fetch(&prog->run_cnt, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&prog->run_time_ns, now_ns() - start, __ATOMIC_RELAXED);
	return r0;
}

int prog_run(struct ebpf_prog *prog, void *ctx, uint64_t r2, uint64_t *retval)
{
	struct ebpf_run run;

	prog_run_init(&run, prog);
	ebpf_run_begin(&run);
	*retval = prog_invoke(prog, ctx, r2, &run);
	ebpf_run_end(&run);
	return run.error;
}
