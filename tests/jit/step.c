/* Counts the instructions that a function executes, by single-stepping this thread: free of noise. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100

static uint64_t first, end, counted;

static void step(int sig, siginfo_t *info, void *context)
{
	uint64_t rip = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	(void)sig, (void)info;
	counted += rip >= first && rip < end;
}

static struct sigaction old;

/* From here to step_end this thread's instructions in [code, code + nbytes) are counted. */
void step_begin(uint64_t code, uint64_t nbytes)
{
	struct sigaction action = { .sa_sigaction = step, .sa_flags = SA_SIGINFO };

	first = code;
	end = code + nbytes;
	counted = 0;
	sigaction(SIGTRAP, &action, &old);
	__asm__ volatile("pushfq; orq %0, (%%rsp); popfq" ::"i"(TRAP_FLAG) : "cc", "memory");
}

uint64_t step_end(void)
{
	__asm__ volatile("pushfq; andq %0, (%%rsp); popfq" ::"i"(~TRAP_FLAG) : "cc", "memory");
	sigaction(SIGTRAP, &old, NULL);
	return counted;
}

/* Calls fn(r1, r2), counting; R0 in *r0. */
uint64_t step_count(uint64_t (*fn)(uint64_t, uint64_t), uint64_t r1, uint64_t r2, uint64_t code, uint64_t nbytes,
		    uint64_t *r0)
{
	step_begin(code, nbytes);
	*r0 = fn(r1, r2);
	return step_end();
}
