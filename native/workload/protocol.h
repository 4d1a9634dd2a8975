// What the workload program and lib/kernel/protocol.ts say to each other, over local stream sockets.
//
// Node sends frames: a FrameHeader, then `count` Operations (a write is followed by its bytes), `length` bytes in all;
// the open files that the frame speaks of travel with its first byte. The answer to a frame is one Result for each
// operation, in order, where a read is preceded by any number of kData records, each followed by `length` bytes; frames
// without operations have one Result. Both sides stream: no frame has to fit in memory. Native byte order: the two
// never run on different machines.
#pragma once

#include <cstdint>

enum class FrameKind : uint32_t {
  // Operations to run. files: what `file` of an operation counts through, from 1.
  kRun = 1,
  // fork(2). files: control, service, and, if there is one, the device. Result: the child's pid. Control socket only.
  kFork = 2,
  // _exit(0), unanswered.
  kExit = 3,
  // A new thread. files: its socket. Service socket only.
  kThread = 4,
};

struct FrameHeader {
  FrameKind kind;
  uint32_t count;
  uint32_t files;
  uint32_t reserved;
  uint64_t length;  // bytes after this header
};
static_assert(sizeof(FrameHeader) == 24, "lib/kernel/protocol.ts");

enum class OperationKind : uint32_t {
  kMmap = 1,
  kMunmap = 2,
  kMprotect = 3,
  kMadvise = 4,
  kMremap = 5,
  kRead = 6,
  kWrite = 7,
  kTruncate = 8,
  kPunchHole = 9,
};

struct Operation {
  OperationKind kind;
  uint32_t argument;  // protection, advice
  uint32_t flags;     // of mmap, of mremap
  uint32_t file;      // 0: none
  uint64_t address;   // punchHole: offset
  uint64_t length;
  uint64_t offset;  // mmap: offset in the file. mremap: the new length
  uint64_t target;  // mremap: the new address
};
static_assert(sizeof(Operation) == 48, "lib/kernel/protocol.ts");

enum class RecordKind : uint32_t {
  // The first record of a process: value is its pid, error what binding it to the device answered.
  kHello = 1,
  kData = 2,
  kResult = 3,
};

struct Record {
  RecordKind kind;
  uint32_t error;    // errno, or 0
  uint64_t value;    // mmap, mremap: the address. read, write: bytes done
  uint64_t address;  // of the byte that could not be accessed, if signal is not 0
  uint32_t signal;   // SIGSEGV, SIGBUS or 0
  uint32_t length;   // kData: bytes that follow
};
static_assert(sizeof(Record) == 32, "lib/kernel/protocol.ts");

// Exit statuses that mean a bug here or in lib/kernel, from sysexits.h.
constexpr int kExitUsage = 64;
constexpr int kExitProtocol = 76;
constexpr int kExitSystem = 71;
