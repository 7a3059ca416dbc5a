/* Calls between programs, and a static function in a section of its own: libbpf has neither. */
#include <pyebpf/bpf_helpers.h>

SEC("xdp") __noinline int base(struct xdp_md *ctx)
{
	return ctx->rx_queue_index;
}

SEC("xdp") int wrap(struct xdp_md *ctx)
{
	return base(ctx) + 1;
}

static __noinline SEC("helpers") int lone(int x)
{
	barrier_var(x);
	return x + 9;
}

SEC("xdp/devmap") int across(struct xdp_md *ctx)
{
	return base(ctx) + lone(ctx->ingress_ifindex);
}

char _license[] SEC("license") = "GPL";
