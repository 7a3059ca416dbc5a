/* What instructions read and write, where jumps land, and which halves of registers are live. */
#pragma once

#include "decode.h"

/* Instructions that only the JIT has, behind the decoder's. */
enum {
	JIT_OP_ROL32 = OP_COUNT, /* dst = src rotated left by imm, 32 bits */
	JIT_OP_COUNT,
};

/* Sets of register halves. */
#define LOW(r)     (1u << (r))
#define UPPER(r)   (1u << (16 + (r)))
#define HALVES(r)  (LOW(r) | UPPER(r))
#define HALVES_ALL 0x07ff07ffu

struct jit_flow {
	uint32_t *live;    /* halves live before an instruction */
	uint32_t *after;   /* and behind it */
	bool *target;      /* a jump lands here, or a function begins */
	bool *back_target; /* a jump from here or below lands here */
};

/* false: no memory (destroy it all the same). */
bool jit_flow_init(struct jit_flow *flow, const struct ebpf_code *code);
void jit_flow_destroy(struct jit_flow *flow);
/* Liveness of one function again, after its instructions were changed. */
void jit_flow_solve(struct jit_flow *flow, const struct ebpf_code *code, const struct ebpf_func *func);

bool jit_is_jump(uint32_t op);
bool jit_is_branch(uint32_t op); /* conditional, on registers */
bool jit_is_pure(uint32_t op);   /* does nothing but write dst: not needed when dst is dead */
bool jit_is_ld_abs(uint32_t op);
/* Registers that an instruction reads or writes, a bit each. */
uint32_t jit_named(const struct ebpf_dinsn *in);
/* Registers, a bit each, that do not hold afterwards what they held: written, or forgotten by a call. */
uint32_t jit_forgotten(const struct ebpf_dinsn *in);
bool jit_may_write(const struct ebpf_dinsn *in, uint32_t reg);
/* Live halves before an instruction by those behind it. */
uint32_t jit_live_before(const struct ebpf_dinsn *in, uint32_t after);
