// The device file of hmm_mirror.ko: its ioctls, with errno as the result. Nothing of JavaScript here.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "file_descriptor.h"
#include "hmm_mirror.h"

namespace hmm {

// The ioctls that a context takes once it is open. The numbers are shared with lib/kernel/abi.ts.
enum class Request : uint32_t {
  kNotifierInsert = 0,
  kNotifierRemove = 1,
  kReadBegin = 2,
  kReadRetry = 3,
  kRangeFault = 4,
  kPopulate = 5,
  kRead = 6,
  kWrite = 7,
  kQuery = 8,
  kLock = 9,
  kUnlock = 10,
  kDeviceRead = 11,
  kDeviceWrite = 12,
  kAck = 13,
  kMigrateToDevice = 14,
  kMigrateToSystem = 15,
  kMakeExclusive = 16,
  kAtomicAdd = 17,
  kEvict = 18,
};

// Room for the argument of any of them; `words` is what JavaScript fills in and reads.
union RequestBlock {
  hmm_mirror_notifier_insert insert;
  hmm_mirror_notifier_id notifier;
  hmm_mirror_sequence sequence;
  hmm_mirror_range_fault range_fault;
  hmm_mirror_populate populate;
  hmm_mirror_access access;
  hmm_mirror_query query;
  hmm_mirror_device_access device_access;
  hmm_mirror_ack ack;
  hmm_mirror_pages pages;
  hmm_mirror_atomic atomic;
  hmm_mirror_evict evict;
  uint32_t words[16];
};
static_assert(sizeof(RequestBlock) == 64, "lib/kernel/abi.ts says 16 words");

class Device {
 public:
  Device() = default;
  explicit Device(SharedDescriptor descriptor) : descriptor_(std::move(descriptor)) {}

  // Opens the device node. Returns 0 or an errno.
  static int Open(const char* path, Device* device);

  bool is_open() const { return descriptor_ != nullptr; }
  const SharedDescriptor& descriptor() const { return descriptor_; }
  // Lets go of the file; it is closed when nobody else holds it.
  void Release() { descriptor_.reset(); }

  // HMM_MIRROR_INFO. Returns 0 or an errno; EBADF when released, as all of these.
  int Info(hmm_mirror_info* info) const;

  // Performs one ioctl on the block's memory. Returns 0 or an errno; out fields are in the block either way.
  int Perform(Request request, RequestBlock* block) const;

  // HMM_MIRROR_UNLOCK, by one who is going away: whatever the answer, the lock is not held any more.
  void Unlock(uint32_t notifier) const;

  // Adds HMM_MIRROR_NONBLOCK to the flags of a request that could sleep. False: it never sleeps, or it cannot be asked
  // not to.
  static bool MakeNonblocking(Request request, RequestBlock* block);

  // True if the ioctl never sleeps for the mirrored process, so that it may be issued on the JavaScript thread.
  static bool NeverSleeps(Request request);

  // Reads whole event records. Returns bytes, or -errno (-EAGAIN: none there).
  ssize_t ReadEvents(void* buffer, size_t size) const;

 private:
  SharedDescriptor descriptor_;
};

}  // namespace hmm
