/* Programs: what the verifier hands over, decoded, compiled and run. */
#pragma once

#include "common.h"
#include "error.h"
#include "gen/kinds.h"
#include "runtime.h"

struct ebpf_map;

struct ebpf_insn {
	uint8_t opcode;
	uint8_t dst : 4;
	uint8_t src : 4;
	int16_t off;
	int32_t imm;
};

/* What the verifier proved of one instruction (pyebpf/spec/verified.py). */
struct insn_fact {
	uint8_t flags;    /* FACT_* */
	uint8_t ptr_kind; /* PTR_* */
	uint16_t map_idx; /* FACT_NO_MAP */
	int32_t aux;
};

struct ebpf_subprog {
	uint32_t start;       /* first instruction */
	uint32_t stack_depth; /* bytes, multiple of 8 */
	bool is_callback;
};

/* An executable image and its maps.  Copied; the maps get a reference each.
 * ld_imm64 sources: 0 a constant; PSEUDO_MAP_IDX, PSEUDO_MAP_IDX_VALUE an index into maps (value: offset in the
 * second slot's imm); PSEUDO_FUNC: imm relative to the next instruction, as in RFC 9669. */
struct ebpf_prog_desc {
	const struct ebpf_insn *insns;
	uint32_t n_insns;
	const struct insn_fact *facts; /* n_insns, or NULL: nothing is known */
	const struct ebpf_subprog *subprogs;
	uint32_t n_subprogs;
	struct ebpf_map *const *maps;
	uint32_t n_maps;
	uint32_t type;      /* BPF_PROG_TYPE_* */
	uint32_t flags;     /* PROG_* */
	uint64_t max_insns; /* bound of one run, 0: unknown */
	char name[EBPF_OBJ_NAME_LEN];
};

/* A compiled program: r1, r2 and the run record, R0 back.  r2 is 0 but for unverified programs. */
typedef uint64_t (*ebpf_fn)(void *r1, uint64_t r2, struct ebpf_run *run);

/* The most instructions of one program, as Linux. */
#define EBPF_MAX_INSNS 1000000u

struct ebpf_code;
struct prog_entries;

/* Native code of one program (jit.h). */
struct jit_image {
	ebpf_fn fn;
	const uint8_t *code; /* the bytes to show: without padding and stubs where that is possible */
	size_t code_nbytes;
	void *mapping; /* what jit_free gives back */
	size_t mapping_nbytes;
};

enum ebpf_engine { EBPF_ENGINE_INTERP, EBPF_ENGINE_JIT };

struct ebpf_prog {
	ebpf_fn fn;
	enum ebpf_engine engine;
	uint32_t type;
	uint32_t flags;
	uint32_t refs; /* atomic; freed at 0 after a grace period */
	uint32_t n_insns;
	uint32_t n_maps;
	uint64_t max_insns; /* bound of one run, 0: unknown */
	uint32_t min_ctx;   /* bytes of a raw context that the program reads or writes; 0 for packets */
	uint64_t run_cnt;   /* atomic, as run_time_ns: while statistics are on */
	uint64_t run_time_ns;
	uint64_t budget;              /* atomic: back edges and calls of one run, under PROG_NEEDS_BUDGET */
	struct ebpf_insn *insns;      /* the image */
	struct ebpf_code *code;       /* decoded */
	struct jit_image jit;         /* zero under the interpreter */
	struct prog_entries *entries; /* entry.h; NULL until one is asked for */
	struct ebpf_map **maps;
	bool wants_stack; /* native code, through which the unwinder cannot see, and a STACK_TRACE map */
	char name[EBPF_OBJ_NAME_LEN];
};

/* 0; -EINVAL: malformed image; -ENOMEM; -EACCES: no executable memory; -EBPF_ENOTSUPP: a helper without an
 * implementation.  *out has one reference. */
int prog_create(const struct ebpf_prog_desc *desc, enum ebpf_engine engine, struct ebpf_prog **out,
		struct ebpf_error *err);
void prog_get(struct ebpf_prog *prog);
void prog_put(struct ebpf_prog *prog);

/* A whole budget for the run. */
void prog_run_budget(struct ebpf_run *run, struct ebpf_prog *prog);

/* Counts runs and their time in every program; as Linux's BPF_ENABLE_STATS. Nests: one call on, one off. */
void prog_stats_enable(bool on);
extern uint32_t prog_stats_users;
uint64_t prog_invoke_counted(struct ebpf_prog *prog, void *r1, uint64_t r2, struct ebpf_run *run);

/* The call itself, inside a run. */
static inline uint64_t prog_invoke(struct ebpf_prog *prog, void *r1, uint64_t r2, struct ebpf_run *run)
{
	if (__builtin_expect(__atomic_load_n(&prog_stats_users, __ATOMIC_RELAXED) != 0, 0))
		return prog_invoke_counted(prog, r1, r2, run);
	return prog->fn(r1, r2, run);
}

/* For the next event of a batch: what a run counts starts anew. */
static inline void prog_run_next(struct ebpf_run *run, struct ebpf_prog *prog)
{
	run->prog = prog;
	run->tail_calls = 0;
	if (prog->flags & PROG_NEEDS_BUDGET)
		prog_run_budget(run, prog);
}

/* A fresh record for a run that starts with prog. */
void prog_run_init(struct ebpf_run *run, struct ebpf_prog *prog);

/* One whole run: vCPU, epoch, budget.  *retval gets R0; returns 0 or the -errno that ended the run early. */
int prog_run(struct ebpf_prog *prog, void *ctx, uint64_t r2, uint64_t *retval);
