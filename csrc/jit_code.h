/* The JIT's state while it lowers one program, and its unlinked code: bytes, labels, jumps.
 *
 * Lowering is done once.  Jumps, calls and addresses of code are not bytes but fixups, which jit_link sizes (short
 * where they reach) and writes; everything between them is moved once, into its final place.
 *
 *   BPF   R0  R1  R2  R3  R4  R5 R6  R7  R8  R9  R10        run  scratch
 *   x86   rax rdi rsi rdx rcx r8 rbx r13 r14 r15 rbp (=fp)  r12  r9 r10 r11
 *
 * A helper call therefore moves nothing but the run into r9.  Every function keeps rbx, rbp, r12 .. r15.
 */
#pragma once

#include "decode.h"
#include "jit_flow.h"
#include "jit_mem.h"
#include "jit_width.h"
#include "x86_64_enc.h"

#define JIT_RUN X86_R12
#define JIT_T0  X86_R9
#define JIT_T1  X86_R10
#define JIT_T2  X86_R11

typedef uint32_t jit_label;
#define JIT_NO_LABEL UINT32_MAX

enum jit_fixup_kind {
	JIT_FIX_JMP,      /* to a label */
	JIT_FIX_JCC,      /* to a label; arg: enum x86_cc */
	JIT_FIX_CALL,     /* of a label */
	JIT_FIX_LEA,      /* address of a label; arg: register */
	JIT_FIX_CALL_ABS, /* of an address; clobbers rax when it is out of reach */
};

struct jit_fixup {
	uint32_t at; /* bytes of raw code before it */
	jit_label label;
	uint64_t addr;
	uint8_t kind; /* enum jit_fixup_kind */
	uint8_t arg;
	uint8_t nbytes; /* set by jit_link */
};

/* A place in the code: behind `raw` raw bytes and `fixups` fixups. */
struct jit_place {
	uint32_t raw;
	uint32_t fixups;
};

/* The stack frame of a function, from high to low addresses:
 *   return address | saved registers | 8 or 0 | <- rbp, 16-aligned | BPF stack | may_goto counter | <- rsp, 16-aligned
 */
struct jit_frame {
	uint16_t saved;   /* bits of enum x86_reg */
	uint32_t pad;     /* 0 or 8 */
	uint32_t nbytes;  /* below the saved registers, pad included */
	int32_t may_goto; /* rbp-relative place of the counter, 0 without */
	bool has_fp;      /* uses R10 */
	bool calls;       /* calls anything: rsp must be aligned */
	bool sets_run;    /* entered with the run in rdx */
	jit_label exit;   /* epilogue, R0 as it is; JIT_NO_LABEL until some exit has laid it */
	jit_label fail;   /* R0 = 0, then the epilogue; JIT_NO_LABEL if nobody asked */
};

struct jit;

/* Code out of line: emitted behind its function. */
struct jit_cold {
	void (*emit)(struct jit *jit, const struct jit_cold *cold);
	const struct ebpf_dinsn *insn;
	jit_label enter;
	jit_label back;
};

struct jit_entry {
	jit_label local; /* for calls from inside */
	jit_label c;     /* for calls from C: function 0 and callbacks */
};

struct jit {
	const struct ebpf_prog *prog;
	const struct ebpf_code *code; /* with a copy of the instructions, which jit_rewrite changes */
	struct ebpf_code view;        /* what code points to */
	const struct ebpf_func *func; /* being lowered */
	struct jit_frame frame;       /* its */
	struct jit_flow flow;
	struct jit_widths widths; /* of the registers, here */
	uint32_t unmade;          /* registers, a bit each, that a pattern did not set since nobody reads them */
	struct x86_buf out;
	struct jit_fixup *fixups;
	struct jit_place *labels; /* the first code->n are the instructions' */
	struct jit_cold *colds;
	uint32_t n_fixups, cap_fixups, n_labels, cap_labels, n_colds, cap_colds;
	struct jit_entry *entries; /* by function */
	bool failed;               /* out of memory */
	bool has_bmi2, has_movbe;
	bool needs_run;         /* some function looks at the run */
	bool may_fail;          /* some instruction may set run->error */
	bool budget;            /* back edges and calls are counted */
	bool main_called;       /* function 0 is also called from inside */
	bool nested_tail_calls; /* another function than 0 makes tail calls */
	jit_label main_entry;   /* the program's ebpf_fn */
};

extern const uint8_t jit_regs[11]; /* BPF register to enum x86_reg */

static inline uint8_t jit_dst(const struct ebpf_dinsn *in)
{
	return jit_regs[in->dst];
}

static inline uint8_t jit_src(const struct ebpf_dinsn *in)
{
	return jit_regs[in->src];
}

static inline uint32_t jit_insn_idx(const struct jit *jit, const struct ebpf_dinsn *in)
{
	return (uint32_t)(in - jit->code->insns);
}

/* Labels and fixups */
jit_label jit_new_label(struct jit *jit);
void jit_bind(struct jit *jit, jit_label label); /* here */
void jit_jmp(struct jit *jit, jit_label label);
void jit_jcc(struct jit *jit, enum x86_cc cc, jit_label label);
void jit_call(struct jit *jit, jit_label label);
void jit_lea(struct jit *jit, uint8_t reg, jit_label label);
void jit_call_abs(struct jit *jit, uint64_t addr);

/* Queues code to emit behind the function; returns its entry.  back is bound by the caller where it goes on. */
jit_label jit_cold(struct jit *jit, void (*emit)(struct jit *, const struct jit_cold *), const struct ebpf_dinsn *in,
		   jit_label back);
void jit_flush_cold(struct jit *jit);

/* Sizes the fixups for code at mem and writes all of it.  *nbytes: bytes written.  0, -ENOMEM. */
int jit_link(struct jit *jit, struct jit_mem *mem, size_t *nbytes, struct ebpf_error *err);
/* Where a label came to lie, from the start of the code; after jit_link. */
uint32_t jit_label_offset(const struct jit *jit, jit_label label);

/* Frames (jit_frame.c) */
void jit_frame_plan(struct jit *jit);
void jit_prologue(struct jit *jit);
/* Registers and stack as the caller had them; no return. */
void jit_leave(struct jit *jit);
/* The epilogue, or a jump to the one that an earlier exit has laid. */
void jit_exit(struct jit *jit);
/* Where to jump so that the function returns 0. */
jit_label jit_fail_label(struct jit *jit);
/* An entry from C, with the run in run_arg, for a function that expects it in its register. */
void jit_thunk(struct jit *jit, jit_label callee, uint8_t run_arg);

/* Lowering: one rule an op (jit_x86_64.c). */
struct jit_rule {
	void (*lower)(struct jit *jit, const struct ebpf_dinsn *in, const struct jit_rule *rule);
	uint8_t x86;  /* enum of the encoder that the family takes: alu, shift, condition */
	uint8_t size; /* operand bytes */
	uint8_t arg;
};
/* arg of rules */
enum { JIT_DIV_MOD = 1, JIT_DIV_SIGNED = 2, JIT_JSET = 1, JIT_LD_IND = 1 };

/* Replaces patterns of a function's instructions by instructions of the JIT's own (jit_rewrite.c). */
void jit_rewrite(struct jit *jit, uint32_t func_idx);
/* Several instructions at once: how many it emitted, 0 for none (jit_match.c). */
uint32_t jit_match(struct jit *jit, const struct ebpf_dinsn *in);
/* The instruction n behind in, if control comes to it from in alone; else a record that matches nothing. */
const struct ebpf_dinsn *jit_ahead(const struct jit *jit, const struct ebpf_dinsn *in, uint32_t n);
/* A matcher, as those of jit_match.c (jit_zero.c). */
uint32_t jit_match_zero_stores(struct jit *jit, const struct ebpf_dinsn *in);
/* A plain load or store, of memory at a given operand (jit_mem_ops.c). */
bool jit_is_load(const struct ebpf_dinsn *in);
void jit_access(struct jit *jit, const struct ebpf_dinsn *in, struct x86_rm at);
/* A helper call without a call, or with a cheaper one; false: nothing emitted (jit_inline.c). */
bool jit_inline_call(struct jit *jit, const struct ebpf_dinsn *in);
/* The jump behind a comparison; a test of bits; has the verifier decided the jump? */
void jit_branch(struct jit *jit, const struct ebpf_dinsn *in, enum x86_cc cc);
void jit_test_bits(struct jit *jit, unsigned size, uint8_t reg, int32_t imm);
/* A jump back to a test, which will be emitted as that test, going on behind it. */
bool jit_is_inverted(const struct jit *jit, const struct ebpf_dinsn *in);
bool jit_is_decided(const struct jit *jit, const struct ebpf_dinsn *in);

const struct jit_rule *jit_rule_of(const struct ebpf_dinsn *in);
/* The shortest move of a constant; may change the flags. */
void jit_const(struct jit *jit, uint8_t reg, uint64_t imm);

#define JIT_LOWER(name) void name(struct jit *jit, const struct ebpf_dinsn *in, const struct jit_rule *rule)

JIT_LOWER(jit_lower_alu_k);
JIT_LOWER(jit_lower_alu_x);
JIT_LOWER(jit_lower_mul_k);
JIT_LOWER(jit_lower_mul_x);
JIT_LOWER(jit_lower_shift_k);
JIT_LOWER(jit_lower_shift_x);
JIT_LOWER(jit_lower_mov_k);
JIT_LOWER(jit_lower_mov_x);
JIT_LOWER(jit_lower_movsx);
JIT_LOWER(jit_lower_neg);
JIT_LOWER(jit_lower_bswap);
JIT_LOWER(jit_lower_le);
JIT_LOWER(jit_lower_div_k);
JIT_LOWER(jit_lower_div_x);

JIT_LOWER(jit_lower_ja);
JIT_LOWER(jit_lower_jcc_k);
JIT_LOWER(jit_lower_jcc_x);
JIT_LOWER(jit_lower_may_goto);
JIT_LOWER(jit_lower_call_helper);
JIT_LOWER(jit_lower_call_local);
JIT_LOWER(jit_lower_tail_call);
JIT_LOWER(jit_lower_exit);

JIT_LOWER(jit_lower_imm64);
JIT_LOWER(jit_lower_func);
JIT_LOWER(jit_lower_load);
JIT_LOWER(jit_lower_load_sx);
JIT_LOWER(jit_lower_store);
JIT_LOWER(jit_lower_store_k);
JIT_LOWER(jit_lower_atomic);
JIT_LOWER(jit_lower_fetch_add);
JIT_LOWER(jit_lower_fetch);
JIT_LOWER(jit_lower_xchg);
JIT_LOWER(jit_lower_cmpxchg);
JIT_LOWER(jit_lower_ld_abs);
JIT_LOWER(jit_lower_rol);
JIT_LOWER(jit_lower_nothing);
