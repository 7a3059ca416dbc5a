/* Helpers on packets: r1 is struct ebpf_skb or struct ebpf_xdp, whose data .. data_end is the whole packet. */
#include "helpers.h"

#include <limits.h>
#include <string.h>

#include "packet.h"

/* sizeof(struct xdp_frame), which Linux keeps free in front of the packet. */
#define XDP_FRAME_SIZE 40
#define MAX_META       252

#define F_RECOMPUTE_CSUM  1u
#define F_INVALIDATE_HASH 2u
/* start_header of skb_load_bytes_relative */
#define HDR_START_MAC 0
#define HDR_START_NET 1

/* nbytes at offset of the packet, NULL when they lie outside. */
static uint8_t *packet_at(uint64_t data, uint64_t data_end, uint64_t offset, uint64_t nbytes)
{
	uint64_t len = data_end - data;

	if (offset > INT_MAX || nbytes > len || offset > len - nbytes)
		return NULL;
	return EBPF_PTR(data + offset);
}

static uint64_t load_bytes(const uint8_t *from, void *to, uint32_t nbytes)
{
	if (!from) {
		memset(to, 0, nbytes);
		return EBPF_ERROR(EFAULT);
	}
	memcpy(to, from, nbytes);
	return 0;
}

/* skb_load_bytes(skb, offset, to, nbytes) */
EBPF_HELPER(skb_load_bytes)
{
	const struct ebpf_skb *skb = EBPF_PTR(r1);

	return load_bytes(packet_at(skb->data, skb->data_end, (uint32_t)r2, (uint32_t)r4), EBPF_PTR(r3), (uint32_t)r4);
}

/* skb_load_bytes_relative(skb, offset, to, nbytes, start header) */
EBPF_HELPER(skb_load_bytes_relative)
{
	const struct ebpf_skb *skb = EBPF_PTR(r1);
	uint64_t net = skb->data + skb->net_off, start = r5 == HDR_START_NET ? net : net - ETH_HLEN;
	const uint8_t *from = NULL;

	if (r5 <= HDR_START_NET && start >= skb->hard_start && start <= skb->data_end && (uint32_t)r2 <= 0xffff)
		from = packet_at(start, skb->data_end, (uint32_t)r2, (uint32_t)r4);
	return load_bytes(from, EBPF_PTR(r3), (uint32_t)r4);
}

/* skb_store_bytes(skb, offset, from, nbytes, flags) */
EBPF_HELPER(skb_store_bytes)
{
	struct ebpf_skb *skb = EBPF_PTR(r1);
	uint8_t *to = packet_at(skb->data, skb->data_end, (uint32_t)r2, (uint32_t)r4);

	if (r5 & ~(uint64_t)(F_RECOMPUTE_CSUM | F_INVALIDATE_HASH))
		return EBPF_ERROR(EINVAL);
	if (!to)
		return EBPF_ERROR(EFAULT);
	memmove(to, EBPF_PTR(r3), (uint32_t)r4);
	if (r5 & F_INVALIDATE_HASH)
		skb->hash = 0;
	return 0;
}

/* All of a packet is in one piece here. */
EBPF_HELPER(skb_pull_data)
{
	const struct ebpf_skb *skb = EBPF_PTR(r1);

	return (uint32_t)r2 <= skb->len ? 0 : EBPF_ERROR(ENOMEM);
}

EBPF_HELPER(set_hash_invalid)
{
	struct ebpf_skb *skb = EBPF_PTR(r1);

	skb->hash = 0;
	return 0;
}

EBPF_HELPER(set_hash)
{
	struct ebpf_skb *skb = EBPF_PTR(r1);

	skb->hash = (uint32_t)r2;
	return 0;
}

/* xdp_adjust_head(xdp, delta): metadata moves along. */
EBPF_HELPER(xdp_adjust_head)
{
	struct ebpf_xdp *xdp = EBPF_PTR(r1);
	uint64_t data = xdp->data + (uint64_t)(int32_t)r2, meta = xdp->data - xdp->data_meta;

	if (data < xdp->hard_start + XDP_FRAME_SIZE + meta || data > xdp->data_end - ETH_HLEN)
		return EBPF_ERROR(EINVAL);
	memmove(EBPF_PTR(data - meta), EBPF_PTR(xdp->data_meta), meta);
	xdp->data_meta = data - meta;
	xdp->data = data;
	return 0;
}

/* xdp_adjust_tail(xdp, delta): what is new is zero. */
EBPF_HELPER(xdp_adjust_tail)
{
	struct ebpf_xdp *xdp = EBPF_PTR(r1);
	uint64_t data_end = xdp->data_end + (uint64_t)(int32_t)r2;

	if (data_end > xdp->hard_end || data_end < xdp->data + ETH_HLEN)
		return EBPF_ERROR(EINVAL);
	if (data_end > xdp->data_end)
		memset(EBPF_PTR(xdp->data_end), 0, data_end - xdp->data_end);
	xdp->data_end = data_end;
	return 0;
}

/* xdp_adjust_meta(xdp, delta) */
EBPF_HELPER(xdp_adjust_meta)
{
	struct ebpf_xdp *xdp = EBPF_PTR(r1);
	uint64_t meta = xdp->data_meta + (uint64_t)(int32_t)r2;

	if (meta < xdp->hard_start + XDP_FRAME_SIZE || meta > xdp->data)
		return EBPF_ERROR(EINVAL);
	if (xdp->data - meta > MAX_META || (xdp->data - meta) % 4)
		return EBPF_ERROR(EACCES);
	xdp->data_meta = meta;
	return 0;
}

EBPF_HELPER(xdp_get_buff_len)
{
	const struct ebpf_xdp *xdp = EBPF_PTR(r1);

	return xdp->data_end - xdp->data;
}

/* xdp_load_bytes(xdp, offset, to, nbytes) */
EBPF_HELPER(xdp_load_bytes)
{
	const struct ebpf_xdp *xdp = EBPF_PTR(r1);
	const uint8_t *from = packet_at(xdp->data, xdp->data_end, (uint32_t)r2, (uint32_t)r4);

	if ((uint32_t)r2 > 0xffff || !from)
		return EBPF_ERROR(EINVAL);
	memcpy(EBPF_PTR(r3), from, (uint32_t)r4);
	return 0;
}

EBPF_HELPER(xdp_store_bytes)
{
	struct ebpf_xdp *xdp = EBPF_PTR(r1);
	uint8_t *to = packet_at(xdp->data, xdp->data_end, (uint32_t)r2, (uint32_t)r4);

	if ((uint32_t)r2 > 0xffff || !to)
		return EBPF_ERROR(EINVAL);
	memmove(to, EBPF_PTR(r3), (uint32_t)r4);
	return 0;
}
