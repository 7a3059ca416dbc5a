/* How many low bits of each register can be set: a little of what a known-bits analysis knows, within blocks. */
#pragma once

#include "decode.h"

/* Of R0..R10; 64: nothing is known, 0: the register is zero. */
struct jit_widths {
	uint8_t bits[11];
};

void jit_widths_forget(struct jit_widths *widths);
/* Forgets some registers, a bit each. */
void jit_widths_unknown(struct jit_widths *widths, uint32_t regs);
/* Behind an instruction, by what was before it. */
void jit_widths_step(struct jit_widths *widths, const struct ebpf_dinsn *in);
