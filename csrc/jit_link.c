/* Labels, fixups and cold code; sizing the jumps and writing the finished program. */
#include "jit_code.h"

#define JIT_PAGE 4096
#define JIT_FILL 0xcc /* int3 */

/* The array, with room for one more unless memory ran out (jit->failed is then set and n == *cap). */
static void *grow(struct jit *jit, void *array, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t new_cap = *cap ? *cap * 2 : 64;
	void *bigger;

	if (likely(n < *cap))
		return array;
	bigger = *cap > UINT32_MAX / 2 ? NULL : realloc(array, new_cap * size);
	if (!bigger) {
		jit->failed = true;
		return array;
	}
	*cap = new_cap;
	return bigger;
}

jit_label jit_new_label(struct jit *jit)
{
	jit->labels = grow(jit, jit->labels, jit->n_labels, &jit->cap_labels, sizeof(*jit->labels));
	/* Out of memory: some label, since the code will not be used. */
	return jit->n_labels < jit->cap_labels ? jit->n_labels++ : 0;
}

void jit_bind(struct jit *jit, jit_label label)
{
	jit->labels[label] = (struct jit_place){ (uint32_t)jit->out.len, jit->n_fixups };
}

static void add_fixup(struct jit *jit, struct jit_fixup fixup)
{
	jit->fixups = grow(jit, jit->fixups, jit->n_fixups, &jit->cap_fixups, sizeof(*jit->fixups));
	if (jit->n_fixups == jit->cap_fixups)
		return;
	fixup.at = (uint32_t)jit->out.len;
	jit->fixups[jit->n_fixups++] = fixup;
}

void jit_jmp(struct jit *jit, jit_label label)
{
	add_fixup(jit, (struct jit_fixup){ .kind = JIT_FIX_JMP, .label = label });
}

void jit_jcc(struct jit *jit, enum x86_cc cc, jit_label label)
{
	add_fixup(jit, (struct jit_fixup){ .kind = JIT_FIX_JCC, .label = label, .arg = (uint8_t)cc });
}

void jit_call(struct jit *jit, jit_label label)
{
	add_fixup(jit, (struct jit_fixup){ .kind = JIT_FIX_CALL, .label = label });
}

void jit_lea(struct jit *jit, uint8_t reg, jit_label label)
{
	add_fixup(jit, (struct jit_fixup){ .kind = JIT_FIX_LEA, .label = label, .arg = reg });
}

void jit_call_abs(struct jit *jit, uint64_t addr)
{
	add_fixup(jit, (struct jit_fixup){ .kind = JIT_FIX_CALL_ABS, .addr = addr });
}

jit_label jit_cold(struct jit *jit, void (*emit)(struct jit *, const struct jit_cold *), const struct ebpf_dinsn *in,
		   jit_label back)
{
	jit_label enter = jit_new_label(jit);

	jit->colds = grow(jit, jit->colds, jit->n_colds, &jit->cap_colds, sizeof(*jit->colds));
	if (jit->n_colds < jit->cap_colds)
		jit->colds[jit->n_colds++] = (struct jit_cold){ emit, in, enter, back };
	return enter;
}

void jit_flush_cold(struct jit *jit)
{
	for (uint32_t i = 0; i < jit->n_colds; i++) {
		struct jit_cold cold = jit->colds[i]; /* emitting may queue more */

		jit_bind(jit, cold.enter);
		cold.emit(jit, &cold);
	}
	jit->n_colds = 0;
}

/* Sizes of a fixup: the least it may take, and the most. */
static const struct fixup_size {
	uint8_t least;
	uint8_t most;
} fixup_sizes[] = {
	[JIT_FIX_JMP] = { 2, 5 }, [JIT_FIX_JCC] = { 2, 6 },       [JIT_FIX_CALL] = { 5, 5 },
	[JIT_FIX_LEA] = { 7, 7 }, [JIT_FIX_CALL_ABS] = { 5, 12 },
};

/* Bytes of fixups before each fixup; [n_fixups] is their sum. */
struct linker {
	struct jit *jit;
	uint32_t *before;
	uint8_t *code;
};

static uint32_t place_of(const struct linker *l, struct jit_place place)
{
	return place.raw + l->before[place.fixups];
}

static void sum_sizes(const struct linker *l)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < l->jit->n_fixups; i++) {
		l->before[i] = sum;
		sum += l->jit->fixups[i].nbytes;
	}
	l->before[l->jit->n_fixups] = sum;
}

/* Displacement from the end of fixup i to its label. */
static int64_t distance(const struct linker *l, uint32_t i)
{
	const struct jit_fixup *fixup = &l->jit->fixups[i];
	int64_t end = (int64_t)fixup->at + l->before[i] + fixup->nbytes;

	return (int64_t)place_of(l, l->jit->labels[fixup->label]) - end;
}

/* All jumps begin short and only grow, so this ends, with the least sizes that fit. */
static bool grow_jumps(const struct linker *l)
{
	bool grown = false;

	for (uint32_t i = 0; i < l->jit->n_fixups; i++) {
		struct jit_fixup *fixup = &l->jit->fixups[i];
		int64_t rel;

		if (!fixup->nbytes || fixup->nbytes == fixup_sizes[fixup->kind].most || fixup->kind == JIT_FIX_CALL_ABS)
			continue;
		rel = distance(l, i);
		if (rel == (int8_t)rel)
			continue;
		fixup->nbytes = fixup_sizes[fixup->kind].most;
		grown = true;
	}
	return grown;
}

/* A jump to what follows it: no code. */
static bool is_nothing(const struct jit *jit, uint32_t i)
{
	const struct jit_fixup *fixup = &jit->fixups[i];
	const struct jit_place *to = &jit->labels[fixup->label];

	return fixup->kind == JIT_FIX_JMP && to->raw == fixup->at && to->fixups == i + 1;
}

static bool is_near(const struct jit_mem *mem, uint64_t addr)
{
	uint64_t base = (uintptr_t)mem->code;
	int64_t from_start = (int64_t)(addr - base), from_end = (int64_t)(addr - base - mem->nbytes);

	return from_start == (int32_t)from_start && from_end == (int32_t)from_end;
}

/* mov rax, addr; call rax.  x86_mov_i takes 5, 7 or 10 bytes. */
static uint8_t far_call_nbytes(uint64_t addr)
{
	return addr <= UINT32_MAX ? 7 : addr == (uint64_t)(int64_t)(int32_t)addr ? 9 : 12;
}

static void write_abs_call(struct x86_buf *b, const struct jit_fixup *fixup)
{
	if (fixup->nbytes == 5) {
		x86_call_near(b, (int32_t)(int64_t)(fixup->addr - (uintptr_t)(b->bytes + b->len + 5)));
		return;
	}
	x86_mov_i(b, X86_RAX, fixup->addr);
	x86_call(b, x86_r(X86_RAX));
}

static void write_fixup(const struct linker *l, struct x86_buf *b, uint32_t i)
{
	const struct jit_fixup *fixup = &l->jit->fixups[i];
	bool is_short = fixup->nbytes == 2;
	int32_t rel;

	if (fixup->kind == JIT_FIX_CALL_ABS) {
		write_abs_call(b, fixup);
		return;
	}
	rel = (int32_t)distance(l, i);
	if (fixup->kind == JIT_FIX_CALL)
		x86_call_near(b, rel);
	else if (fixup->kind == JIT_FIX_LEA)
		x86_lea_rip(b, fixup->arg, rel);
	else if (!fixup->nbytes)
		return;
	else if (fixup->kind == JIT_FIX_JMP)
		is_short ? x86_jmp_short(b, (int8_t)rel) : x86_jmp_near(b, rel);
	else
		is_short ? x86_jcc_short(b, fixup->arg, (int8_t)rel) : x86_jcc_near(b, fixup->arg, rel);
}

static void write_code(const struct linker *l, const struct jit_mem *mem, size_t *nbytes)
{
	/* The region has room for the largest sizes and X86_MAX_INSN, so this buffer never grows. */
	struct x86_buf b = { .bytes = mem->code, .cap = mem->nbytes };
	const uint8_t *raw = l->jit->out.bytes;
	size_t done = 0;

	for (uint32_t i = 0; i <= l->jit->n_fixups; i++) {
		size_t end = i < l->jit->n_fixups ? l->jit->fixups[i].at : l->jit->out.len;

		memcpy(b.bytes + b.len, raw + done, end - done);
		b.len += end - done;
		done = end;
		if (i < l->jit->n_fixups)
			write_fixup(l, &b, i);
	}
	*nbytes = b.len;
	memset(b.bytes + b.len, JIT_FILL, align_up(b.len, JIT_PAGE) - b.len);
	/* The bytes are the code pages'. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
}

/* Reserves memory for the worst sizes, so that the address is known before the sizes are. */
static int reserve(const struct jit *jit, struct jit_mem *mem, struct ebpf_error *err)
{
	size_t most = jit->out.len + X86_MAX_INSN;

	for (uint32_t i = 0; i < jit->n_fixups; i++)
		most += fixup_sizes[jit->fixups[i].kind].most;
	if (most > INT32_MAX)
		return ebpf_fail(err, -ENOMEM, -1, "the program needs %zu bytes of machine code, expected at most %d",
				 most, INT32_MAX);
	return jit_mem_reserve(mem, most, err);
}

int jit_link(struct jit *jit, struct jit_mem *mem, size_t *nbytes, struct ebpf_error *err)
{
	struct linker l = { .jit = jit };
	int rc = reserve(jit, mem, err);

	if (rc)
		return rc;
	l.before = malloc((jit->n_fixups + (size_t)1) * sizeof(*l.before));
	if (!l.before)
		return ebpf_fail(err, -ENOMEM, -1, "no memory for %u jumps", jit->n_fixups);
	for (uint32_t i = 0; i < jit->n_fixups; i++) {
		struct jit_fixup *fixup = &jit->fixups[i];
		const struct fixup_size *size = &fixup_sizes[fixup->kind];
		bool far = fixup->kind == JIT_FIX_CALL_ABS && !is_near(mem, fixup->addr);

		fixup->nbytes = far ? far_call_nbytes(fixup->addr) : is_nothing(jit, i) ? 0 : size->least;
	}
	do
		sum_sizes(&l);
	while (grow_jumps(&l));
	write_code(&l, mem, nbytes);
	for (uint32_t i = 0; i < jit->n_labels; i++)
		jit->labels[i] = (struct jit_place){ place_of(&l, jit->labels[i]), 0 };
	free(l.before);
	return 0;
}

uint32_t jit_label_offset(const struct jit *jit, jit_label label)
{
	return jit->labels[label].raw;
}
