/* One XDP program with a hash map and two kinds of global variable. */
#include <pyebpf/bpf_helpers.h>
#include <pyebpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

const volatile __u32 limit = 3;
__u64 seen;

SEC("xdp")
int count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 14 > end)
		return XDP_PASS;
	__u32 key = bpf_ntohs(*(__u16 *)(data + 12));
	__u64 one = 1, *n = bpf_map_lookup_elem(&counts, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
	seen++;
	return key > limit ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
