/* Accounts packets and bytes of every flow in a hash map, and lets all packets pass. */
#include "pyebpf/bpf_helpers.h"

#include "dissect.h"

/* A flow as the map knows it: addresses of either family, network byte order; IPv4 in the first word. */
struct flow_key {
	__be32 src[4];
	__be32 dst[4];
	__be16 sport;
	__be16 dport;
	__u16 family; /* EtherType of the addresses */
	__u8 protocol;
	__u8 encapsulated;
};

struct flow_value {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow_value);
} flows SEC(".maps");

__u64 other_packets; /* without an IP address */

static __always_inline void account(const struct flow_key *key, __u64 nbytes)
{
	struct flow_value first = { .packets = 1, .bytes = nbytes };
	struct flow_value *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow) {
		if (!bpf_map_update_elem(&flows, key, &first, BPF_NOEXIST))
			return;
		flow = bpf_map_lookup_elem(&flows, key); /* another CPU was first */
		if (!flow)
			return; /* the table is full */
	}
	__sync_fetch_and_add(&flow->packets, 1);
	__sync_fetch_and_add(&flow->bytes, nbytes);
}

SEC("xdp")
int xdp_flow(struct xdp_md *ctx)
{
	const __u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct bpf_flow_keys keys = { .nhoff = ETH_HLEN };
	struct flow_key key = {};

	if (data + ETH_HLEN > end)
		return XDP_PASS;
	keys.n_proto = *(const u16_any *)(data + 12);
	if (!dissect(data, end, &keys)) {
		__sync_fetch_and_add(&other_packets, 1);
		return XDP_PASS;
	}
	for (int i = 0; i < 4; i++) {
		key.src[i] = keys.addr_proto == ETHERTYPE_IPV6 ? keys.ipv6_src[i] : i ? 0 : keys.ipv4_src;
		key.dst[i] = keys.addr_proto == ETHERTYPE_IPV6 ? keys.ipv6_dst[i] : i ? 0 : keys.ipv4_dst;
	}
	key.sport = keys.sport;
	key.dport = keys.dport;
	key.family = keys.addr_proto;
	key.protocol = keys.ip_proto;
	key.encapsulated = keys.is_encap;
	account(&key, end - data);
	return XDP_PASS;
}

char _license[] SEC("license") = "Apache-2.0";
