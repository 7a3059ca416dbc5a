/* Decoding: an image from anywhere becomes one checked record a slot, or an error with the place. */
#include "decode.h"

#include <stdlib.h>
#include <string.h>

#include "helpers.h"
#include "map.h"

/* Instruction classes and fields of RFC 9669, 3. */
#define INSN_CLASS(opcode) ((opcode) & 7)
#define CLASS_LDX          1
#define CLASS_STX          3
#define CLASS_ALU          4
#define CLASS_JMP          5
#define CLASS_JMP32        6
#define CLASS_ALU64        7
#define ATOMIC_FETCH       1

#define OP_ROW(name, opcode, nbytes, off, imm, src, uses) [OP_##name] = { #name, opcode, nbytes, uses, off, imm, src },
const struct ebpf_op_info ebpf_op_info[OP_COUNT] = { EBPF_OPS(OP_ROW) };
#undef OP_ROW

/* The rows of one opcode byte; count 0: no such opcode. */
static const struct opcode_rows {
	uint8_t first;
	uint8_t count;
} opcode_rows[256] = {
#define OPCODE_ROW(opcode, first, n) [opcode] = { OP_##first, n },
	EBPF_OPCODES(OPCODE_ROW)
#undef OPCODE_ROW
};
_Static_assert(OP_COUNT <= 255, "an opcode row holds an op in 8 bits");

struct decoder {
	const struct ebpf_prog_desc *desc;
	struct ebpf_code *code;
	struct ebpf_error *err;
	uint8_t *starts; /* n flags: a function begins here */
	uint8_t *calls;  /* n flags: a callback begins here */
};

static bool is_jump(const struct ebpf_op_info *info)
{
	uint8_t cls = INSN_CLASS(info->opcode);

	return (cls == CLASS_JMP || cls == CLASS_JMP32) && (info->opcode & 0xf0) != 0x80 &&
	       (info->opcode & 0xf0) != 0x90;
}

static int find_op(const struct ebpf_insn *insn)
{
	const struct opcode_rows *rows = &opcode_rows[insn->opcode];

	for (uint32_t op = rows->first; op < (uint32_t)rows->first + rows->count; op++) {
		const struct ebpf_op_info *info = &ebpf_op_info[op];

		if ((info->off == OP_FREE || info->off == insn->off) &&
		    (info->imm == OP_FREE || info->imm == insn->imm) &&
		    (info->src == OP_FREE || info->src == insn->src))
			return (int)op;
	}
	return -EINVAL;
}

/* The register an instruction sets, -1 for none. */
static int written_reg(const struct ebpf_op_info *info, const struct ebpf_insn *insn)
{
	switch (INSN_CLASS(info->opcode)) {
	case CLASS_ALU:
	case CLASS_ALU64:
	case CLASS_LDX: return insn->dst;
	case CLASS_STX:
		if ((info->opcode & 0xe0) != 0xc0)
			return -1;
		if ((info->imm & ~0xff) == 0x100) /* RFC 9669's load-acquire, store-release */
			return info->imm == 0x100 ? insn->dst : -1;
		return info->imm & ATOMIC_FETCH ? insn->src : -1;
	default: return info->opcode == 0x18 ? insn->dst : -1;
	}
}

static int check_fields(const struct decoder *d, uint32_t i, const struct ebpf_op_info *info)
{
	const struct ebpf_insn *insn = &d->desc->insns[i];

	if (insn->dst > 10 || insn->src > 10)
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: register R%u, expected R0 to R10", i,
				 insn->dst > 10 ? insn->dst : insn->src);
	if ((!(info->uses & OP_USES_DST) && insn->dst) ||
	    (!(info->uses & OP_USES_SRC) && info->src == OP_FREE && insn->src) ||
	    (!(info->uses & OP_USES_OFF) && info->off == OP_FREE && insn->off) ||
	    (!(info->uses & OP_USES_IMM) && info->imm == OP_FREE && insn->imm))
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: %s uses reserved fields: dst %u, src %u, off %d, imm %d",
				 i, info->name, insn->dst, insn->src, insn->off, insn->imm);
	if (written_reg(info, insn) == 10)
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: %s writes R10, which is read only", i, info->name);
	return 0;
}

static int set_target(const struct decoder *d, uint32_t i, int64_t delta)
{
	int64_t target = (int64_t)i + 1 + delta;

	if (target < 0 || target >= d->desc->n_insns)
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: target %lld, expected 0 to %u", i, (long long)target,
				 d->desc->n_insns - 1);
	d->code->insns[i].target = (uint32_t)target;
	return 0;
}

static int decode_map(const struct decoder *d, uint32_t i, uint32_t value_off)
{
	struct ebpf_dinsn *out = &d->code->insns[i];
	uint32_t idx = (uint32_t)d->desc->insns[i].imm;
	struct ebpf_map *map;
	int rc;

	if (idx >= d->desc->n_maps)
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: map index %u, expected less than %u", i, idx,
				 d->desc->n_maps);
	map = d->desc->maps[idx];
	out->target = idx;
	if (out->op == OP_LD_MAP_IDX) {
		out->imm = (uintptr_t)map;
		return 0;
	}
	if (!map->ops->direct_value)
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: map %u (%s) has no direct values", i, idx,
				 map->ops->name);
	rc = map->ops->direct_value(map, value_off, &out->imm);
	if (rc)
		return ebpf_fail(d->err, rc, i, "insn %u: offset %u is outside the value of map %u (%u bytes)", i,
				 value_off, idx, map->value_size);
	return 0;
}

static int decode_imm64(const struct decoder *d, uint32_t i)
{
	const struct ebpf_insn *lo = &d->desc->insns[i], *hi = lo + 1;
	struct ebpf_dinsn *out = &d->code->insns[i];
	int rc;

	if (i + 1 >= d->desc->n_insns || hi->opcode || hi->dst || hi->src || hi->off)
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: %s without a second slot", i,
				 ebpf_op_info[out->op].name);
	out[1] = (struct ebpf_dinsn){ .op = OP_SECOND_SLOT };
	switch (out->op) {
	case OP_LD_IMM64: out->imm = (uint32_t)lo->imm | (uint64_t)(uint32_t)hi->imm << 32; return 0;
	case OP_LD_MAP_IDX:
	case OP_LD_MAP_IDX_VALUE: return decode_map(d, i, (uint32_t)hi->imm);
	case OP_LD_FUNC:
		rc = set_target(d, i, lo->imm);
		if (rc)
			return rc;
		out->imm = (uintptr_t)&d->code->insns[out->target];
		d->starts[out->target] = d->calls[out->target] = 1;
		return 0;
	default:
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: %s cannot run: references go by map index here", i,
				 ebpf_op_info[out->op].name);
	}
}

static int decode_helper(const struct decoder *d, uint32_t i)
{
	struct ebpf_dinsn *out = &d->code->insns[i];
	uint32_t id = (uint32_t)d->desc->insns[i].imm;
	ebpf_helper_fn fn = ebpf_helper_by_id(id);

	out->target = id;
	if (id == EBPF_HELPER_TAIL_CALL) {
		out->op = OP_TAIL_CALL;
		return 0;
	}
	if (!fn)
		return ebpf_fail(d->err, -EBPF_ENOTSUPP, i, "insn %u: helper %s#%u cannot run here yet", i,
				 ebpf_helper_name(id), id);
	out->imm = (uintptr_t)fn;
	return 0;
}

static int decode_call(const struct decoder *d, uint32_t i)
{
	struct ebpf_dinsn *out = &d->code->insns[i];
	int rc;

	if (out->op == OP_CALL_HELPER)
		return decode_helper(d, i);
	if (out->op == OP_CALL_KFUNC)
		return ebpf_fail(d->err, -EBPF_ENOTSUPP, i, "insn %u: kfunc %d cannot run here yet", i,
				 d->desc->insns[i].imm);
	rc = set_target(d, i, d->desc->insns[i].imm);
	if (!rc)
		d->starts[out->target] = 1;
	return rc;
}

static int decode_one(const struct decoder *d, uint32_t i)
{
	const struct ebpf_insn *insn = &d->desc->insns[i];
	struct ebpf_dinsn *out = &d->code->insns[i];
	int rc, op = find_op(insn);

	if (op < 0)
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: unknown opcode 0x%02x (src %u, off %d, imm %d)", i,
				 insn->opcode, insn->src, insn->off, insn->imm);
	rc = check_fields(d, i, &ebpf_op_info[op]);
	if (rc)
		return rc;
	*out = (struct ebpf_dinsn){
		.op = (uint16_t)op,
		.dst = insn->dst,
		.src = insn->src,
		.off = insn->off,
		.imm = (uint64_t)(int64_t)insn->imm,
	};
	if (insn->opcode == 0x18)
		return decode_imm64(d, i);
	if (op == OP_JA_LONG)
		return set_target(d, i, insn->imm);
	if (is_jump(&ebpf_op_info[op]))
		return set_target(d, i, insn->off);
	if (INSN_CLASS(insn->opcode) == CLASS_JMP && op != OP_EXIT)
		return decode_call(d, i);
	if (INSN_CLASS(insn->opcode) == 0 && (d->desc->flags & PROG_NEEDS_BUDGET))
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: %s needs a packet's context, which an unverified %s", i,
				 ebpf_op_info[op].name, "program does not get");
	return 0;
}

static bool is_dead(const struct decoder *d, uint32_t i)
{
	return d->desc->facts && !(d->desc->facts[i].flags & FACT_SEEN);
}

static int decode_all(const struct decoder *d)
{
	for (uint32_t i = 0; i < d->desc->n_insns; i++) {
		struct ebpf_dinsn *out = &d->code->insns[i];
		int rc;

		if (is_dead(d, i)) {
			*out = (struct ebpf_dinsn){ .op = OP_DEAD };
			continue;
		}
		rc = decode_one(d, i);
		if (rc)
			return rc;
		i += out[1].op == OP_SECOND_SLOT && d->desc->insns[i].opcode == 0x18;
	}
	return 0;
}

/* Functions begin where the description says, where calls go, and at 0. */
static int find_funcs(const struct decoder *d)
{
	struct ebpf_code *code = d->code;

	d->starts[0] = 1;
	for (uint32_t i = 0; i < d->desc->n_subprogs; i++) {
		if (d->desc->subprogs[i].start >= code->n)
			return ebpf_fail(d->err, -EINVAL, -1, "function %u starts at %u, expected less than %u", i,
					 d->desc->subprogs[i].start, code->n);
		d->starts[d->desc->subprogs[i].start] = 1;
	}
	for (uint32_t i = 0; i < code->n; i++)
		code->n_funcs += d->starts[i];
	code->funcs = calloc(code->n_funcs, sizeof(*code->funcs));
	if (!code->funcs)
		return ebpf_fail(d->err, -ENOMEM, -1, "no memory for %u functions", code->n_funcs);
	for (uint32_t i = 0, k = 0; i < code->n; i++)
		if (d->starts[i])
			code->funcs[k++] = (struct ebpf_func){ i, code->n, EBPF_STACK_SIZE, d->calls[i] };
	for (uint32_t k = 0; k + 1 < code->n_funcs; k++)
		code->funcs[k].end = code->funcs[k + 1].start;
	for (uint32_t i = 0; i < d->desc->n_subprogs; i++) {
		struct ebpf_func *func = (struct ebpf_func *)ebpf_func_of(code, d->desc->subprogs[i].start);

		func->stack_depth = d->desc->subprogs[i].stack_depth;
		func->is_callback |= d->desc->subprogs[i].is_callback;
	}
	return 0;
}

static int check_target(const struct decoder *d, uint32_t i, const struct ebpf_func *func)
{
	const struct ebpf_dinsn *insn = &d->code->insns[i];
	uint32_t op = d->code->insns[insn->target].op;
	bool call = insn->op == OP_CALL_LOCAL || insn->op == OP_LD_FUNC;

	if (op == OP_SECOND_SLOT || (op == OP_DEAD && insn->op == OP_CALL_LOCAL))
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: target %u is %s", i, insn->target,
				 op == OP_DEAD ? "dead code" : "the second slot of a 64-bit constant");
	if (!call && (insn->target < func->start || insn->target >= func->end))
		return ebpf_fail(d->err, -EINVAL, i, "insn %u: jump to %u, expected its own function, %u to %u", i,
				 insn->target, func->start, func->end - 1);
	return 0;
}

/* The last instruction must not fall into the next function. */
static int check_end(const struct decoder *d, const struct ebpf_func *func)
{
	uint32_t op = d->code->insns[func->end - 1].op;

	if (op == OP_EXIT || op == OP_JA || op == OP_JA_LONG || op == OP_DEAD)
		return 0;
	return ebpf_fail(d->err, -EINVAL, func->end - 1, "insn %u: a function ends with %s, expected an exit or a jump",
			 func->end - 1, op < OP_TAIL_CALL ? ebpf_op_info[op].name : "a 64-bit constant or a call");
}

static int check_flow(const struct decoder *d)
{
	const struct ebpf_code *code = d->code;

	for (uint32_t k = 0; k < code->n_funcs; k++) {
		const struct ebpf_func *func = &code->funcs[k];
		int rc = check_end(d, func);

		for (uint32_t i = func->start; i < func->end && !rc; i++) {
			uint32_t op = code->insns[i].op;

			if (op < OP_TAIL_CALL &&
			    (is_jump(&ebpf_op_info[op]) || op == OP_CALL_LOCAL || op == OP_LD_FUNC))
				rc = check_target(d, i, func);
		}
		if (rc)
			return rc;
	}
	return 0;
}

static int alloc_code(struct decoder *d)
{
	const struct ebpf_prog_desc *desc = d->desc;
	struct ebpf_code *code = d->code;
	uint32_t n = desc->n_insns;

	/* One record more: the slot after the last may be looked at, never run. */
	code->insns = calloc(n + (size_t)1, sizeof(*code->insns));
	d->starts = calloc(n, 1);
	d->calls = calloc(n, 1);
	if (desc->facts)
		code->facts = malloc(n * sizeof(*code->facts));
	if (desc->n_maps)
		code->maps = malloc(desc->n_maps * sizeof(struct ebpf_map *));
	if (!code->insns || !d->starts || !d->calls || (desc->facts && !code->facts) || (desc->n_maps && !code->maps))
		return ebpf_fail(d->err, -ENOMEM, -1, "no memory for %u instructions", n);
	if (desc->facts)
		memcpy(code->facts, desc->facts, n * sizeof(*code->facts));
	if (desc->n_maps)
		memcpy(code->maps, desc->maps, desc->n_maps * sizeof(struct ebpf_map *));
	return 0;
}

int ebpf_decode(const struct ebpf_prog_desc *desc, struct ebpf_code *code, struct ebpf_error *err)
{
	struct decoder d = { .desc = desc, .code = code, .err = err };
	int rc;

	*code = (struct ebpf_code){
		.n = desc->n_insns,
		.n_maps = desc->n_maps,
		.type = desc->type,
		.flags = desc->flags,
		.max_insns = desc->max_insns,
	};
	if (!desc->n_insns || desc->n_insns > EBPF_MAX_INSNS)
		return ebpf_fail(err, -EINVAL, -1, "program has %u instructions, expected 1 to %u", desc->n_insns,
				 EBPF_MAX_INSNS);
	rc = alloc_code(&d);
	rc = rc ? rc : decode_all(&d);
	rc = rc ? rc : find_funcs(&d);
	rc = rc ? rc : check_flow(&d);
	free(d.starts);
	free(d.calls);
	if (rc)
		ebpf_code_free(code);
	return rc;
}

void ebpf_code_free(struct ebpf_code *code)
{
	free(code->insns);
	free(code->funcs);
	free(code->facts);
	free(code->maps);
	*code = (struct ebpf_code){ 0 };
}

const struct ebpf_func *ebpf_func_of(const struct ebpf_code *code, uint32_t insn_idx)
{
	uint32_t lo = 0, hi = code->n_funcs;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (code->funcs[mid].start <= insn_idx)
			lo = mid;
		else
			hi = mid;
	}
	return &code->funcs[lo];
}

/* What a helper call counts for in a bound. */
#define HELPER_INSNS 16

/* Bound of one function; 0: none.  known[k] is that of funcs[k], 0 as yet. */
static uint64_t func_bound(const struct ebpf_code *code, const struct ebpf_func *func, uint64_t *known, uint32_t depth)
{
	uint64_t *bound = &known[func - code->funcs], sum = 0;

	if (*bound)
		return *bound;
	if (depth >= EBPF_MAX_CALL_FRAMES)
		return 0;
	for (uint32_t i = func->start; i < func->end; i++) {
		const struct ebpf_dinsn *insn = &code->insns[i];
		uint64_t part = 1;

		if (insn->op == OP_CALL_LOCAL)
			part = func_bound(code, ebpf_func_of(code, insn->target), known, depth + 1);
		else if (insn->op == OP_CALL_HELPER)
			part = HELPER_INSNS;
		else if (insn->op == OP_LD_FUNC || insn->op == OP_TAIL_CALL ||
			 (insn->op < OP_TAIL_CALL && is_jump(&ebpf_op_info[insn->op]) && insn->target <= i))
			part = 0;
		/* Calls of calls grow fast, and past this nobody asks. */
		if (!part || sum > UINT32_MAX)
			return 0;
		sum += part;
	}
	return *bound = sum;
}

uint64_t ebpf_code_bound(const struct ebpf_code *code)
{
	uint64_t *known, bound;

	if (code->max_insns)
		return code->max_insns;
	known = calloc(code->n_funcs, sizeof(*known));
	bound = known ? func_bound(code, &code->funcs[0], known, 0) : 0;
	free(known);
	return bound;
}
