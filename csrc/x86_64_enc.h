/* The x86-64 encoder: every machine byte of the JIT is written here.
 *
 * One operand struct (struct x86_rm: a register or memory), one place that computes prefixes, REX and VEX, one short
 * function an instruction form.  Sizes are operand bytes (1, 2, 4, 8).  Sources: Intel SDM vol. 2, chapter 2.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "common.h"

enum x86_reg {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
	X86_NONE, /* no index */
};

/* Opcode extensions and condition codes, as the instructions number them. */
enum x86_alu { X86_ADD, X86_OR, X86_ADC, X86_SBB, X86_AND, X86_SUB, X86_XOR, X86_CMP };
enum x86_shift { X86_ROL, X86_ROR, X86_SHL = 4, X86_SHR, X86_SAR = 7 };
enum x86_unary { X86_NOT = 2, X86_NEG, X86_MUL, X86_IMUL, X86_DIV, X86_IDIV };
enum x86_cc {
	X86_CC_B = 2,
	X86_CC_AE,
	X86_CC_E,
	X86_CC_NE,
	X86_CC_BE,
	X86_CC_A,
	X86_CC_S,
	X86_CC_NS,
	X86_CC_L = 12,
	X86_CC_GE,
	X86_CC_LE,
	X86_CC_G,
};

/* A ModRM operand: the register `base`, or memory at base + (index << scale) + disp. */
struct x86_rm {
	uint8_t base;
	uint8_t index; /* X86_NONE, or any register but RSP */
	uint8_t scale; /* 0..3 */
	bool direct;
	int32_t disp;
};

static inline struct x86_rm x86_r(uint8_t reg)
{
	return (struct x86_rm){ .base = reg, .index = X86_NONE, .direct = true };
}

static inline struct x86_rm x86_m(uint8_t base, int32_t disp)
{
	return (struct x86_rm){ .base = base, .index = X86_NONE, .disp = disp };
}

static inline struct x86_rm x86_mx(uint8_t base, uint8_t index, uint8_t scale, int32_t disp)
{
	return (struct x86_rm){ .base = base, .index = index, .scale = scale, .disp = disp };
}

/* Growing code buffer.  After a failed allocation `failed` stays set and bytes go nowhere useful. */
struct x86_buf {
	uint8_t *bytes;
	size_t len;
	size_t cap;
	bool failed;
};

#define X86_MAX_INSN 16

static inline bool x86_buf_init(struct x86_buf *b, size_t cap)
{
	*b = (struct x86_buf){ .bytes = malloc(cap + X86_MAX_INSN), .cap = cap + X86_MAX_INSN };
	return b->bytes;
}

/* Makes room for one instruction. */
static inline void x86_room(struct x86_buf *b)
{
	uint8_t *bytes;

	if (likely(b->len + X86_MAX_INSN <= b->cap))
		return;
	bytes = b->cap > SIZE_MAX / 2 ? NULL : realloc(b->bytes, b->cap * 2);
	if (!bytes) {
		b->failed = true;
		b->len = 0;
		return;
	}
	b->bytes = bytes;
	b->cap *= 2;
}

static inline void x86_put8(struct x86_buf *b, uint8_t v)
{
	b->bytes[b->len++] = v;
}

static inline void x86_put(struct x86_buf *b, uint64_t v, size_t nbytes)
{
	memcpy(b->bytes + b->len, &v, nbytes); /* host and target are both little-endian */
	b->len += nbytes;
}

/* What stands before ModRM.  Bits of flags: below. */
struct x86_op {
	uint8_t code;
	uint8_t map;    /* X86_MAP_* */
	uint8_t prefix; /* 0, 0x66, 0xf2, 0xf3 */
	uint8_t flags;
};

enum { X86_MAP_NONE, X86_MAP_0F, X86_MAP_0F38, X86_MAP_0F3A };
enum { X86_W = 1, X86_BYTE_REG = 2, X86_BYTE_RM = 4 };

/* Most integer instructions have an even opcode for bytes and the next one for 2, 4 and 8 bytes. */
static inline struct x86_op x86_sized(uint8_t code, uint8_t map, unsigned size)
{
	return (struct x86_op){
		.code = (uint8_t)(code | (size != 1)),
		.map = map,
		.prefix = size == 2 ? 0x66 : 0,
		.flags = size == 8   ? X86_W
			 : size == 1 ? X86_BYTE_REG | X86_BYTE_RM
				     : 0,
	};
}

/* The W, R, X and B bits of REX for a register field and an operand. */
static inline uint8_t x86_wrxb(uint8_t flags, uint8_t reg, struct x86_rm rm)
{
	uint8_t x = rm.index == X86_NONE ? 0 : rm.index >> 3;

	return (uint8_t)((flags & X86_W) << 3 | (reg >> 3) << 2 | x << 1 | rm.base >> 3);
}

/* ModRM, SIB and displacement.
 *
 *   ModRM  7 6 | 5 4 3 | 2 1 0       SIB  7 6   | 5 4 3 | 2 1 0
 *          mod |  reg  |  rm              scale | index | base
 */
static inline void x86_modrm(struct x86_buf *b, uint8_t reg, struct x86_rm rm)
{
	uint8_t low = rm.base & 7;
	bool sib = rm.index != X86_NONE || low == X86_RSP; /* rm = 100 means "SIB follows" */
	bool disp8 = rm.disp == (int8_t)rm.disp;
	uint8_t mod = !rm.disp && low != X86_RBP ? 0 : disp8 ? 1 : 2; /* mod 00, rm 101 would be RIP-relative */

	reg = (uint8_t)((reg & 7) << 3);
	if (rm.direct) {
		x86_put8(b, (uint8_t)(0xc0 | reg | low));
		return;
	}
	x86_put8(b, (uint8_t)(mod << 6 | reg | (sib ? 4 : low)));
	if (sib)
		x86_put8(b, (uint8_t)(rm.scale << 6 | (rm.index == X86_NONE ? 4 : rm.index & 7) << 3 | low));
	if (mod)
		x86_put(b, (uint32_t)rm.disp, disp8 ? 1 : 4);
}

static inline void x86_emit(struct x86_buf *b, struct x86_op op, uint8_t reg, struct x86_rm rm)
{
	static const uint8_t escapes[] = { [X86_MAP_0F38] = 0x38, [X86_MAP_0F3A] = 0x3a };
	uint8_t rex = x86_wrxb(op.flags, reg, rm);
	/* Without REX, byte registers 4..7 would be AH..BH. */
	bool byte = ((op.flags & X86_BYTE_REG) && reg >= 4) || ((op.flags & X86_BYTE_RM) && rm.direct && rm.base >= 4);

	x86_room(b);
	if (op.prefix)
		x86_put8(b, op.prefix);
	if (rex || byte)
		x86_put8(b, 0x40 | rex);
	if (op.map)
		x86_put8(b, 0x0f);
	if (op.map > X86_MAP_0F)
		x86_put8(b, escapes[op.map]);
	x86_put8(b, op.code);
	x86_modrm(b, reg, rm);
}

/* Three-byte VEX, L = 0: c4 | ~R ~X ~B mmmmm | W ~vvvv L pp. */
static inline void x86_emit_vex(struct x86_buf *b, struct x86_op op, uint8_t reg, uint8_t vvvv, struct x86_rm rm)
{
	uint8_t rex = x86_wrxb(op.flags, reg, rm);
	uint8_t pp = op.prefix == 0x66 ? 1 : op.prefix == 0xf3 ? 2 : op.prefix == 0xf2 ? 3 : 0;

	x86_room(b);
	x86_put8(b, 0xc4);
	x86_put8(b, (uint8_t)(((~rex & 7) << 5) | op.map));
	x86_put8(b, (uint8_t)((rex >> 3) << 7 | (~vvvv & 15) << 3 | pp));
	x86_put8(b, op.code);
	x86_modrm(b, reg, rm);
}

/* Prefix of the next instruction, which must have a memory destination. */
static inline void x86_lock(struct x86_buf *b)
{
	x86_room(b);
	x86_put8(b, 0xf0);
}

/* Moves */

/* Zero-extends to 64 bits. */
static inline void x86_load(struct x86_buf *b, unsigned size, uint8_t reg, struct x86_rm rm)
{
	if (size >= 4)
		x86_emit(b, x86_sized(0x8a, X86_MAP_NONE, size), reg, rm);
	else
		x86_emit(b, (struct x86_op){ size == 1 ? 0xb6 : 0xb7, X86_MAP_0F, 0, size == 1 ? X86_BYTE_RM : 0 }, reg,
			 rm);
}

/* Sign-extends size (1, 2, 4) bytes to `to` (4, 8) bytes. */
static inline void x86_load_sx(struct x86_buf *b, unsigned size, unsigned to, uint8_t reg, struct x86_rm rm)
{
	uint8_t flags = (uint8_t)((to == 8 ? X86_W : 0) | (size == 1 ? X86_BYTE_RM : 0));

	if (size == 4)
		x86_emit(b, (struct x86_op){ 0x63, X86_MAP_NONE, 0, flags }, reg, rm);
	else
		x86_emit(b, (struct x86_op){ size == 1 ? 0xbe : 0xbf, X86_MAP_0F, 0, flags }, reg, rm);
}

static inline void x86_store(struct x86_buf *b, unsigned size, struct x86_rm rm, uint8_t reg)
{
	x86_emit(b, x86_sized(0x88, X86_MAP_NONE, size), reg, rm);
}

/* imm is sign-extended from 32 bits for size 8. */
static inline void x86_store_i(struct x86_buf *b, unsigned size, struct x86_rm rm, int32_t imm)
{
	x86_emit(b, x86_sized(0xc6, X86_MAP_NONE, size), 0, rm);
	x86_put(b, (uint32_t)imm, size == 8 ? 4 : size);
}

/* size 4 zero-extends. */
static inline void x86_mov(struct x86_buf *b, unsigned size, uint8_t dst, uint8_t src)
{
	x86_emit(b, x86_sized(0x88, X86_MAP_NONE, size), src, x86_r(dst));
}

/* The shortest move of a constant that leaves the flags alone. */
static inline void x86_mov_i(struct x86_buf *b, uint8_t reg, uint64_t imm)
{
	bool s32 = imm == (uint64_t)(int64_t)(int32_t)imm;
	bool u32 = imm <= UINT32_MAX;

	if (!u32 && s32) {
		x86_store_i(b, 8, x86_r(reg), (int32_t)imm);
		return;
	}
	x86_room(b);
	if (!u32 || reg >= 8)
		x86_put8(b, (uint8_t)(0x40 | !u32 << 3 | reg >> 3));
	x86_put8(b, (uint8_t)(0xb8 | (reg & 7)));
	x86_put(b, imm, u32 ? 4 : 8);
}

static inline void x86_lea(struct x86_buf *b, unsigned size, uint8_t reg, struct x86_rm rm)
{
	x86_emit(b, x86_sized(0x8d, X86_MAP_NONE, size), reg, rm);
}

static inline void x86_push(struct x86_buf *b, uint8_t reg)
{
	x86_room(b);
	if (reg >= 8)
		x86_put8(b, 0x41);
	x86_put8(b, (uint8_t)(0x50 | (reg & 7)));
}

static inline void x86_pop(struct x86_buf *b, uint8_t reg)
{
	x86_room(b);
	if (reg >= 8)
		x86_put8(b, 0x41);
	x86_put8(b, (uint8_t)(0x58 | (reg & 7)));
}

static inline void x86_cmov(struct x86_buf *b, enum x86_cc cc, unsigned size, uint8_t reg, struct x86_rm rm)
{
	x86_emit(b, (struct x86_op){ (uint8_t)(0x40 | cc), X86_MAP_0F, 0, size == 8 ? X86_W : 0 }, reg, rm);
}

static inline void x86_setcc(struct x86_buf *b, enum x86_cc cc, uint8_t reg)
{
	x86_emit(b, (struct x86_op){ (uint8_t)(0x90 | cc), X86_MAP_0F, 0, X86_BYTE_RM }, 0, x86_r(reg));
}

/* Arithmetic */

/* rm = rm op reg */
static inline void x86_alu_to(struct x86_buf *b, enum x86_alu alu, unsigned size, struct x86_rm rm, uint8_t reg)
{
	x86_emit(b, x86_sized((uint8_t)(alu << 3), X86_MAP_NONE, size), reg, rm);
}

/* reg = reg op rm */
static inline void x86_alu(struct x86_buf *b, enum x86_alu alu, unsigned size, uint8_t reg, struct x86_rm rm)
{
	x86_emit(b, x86_sized((uint8_t)(alu << 3 | 2), X86_MAP_NONE, size), reg, rm);
}

/* rm = rm op imm; imm is sign-extended from 32 bits for size 8. */
static inline void x86_alu_i(struct x86_buf *b, enum x86_alu alu, unsigned size, struct x86_rm rm, int32_t imm)
{
	struct x86_op op = x86_sized(0x80, X86_MAP_NONE, size);
	bool imm8 = imm == (int8_t)imm;

	if (imm8 && size != 1)
		op.code = 0x83;
	x86_emit(b, op, (uint8_t)alu, rm);
	x86_put(b, (uint32_t)imm, imm8 ? 1 : size == 8 ? 4 : size);
}

static inline void x86_test(struct x86_buf *b, unsigned size, struct x86_rm rm, uint8_t reg)
{
	x86_emit(b, x86_sized(0x84, X86_MAP_NONE, size), reg, rm);
}

static inline void x86_test_i(struct x86_buf *b, unsigned size, struct x86_rm rm, int32_t imm)
{
	x86_emit(b, x86_sized(0xf6, X86_MAP_NONE, size), 0, rm);
	x86_put(b, (uint32_t)imm, size == 8 ? 4 : size);
}

/* NOT, NEG in place; MUL, IMUL, DIV, IDIV on rdx:rax. */
static inline void x86_unary(struct x86_buf *b, enum x86_unary unary, unsigned size, struct x86_rm rm)
{
	x86_emit(b, x86_sized(0xf6, X86_MAP_NONE, size), (uint8_t)unary, rm);
}

static inline void x86_imul(struct x86_buf *b, unsigned size, uint8_t reg, struct x86_rm rm)
{
	x86_emit(b, (struct x86_op){ 0xaf, X86_MAP_0F, 0, size == 8 ? X86_W : 0 }, reg, rm);
}

/* reg = rm * imm */
static inline void x86_imul_i(struct x86_buf *b, unsigned size, uint8_t reg, struct x86_rm rm, int32_t imm)
{
	bool imm8 = imm == (int8_t)imm;

	x86_emit(b, (struct x86_op){ imm8 ? 0x6b : 0x69, X86_MAP_NONE, 0, size == 8 ? X86_W : 0 }, reg, rm);
	x86_put(b, (uint32_t)imm, imm8 ? 1 : 4);
}

static inline void x86_shift_i(struct x86_buf *b, enum x86_shift shift, unsigned size, struct x86_rm rm, uint8_t count)
{
	x86_emit(b, x86_sized(count == 1 ? 0xd0 : 0xc0, X86_MAP_NONE, size), (uint8_t)shift, rm);
	if (count != 1)
		x86_put8(b, count);
}

static inline void x86_shift_cl(struct x86_buf *b, enum x86_shift shift, unsigned size, struct x86_rm rm)
{
	x86_emit(b, x86_sized(0xd2, X86_MAP_NONE, size), (uint8_t)shift, rm);
}

/* BMI2: reg = rm shifted by count (a register; SHL, SHR, SAR), flags untouched. */
static inline void x86_shiftx(struct x86_buf *b, enum x86_shift shift, unsigned size, uint8_t reg, struct x86_rm rm,
			      uint8_t count)
{
	uint8_t prefix = shift == X86_SHL ? 0x66 : shift == X86_SHR ? 0xf2 : 0xf3;

	x86_emit_vex(b, (struct x86_op){ 0xf7, X86_MAP_0F38, prefix, size == 8 ? X86_W : 0 }, reg, count, rm);
}

/* BMI2: reg = rm rotated right by count. */
static inline void x86_rorx(struct x86_buf *b, unsigned size, uint8_t reg, struct x86_rm rm, uint8_t count)
{
	x86_emit_vex(b, (struct x86_op){ 0xf0, X86_MAP_0F3A, 0xf2, size == 8 ? X86_W : 0 }, reg, 0, rm);
	x86_put8(b, count);
}

static inline void x86_bswap(struct x86_buf *b, unsigned size, uint8_t reg)
{
	uint8_t rex = (uint8_t)((size == 8) << 3 | reg >> 3);

	x86_room(b);
	if (rex)
		x86_put8(b, 0x40 | rex);
	x86_put8(b, 0x0f);
	x86_put8(b, (uint8_t)(0xc8 | (reg & 7)));
}

/* MOVBE, sizes 2, 4, 8: a load of 2 bytes keeps bits 16..63 of reg. */
static inline void x86_load_be(struct x86_buf *b, unsigned size, uint8_t reg, struct x86_rm rm)
{
	uint8_t prefix = size == 2 ? 0x66 : 0;

	x86_emit(b, (struct x86_op){ 0xf0, X86_MAP_0F38, prefix, size == 8 ? X86_W : 0 }, reg, rm);
}

static inline void x86_store_be(struct x86_buf *b, unsigned size, struct x86_rm rm, uint8_t reg)
{
	uint8_t prefix = size == 2 ? 0x66 : 0;

	x86_emit(b, (struct x86_op){ 0xf1, X86_MAP_0F38, prefix, size == 8 ? X86_W : 0 }, reg, rm);
}

/* rax to rdx:rax, or eax to edx:eax. */
static inline void x86_sign_to_dx(struct x86_buf *b, unsigned size)
{
	x86_room(b);
	if (size == 8)
		x86_put8(b, 0x48);
	x86_put8(b, 0x99);
}

/* Atomics: XCHG locks by itself, the others want x86_lock first. */
static inline void x86_xchg(struct x86_buf *b, unsigned size, struct x86_rm rm, uint8_t reg)
{
	x86_emit(b, x86_sized(0x86, X86_MAP_NONE, size), reg, rm);
}

static inline void x86_xadd(struct x86_buf *b, unsigned size, struct x86_rm rm, uint8_t reg)
{
	x86_emit(b, x86_sized(0xc0, X86_MAP_0F, size), reg, rm);
}

/* if rm == rax: rm = reg, ZF; else rax = rm. */
static inline void x86_cmpxchg(struct x86_buf *b, unsigned size, struct x86_rm rm, uint8_t reg)
{
	x86_emit(b, x86_sized(0xb0, X86_MAP_0F, size), reg, rm);
}

/* Vector zeroing: xorps xmm, xmm and movups [rm], xmm. */
static inline void x86_zero_xmm(struct x86_buf *b, uint8_t xmm)
{
	x86_emit(b, (struct x86_op){ 0x57, X86_MAP_0F, 0, 0 }, xmm, x86_r(xmm));
}

static inline void x86_store_xmm(struct x86_buf *b, struct x86_rm rm, uint8_t xmm)
{
	x86_emit(b, (struct x86_op){ 0x11, X86_MAP_0F, 0, 0 }, xmm, rm);
}

/* Control.  rel counts from the end of the instruction. */
static inline void x86_call(struct x86_buf *b, struct x86_rm rm)
{
	x86_emit(b, (struct x86_op){ 0xff, X86_MAP_NONE, 0, 0 }, 2, rm);
}

static inline void x86_jmp(struct x86_buf *b, struct x86_rm rm)
{
	x86_emit(b, (struct x86_op){ 0xff, X86_MAP_NONE, 0, 0 }, 4, rm);
}

static inline void x86_ret(struct x86_buf *b)
{
	x86_room(b);
	x86_put8(b, 0xc3);
}

static inline void x86_endbr64(struct x86_buf *b)
{
	x86_room(b);
	x86_put(b, 0xfa1e0ff3, 4);
}

static inline void x86_int3(struct x86_buf *b)
{
	x86_room(b);
	x86_put8(b, 0xcc);
}

static inline void x86_jmp_short(struct x86_buf *b, int8_t rel)
{
	x86_room(b);
	x86_put8(b, 0xeb);
	x86_put8(b, (uint8_t)rel);
}

static inline void x86_jmp_near(struct x86_buf *b, int32_t rel)
{
	x86_room(b);
	x86_put8(b, 0xe9);
	x86_put(b, (uint32_t)rel, 4);
}

static inline void x86_jcc_short(struct x86_buf *b, enum x86_cc cc, int8_t rel)
{
	x86_room(b);
	x86_put8(b, (uint8_t)(0x70 | cc));
	x86_put8(b, (uint8_t)rel);
}

static inline void x86_jcc_near(struct x86_buf *b, enum x86_cc cc, int32_t rel)
{
	x86_room(b);
	x86_put8(b, 0x0f);
	x86_put8(b, (uint8_t)(0x80 | cc));
	x86_put(b, (uint32_t)rel, 4);
}

static inline void x86_call_near(struct x86_buf *b, int32_t rel)
{
	x86_room(b);
	x86_put8(b, 0xe8);
	x86_put(b, (uint32_t)rel, 4);
}

/* lea reg, [rip + rel]: 7 bytes. */
static inline void x86_lea_rip(struct x86_buf *b, uint8_t reg, int32_t rel)
{
	x86_room(b);
	x86_put8(b, (uint8_t)(0x48 | (reg >> 3) << 2));
	x86_put8(b, 0x8d);
	x86_put8(b, (uint8_t)(0x05 | (reg & 7) << 3));
	x86_put(b, (uint32_t)rel, 4);
}
