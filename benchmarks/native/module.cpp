// pyebpf._baseline: the native dissector and the timing loop, for benchmarks and tests.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <sys/mman.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "baseline.h"

namespace py = pybind11;

namespace {

using Order = py::array_t<uint32_t, py::array::c_style>;

baseline_fn function_at(uint64_t address)
{
	if (!address)
		throw py::value_error("address is 0, expected a uint64_t (*)(void *r1, uint64_t r2)");
	return reinterpret_cast<baseline_fn>(address);
}

void check_frame(size_t nbytes)
{
	if (nbytes < 14)
		throw py::value_error("packet has " + std::to_string(nbytes) + " bytes, expected at least 14");
}

// Memory full of packets, one in each slot of 128 bytes, their shapes in turn; huge pages where there are any.
class Arena {
public:
	Arena(uint64_t nbytes, const std::vector<std::string> &shapes)
	{
		if (shapes.size() != SHAPES || nbytes < SHAPES * SLOT_NBYTES)
			throw py::value_error("expected 8 shapes and memory for each");
		for (size_t i = 0; i < SHAPES; i++) {
			check_frame(shapes[i].size());
			if (shapes[i].size() > SLOT_NBYTES)
				throw py::value_error("a shape is longer than a slot of 128 bytes");
			packets_.lengths[i] = static_cast<uint32_t>(shapes[i].size());
		}
		slots_ = nbytes / SLOT_NBYTES / SHAPES * SHAPES;
		size_ = slots_ * SLOT_NBYTES;
		void *memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			throw std::bad_alloc();
		madvise(memory, size_, MADV_HUGEPAGE);
		memory_ = static_cast<uint8_t *>(memory);
		py::gil_scoped_release release;
		for (uint64_t i = 0; i < slots_; i++) {
			const auto &shape = shapes[i % SHAPES];
			std::memcpy(memory_ + i * SLOT_NBYTES, shape.data(), shape.size());
		}
	}
	Arena(const Arena &) = delete;
	Arena &operator=(const Arena &) = delete;
	~Arena() { munmap(memory_, size_); }

	uint64_t slots() const { return slots_; }

	py::tuple time(uint64_t address, int kind, const Order &order) const
	{
		baseline_fn fn = function_at(address);
		const uint32_t *slots = order.data();
		auto n = static_cast<uint64_t>(order.size());
		for (uint64_t i = 0; i < n; i++)
			if (slots[i] >= slots_)
				throw py::value_error("order names slot " + std::to_string(slots[i]) + ", expected less than " +
						      std::to_string(slots_));
		baseline_packets packets = packets_;
		packets.slots = memory_;
		packets.order = slots;
		packets.n = n;
		uint64_t ns = 0, sum = 0;
		{
			py::gil_scoped_release release;
			sum = baseline_time(fn, static_cast<baseline_ctx>(kind), &packets, &ns);
		}
		return py::make_tuple(n ? static_cast<double>(ns) / static_cast<double>(n) : 0.0, sum);
	}

private:
	baseline_packets packets_{};
	uint64_t slots_ = 0, size_ = 0;
	uint8_t *memory_ = nullptr;
};

py::tuple run(uint64_t address, int kind, const py::bytes &packet)
{
	std::string data = packet;
	uint8_t keys[KEYS_NBYTES];

	check_frame(data.size());
	uint64_t r0 = baseline_run(function_at(address), static_cast<baseline_ctx>(kind),
				   reinterpret_cast<const uint8_t *>(data.data()), data.size(), keys);
	return py::make_tuple(r0, py::bytes(reinterpret_cast<char *>(keys), KEYS_NBYTES));
}

} // namespace

PYBIND11_MODULE(_baseline, m)
{
	m.doc() = "The flow dissector compiled by the C compiler, and the loop that engines are timed in.";
	m.attr("CTX_SKB") = static_cast<int>(CTX_SKB);
	m.attr("CTX_LINUX_FLOW") = static_cast<int>(CTX_LINUX_FLOW);
	m.attr("SLOT_NBYTES") = SLOT_NBYTES;
	m.attr("COMPILER") = "gcc " __VERSION__;
	m.attr("dissect_address") = reinterpret_cast<uint64_t>(&baseline_dissect);
	m.attr("nothing_address") = reinterpret_cast<uint64_t>(&baseline_nothing);
	m.def(
		"dissect", [](const py::bytes &packet) { return run(reinterpret_cast<uint64_t>(&baseline_dissect), CTX_SKB, packet); }, py::arg("packet"),
		"(hash, the 56 bytes of struct bpf_flow_keys) of a frame.");
	m.def("run", &run, py::arg("address"), py::arg("kind"), py::arg("packet"),
	      "The same by the function at an address, which gets a context of that kind.");
	py::class_<Arena>(m, "Arena", "Memory full of packets, one in each slot of 128 bytes, their shapes in turn.")
		.def(py::init<uint64_t, const std::vector<std::string> &>(), py::arg("nbytes"), py::arg("shapes"))
		.def_property_readonly("slots", &Arena::slots)
		.def("time", &Arena::time, py::arg("address"), py::arg("kind"), py::arg("order"),
		     "(ns a call, sum of results) of the function at an address over the slots of `order`, without the GIL.");
}
