/* PROG_TEST_RUN.  What each type takes, refuses and gives back was asked of Linux 6.18. */
#define _GNU_SOURCE
#include "test_run.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "helpers.h"

/* struct xdp_md and struct __sk_buff as Linux has them: the visible heads of ours. */
#define XDP_MD_SIZE  offsetof(struct ebpf_xdp, data)
#define SK_BUFF_SIZE offsetof(struct ebpf_skb, data)
/* Linux's limits: GSO_LEGACY_MAX_SIZE, GSO_MAX_SEGS, and metadata in front of an XDP packet. */
#define MAX_WIRE_LEN 65536
#define MAX_GSO_SEGS 65535
#define MAX_META     252
/* Runs between two looks at signals. */
#define REPEAT_SLICE (1u << 13)
#define ETH_P_IP     0x0008
#define ETH_P_IPV6   0xdd86

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int run_times(struct ebpf_prog *prog, void *r1, struct prog_test *test)
{
	uint32_t repeat = test->repeat ? test->repeat : 1;
	uint64_t start, r0 = 0;
	struct ebpf_run run;

	prog_run_init(&run, prog);
	ebpf_run_begin(&run);
	start = now_ns();
	for (uint32_t i = 0; i < repeat && !run.error; i++) {
		if (i % EBPF_BREATHE_RUNS == EBPF_BREATHE_RUNS - 1)
			ebpf_run_breathe(&run);
		if (i % REPEAT_SLICE == REPEAT_SLICE - 1 && ebpf_interrupted()) {
			run.error = -EINTR;
			break;
		}
		prog_run_next(&run, prog);
		r0 = prog_invoke(prog, r1, test->nbytes, &run);
	}
	test->duration_ns = (now_ns() - start) / repeat;
	ebpf_run_end(&run);
	test->retval = prog->flags & PROG_NEEDS_BUDGET ? r0 : (uint32_t)r0;
	return run.error;
}

static int give(uint8_t **out, size_t *out_nbytes, const void *bytes, size_t nbytes, struct ebpf_error *err)
{
	*out = malloc(nbytes + 1);
	if (!*out)
		return ebpf_fail(err, -ENOMEM, -1, "no memory for %zu bytes of output", nbytes);
	memcpy(*out, bytes, nbytes);
	*out_nbytes = nbytes;
	return 0;
}

static int give_ctx(struct prog_test *test, const void *ctx, struct ebpf_error *err)
{
	size_t nbytes;

	return test->ctx ? give(&test->ctx_out, &nbytes, ctx, test->ctx_nbytes, err) : 0;
}

static int check_ifindex(uint32_t ifindex, struct ebpf_error *err)
{
	char name[IF_NAMESIZE];

	if (ifindex <= 1 || if_indextoname(ifindex, name))
		return 0;
	return ebpf_fail(err, -ENODEV, -1, "context: interface %u does not exist", ifindex);
}

/* Reads a visible struct of `size` bytes: what is missing is zero, and so must be what is too much. */
static int read_ctx(const struct prog_test *test, void *visible, size_t size, struct ebpf_error *err)
{
	const uint8_t *bytes = test->ctx;

	for (size_t i = size; i < test->ctx_nbytes; i++)
		if (bytes[i])
			return ebpf_fail(err, -E2BIG, -1, "context byte %zu is not zero, and no field is there", i);
	memset(visible, 0, size);
	memcpy(visible, bytes, test->ctx_nbytes < size ? test->ctx_nbytes : size);
	return 0;
}

static int check_packet(const struct prog_test *test, size_t least, struct ebpf_error *err)
{
	if (test->nbytes >= least)
		return 0;
	return ebpf_fail(err, -EINVAL, -1, "packet is %zu bytes, expected at least %zu", test->nbytes, least);
}

/* XDP: ctx->data is the length of metadata in front of the packet, ctx->data_end that of both. */
static int check_xdp_md(const struct ebpf_xdp *given, const struct prog_test *test, struct ebpf_error *err)
{
	struct ebpf_xdp md = *given;

	if (md.md_data_meta || md.egress_ifindex || md.md_data_end != test->nbytes || md.md_data > MAX_META ||
	    md.md_data % 4 || md.md_data + ETH_HLEN > test->nbytes || (md.rx_queue_index && !md.ingress_ifindex))
		return ebpf_fail(err, -EINVAL, -1,
				 "xdp_md {data %u, data_end %u, data_meta %u, queue %u, egress %u}, expected data a "
				 "multiple of 4 up to %d, data_end %zu, the rest 0",
				 md.md_data, md.md_data_end, md.md_data_meta, md.rx_queue_index, md.egress_ifindex,
				 MAX_META, test->nbytes);
	return check_ifindex(md.ingress_ifindex, err);
}

static int test_xdp(struct packet_frame *frame, struct prog_test *test, struct ebpf_error *err)
{
	struct ebpf_xdp *xdp = packet_bind(frame, test->data, test->nbytes);
	struct ebpf_xdp md = { .md_data_end = (uint32_t)test->nbytes };
	int rc = test->ctx ? read_ctx(test, &md, XDP_MD_SIZE, err) : 0;

	rc = rc ? rc : check_xdp_md(&md, test, err);
	if (rc)
		return rc;
	if (md.ingress_ifindex)
		xdp->ingress_ifindex = md.ingress_ifindex;
	xdp->rx_queue_index = md.rx_queue_index;
	xdp->data += md.md_data;
	rc = run_times(frame->prog, xdp, test);
	if (rc)
		return rc;
	rc = give(&test->out, &test->out_nbytes, EBPF_PTR(xdp->data_meta), xdp->data_end - xdp->data_meta, err);
	md.md_data = (uint32_t)(xdp->data - xdp->data_meta);
	md.md_data_end = (uint32_t)(xdp->data_end - xdp->data_meta);
	if (test->ctx)
		test->ctx_nbytes = XDP_MD_SIZE;
	return rc ? rc : give_ctx(test, &md, err);
}

/* The fields that a caller may set; all others must be 0. */
static const struct {
	uint16_t offset;
	uint16_t nbytes;
} settable[] = {
#define SETTABLE(field) { offsetof(struct ebpf_skb, field), sizeof(((struct ebpf_skb *)0)->field) }
	SETTABLE(mark),   SETTABLE(priority), SETTABLE(ingress_ifindex), SETTABLE(ifindex),  SETTABLE(cb),
	SETTABLE(tstamp), SETTABLE(wire_len), SETTABLE(gso_segs),        SETTABLE(gso_size), SETTABLE(hwtstamp),
};

/* Copies the settable fields of one skb into another. */
static void copy_settable(struct ebpf_skb *to, const struct ebpf_skb *from)
{
	for (size_t i = 0; i < ARRAY_SIZE(settable); i++)
		memcpy((uint8_t *)to + settable[i].offset, (const uint8_t *)from + settable[i].offset,
		       settable[i].nbytes);
}

static int load_sk_buff(struct packet_frame *frame, const struct prog_test *test, struct ebpf_error *err)
{
	struct ebpf_skb given = { 0 }, allowed = { 0 };
	const uint8_t *a = (const uint8_t *)&given, *b = (const uint8_t *)&allowed;
	int rc = read_ctx(test, &given, SK_BUFF_SIZE, err);

	if (rc)
		return rc;
	copy_settable(&allowed, &given);
	for (size_t i = 0; i < SK_BUFF_SIZE; i++)
		/* read_ctx filled it. NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
		if (a[i] != b[i])
			return ebpf_fail(err, -EINVAL, -1, "__sk_buff byte %zu is set, and that field cannot be", i);
	if (given.wire_len && (given.wire_len < frame->skb.len || given.wire_len > MAX_WIRE_LEN))
		return ebpf_fail(err, -EINVAL, -1, "__sk_buff.wire_len is %u, expected 0 or %u to %d", given.wire_len,
				 frame->skb.len, MAX_WIRE_LEN);
	if (given.gso_segs > MAX_GSO_SEGS)
		return ebpf_fail(err, -EINVAL, -1, "__sk_buff.gso_segs is %u, expected at most %d", given.gso_segs,
				 MAX_GSO_SEGS);
	given.ifindex = given.ifindex ? given.ifindex : frame->skb.ifindex;
	given.wire_len = given.wire_len ? given.wire_len : frame->skb.len;
	copy_settable(&frame->skb, &given);
	return check_ifindex(given.ifindex, err);
}

/* A socket filter sees the packet from its network header on, and leaves zeros where the Ethernet header was. */
static int test_skb(struct packet_frame *frame, struct prog_test *test, struct ebpf_error *err)
{
	struct ebpf_skb *skb = packet_bind(frame, test->data, test->nbytes);
	uint32_t pulled = frame->prog->type == BPF_PROG_TYPE_SOCKET_FILTER ? ETH_HLEN : 0;
	struct ebpf_skb visible = { 0 };
	int rc = check_packet(test, skb->protocol == ETH_P_IP ? 34 : skb->protocol == ETH_P_IPV6 ? 54 : ETH_HLEN, err);

	if (rc)
		return rc;
	skb->data += pulled;
	skb->data_meta = skb->data;
	skb->len -= pulled;
	skb->net_off -= pulled;
	if (test->ctx)
		rc = load_sk_buff(frame, test, err);
	rc = rc ? rc : run_times(frame->prog, skb, test);
	if (rc)
		return rc;
	memset(EBPF_PTR(skb->data - pulled), 0, pulled);
	rc = give(&test->out, &test->out_nbytes, EBPF_PTR(skb->data - pulled), skb->data_end - skb->data + pulled, err);
	copy_settable(&visible, skb);
	if (test->ctx)
		test->ctx_nbytes = SK_BUFF_SIZE;
	return rc ? rc : give_ctx(test, &visible, err);
}

static int test_flow(struct packet_frame *frame, struct prog_test *test, struct ebpf_error *err)
{
	struct ebpf_flow_keys given = { 0 }, allowed = { 0 };
	void *r1;
	int rc = test->ctx ? read_ctx(test, &given, sizeof(given), err) : 0;

	if (rc)
		return rc;
	allowed.flags = given.flags;
	if (memcmp(&given, &allowed, sizeof(given)) != 0)
		return ebpf_fail(err, -EINVAL, -1, "bpf_flow_keys has more set than flags");
	r1 = packet_bind(frame, test->data, test->nbytes);
	frame->keys.flags = given.flags;
	rc = run_times(frame->prog, r1, test);
	if (rc)
		return rc;
	packet_clamp_keys(frame, test->nbytes);
	rc = give(&test->out, &test->out_nbytes, &frame->keys, sizeof(frame->keys), err);
	if (test->ctx)
		test->ctx_nbytes = sizeof(given);
	return rc ? rc : give_ctx(test, &given, err);
}

/* The context itself, or for want of one the data; what the program leaves in it comes back. */
static int test_raw(struct packet_frame *frame, struct prog_test *test, struct ebpf_error *err)
{
	const void *given = test->ctx ? test->ctx : test->data;
	size_t nbytes = test->ctx ? test->ctx_nbytes : test->nbytes;
	uint32_t least = frame->prog->min_ctx;
	uint8_t *memory;
	int rc;

	if (nbytes < least)
		return ebpf_fail(err, -EINVAL, -1, "context is %zu bytes, and the program looks at %u", nbytes, least);
	rc = give(&memory, &nbytes, given, nbytes, err);
	if (rc)
		return rc;
	test->nbytes = nbytes;
	rc = run_times(frame->prog, memory, test);
	if (test->ctx) {
		test->ctx_out = memory;
	} else {
		test->out = memory;
		test->out_nbytes = nbytes;
	}
	return rc;
}

int prog_test_run(struct ebpf_prog *prog, struct prog_test *test, struct ebpf_error *err)
{
	struct packet_frame frame;
	int rc;

	test->out = test->ctx_out = NULL;
	test->out_nbytes = 0;
	packet_frame_init(&frame, prog);
	if (frame.kind == PACKET_RAW)
		return test_raw(&frame, test, err);
	rc = check_packet(test, ETH_HLEN, err);
	if (rc)
		return rc;
	/* A flow dissector's packet is only read; the others may grow theirs, so give them Linux's room. */
	frame.copies = frame.kind != PACKET_FLOW;
	frame.dirty = false;
	if (frame.copies && !packet_reserve(&frame, test->nbytes))
		return ebpf_fail(err, -ENOMEM, -1, "no memory for a packet of %zu bytes", test->nbytes);
	if (frame.kind == PACKET_XDP)
		rc = test_xdp(&frame, test, err);
	else
		rc = frame.kind == PACKET_FLOW ? test_flow(&frame, test, err) : test_skb(&frame, test, err);
	packet_frame_free(&frame);
	return rc;
}

void prog_test_free(struct prog_test *test)
{
	free(test->out);
	free(test->ctx_out);
	test->out = test->ctx_out = NULL;
}
