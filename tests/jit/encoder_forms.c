/* Encodes every form of csrc/x86_64_enc.h over its operands; prints "hex<TAB>what a disassembler should say".
 *
 * The expected text is made here from the operands and the mnemonics of the Intel SDM, not from the encoder.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "x86_64_enc.h"

static const char *const names[4][16] = {
	{ "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b",
	  "r15b" },
	{ "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w" },
	{ "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d",
	  "r15d" },
	{ "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" },
};
static const unsigned sizes[] = { 1, 2, 4, 8 };
static const int32_t disps[] = { 0, 1, -1, 127, 128, -128, -129, 0x12345678, INT32_MIN };

static struct x86_buf buf;

static const char *reg(unsigned r, unsigned size)
{
	return names[size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3][r];
}

/* An operand as text; a few alive at once. */
static const char *rm_text(struct x86_rm rm, unsigned size)
{
	static char texts[4][96];
	static unsigned next;
	static const char *const ptrs[] = { [0] = "", [1] = "byte ptr ", [2] = "word ptr ", [4] = "dword ptr ",
					    [8] = "qword ptr ", [16] = "xmmword ptr " };
	char *text = texts[next++ % 4], index[16] = "", disp[24] = "";
	int64_t magnitude = rm.disp < 0 ? -(int64_t)rm.disp : rm.disp;

	if (rm.direct)
		return reg(rm.base, size);
	if (rm.index != X86_NONE)
		snprintf(index, sizeof(index), rm.scale ? " + %s*%d" : " + %s", reg(rm.index, 8), 1 << rm.scale);
	if (rm.disp)
		snprintf(disp, sizeof(disp), magnitude > 9 ? " %c 0x%" PRIx64 : " %c %" PRId64, rm.disp < 0 ? '-' : '+',
			 magnitude);
	snprintf(text, 96, "%s[%s%s%s]", ptrs[size], reg(rm.base, 8), index, disp);
	return text;
}

__attribute__((format(printf, 1, 2))) static void expect(const char *format, ...)
{
	va_list args;

	for (size_t i = 0; i < buf.len; i++)
		printf("%02x", buf.bytes[i]);
	printf("\t");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	buf.len = 0;
}

/* imm cut to the operand's size, in hexadecimal. */
static const char *imm_text(int64_t imm, unsigned size)
{
	static char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, (uint64_t)imm & (size == 8 ? UINT64_MAX : (1ull << size * 8) - 1));
	return text;
}

typedef void (*operand_fn)(struct x86_rm rm);

/* Memory operands that meet every special case of ModRM and SIB: bases, displacements, indices, scales. */
static void each_mem(operand_fn fn)
{
	for (uint8_t base = 0; base < 16; base++) {
		for (size_t d = 0; d < ARRAY_SIZE(disps); d++)
			fn(x86_m(base, disps[d]));
		for (uint8_t index = 0; index < 16; index++)
			if (index != X86_RSP)
				fn(x86_mx(base, index, index & 3, disps[(base + index) % ARRAY_SIZE(disps)]));
	}
}

static void each_operand(operand_fn fn)
{
	for (uint8_t r = 0; r < 16; r++)
		fn(x86_r(r));
	each_mem(fn);
}

static uint8_t other(struct x86_rm rm)
{
	static uint8_t next;

	(void)rm;
	return next++ % 16;
}

static void loads(struct x86_rm rm)
{
	for (size_t i = 0; i < 4; i++) {
		uint8_t r = other(rm);
		unsigned size = sizes[i];

		x86_load(&buf, size, r, rm);
		expect("%s %s, %s", size < 4 ? "movzx" : "mov", reg(r, size < 4 ? 4 : size), rm_text(rm, size));
	}
	for (size_t i = 0; i < 3; i++) {
		uint8_t r = other(rm);
		unsigned size = sizes[i];

		x86_load_sx(&buf, size, 8, r, rm);
		expect("%s %s, %s", size == 4 ? "movsxd" : "movsx", reg(r, 8), rm_text(rm, size));
		if (size == 4)
			continue;
		x86_load_sx(&buf, size, 4, r, rm);
		expect("movsx %s, %s", reg(r, 4), rm_text(rm, size));
	}
}

static void stores(struct x86_rm rm)
{
	static const int32_t imms[] = { 0, 1, -1, 0x7f, 0x80, 0x1234, 0x12345678, INT32_MIN };

	for (size_t i = 0; i < 4; i++) {
		uint8_t r = other(rm);

		x86_store(&buf, sizes[i], rm, r);
		expect("mov %s, %s", rm_text(rm, sizes[i]), reg(r, sizes[i]));
		for (size_t k = 0; k < ARRAY_SIZE(imms); k++) {
			x86_store_i(&buf, sizes[i], rm, imms[k]);
			expect("mov %s, %s", rm_text(rm, sizes[i]), imm_text(imms[k], sizes[i]));
		}
	}
}

static void alus(struct x86_rm rm)
{
	static const char *const mnemonics[] = { "add", "or", "adc", "sbb", "and", "sub", "xor", "cmp" };
	static const int32_t imms[] = { 1, -1, 127, 128, -128, -129, 0x12345678, INT32_MIN };

	for (unsigned alu = X86_ADD; alu <= X86_CMP; alu++) {
		unsigned size = sizes[(alu + rm.base) % 4];
		uint8_t r = other(rm);
		int32_t imm = imms[(alu + rm.index + rm.base / 4) % ARRAY_SIZE(imms)];

		x86_alu_to(&buf, alu, size, rm, r);
		expect("%s %s, %s", mnemonics[alu], rm_text(rm, size), reg(r, size));
		x86_alu(&buf, alu, size, r, rm);
		expect("%s %s, %s", mnemonics[alu], reg(r, size), rm_text(rm, size));
		x86_alu_i(&buf, alu, size, rm, imm);
		expect("%s %s, %s", mnemonics[alu], rm_text(rm, size), imm_text(imm, size));
	}
}

static void tests_and_unaries(struct x86_rm rm)
{
	static const char *const unaries[] = { [X86_NOT] = "not", "neg", "mul", "imul", "div", "idiv" };

	for (size_t i = 0; i < 4; i++) {
		uint8_t r = other(rm);

		x86_test(&buf, sizes[i], rm, r);
		expect("test %s, %s", rm_text(rm, sizes[i]), reg(r, sizes[i]));
		x86_test_i(&buf, sizes[i], rm, 0x71234567);
		expect("test %s, %s", rm_text(rm, sizes[i]), imm_text(0x71234567, sizes[i]));
		for (unsigned u = X86_NOT; u <= X86_IDIV; u++) {
			x86_unary(&buf, u, sizes[i], rm);
			expect("%s %s", unaries[u], rm_text(rm, sizes[i]));
		}
	}
}

static void shifts(struct x86_rm rm)
{
	static const char *const mnemonics[] = { "rol", "ror", "", "", "shl", "shr", "", "sar" };
	static const enum x86_shift kinds[] = { X86_ROL, X86_ROR, X86_SHL, X86_SHR, X86_SAR };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		enum x86_shift shift = kinds[k];
		unsigned size = sizes[(k + rm.base) % 4], wide = size == 8 ? 8 : 4;
		uint8_t r = other(rm), count = other(rm);

		x86_shift_i(&buf, shift, size, rm, 1);
		expect("%s %s, 1", mnemonics[shift], rm_text(rm, size));
		x86_shift_i(&buf, shift, size, rm, 5);
		expect("%s %s, 5", mnemonics[shift], rm_text(rm, size));
		x86_shift_cl(&buf, shift, size, rm);
		expect("%s %s, cl", mnemonics[shift], rm_text(rm, size));
		if (shift < X86_SHL)
			continue;
		x86_shiftx(&buf, shift, wide, r, rm, count);
		expect("%sx %s, %s, %s", mnemonics[shift], reg(r, wide), rm_text(rm, wide), reg(count, wide));
		x86_rorx(&buf, wide, r, rm, 7);
		expect("rorx %s, %s, 7", reg(r, wide), rm_text(rm, wide));
	}
}

static void multiplies(struct x86_rm rm)
{
	for (unsigned size = 4; size <= 8; size += 4) {
		uint8_t r = other(rm);

		x86_imul(&buf, size, r, rm);
		expect("imul %s, %s", reg(r, size), rm_text(rm, size));
		x86_imul_i(&buf, size, r, rm, 100);
		expect("imul %s, %s, 0x64", reg(r, size), rm_text(rm, size));
		x86_imul_i(&buf, size, r, rm, 0x1000193);
		expect("imul %s, %s, 0x1000193", reg(r, size), rm_text(rm, size));
		x86_cmov(&buf, X86_CC_L, size, r, rm);
		expect("cmovl %s, %s", reg(r, size), rm_text(rm, size));
	}
}

static void memory_only(struct x86_rm rm)
{
	for (size_t i = 0; i < 4; i++) {
		unsigned size = sizes[i];
		uint8_t r = other(rm);

		x86_lock(&buf);
		x86_xadd(&buf, size, rm, r);
		expect("lock xadd %s, %s", rm_text(rm, size), reg(r, size));
		x86_lock(&buf);
		x86_cmpxchg(&buf, size, rm, r);
		expect("lock cmpxchg %s, %s", rm_text(rm, size), reg(r, size));
		x86_lock(&buf);
		x86_alu_to(&buf, X86_OR, size, rm, r);
		expect("lock or %s, %s", rm_text(rm, size), reg(r, size));
		x86_xchg(&buf, size, rm, r);
		expect("xchg %s, %s", rm_text(rm, size), reg(r, size));
		if (size == 1)
			continue;
		x86_load_be(&buf, size, r, rm);
		expect("movbe %s, %s", reg(r, size), rm_text(rm, size));
		x86_store_be(&buf, size, rm, r);
		expect("movbe %s, %s", rm_text(rm, size), reg(r, size));
	}
	x86_lea(&buf, 8, 9, rm);
	expect("lea r9, %s", rm_text(rm, 0));
	x86_lea(&buf, 4, 3, rm);
	expect("lea ebx, %s", rm_text(rm, 0));
	x86_store_xmm(&buf, rm, 11);
	expect("movups %s, xmm11", rm_text(rm, 16));
	x86_call(&buf, rm);
	expect("call %s", rm_text(rm, 8));
	x86_jmp(&buf, rm);
	expect("jmp %s", rm_text(rm, 8));
}

static void constants(uint8_t r)
{
	static const uint64_t imms[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, UINT64_MAX, INT64_MAX,
					 0xffffffff80000000, 0xffffffff7fffffff };

	for (size_t i = 0; i < ARRAY_SIZE(imms); i++) {
		uint64_t imm = imms[i];
		bool u32 = imm <= UINT32_MAX, s32 = imm == (uint64_t)(int64_t)(int32_t)imm;

		x86_mov_i(&buf, r, imm);
		if (u32)
			expect("mov %s, %s", reg(r, 4), imm_text((int64_t)imm, 4));
		else
			expect("%s %s, %s", s32 ? "mov" : "movabs", reg(r, 8), imm_text((int64_t)imm, 8));
	}
}

static void registers(uint8_t r)
{
	static const char *const ccs[] = { "o", "no", "b", "ae", "e", "ne", "be", "a",
					   "s", "ns", "p", "np", "l", "ge", "le", "g" };

	constants(r);
	x86_push(&buf, r);
	expect("push %s", reg(r, 8));
	x86_pop(&buf, r);
	expect("pop %s", reg(r, 8));
	x86_bswap(&buf, 4, r);
	expect("bswap %s", reg(r, 4));
	x86_bswap(&buf, 8, r);
	expect("bswap %s", reg(r, 8));
	x86_setcc(&buf, (enum x86_cc)r, r);
	expect("set%s %s", ccs[r], reg(r, 1));
	x86_jcc_short(&buf, (enum x86_cc)r, 0x10);
	expect("j%s 0x12", ccs[r]);
	x86_jcc_near(&buf, (enum x86_cc)r, 0x1000);
	expect("j%s 0x1006", ccs[r]);
	x86_zero_xmm(&buf, r);
	expect("xorps xmm%d, xmm%d", r, r);
	x86_lea_rip(&buf, r, 0x100);
	expect("lea %s, [rip + 0x100]", reg(r, 8));
	x86_call(&buf, x86_r(r));
	expect("call %s", reg(r, 8));
	for (uint8_t s = 0; s < 16; s++)
		for (size_t i = 0; i < 4; i++) {
			x86_mov(&buf, sizes[i], r, s);
			expect("mov %s, %s", reg(r, sizes[i]), reg(s, sizes[i]));
		}
}

static void fixed(void)
{
	x86_ret(&buf);
	expect("ret ");
	x86_endbr64(&buf);
	expect("endbr64 ");
	x86_int3(&buf);
	expect("int3 ");
	x86_sign_to_dx(&buf, 4);
	expect("cdq ");
	x86_sign_to_dx(&buf, 8);
	expect("cqo ");
	x86_jmp_short(&buf, -2);
	expect("jmp 0");
	x86_jmp_near(&buf, 0x12345678);
	expect("jmp 0x1234567d");
	x86_call_near(&buf, 0x100);
	expect("call 0x105");
}

int main(void)
{
	if (!x86_buf_init(&buf, 16))
		return 1;
	each_operand(loads);
	each_operand(stores);
	each_operand(alus);
	each_operand(tests_and_unaries);
	each_operand(shifts);
	each_operand(multiplies);
	each_mem(memory_only);
	for (uint8_t r = 0; r < 16; r++)
		registers(r);
	fixed();
	return buf.failed;
}
