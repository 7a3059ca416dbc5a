/* Runs of zero stores to one base, in any order, as fewer and wider stores. */
#include "jit_code.h"

#define MAX_ZERO_STORES 32
#define WIDE            32 /* bytes from which 16-byte stores pay for clearing a register */

struct zero_stores {
	struct span {
		int32_t off;
		int32_t end;
	} spans[MAX_ZERO_STORES]; /* ascending, apart */
	uint32_t n;
};

static bool stores_zero(const struct jit *jit, const struct ebpf_dinsn *in)
{
	const struct jit_rule *rule = jit_rule_of(in);

	if (in->op == OP_STORE_REL_B || in->op == OP_STORE_REL_H || in->op == OP_STORE_REL_W ||
	    in->op == OP_STORE_REL_DW)
		return false;
	return (rule->lower == jit_lower_store_k && in->imm == 0) ||
	       (rule->lower == jit_lower_store && jit->widths.bits[in->src] == 0);
}

/* r = 0 where r is 0 already: may stand between the stores. */
static bool is_idle(const struct jit *jit, const struct ebpf_dinsn *in)
{
	return (in->op == OP_MOV64_K || in->op == OP_MOV32_K) && in->imm == 0 && jit->widths.bits[in->dst] == 0;
}

static void add_span(struct zero_stores *z, struct span span)
{
	uint32_t i = z->n++;

	for (; i > 0 && z->spans[i - 1].off > span.off; i--)
		z->spans[i] = z->spans[i - 1];
	z->spans[i] = span;
}

/* Joins spans that touch. */
static void join_spans(struct zero_stores *z)
{
	uint32_t last = 0;

	for (uint32_t i = 1; i < z->n; i++) {
		if (z->spans[i].off > z->spans[last].end)
			z->spans[++last] = z->spans[i];
		else if (z->spans[i].end > z->spans[last].end)
			z->spans[last].end = z->spans[i].end;
	}
	z->n = last + 1;
}

/* The widest store that fits, and on the aligned stack is aligned, so that none straddles a page. */
static int32_t store_nbytes(const struct span *span, bool aligned, bool xmm)
{
	int32_t nbytes = xmm ? 16 : 8;

	while (nbytes > span->end - span->off || (aligned && span->off % nbytes))
		nbytes /= 2;
	return nbytes;
}

static void emit_zeros(struct jit *jit, uint8_t base, struct span span, bool xmm)
{
	bool aligned = base == X86_RBP;

	while (span.off < span.end) {
		int32_t nbytes = store_nbytes(&span, aligned, xmm);

		if (nbytes == 16)
			x86_store_xmm(&jit->out, x86_m(base, span.off), 0);
		else
			x86_store_i(&jit->out, (unsigned)nbytes, x86_m(base, span.off), 0);
		span.off += nbytes;
	}
}

uint32_t jit_match_zero_stores(struct jit *jit, const struct ebpf_dinsn *in)
{
	struct zero_stores z = { .n = 0 };
	const struct ebpf_dinsn *store = in;
	uint32_t n = 0, stores = 0;
	int32_t widest = 0;

	while (z.n < MAX_ZERO_STORES && (is_idle(jit, store) || (stores_zero(jit, store) && store->dst == in->dst))) {
		if (!is_idle(jit, store)) {
			add_span(&z, (struct span){ store->off, store->off + jit_rule_of(store)->size });
			stores++;
		}
		store = jit_ahead(jit, in, ++n);
	}
	if (stores < 2)
		return 0;
	join_spans(&z);
	if (z.n == stores)
		return 0;
	for (uint32_t i = 0; i < z.n; i++)
		widest = z.spans[i].end - z.spans[i].off > widest ? z.spans[i].end - z.spans[i].off : widest;
	if (widest >= WIDE)
		x86_zero_xmm(&jit->out, 0);
	for (uint32_t i = 0; i < z.n; i++)
		emit_zeros(jit, jit_dst(in), z.spans[i], widest >= WIDE);
	return n;
}
