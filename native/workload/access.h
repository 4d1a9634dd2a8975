// Loads and stores by the CPU, in memory that may not be there.
#pragma once

#include <cstddef>
#include <cstdint>

struct AccessResult {
  size_t done;       // bytes before the fault, or all
  int signal;        // 0, SIGSEGV or SIGBUS
  uint64_t address;  // of the first byte that could not be accessed, if signal is not 0
};

// Takes SIGSEGV and SIGBUS. A fault outside of the two functions below is a bug of this program and kills it, as it
// would have without.
void InstallAccessHandler();

// Copy [address, address + length), which must lie within one page, touching it in ascending order.
AccessResult LoadFrom(uint64_t address, void* buffer, size_t length);
AccessResult StoreTo(uint64_t address, const void* buffer, size_t length);
