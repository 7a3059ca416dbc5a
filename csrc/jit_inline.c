/* Helper calls that need no call, or a cheaper one: lookups in maps that are known, the vCPU's number. */
#include "helpers.h"
#include "jit_code.h"
#include "map_array.h"

#define HELPER_MAP_LOOKUP_ELEM      1
#define HELPER_GET_SMP_PROCESSOR_ID 8

/* The map that R1 holds at a call, NULL if more than one or unknown.  The verifier says so; without it, the last
 * write to R1 since the code was last entered from elsewhere does. */
static struct ebpf_map *map_of_call(const struct jit *jit, uint32_t idx)
{
	const struct ebpf_code *code = jit->code;

	if (code->facts)
		return code->facts[idx].map_idx < code->n_maps ? code->maps[code->facts[idx].map_idx] : NULL;
	while (idx > jit->func->start && !jit->flow.target[idx]) {
		const struct ebpf_dinsn *in = &code->insns[--idx];

		if (in->op == OP_LD_MAP_IDX && in->dst == 1)
			return (struct ebpf_map *)(uintptr_t)in->imm;
		if (in->op != OP_SECOND_SLOT && jit_may_write(in, 1))
			return NULL;
	}
	return NULL;
}

/* rax += this vCPU's share of a per-CPU map. */
static void add_cpu_offset(struct jit *jit, const struct ebpf_map *map)
{
	struct x86_buf *b = &jit->out;

	x86_load(b, 8, JIT_T0, x86_m(JIT_RUN, offsetof(struct ebpf_run, vcpu)));
	x86_load(b, 4, JIT_T0, x86_m(JIT_T0, offsetof(struct ebpf_vcpu, id)));
	x86_mov_i(b, JIT_T1, map->cpu_stride);
	x86_imul(b, 8, JIT_T0, x86_r(JIT_T1));
	x86_alu_to(b, X86_ADD, 8, x86_r(X86_RAX), JIT_T0);
}

static void emit_null(struct jit *jit, const struct jit_cold *cold)
{
	jit_const(jit, X86_RAX, 0);
	jit_jmp(jit, cold->back);
}

/* values + index * step, or NULL. */
static void array_lookup(struct jit *jit, const struct ebpf_dinsn *in, struct ebpf_map *map)
{
	struct map_array *array = container_of(map, struct map_array, map);
	struct x86_buf *b = &jit->out;
	jit_label done = jit_new_label(jit);
	bool power = !(array->step & (array->step - 1));

	x86_load(b, 4, X86_RAX, x86_m(X86_RSI, 0));
	x86_alu_i(b, X86_CMP, 4, x86_r(X86_RAX), (int32_t)map->max_entries);
	jit_jcc(jit, X86_CC_AE, jit_cold(jit, emit_null, in, done));
	if (power)
		x86_shift_i(b, X86_SHL, 8, x86_r(X86_RAX), (uint8_t)__builtin_ctz(array->step));
	else
		x86_imul_i(b, 8, X86_RAX, x86_r(X86_RAX), (int32_t)array->step);
	x86_mov_i(b, JIT_T0, (uintptr_t)array->values);
	x86_alu_to(b, X86_ADD, 8, x86_r(X86_RAX), JIT_T0);
	if (map->cpu_stride)
		add_cpu_offset(jit, map);
	jit_bind(jit, done);
}

/* The type's own lookup, without the dispatch of the helper. */
static void direct_lookup(struct jit *jit, const struct ebpf_dinsn *in, struct ebpf_map *map)
{
	jit_label done = jit_new_label(jit);

	(void)in;
	jit_call_abs(jit, (uintptr_t)map->ops->lookup);
	if (map->cpu_stride) {
		x86_test(&jit->out, 8, x86_r(X86_RAX), X86_RAX);
		jit_jcc(jit, X86_CC_E, done);
		add_cpu_offset(jit, map);
	}
	jit_bind(jit, done);
}

static bool inline_lookup(struct jit *jit, const struct ebpf_dinsn *in)
{
	struct ebpf_map *map = map_of_call(jit, jit_insn_idx(jit, in));

	if (!map)
		return false;
	if (map->ops->inline_kind == MAP_INLINE_ARRAY && container_of(map, struct map_array, map)->step <= INT32_MAX)
		array_lookup(jit, in, map);
	else
		direct_lookup(jit, in, map);
	return true;
}

static bool inline_smp_id(struct jit *jit, const struct ebpf_dinsn *in)
{
	(void)in;
	x86_load(&jit->out, 8, X86_RAX, x86_m(JIT_RUN, offsetof(struct ebpf_run, vcpu)));
	x86_load(&jit->out, 4, X86_RAX, x86_m(X86_RAX, offsetof(struct ebpf_vcpu, id)));
	return true;
}

/* By helper number. */
static bool (*const inlines[])(struct jit *jit, const struct ebpf_dinsn *in) = {
	[HELPER_MAP_LOOKUP_ELEM] = inline_lookup,
	[HELPER_GET_SMP_PROCESSOR_ID] = inline_smp_id,
};

bool jit_inline_call(struct jit *jit, const struct ebpf_dinsn *in)
{
	return in->target < ARRAY_SIZE(inlines) && inlines[in->target] && inlines[in->target](jit, in);
}
