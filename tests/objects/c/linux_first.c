/* Linux's own headers before ours. */
#include <linux/bpf.h>
#include <pyebpf/bpf_helpers.h>

SEC("xdp")
int use(struct xdp_md *ctx)
{
	return bpf_ktime_get_ns() ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
