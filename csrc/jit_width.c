/* How many low bits of each register can be set. */
#include "jit_width.h"

#include <string.h>

#include "jit_flow.h"

enum rule_kind {
	UNKNOWN, /* whatever the operation's width allows */
	COPY,    /* as the source */
	IMM,     /* as the immediate */
	AND_K,
	AND_X,
	OR_K,
	OR_X,
	ADD_K,
	ADD_X,
	SHL_K,
	SHR_K,
};

struct rule {
	uint8_t kind;
	uint8_t most; /* bits that the result has at most; 0: 64 */
};

#define ALU_WIDTHS(name, kind_k, kind_x)                                                                               \
	[OP_##name##64_K] = { kind_k, 64 }, [OP_##name##64_X] = { kind_x, 64 }, [OP_##name##32_K] = { kind_k, 32 },    \
	[OP_##name##32_X] = { kind_x, 32 }
#define FIXED(name, bits) [OP_##name] = { UNKNOWN, bits }

static const struct rule rules[JIT_OP_COUNT] = {
	ALU_WIDTHS(ADD, ADD_K, ADD_X),
	ALU_WIDTHS(SUB, UNKNOWN, UNKNOWN),
	ALU_WIDTHS(MUL, UNKNOWN, UNKNOWN),
	ALU_WIDTHS(DIV, UNKNOWN, UNKNOWN),
	ALU_WIDTHS(MOD, UNKNOWN, UNKNOWN),
	ALU_WIDTHS(SDIV, UNKNOWN, UNKNOWN),
	ALU_WIDTHS(SMOD, UNKNOWN, UNKNOWN),
	ALU_WIDTHS(OR, OR_K, OR_X),
	ALU_WIDTHS(XOR, OR_K, OR_X),
	ALU_WIDTHS(AND, AND_K, AND_X),
	ALU_WIDTHS(LSH, SHL_K, UNKNOWN),
	ALU_WIDTHS(RSH, SHR_K, UNKNOWN),
	ALU_WIDTHS(ARSH, UNKNOWN, UNKNOWN),
	ALU_WIDTHS(MOV, IMM, COPY),
	FIXED(NEG32, 32),
	FIXED(MOVSX8_32, 32),
	FIXED(MOVSX16_32, 32),
	FIXED(LE16, 16),
	FIXED(BE16, 16),
	FIXED(BSWAP16, 16),
	FIXED(LE32, 32),
	FIXED(BE32, 32),
	FIXED(BSWAP32, 32),
	FIXED(LDX_B, 8),
	FIXED(LDX_H, 16),
	FIXED(LDX_W, 32),
	FIXED(LOAD_ACQ_B, 8),
	FIXED(LOAD_ACQ_H, 16),
	FIXED(LOAD_ACQ_W, 32),
	[OP_LD_IMM64] = { IMM, 64 },
	[JIT_OP_ROL32] = { UNKNOWN, 32 },
};

static uint32_t bits_of(uint64_t value)
{
	return value ? 64 - (uint32_t)__builtin_clzll(value) : 0;
}

static uint32_t min(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t max(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Bits of the result by those of its operands (dst, the immediate or src), before the operation's own bound. */
static uint32_t combine(uint32_t kind, uint32_t dst, uint32_t src, uint32_t imm_bits, uint32_t count)
{
	switch (kind) {
	case COPY: return src;
	case IMM: return imm_bits;
	case AND_K: return min(dst, imm_bits);
	case AND_X: return min(dst, src);
	case OR_K: return max(dst, imm_bits);
	case OR_X: return max(dst, src);
	case ADD_K: return max(dst, imm_bits) + 1;
	case ADD_X: return max(dst, src) + 1;
	case SHL_K: return dst + count;
	case SHR_K: return dst > count ? dst - count : 0;
	default: return 64;
	}
}

void jit_widths_forget(struct jit_widths *widths)
{
	memset(widths->bits, 64, sizeof(widths->bits));
}

void jit_widths_unknown(struct jit_widths *widths, uint32_t regs)
{
	for (; regs; regs &= regs - 1)
		widths->bits[__builtin_ctz(regs)] = 64;
}

void jit_widths_step(struct jit_widths *widths, const struct ebpf_dinsn *in)
{
	const struct rule *rule = &rules[in->op];
	uint32_t most = rule->most ? rule->most : 64;
	uint64_t imm = most == 32 ? (uint32_t)in->imm : in->imm;
	/* A 32-bit operation sees the lower halves only. */
	uint32_t dst = min(widths->bits[in->dst], most), src = min(widths->bits[in->src], most);
	uint32_t count = (uint32_t)in->imm & (most == 32 ? 31 : 63);
	uint32_t bits = min(combine(rule->kind, dst, src, bits_of(imm), count), most);

	jit_widths_unknown(widths, jit_forgotten(in));
	if (rule->most)
		widths->bits[in->dst] = (uint8_t)bits;
}
