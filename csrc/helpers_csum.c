/* Internet checksums (RFC 1071): sums of 16-bit words with end-around carry, in memory order. */
#include "helpers.h"

#include <string.h>

#include "packet.h"

#define F_HDR_FIELD_MASK 0xfu
#define F_PSEUDO_HDR     (1u << 4)
#define F_MARK_MANGLED_0 (1u << 5)
#define F_MARK_ENFORCE   (1u << 6)
#define F_IPV6           (1u << 7)
#define CSUM_MANGLED_0   0xffff

static uint32_t csum_add(uint32_t a, uint32_t b)
{
	uint32_t sum = a + b;

	return sum + (sum < b);
}

static uint32_t csum_partial(const void *mem, size_t nbytes, uint32_t sum)
{
	const uint8_t *p = mem;
	uint64_t total = sum;
	uint32_t word;

	for (; nbytes >= 4; nbytes -= 4, p += 4) {
		memcpy(&word, p, sizeof(word));
		total += word;
	}
	word = 0;
	memcpy(&word, p, nbytes);
	total += word;
	total = (total & UINT32_MAX) + (total >> 32);
	return (uint32_t)(total + (total >> 32));
}

/* To 16 bits, not inverted. */
static uint32_t csum_from32to16(uint32_t sum)
{
	sum += sum >> 16 | sum << 16;
	return sum >> 16;
}

static uint16_t csum_fold(uint32_t sum)
{
	return (uint16_t)~csum_from32to16(sum);
}

/* csum_diff(from, nbytes, to, nbytes, seed): the sum of seed and to less from, in 16 bits. */
EBPF_HELPER(csum_diff)
{
	uint32_t from_nbytes = (uint32_t)r2, to_nbytes = (uint32_t)r4, sum = (uint32_t)r5;

	if (to_nbytes)
		sum = csum_partial(EBPF_PTR(r3), to_nbytes, sum);
	if (from_nbytes && to_nbytes)
		sum = csum_add(sum, ~csum_partial(EBPF_PTR(r1), from_nbytes, 0));
	else if (from_nbytes)
		sum = ~csum_partial(EBPF_PTR(r1), from_nbytes, ~sum);
	return csum_from32to16(sum);
}

/* The 16-bit checksum at an even offset of the packet, NULL outside. */
static uint8_t *csum_at(const struct ebpf_skb *skb, uint32_t offset)
{
	if (offset > 0xffff || offset % 2 || skb->data + offset + 2 > skb->data_end)
		return NULL;
	return EBPF_PTR(skb->data + offset);
}

/* The checksum after a field went from `from` to `to`; nbytes 0: `to` is a difference.  False: no such size. */
static bool csum_replace(uint16_t *check, uint32_t nbytes, uint64_t from, uint64_t to)
{
	uint32_t sum = ~(uint32_t)*check & 0xffff;

	switch (nbytes) {
	case 0:
		if (from)
			return false;
		sum = csum_add((uint32_t)to, sum);
		break;
	case 2: sum = csum_add(csum_add(sum, ~(uint32_t)from & 0xffff), (uint16_t)to); break;
	case 4: sum = csum_add(csum_add(sum, ~(uint32_t)from), (uint32_t)to); break;
	default: return false;
	}
	*check = csum_fold(sum);
	return true;
}

/* l3_csum_replace(skb, offset, from, to, flags: size of the field) */
EBPF_HELPER(l3_csum_replace)
{
	uint8_t *p = csum_at(EBPF_PTR(r1), (uint32_t)r2);
	uint16_t check;

	if (r5 & ~(uint64_t)F_HDR_FIELD_MASK)
		return EBPF_ERROR(EINVAL);
	if (!p)
		return EBPF_ERROR(EFAULT);
	memcpy(&check, p, sizeof(check));
	if (!csum_replace(&check, r5 & F_HDR_FIELD_MASK, r3, r4))
		return EBPF_ERROR(EINVAL);
	memcpy(p, &check, sizeof(check));
	return 0;
}

/* l4_csum_replace(skb, offset, from, to, flags) */
EBPF_HELPER(l4_csum_replace)
{
	uint8_t *p = csum_at(EBPF_PTR(r1), (uint32_t)r2);
	uint16_t check;

	if (r5 & ~(uint64_t)(F_MARK_MANGLED_0 | F_MARK_ENFORCE | F_IPV6 | F_PSEUDO_HDR | F_HDR_FIELD_MASK))
		return EBPF_ERROR(EINVAL);
	if (!p)
		return EBPF_ERROR(EFAULT);
	memcpy(&check, p, sizeof(check));
	if ((r5 & F_MARK_MANGLED_0) && !(r5 & F_MARK_ENFORCE) && !check)
		return 0;
	if (!csum_replace(&check, r5 & F_HDR_FIELD_MASK, r3, r4))
		return EBPF_ERROR(EINVAL);
	if ((r5 & F_MARK_MANGLED_0) && !check)
		check = CSUM_MANGLED_0;
	memcpy(p, &check, sizeof(check));
	return 0;
}
