/* All of the shipped headers. */
#include <pyebpf/bpf_helpers.h>
#include <pyebpf/bpf_endian.h>

_Static_assert(sizeof(__u8) == 1 && sizeof(__u16) == 2 && sizeof(__u32) == 4 && sizeof(__u64) == 8, "widths");
_Static_assert(sizeof(struct xdp_md) == 24 && sizeof(struct bpf_flow_keys) == 56, "contexts");
_Static_assert(offsetof(struct __sk_buff, flow_keys) == 144 && sizeof(struct __sk_buff) == 192, "__sk_buff");
_Static_assert(bpf_htons(0x0102) == 0x0201 && bpf_htonl(0x01020304) == 0x04030201, "byte order");
_Static_assert(bpf_cpu_to_be64(1) == 1ull << 56, "byte order");

SEC("xdp")
int use(struct xdp_md *ctx)
{
	bpf_printk("%d", ctx->rx_queue_index);
	return bpf_get_prandom_u32() & 1 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
