/* What comes from elsewhere: configuration, kernel symbols and functions, another kernel's types. */
#include <pyebpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern const void absent __ksym __weak;
extern const void jiffies __ksym;
extern void bpf_rcu_read_lock(void) __ksym;

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

SEC("socket")
int plain(struct __sk_buff *skb)
{
	return 0;
}

SEC("socket")
int config(struct __sk_buff *skb)
{
	return LINUX_KERNEL_VERSION;
}

SEC("socket")
int weak_symbol(struct __sk_buff *skb)
{
	return &absent != NULL;
}

SEC("socket")
int strong_symbol(struct __sk_buff *skb)
{
	return (long)&jiffies;
}

SEC("tc")
int kernel_function(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	return 0;
}

SEC("raw_tp/sched_switch")
int kernel_type(unsigned long long *ctx)
{
	struct task_struct *task = (void *)ctx[1];
	return __builtin_preserve_access_index(task->pid);
}

SEC("unheard_of")
int no_type(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
