/* The decoded program, which both engines read: one record a slot, every field checked, every reference resolved.
 *
 * What decode guarantees, so that the engines need not ask again:
 *   - op is a known instruction, registers are 0..10, and R10 is never written;
 *   - target of a jump, local call or function reference is an instruction of this program, never a second slot,
 *     and a jump stays in its function; no function can run off its end;
 *   - helpers exist, map indices are those of this program's maps.
 * Engine contract: a call of a local function or callback: at most EBPF_MAX_CALL_FRAMES frames (run->error = -E2BIG
 * beyond); a callback address that the JIT puts for LD_FUNC is called as ebpf_helper_fn: R1..R5 and the run.
 * Division by 0 gives 0, modulo by 0 the (for 32 bits zero-extended) dividend, shift counts are taken modulo the
 * width, INT_MIN / -1 is INT_MIN and its remainder 0.
 * It guarantees nothing of memory accesses: that is the verifier's part (or, for "unsafe", the caller's).
 */
#pragma once

#include "common.h"
#include "error.h"
#include "gen/opcodes.h"
#include "prog.h"

enum ebpf_op {
#define OP_ENUM(name, opcode, nbytes, off, imm, src, uses) OP_##name,
	EBPF_OPS(OP_ENUM)
#undef OP_ENUM
	    OP_TAIL_CALL, /* helper tail_call(R1 ctx, R2 map, R3 index): the engines' own */
	OP_SECOND_SLOT,   /* of the ld_imm64 before it; never executed */
	OP_DEAD,          /* the verifier proved that no path comes here */
	OP_COUNT,
};

struct ebpf_op_info {
	const char *name; /* NULL for the last three */
	uint8_t opcode;
	uint8_t nbytes; /* width of the operation or of the memory access */
	uint8_t uses;   /* OP_USES_* */
	int32_t off, imm, src;
};

extern const struct ebpf_op_info ebpf_op_info[OP_COUNT];

/* One slot.
 *   imm     the immediate, sign-extended to 64 bits (of 32-bit operations too); LD_IMM64: all 64 bits;
 *           LD_MAP_IDX: struct ebpf_map *; LD_MAP_IDX_VALUE: address of the byte in the map's value;
 *           LD_FUNC: address of the callee's first struct ebpf_dinsn (the interpreter's function pointer; the
 *           JIT puts native code's instead); CALL_HELPER: the ebpf_helper_fn.
 *   off     offset of a memory access.
 *   target  jumps, MAY_GOTO, CALL_LOCAL, LD_FUNC: instruction index; CALL_HELPER, TAIL_CALL: helper number;
 *           LD_MAP_IDX, LD_MAP_IDX_VALUE: map index. */
struct ebpf_dinsn {
	uint16_t op; /* enum ebpf_op */
	uint8_t dst;
	uint8_t src;
	union {
		int32_t off;
		uint32_t target;
	};
	uint64_t imm;
};

/* A function: instructions start .. end - 1. */
struct ebpf_func {
	uint32_t start;
	uint32_t end;
	uint32_t stack_depth; /* bytes, multiple of 8; EBPF_STACK_SIZE when unknown */
	bool is_callback;     /* some LD_FUNC names it */
};

/* Owned by its program, which outlives it. */
struct ebpf_code {
	uint32_t n;
	struct ebpf_dinsn *insns;
	uint32_t n_funcs; /* at least 1; ascending, funcs[0].start is 0 */
	struct ebpf_func *funcs;
	struct insn_fact *facts; /* n, or NULL: nothing is known */
	struct ebpf_map **maps;
	uint32_t n_maps;
	uint32_t type;      /* BPF_PROG_TYPE_* */
	uint32_t flags;     /* PROG_* */
	uint64_t max_insns; /* bound of one run, 0: unknown */
};

/* 0; -EINVAL: malformed, with the instruction; -EBPF_ENOTSUPP: no such helper here; -ENOMEM.  The maps are
 * borrowed from desc and must live as long as the code. */
int ebpf_decode(const struct ebpf_prog_desc *desc, struct ebpf_code *code, struct ebpf_error *err);
void ebpf_code_free(struct ebpf_code *code);

/* A bound of the instructions of one run, helpers counted as a few each, or 0 when it has loops, callbacks, tail calls
 * or a recursion: then nothing short bounds it. */
uint64_t ebpf_code_bound(const struct ebpf_code *code);

/* The function that holds an instruction. */
const struct ebpf_func *ebpf_func_of(const struct ebpf_code *code, uint32_t insn_idx);
