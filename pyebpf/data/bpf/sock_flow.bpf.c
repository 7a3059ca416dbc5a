/* The dissector in 2014's form: a socket filter that reads the packet by LD_ABS, LD_IND and skb_load_bytes.
 *
 * A load outside the packet ends the program with 0, which drops it.  Counts packets and bytes of each flow and keeps
 * every packet that has one. */
#include "pyebpf/bpf_helpers.h"

#include "dissect.h"

unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long off) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long off) asm("llvm.bpf.load.word");

/* Host byte order, as LD_ABS gives it; IPv6 addresses folded to a word each. */
struct sock_flow {
	__u32 src;
	__u32 dst;
	__u16 sport;
	__u16 dport;
	__u32 protocol;
};

struct sock_count {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sock_flow);
	__type(value, struct sock_count);
} sock_flows SEC(".maps");

/* What comes behind the IPv4 header at *off; 0 behind a fragment that is not the first. */
static __always_inline __u32 read_ipv4(struct __sk_buff *skb, __u32 *off, struct sock_flow *flow)
{
	__u32 nbytes = (load_byte(skb, *off) & 15) * 4;
	__u32 frag = load_half(skb, *off + 6) & IP_OFFSET;

	flow->protocol = load_byte(skb, *off + 9);
	flow->src = load_word(skb, *off + 12);
	flow->dst = load_word(skb, *off + 16);
	*off += nbytes;
	return frag ? 0 : IPPROTO(flow->protocol);
}

static __always_inline __u32 read_ipv6(struct __sk_buff *skb, __u32 *off, struct sock_flow *flow)
{
	__u32 addr[8];

	if (bpf_skb_load_bytes(skb, *off + 8, addr, sizeof(addr)))
		return 0;
	flow->src = bpf_ntohl(addr[0] ^ addr[1] ^ addr[2] ^ addr[3]);
	flow->dst = bpf_ntohl(addr[4] ^ addr[5] ^ addr[6] ^ addr[7]);
	flow->protocol = load_byte(skb, *off + 6);
	*off += 40;
	return IPPROTO(flow->protocol);
}

static __always_inline __u32 read_gre(struct __sk_buff *skb, __u32 *off)
{
	__u32 flags = load_half(skb, *off), next = load_half(skb, *off + 2);

	if (flags & (GRE_VERSION | GRE_ROUTING))
		return 0;
	*off += 4 + (flags & GRE_CSUM ? 4 : 0) + (flags & GRE_KEY ? 4 : 0) + (flags & GRE_SEQ ? 4 : 0);
	if (next == ETHERTYPE_TEB) {
		next = load_half(skb, *off + 12);
		*off += ETH_HLEN;
	}
	return next;
}

/* Reads the header `next` at *off; what comes behind it, 0 at the end. */
static __always_inline __u32 read_header(struct __sk_buff *skb, __u32 next, __u32 *off, struct sock_flow *flow)
{
	__u32 ports;

	switch (next) {
	case ETHERTYPE_IP: return read_ipv4(skb, off, flow);
	case ETHERTYPE_IPV6: return read_ipv6(skb, off, flow);
	case ETHERTYPE_VLAN:
	case ETHERTYPE_QINQ:
		next = load_half(skb, *off + 2);
		*off += 4;
		return next;
	case IPPROTO(0):
	case IPPROTO(43):
	case IPPROTO(60):
		flow->protocol = load_byte(skb, *off);
		*off += (load_byte(skb, *off + 1) + 1) * 8;
		return IPPROTO(flow->protocol);
	case IPPROTO(47): return read_gre(skb, off);
	case IPPROTO(4): return ETHERTYPE_IP;
	case IPPROTO(41): return ETHERTYPE_IPV6;
	case IPPROTO(6):
	case IPPROTO(17):
	case IPPROTO(33):
	case IPPROTO(132):
	case IPPROTO(136):
		ports = load_word(skb, *off);
		flow->sport = ports >> 16;
		flow->dport = ports;
		return 0;
	default: return 0;
	}
}

SEC("socket")
int sock_flow(struct __sk_buff *skb)
{
	struct sock_flow flow = {};
	struct sock_count first = { .packets = 1, .bytes = skb->len }, *count;
	volatile __u16 start = ETH_HLEN; /* as in dissect() */
	__u32 off = start, next = load_half(skb, 12);

	for (int i = 0; i < MAX_HEADERS && next; i++) {
		if (off > MAX_OFFSET)
			break;
		next = read_header(skb, next, &off, &flow);
	}
	if (!flow.protocol)
		return 0;
	count = bpf_map_lookup_elem(&sock_flows, &flow);
	if (!count) {
		if (!bpf_map_update_elem(&sock_flows, &flow, &first, BPF_NOEXIST))
			return -1;
		count = bpf_map_lookup_elem(&sock_flows, &flow); /* another CPU was first */
		if (!count)
			return -1; /* the table is full */
	}
	__sync_fetch_and_add(&count->packets, 1);
	__sync_fetch_and_add(&count->bytes, skb->len);
	return -1;
}

char _license[] SEC("license") = "Apache-2.0";
