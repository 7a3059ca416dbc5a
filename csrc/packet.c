/* Packets as programs see them: contexts, and reads of packet bytes. */
#include "packet.h"

#include <stdlib.h>
#include <string.h>

/* Linux's uapi/linux/filter.h. */
#define SKF_NET_OFF (-0x100000)
#define SKF_LL_OFF  (-0x200000)

/* Linux's uapi/linux/if_ether.h and if_packet.h. */
#define ETH_P_802_3_MIN  0x0600
#define ETH_P_802_3      0x0001
#define ETH_P_802_2      0x0004
#define PACKET_HOST      0
#define PACKET_MULTICAST 2
#define PACKET_OTHERHOST 3
/* The interface that PROG_TEST_RUN uses: lo. */
#define LO_IFINDEX 1

enum packet_kind packet_kind(uint32_t prog_type)
{
	switch (prog_type) {
	case BPF_PROG_TYPE_SOCKET_FILTER:
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT: return PACKET_SKB;
	case BPF_PROG_TYPE_XDP: return PACKET_XDP;
	case BPF_PROG_TYPE_FLOW_DISSECTOR: return PACKET_FLOW;
	default: return PACKET_RAW;
	}
}

/* Where off of LD_ABS stands, relative to data; INT64_MIN: nowhere. */
static int64_t ld_abs_offset(const struct ebpf_skb *skb, int32_t off)
{
	if (likely(off >= 0))
		return off;
	if (off >= SKF_NET_OFF)
		return (int64_t)off - SKF_NET_OFF + (int64_t)skb->net_off;
	if (off >= SKF_LL_OFF)
		return (int64_t)off - SKF_LL_OFF + (int64_t)skb->net_off - ETH_HLEN;
	return INT64_MIN;
}

int64_t ebpf_ld_abs(const void *ctx, int32_t off, uint32_t nbytes)
{
	const struct ebpf_skb *skb = ctx;
	int64_t at = ld_abs_offset(skb, off);
	int64_t head = (int64_t)(skb->hard_start - skb->data), end = (int64_t)(skb->data_end - skb->data);
	const uint8_t *p = (const uint8_t *)(uintptr_t)(skb->data + (uint64_t)at);

	if (unlikely(at < head || at > end - (int64_t)nbytes))
		return -EFAULT;
	switch (nbytes) {
	case 1: return p[0];
	case 2: return p[0] << 8 | p[1];
	default: return (int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
	}
}

/* skb->protocol as Linux's eth_type_trans finds it, in network order. */
static uint16_t eth_protocol(const uint8_t *p, size_t nbytes)
{
	uint16_t proto;

	if (nbytes < ETH_HLEN)
		return 0;
	proto = (uint16_t)(p[12] << 8 | p[13]);
	if (proto < ETH_P_802_3_MIN)
		proto = nbytes >= ETH_HLEN + 2 && p[14] == 0xff && p[15] == 0xff ? ETH_P_802_3 : ETH_P_802_2;
	return __builtin_bswap16(proto);
}

/* As on Linux's lo, whose address and broadcast address are zero. */
static uint32_t eth_pkt_type(const uint8_t *p, size_t nbytes)
{
	uint32_t high;
	uint16_t low;

	if (nbytes < ETH_HLEN)
		return PACKET_HOST;
	memcpy(&high, p, sizeof(high));
	memcpy(&low, p + 4, sizeof(low));
	if (!(high | low))
		return PACKET_HOST;
	return p[0] & 1 ? PACKET_MULTICAST : PACKET_OTHERHOST;
}

static void reset_context(struct packet_frame *frame)
{
	if (frame->kind == PACKET_XDP) {
		zero_struct(&frame->xdp, sizeof(frame->xdp));
		frame->xdp.ingress_ifindex = LO_IFINDEX;
	} else {
		zero_struct(&frame->skb, sizeof(frame->skb));
		frame->skb.ifindex = LO_IFINDEX;
		frame->skb.net_off = ETH_HLEN;
		frame->skb.flow_keys = (uintptr_t)&frame->keys;
	}
}

void packet_frame_init(struct packet_frame *frame, struct ebpf_prog *prog)
{
	uint32_t written = PROG_WRITES_PACKET | PROG_RESIZES_PACKET;

	frame->prog = prog;
	frame->kind = prog->flags & PROG_NEEDS_BUDGET ? PACKET_RAW : packet_kind(prog->type);
	if (frame->kind == PACKET_RAW)
		written = prog->flags & PROG_NEEDS_BUDGET ? 0 : PROG_WRITES_CTX;
	frame->copies = prog->flags & written;
	/* All that a flow dissector may write are its keys, which each packet sets anew. */
	frame->dirty = (prog->flags & PROG_WRITES_CTX) && frame->kind != PACKET_FLOW;
	frame->room = NULL;
	frame->room_nbytes = 0;
	if (frame->kind != PACKET_RAW)
		reset_context(frame);
}

void packet_frame_free(struct packet_frame *frame)
{
	free(frame->room);
	frame->room = NULL;
}

bool packet_reserve(struct packet_frame *frame, size_t nbytes)
{
	size_t want = PACKET_HEADROOM + nbytes < PACKET_ROOM ? PACKET_ROOM : PACKET_HEADROOM + nbytes;

	if (likely(want <= frame->room_nbytes))
		return true;
	free(frame->room);
	frame->room = calloc(1, want);
	frame->room_nbytes = frame->room ? want : 0;
	return frame->room != NULL;
}

static const uint8_t *place(struct packet_frame *frame, const void *data, size_t nbytes)
{
	if (!frame->copies)
		return data;
	if (!packet_reserve(frame, nbytes))
		return NULL;
	/* What a packet grows into is not what the last one left. */
	if (frame->prog->flags & PROG_RESIZES_PACKET)
		memset(frame->room, 0, PACKET_HEADROOM);
	return memcpy(frame->room + PACKET_HEADROOM, data, nbytes);
}

static void *bind_xdp(struct packet_frame *frame, const uint8_t *p, size_t nbytes)
{
	struct ebpf_xdp *xdp = &frame->xdp;

	xdp->data = xdp->data_meta = (uintptr_t)p;
	xdp->data_end = (uintptr_t)p + nbytes;
	xdp->hard_start = frame->copies ? (uintptr_t)frame->room : xdp->data;
	xdp->hard_end = frame->copies ? (uintptr_t)frame->room + frame->room_nbytes : xdp->data_end;
	return xdp;
}

static void *bind_skb(struct packet_frame *frame, const uint8_t *p, size_t nbytes)
{
	struct ebpf_skb *skb = &frame->skb;

	skb->len = (uint32_t)nbytes;
	skb->protocol = eth_protocol(p, nbytes);
	skb->pkt_type = eth_pkt_type(p, nbytes);
	skb->data = skb->data_meta = skb->hard_start = (uintptr_t)p;
	skb->data_end = skb->hard_end = (uintptr_t)p + nbytes;
	return skb;
}

static void *bind_flow(struct packet_frame *frame, const uint8_t *p, size_t nbytes)
{
	struct ebpf_skb *skb = &frame->skb;

	skb->data = (uintptr_t)p;
	skb->data_end = (uintptr_t)p + nbytes;
	frame->keys = (struct ebpf_flow_keys){ .nhoff = ETH_HLEN, .thoff = ETH_HLEN };
	if (likely(nbytes >= ETH_HLEN))
		memcpy(&frame->keys.n_proto, p + 12, sizeof(frame->keys.n_proto));
	return skb;
}

void *packet_bind(struct packet_frame *frame, const void *data, size_t nbytes)
{
	const uint8_t *p = place(frame, data, nbytes);

	if (unlikely(!p && frame->copies))
		return NULL;
	if (unlikely(frame->dirty && frame->kind != PACKET_RAW))
		reset_context(frame);
	switch (frame->kind) {
	case PACKET_XDP: return bind_xdp(frame, p, nbytes);
	case PACKET_SKB: return bind_skb(frame, p, nbytes);
	case PACKET_FLOW: return bind_flow(frame, p, nbytes);
	default: return (void *)(uintptr_t)p;
	}
}

static uint16_t clamp(uint16_t value, uint16_t low, size_t high)
{
	return value < low ? low : value > high ? (uint16_t)high : value;
}

void packet_clamp_keys(struct packet_frame *frame, size_t nbytes)
{
	struct ebpf_flow_keys *keys = &frame->keys;

	keys->nhoff = clamp(keys->nhoff, ETH_HLEN, nbytes);
	keys->thoff = clamp(keys->thoff, keys->nhoff, nbytes);
}

const void *packet_left(struct packet_frame *frame, const void *r1, size_t *nbytes)
{
	uint64_t start = frame->skb.data, end = frame->skb.data_end;

	switch (frame->kind) {
	case PACKET_FLOW:
		packet_clamp_keys(frame, *nbytes);
		*nbytes = sizeof(frame->keys);
		return &frame->keys;
	case PACKET_XDP:
		start = frame->xdp.data_meta;
		end = frame->xdp.data_end;
		break;
	case PACKET_SKB: break;
	default: return r1;
	}
	*nbytes = end - start;
	return (const void *)(uintptr_t)start;
}

int prog_run_packet(struct ebpf_prog *prog, const void *data, size_t nbytes, bool wait, uint64_t *retval)
{
	struct packet_frame frame;
	struct ebpf_run run;
	void *r1;

	if (nbytes < prog->min_ctx)
		return -EINVAL;
	packet_frame_init(&frame, prog);
	r1 = packet_bind(&frame, data, nbytes);
	if (!r1 && frame.copies)
		return -ENOMEM;
	prog_run_init(&run, prog);
	if (wait)
		ebpf_run_begin(&run);
	else if (!ebpf_run_try_begin(&run))
		run.error = -EAGAIN;
	if (!run.error) {
		*retval = prog_invoke(prog, r1, nbytes, &run);
		ebpf_run_end(&run);
	}
	packet_frame_free(&frame);
	return run.error;
}
