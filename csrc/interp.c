/* The interpreter: the reference for every instruction. */
#include "interp.h"

#include "gen/opcodes.h"

enum {
#define OP_ENUM(name, opcode, nbytes, off, imm, src, uses) OPCODE_##name = (opcode),
	EBPF_OPS(OP_ENUM)
#undef OP_ENUM
};

uint64_t interp_run(void *r1, uint64_t r2, struct ebpf_run *run)
{
	uint64_t regs[11] = { 0 };
	const struct ebpf_insn *insn = run->prog->insns;

	regs[1] = (uint64_t)(uintptr_t)r1;
	regs[2] = r2;
	for (;; insn++) {
		switch (insn->opcode) {
		case OPCODE_MOV64_K: regs[insn->dst] = (uint64_t)(int64_t)insn->imm; break;
		case OPCODE_EXIT: return regs[0];
		default: run->error = -EBPF_ENOTSUPP; return 0;
		}
	}
}
