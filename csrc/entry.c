/* Entries for native callers: a stub a program, which loads the third argument and jumps. */
#include "entry.h"

#include <pthread.h>
#include <stdlib.h>

#include "decode.h"
#include "jit_mem.h"
#include "x86_64_enc.h"

#define STUB_NBYTES 64

struct prog_entries {
	struct jit_mem mem[2]; /* guarded, raw */
	struct ebpf_run run;   /* raw: what a budgeted program counts in */
};

/* One at a time makes entries; they are few. */
static pthread_mutex_t entry_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t entry_guarded(void *r1, uint64_t r2, struct ebpf_prog *prog)
{
	uint64_t r0 = 0;

	return prog_run(prog, r1, r2, &r0) ? 0 : r0;
}

static bool calls_out(const struct ebpf_code *code)
{
	for (uint32_t i = 0; i < code->n; i++)
		if (code->insns[i].op == OP_CALL_HELPER || code->insns[i].op == OP_TAIL_CALL)
			return true;
	return false;
}

/* mov rdx, third; mov rax, target; jmp rax */
static int make_stub(struct jit_mem *mem, uint64_t third, uint64_t target, struct ebpf_error *err)
{
	int rc = jit_mem_reserve(mem, STUB_NBYTES, err);
	struct x86_buf buf;

	if (rc)
		return rc;
	buf = (struct x86_buf){ .bytes = mem->code, .cap = mem->nbytes };
	x86_mov_i(&buf, X86_RDX, third);
	x86_mov_i(&buf, X86_RAX, target);
	x86_jmp(&buf, x86_r(X86_RAX));
	/* The bytes are *mem's, which the caller keeps. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	rc = jit_mem_seal(mem, buf.len, err);
	if (rc) {
		jit_mem_free(mem);
		*mem = (struct jit_mem){ 0 };
	}
	return rc;
}

static int make_entry(struct ebpf_prog *prog, bool raw, struct ebpf_error *err)
{
	struct prog_entries *entries = prog->entries;

	if (!entries)
		entries = prog->entries = calloc(1, sizeof(*entries));
	if (!entries)
		return ebpf_fail(err, -ENOMEM, -1, "no memory for an entry");
	if (entries->mem[raw].code)
		return 0;
	if (!raw)
		return make_stub(&entries->mem[raw], (uintptr_t)prog, (uintptr_t)entry_guarded, err);
	entries->run = (struct ebpf_run){ .prog = prog, .budget = INT64_MAX };
	return make_stub(&entries->mem[raw], (uintptr_t)&entries->run, (uintptr_t)prog->fn, err);
}

int prog_entry(struct ebpf_prog *prog, bool raw, uint64_t *address, struct ebpf_error *err)
{
	int rc;

	if (raw && prog->engine != EBPF_ENGINE_JIT)
		return ebpf_fail(err, -EINVAL, -1, "a raw entry needs compiled code, and this program is interpreted");
	if (raw && calls_out(prog->code))
		return ebpf_fail(err, -EINVAL, -1, "a raw entry is for programs without helpers, and this calls some");
	if (raw && !(prog->flags & PROG_NEEDS_BUDGET)) {
		*address = (uintptr_t)prog->fn;
		return 0;
	}
	pthread_mutex_lock(&entry_lock);
	rc = make_entry(prog, raw, err);
	if (!rc)
		*address = (uintptr_t)prog->entries->mem[raw].code;
	pthread_mutex_unlock(&entry_lock);
	return rc;
}

void prog_entry_free(struct ebpf_prog *prog)
{
	if (!prog->entries)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(prog->entries->mem); i++)
		if (prog->entries->mem[i].code)
			jit_mem_free(&prog->entries->mem[i]);
	free(prog->entries);
}
