/* The flow dissector: from a frame's bytes to struct bpf_flow_keys and a hash of the flow.
 *
 * One source for BPF and for the native baseline.  It reads VLAN and QinQ tags, PPPoE, IPv4 with options and
 * fragments, IPv6 with extension headers, GRE (key, sequence, Ethernet inside), IPIP, 6in4, and the ports of TCP,
 * UDP, SCTP, DCCP and UDP-Lite; for ESP and AH the SPI stands for the ports, for ICMP type, code and identifier.
 *
 * Formats: IEEE 802.1Q, RFC 791, 2003, 2473, 2516, 2784, 2890, 4302, 4303, 4213, 8200, 9293.
 */
#pragma once

#include "pyebpf/bpf_endian.h"

/* Frames are byte streams: a load may fall on any address.  BPF's verifier knows that of packets, and on other
 * targets the attribute tells the compiler. */
#ifdef __bpf__
typedef __u16 u16_any;
typedef __u32 u32_any;
#else
typedef __u16 __attribute__((aligned(1), may_alias)) u16_any;
typedef __u32 __attribute__((aligned(1), may_alias)) u32_any;
#endif

#define ETH_HLEN 14
#define MAX_HEADERS 12
/* Beyond this many bytes of headers a frame is not looked into. */
#define MAX_OFFSET 1024

/* What comes next: an EtherType (host order), or an IP protocol with this bit. */
#define IPPROTO(p) (0x10000u | (p))

enum {
	ETHERTYPE_IP = 0x0800,
	ETHERTYPE_TEB = 0x6558, /* Ethernet inside GRE */
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_PPPOE = 0x8864,
	ETHERTYPE_QINQ = 0x88a8,
	PPP_IP = 0x0021,
	PPP_IPV6 = 0x0057,
};

#define GRE_CSUM 0x8000
#define GRE_ROUTING 0x4000
#define GRE_KEY 0x2000
#define GRE_SEQ 0x1000
#define GRE_VERSION 0x0007

#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

/* Where the dissector stands. */
struct cursor {
	const __u8 *data;
	const __u8 *end;
	__u32 off;  /* of the next header */
	__u32 next; /* what that header is */
};

/* 0: go on with c->next; 1: the flow is complete or nothing more can be read. */
typedef int verdict;

static __always_inline verdict dissect_vlan(struct cursor *c, const __u8 *p)
{
	if (p + 4 > c->end)
		return 1;
	c->next = bpf_ntohs(*(const u16_any *)(p + 2));
	c->off += 4;
	return 0;
}

static __always_inline verdict dissect_pppoe(struct cursor *c, const __u8 *p)
{
	__u32 ppp;

	if (p + 8 > c->end)
		return 1;
	ppp = bpf_ntohs(*(const u16_any *)(p + 6));
	c->off += 8;
	c->next = ppp == PPP_IP ? ETHERTYPE_IP : ppp == PPP_IPV6 ? ETHERTYPE_IPV6 : 0;
	return 0;
}

static __always_inline verdict dissect_ipv4(struct cursor *c, const __u8 *p, struct bpf_flow_keys *keys)
{
	__u32 nbytes, frag;

	if (p + 20 > c->end)
		return 1;
	nbytes = (p[0] & 15) * 4;
	if (p[0] >> 4 != 4 || nbytes < 20)
		return 1;
	keys->nhoff = c->off;
	keys->addr_proto = ETHERTYPE_IP;
	keys->n_proto = bpf_htons(ETHERTYPE_IP);
	keys->ipv4_src = *(const u32_any *)(p + 12);
	keys->ipv4_dst = *(const u32_any *)(p + 16);
	keys->ip_proto = p[9];
	frag = bpf_ntohs(*(const u16_any *)(p + 6));
	c->off += nbytes;
	c->next = IPPROTO(p[9]);
	if (frag & (IP_MF | IP_OFFSET)) {
		keys->is_frag = 1;
		if (frag & IP_OFFSET)
			return 1; /* the ports are in the first fragment */
		keys->is_first_frag = 1;
	}
	return 0;
}

static __always_inline verdict dissect_ipv6(struct cursor *c, const __u8 *p, struct bpf_flow_keys *keys)
{
	if (p + 40 > c->end || p[0] >> 4 != 6)
		return 1;
	keys->nhoff = c->off;
	keys->addr_proto = ETHERTYPE_IPV6;
	keys->n_proto = bpf_htons(ETHERTYPE_IPV6);
	keys->flow_label = *(const u32_any *)p & bpf_htonl(0x000fffff);
	for (int i = 0; i < 4; i++) {
		keys->ipv6_src[i] = *(const u32_any *)(p + 8 + 4 * i);
		keys->ipv6_dst[i] = *(const u32_any *)(p + 24 + 4 * i);
	}
	keys->ip_proto = p[6];
	c->off += 40;
	c->next = IPPROTO(p[6]);
	return 0;
}

/* Hop-by-hop, routing and destination options. */
static __always_inline verdict dissect_ipv6_options(struct cursor *c, const __u8 *p, struct bpf_flow_keys *keys)
{
	if (p + 8 > c->end)
		return 1;
	keys->ip_proto = p[0];
	c->off += (p[1] + 1) * 8;
	c->next = IPPROTO(p[0]);
	return 0;
}

static __always_inline verdict dissect_ipv6_fragment(struct cursor *c, const __u8 *p, struct bpf_flow_keys *keys)
{
	if (p + 8 > c->end)
		return 1;
	keys->ip_proto = p[0];
	keys->is_frag = 1;
	c->off += 8;
	c->next = IPPROTO(p[0]);
	if (bpf_ntohs(*(const u16_any *)(p + 2)) & 0xfff8)
		return 1;
	keys->is_first_frag = 1;
	return 0;
}

static __always_inline verdict dissect_gre(struct cursor *c, const __u8 *p, struct bpf_flow_keys *keys)
{
	__u32 flags, nbytes = 4;

	if (p + 4 > c->end)
		return 1;
	flags = bpf_ntohs(*(const u16_any *)p);
	if (flags & (GRE_VERSION | GRE_ROUTING))
		return 1;
	nbytes += flags & GRE_CSUM ? 4 : 0;
	nbytes += flags & GRE_KEY ? 4 : 0;
	nbytes += flags & GRE_SEQ ? 4 : 0;
	keys->is_encap = 1;
	c->next = bpf_ntohs(*(const u16_any *)(p + 2));
	if (c->next == ETHERTYPE_TEB) {
		p += nbytes;
		if (p + ETH_HLEN > c->end)
			return 1;
		c->next = bpf_ntohs(*(const u16_any *)(p + 12));
		nbytes += ETH_HLEN;
	}
	c->off += nbytes;
	return 0;
}

/* The ports of a transport header, or what stands for them. */
static __always_inline verdict dissect_ports(struct cursor *c, const __u8 *p, struct bpf_flow_keys *keys, __u32 skip)
{
	p += skip;
	if (p + 4 > c->end)
		return 1;
	keys->sport = *(const u16_any *)p;
	keys->dport = *(const u16_any *)(p + 2);
	return 1;
}

/* Type and code stand for the source port, an echo's identifier for the destination's. */
static __always_inline verdict dissect_icmp(struct cursor *c, const __u8 *p, struct bpf_flow_keys *keys, __u32 request)
{
	if (p + 8 > c->end)
		return 1;
	keys->sport = *(const u16_any *)p;
	if (p[0] == request || p[0] == (request == 8 ? 0 : request + 1))
		keys->dport = *(const u16_any *)(p + 4);
	return 1;
}

static __always_inline verdict dissect_one(struct cursor *c, struct bpf_flow_keys *keys)
{
	const __u8 *p = c->data + c->off;

	switch (c->next) {
	case ETHERTYPE_IP: return dissect_ipv4(c, p, keys);
	case ETHERTYPE_IPV6: return dissect_ipv6(c, p, keys);
	case ETHERTYPE_VLAN:
	case ETHERTYPE_QINQ: return dissect_vlan(c, p);
	case ETHERTYPE_PPPOE: return dissect_pppoe(c, p);
	case IPPROTO(0):
	case IPPROTO(43):
	case IPPROTO(60): return dissect_ipv6_options(c, p, keys);
	case IPPROTO(44): return dissect_ipv6_fragment(c, p, keys);
	case IPPROTO(47): return dissect_gre(c, p, keys);
	case IPPROTO(4):
	case IPPROTO(41):
		keys->is_encap = 1;
		c->next = c->next == IPPROTO(4) ? ETHERTYPE_IP : ETHERTYPE_IPV6;
		return 0;
	case IPPROTO(6):
	case IPPROTO(17):
	case IPPROTO(33):
	case IPPROTO(132):
	case IPPROTO(136):
	case IPPROTO(50): return dissect_ports(c, p, keys, 0);
	case IPPROTO(51): return dissect_ports(c, p, keys, 4);
	case IPPROTO(1): return dissect_icmp(c, p, keys, 8);
	case IPPROTO(58): return dissect_icmp(c, p, keys, 128);
	default: return 1;
	}
}

#define ROL32(x, n) ((x) << (n) | (x) >> (32 - (n)))

/* Bob Jenkins' lookup3 of three words, in the form that hashes both directions of a flow alike. */
static __always_inline __u32 flow_hash(const struct bpf_flow_keys *keys)
{
	__u32 src, dst, ports, a, b, c;

	if (keys->addr_proto == ETHERTYPE_IPV6) {
		src = keys->ipv6_src[0] ^ keys->ipv6_src[1] ^ keys->ipv6_src[2] ^ keys->ipv6_src[3];
		dst = keys->ipv6_dst[0] ^ keys->ipv6_dst[1] ^ keys->ipv6_dst[2] ^ keys->ipv6_dst[3];
	} else {
		src = keys->ipv4_src;
		dst = keys->ipv4_dst;
	}
	if (dst < src || (dst == src && keys->dport < keys->sport)) {
		__u32 other = src;

		src = dst;
		dst = other;
		ports = (__u32)keys->dport << 16 | keys->sport;
	} else {
		ports = (__u32)keys->sport << 16 | keys->dport;
	}
	a = dst + 0xdeadbeef + (3 << 2) + keys->ip_proto;
	b = src + 0xdeadbeef + (3 << 2) + keys->ip_proto;
	c = ports + 0xdeadbeef + (3 << 2) + keys->ip_proto;
	c ^= b, c -= ROL32(b, 14);
	a ^= c, a -= ROL32(c, 11);
	b ^= a, b -= ROL32(a, 25);
	c ^= b, c -= ROL32(b, 16);
	a ^= c, a -= ROL32(c, 4);
	b ^= a, b -= ROL32(a, 14);
	c ^= b, c -= ROL32(b, 24);
	return c ? c : 1;
}

/* Reads the frame data .. end from keys->nhoff on, where a header of EtherType keys->n_proto begins; fills *keys,
 * which the caller has zeroed but for those two.  The flow's hash, 0 when no address was found. */
static __always_inline __u32 dissect(const __u8 *data, const __u8 *end, struct bpf_flow_keys *keys)
{
	struct cursor c = { .data = data, .end = end, .next = bpf_ntohs(keys->n_proto) };

	/* Volatile: were the start a constant, the verifier would follow every sum of header sizes on a path of its own,
	 * over a million instructions in all; a number it does not know makes one path of them. */
	c.off = *(const volatile __u16 *)&keys->nhoff;
	for (int i = 0; i < MAX_HEADERS; i++)
		if (c.off > MAX_OFFSET || dissect_one(&c, keys))
			break;
	keys->thoff = c.off;
	return keys->addr_proto ? flow_hash(keys) : 0;
}
