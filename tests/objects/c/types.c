/* Every kind of BTF type a compiler makes of C, and every kind of layout. */
#include <pyebpf/bpf_helpers.h>

enum small { SMALL_A = -1, SMALL_B = 5 };
enum large { LARGE_A = 1ull << 40, LARGE_B = 2 };

struct empty {
};

struct plain {
	char c;
	short s;
	int i;
	long long q;
	unsigned char u8;
	unsigned short u16;
	unsigned int u32;
	unsigned long long u64;
	_Bool flag;
	float f;
	double d;
	void *pointer;
	enum small small;
	enum large large;
};

struct packed {
	char c;
	int i;
} __attribute__((packed));

struct anonymous {
	int kind;
	union {
		struct {
			int a, b;
		};
		long long whole;
		char bytes[8];
	};
	union {
		int x;
		float y;
	} named;
};

struct bits {
	unsigned int low : 3;
	unsigned int high : 29;
	int after;
};

struct flexible {
	int count;
	int items[];
};

struct nested {
	struct plain one;
	struct packed many[3];
	int grid[2][5];
	char name[16];
	signed char numbers[4];
};

struct list {
	struct list *next;
	int (*call)(struct list *self, const char *text, ...);
	const volatile int *const qualified;
	const struct plain *restrict plain;
};

typedef struct nested nested_t;
typedef int grid_t[2][5];

nested_t a_nested;
struct anonymous an_anonymous;
struct bits a_bits;
struct list a_list;
grid_t a_grid;
struct empty *an_empty;
struct flexible a_flexible = { 2, { 1, 2 } };
__attribute__((btf_decl_tag("tagged"))) int tagged;
int __attribute__((btf_type_tag("user"))) *tagged_pointer;

char _license[] SEC("license") = "GPL";
