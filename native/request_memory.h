// How much memory a request reads and writes, from its own fields.
#pragma once

#include <unistd.h>

#include <cstdint>

#include "device.h"

namespace hmm {

inline uint64_t PageSize() {
  static const uint64_t size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// More than this the module refuses (EINVAL), and no buffer is made for it.
inline uint64_t MaxBytes() { return HMM_MIRROR_MAX_PAGES * PageSize(); }

// Bytes of entries, 8 for each page of [start, end). An empty or reversed range has none: the module refuses it.
inline uint64_t EntryBytes(uint64_t start, uint64_t end) {
  return end > start ? (end - start) / PageSize() * sizeof(uint64_t) : 0;
}

// Bytes of locations, one for each page of [start, end).
inline uint64_t LocationBytes(uint64_t start, uint64_t end) { return EntryBytes(start, end) / sizeof(uint64_t); }

// Bytes of entries for the pages that [address, address + length) touches, length at most MaxBytes().
inline uint64_t TouchedEntryBytes(uint64_t address, uint64_t length) {
  if (length == 0) return 0;
  return ((address % PageSize() + length - 1) / PageSize() + 1) * sizeof(uint64_t);
}

inline uint64_t Pointer(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

}  // namespace hmm
