/* No native code yet: the interpreter is asked for by name. */
#include "jit.h"

int jit_compile(struct ebpf_prog *prog, const struct ebpf_code *code, struct jit_image *out, struct ebpf_error *err)
{
	(void)prog, (void)code, (void)out;
	return ebpf_fail(err, -EBPF_ENOTSUPP, -1, "this build has no JIT");
}

void jit_free(struct jit_image *image)
{
	(void)image;
}
