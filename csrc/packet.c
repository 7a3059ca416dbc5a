/* Packets as programs see them: contexts, and reads of packet bytes. */
#include "packet.h"

#include <string.h>

#include "runtime.h"

/* Linux's uapi/linux/filter.h. */
#define SKF_NET_OFF (-0x100000)
#define SKF_LL_OFF  (-0x200000)

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
	uint32_t value = 0;

	if (unlikely(at < head || at > end - (int64_t)nbytes))
		return -EFAULT;
	/* The bytes are big-endian: put them at the end of a word and turn it. */
	memcpy((uint8_t *)&value + 4 - nbytes, (const uint8_t *)(uintptr_t)(skb->data + (uint64_t)at), nbytes);
	return __builtin_bswap32(value);
}
