/* The x86-64 JIT: one lowering rule an instruction, and the compilation of a whole program. */
#include "jit.h"

#include "jit_code.h"

const uint8_t jit_regs[11] = {
	X86_RAX, X86_RDI, X86_RSI, X86_RDX, X86_RCX, X86_R8, X86_RBX, X86_R13, X86_R14, X86_R15, X86_RBP,
};

#define ALU(name, lower, x86)                                                                                          \
	[OP_##name##64_K] = { lower##_k, x86, 8, 0 }, [OP_##name##64_X] = { lower##_x, x86, 8, 0 },                    \
	[OP_##name##32_K] = { lower##_k, x86, 4, 0 }, [OP_##name##32_X] = { lower##_x, x86, 4, 0 }
#define DIV(name, arg)                                                                                                 \
	[OP_##name##64_K] = { jit_lower_div_k, 0, 8, arg }, [OP_##name##64_X] = { jit_lower_div_x, 0, 8, arg },        \
	[OP_##name##32_K] = { jit_lower_div_k, 0, 4, arg }, [OP_##name##32_X] = { jit_lower_div_x, 0, 4, arg }
#define JCC(name, cc, arg)                                                                                             \
	[OP_##name##64_K] = { jit_lower_jcc_k, cc, 8, arg }, [OP_##name##64_X] = { jit_lower_jcc_x, cc, 8, arg },      \
	[OP_##name##32_K] = { jit_lower_jcc_k, cc, 4, arg }, [OP_##name##32_X] = { jit_lower_jcc_x, cc, 4, arg }
#define MEM(size, nbytes)                                                                                              \
	[OP_LDX_##size] = { jit_lower_load, 0, nbytes, 0 }, [OP_LOAD_ACQ_##size] = { jit_lower_load, 0, nbytes, 0 },   \
	[OP_ST_##size] = { jit_lower_store_k, 0, nbytes, 0 }, [OP_STX_##size] = { jit_lower_store, 0, nbytes, 0 },     \
	[OP_STORE_REL_##size] = { jit_lower_store, 0, nbytes, 0 }
#define MEM_NARROW(size, nbytes)                                                                                       \
	[OP_LDXSX_##size] = { jit_lower_load_sx, 0, nbytes, 0 },                                                       \
	[OP_LD_ABS_##size] = { jit_lower_ld_abs, 0, nbytes, 0 },                                                       \
	[OP_LD_IND_##size] = { jit_lower_ld_abs, 0, nbytes, JIT_LD_IND }
#define ATOMIC(name, x86)                                                                                              \
	[OP_ATOMIC_##name##32] = { jit_lower_atomic, x86, 4, 0 },                                                      \
	[OP_ATOMIC_##name##64] = { jit_lower_atomic, x86, 8, 0 }
#define BOTH(name, lower) [OP_##name##32] = { lower, 0, 4, 0 }, [OP_##name##64] = { lower, 0, 8, 0 }
#define FETCH(name, x86)                                                                                               \
	[OP_ATOMIC_FETCH_##name##32] = { jit_lower_fetch, x86, 4, 0 },                                                 \
	[OP_ATOMIC_FETCH_##name##64] = { jit_lower_fetch, x86, 8, 0 }
#define SWAP(bits)                                                                                                     \
	[OP_LE##bits] = { jit_lower_le, 0, bits / 8, 0 }, [OP_BE##bits] = { jit_lower_bswap, 0, bits / 8, 0 },         \
	[OP_BSWAP##bits] = { jit_lower_bswap, 0, bits / 8, 0 }

static const struct jit_rule rules[JIT_OP_COUNT] = {
	[JIT_OP_ROL32] = { jit_lower_rol, 0, 4, 0 },
	ALU(ADD, jit_lower_alu, X86_ADD),
	ALU(SUB, jit_lower_alu, X86_SUB),
	ALU(OR, jit_lower_alu, X86_OR),
	ALU(AND, jit_lower_alu, X86_AND),
	ALU(XOR, jit_lower_alu, X86_XOR),
	ALU(MUL, jit_lower_mul, 0),
	ALU(LSH, jit_lower_shift, X86_SHL),
	ALU(RSH, jit_lower_shift, X86_SHR),
	ALU(ARSH, jit_lower_shift, X86_SAR),
	ALU(MOV, jit_lower_mov, 0),
	DIV(DIV, 0),
	DIV(MOD, JIT_DIV_MOD),
	DIV(SDIV, JIT_DIV_SIGNED),
	DIV(SMOD, JIT_DIV_MOD | JIT_DIV_SIGNED),
	BOTH(NEG, jit_lower_neg),
	SWAP(16),
	SWAP(32),
	SWAP(64),
	[OP_MOVSX8_32] = { jit_lower_movsx, 0, 4, 1 },
	[OP_MOVSX16_32] = { jit_lower_movsx, 0, 4, 2 },
	[OP_MOVSX8_64] = { jit_lower_movsx, 0, 8, 1 },
	[OP_MOVSX16_64] = { jit_lower_movsx, 0, 8, 2 },
	[OP_MOVSX32_64] = { jit_lower_movsx, 0, 8, 4 },

	JCC(JEQ, X86_CC_E, 0),
	JCC(JNE, X86_CC_NE, 0),
	JCC(JGT, X86_CC_A, 0),
	JCC(JGE, X86_CC_AE, 0),
	JCC(JLT, X86_CC_B, 0),
	JCC(JLE, X86_CC_BE, 0),
	JCC(JSGT, X86_CC_G, 0),
	JCC(JSGE, X86_CC_GE, 0),
	JCC(JSLT, X86_CC_L, 0),
	JCC(JSLE, X86_CC_LE, 0),
	JCC(JSET, X86_CC_NE, JIT_JSET),
	[OP_JA] = { jit_lower_ja, 0, 0, 0 },
	[OP_JA_LONG] = { jit_lower_ja, 0, 0, 0 },
	[OP_MAY_GOTO] = { jit_lower_may_goto, 0, 0, 0 },
	[OP_CALL_HELPER] = { jit_lower_call_helper, 0, 0, 0 },
	[OP_CALL_LOCAL] = { jit_lower_call_local, 0, 0, 0 },
	[OP_TAIL_CALL] = { jit_lower_tail_call, 0, 0, 0 },
	[OP_EXIT] = { jit_lower_exit, 0, 0, 0 },

	MEM(B, 1),
	MEM(H, 2),
	MEM(W, 4),
	MEM(DW, 8),
	MEM_NARROW(B, 1),
	MEM_NARROW(H, 2),
	MEM_NARROW(W, 4),
	ATOMIC(ADD, X86_ADD),
	ATOMIC(OR, X86_OR),
	ATOMIC(AND, X86_AND),
	ATOMIC(XOR, X86_XOR),
	BOTH(ATOMIC_FETCH_ADD, jit_lower_fetch_add),
	FETCH(OR, X86_OR),
	FETCH(AND, X86_AND),
	FETCH(XOR, X86_XOR),
	BOTH(ATOMIC_XCHG, jit_lower_xchg),
	BOTH(ATOMIC_CMPXCHG, jit_lower_cmpxchg),
	[OP_LD_IMM64] = { jit_lower_imm64, 0, 8, 0 },
	[OP_LD_MAP_IDX] = { jit_lower_imm64, 0, 8, 0 },
	[OP_LD_MAP_IDX_VALUE] = { jit_lower_imm64, 0, 8, 0 },
	[OP_LD_FUNC] = { jit_lower_func, 0, 8, 0 },
	[OP_SECOND_SLOT] = { jit_lower_nothing, 0, 0, 0 },
	[OP_DEAD] = { jit_lower_nothing, 0, 0, 0 },
};

const struct jit_rule *jit_rule_of(const struct ebpf_dinsn *in)
{
	return &rules[in->op];
}

/* What the CPU has.  (The compiler's record of it: CPUID itself costs 20 us in a virtual machine.)
 * PYEBPF_JIT_BASELINE=1 in the environment asks for code that every x86-64 runs. */
static void find_features(struct jit *jit)
{
	const char *baseline = getenv("PYEBPF_JIT_BASELINE");

	if (baseline && strcmp(baseline, "1") == 0)
		return;
	jit->has_movbe = __builtin_cpu_supports("movbe");
	jit->has_bmi2 = __builtin_cpu_supports("bmi2");
}

/* What the program as a whole needs. */
static void scan_program(struct jit *jit)
{
	const struct ebpf_code *code = jit->code;
	bool seen[OP_COUNT] = { false };

	for (uint32_t i = 0; i < code->n; i++) {
		const struct ebpf_dinsn *in = &code->insns[i];

		seen[in->op] = true;
		jit->main_called |= (in->op == OP_CALL_LOCAL || in->op == OP_LD_FUNC) && in->target == 0;
		jit->nested_tail_calls |= in->op == OP_TAIL_CALL && i >= code->funcs[0].end;
	}
	jit->main_called |= code->funcs[0].is_callback;
	jit->budget = code->flags & PROG_NEEDS_BUDGET;
	jit->may_fail = jit->budget || seen[OP_CALL_HELPER] || seen[OP_TAIL_CALL];
	jit->needs_run = jit->may_fail;
}

static int prepare(struct jit *jit)
{
	const struct ebpf_code *code = jit->code;
	size_t n_labels = code->n + 2 * (size_t)code->n_funcs + 64;

	jit->entries = malloc(code->n_funcs * sizeof(*jit->entries));
	jit->labels = calloc(n_labels, sizeof(*jit->labels));
	jit->view = *code;
	jit->view.insns = malloc(code->n * sizeof(*code->insns));
	if (!jit->view.insns)
		return -ENOMEM;
	memcpy(jit->view.insns, code->insns, code->n * sizeof(*code->insns));
	jit->code = &jit->view;
	if (!jit->entries || !jit->labels || !x86_buf_init(&jit->out, 8 * (size_t)code->n) ||
	    !jit_flow_init(&jit->flow, code))
		return -ENOMEM;
	jit->cap_labels = (uint32_t)n_labels;
	jit->n_labels = code->n;
	for (uint32_t k = 0; k < code->n_funcs; k++) {
		jit->entries[k].local = jit_new_label(jit);
		jit->entries[k].c = jit_new_label(jit);
	}
	return 0;
}

/* A result that nobody reads. */
static bool is_dead(const struct jit *jit, uint32_t i)
{
	const struct ebpf_dinsn *in = &jit->code->insns[i];

	return jit_is_pure(in->op) && !(jit->flow.after[i] & HALVES(in->dst));
}

/* Lowers instruction i, or a pattern that begins with it; how many instructions that were. */
static uint32_t lower_insn(struct jit *jit, uint32_t i)
{
	const struct ebpf_dinsn *in = &jit->code->insns[i];
	uint32_t n = is_dead(jit, i) ? 1 : jit_match(jit, in);

	if (n)
		return n;
	rules[in->op].lower(jit, in, &rules[in->op]);
	return 1;
}

/* Lowers what begins at instruction i; answers where to go on. */
static uint32_t lower_at(struct jit *jit, uint32_t i)
{
	size_t raw = jit->out.len;
	uint32_t fixups = jit->n_fixups, next;

	if (jit->flow.target[i])
		jit_widths_forget(&jit->widths);
	jit_bind(jit, i);
	jit->unmade = 0;
	next = i + lower_insn(jit, i);
	/* Where nothing was emitted, the registers are what they were, whatever the instruction says. */
	if (jit->out.len != raw || jit->n_fixups != fixups)
		for (; i < next; i++)
			jit_widths_step(&jit->widths, &jit->code->insns[i]);
	jit_widths_unknown(&jit->widths, jit->unmade);
	return next;
}

static void lower_func(struct jit *jit, uint32_t k)
{
	jit->func = &jit->code->funcs[k];
	jit_frame_plan(jit);
	jit_bind(jit, jit->entries[k].local);
	jit_prologue(jit);
	for (uint32_t i = jit->func->start; i < jit->func->end;)
		i = lower_at(jit, i);
	if (jit->code->insns[jit->func->end - 1].op == OP_DEAD)
		jit_jmp(jit, jit_fail_label(jit)); /* nobody comes here, and would not come to the next function */
	jit_flush_cold(jit);
}

/* The entries from C.  Function 0 has the run as its third argument, a callback as its sixth. */
static void lower_thunks(struct jit *jit)
{
	for (uint32_t k = 0; k < jit->code->n_funcs; k++) {
		if (k == 0 && jit->main_called) {
			jit->main_entry = jit_new_label(jit);
			jit_bind(jit, jit->main_entry);
			jit_thunk(jit, jit->entries[0].local, X86_RDX);
		}
		if (jit->code->funcs[k].is_callback) {
			jit_bind(jit, jit->entries[k].c);
			jit_thunk(jit, jit->entries[k].local, X86_R9);
		}
	}
}

static void destroy(struct jit *jit)
{
	jit_flow_destroy(&jit->flow);
	free(jit->view.insns);
	free(jit->entries);
	free(jit->labels);
	free(jit->fixups);
	free(jit->colds);
	free(jit->out.bytes);
}

static int finish(struct jit *jit, struct jit_image *out, struct ebpf_error *err)
{
	struct jit_mem mem;
	size_t nbytes;
	int rc = jit_link(jit, &mem, &nbytes, err);

	rc = rc ? rc : jit_mem_seal(&mem, nbytes, err);
	if (rc) {
		jit_mem_free(&mem);
		return rc;
	}
	*out = (struct jit_image){
		.fn = (ebpf_fn)(uintptr_t)(mem.code + jit_label_offset(jit, jit->main_entry)),
		.code = mem.code,
		.code_nbytes = nbytes,
		.mapping = mem.map,
		.mapping_nbytes = mem.map_nbytes,
	};
	jit_mem_perf_map(jit->prog->name, mem.code, nbytes);
	return 0;
}

int jit_compile(struct ebpf_prog *prog, const struct ebpf_code *code, struct jit_image *out, struct ebpf_error *err)
{
	struct jit jit = { .prog = prog, .code = code };
	int rc = prepare(&jit);

	if (!rc) {
		find_features(&jit);
		scan_program(&jit);
		jit.main_entry = jit.entries[0].local;
		for (uint32_t k = 0; k < code->n_funcs; k++) {
			jit_rewrite(&jit, k);
			lower_func(&jit, k);
		}
		lower_thunks(&jit);
		if (jit.failed || jit.out.failed)
			rc = -ENOMEM;
	}
	rc = rc ? ebpf_fail(err, rc, -1, "no memory to compile %u instructions", code->n) : finish(&jit, out, err);
	destroy(&jit);
	return rc;
}

void jit_free(struct jit_image *image)
{
	struct jit_mem mem = { .map = image->mapping, .map_nbytes = image->mapping_nbytes };

	jit_mem_free(&mem);
	*image = (struct jit_image){ 0 };
}
