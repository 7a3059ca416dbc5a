/* Configuration values of every size, and kernel variables and functions with and without types. */
#include <pyebpf/bpf_helpers.h>

struct task_struct;

extern char CONFIG_A __kconfig __weak;
extern unsigned long CONFIG_HZ __kconfig;
extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_B __kconfig __weak;
extern enum libbpf_tristate CONFIG_BPF_SYSCALL __kconfig;
extern const char CONFIG_NAME[9] __kconfig __weak;
extern short CONFIG_S __kconfig __weak;
extern const int bpf_prog_active __ksym;
extern const void jiffies __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;

SEC("socket")
int plain(struct __sk_buff *skb)
{
	return 0;
}

SEC("?tc")
int uses(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	return CONFIG_A + CONFIG_HZ + LINUX_KERNEL_VERSION + CONFIG_B + CONFIG_BPF_SYSCALL + CONFIG_NAME[skb->len & 7] + CONFIG_S
		+ (long)&bpf_prog_active + (long)&jiffies + (bpf_task_acquire(NULL) != NULL);
}

char _license[] SEC("license") = "GPL";
