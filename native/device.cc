#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace hmm {

namespace {

unsigned long CommandOf(Request request) {
  switch (request) {
    case Request::kNotifierInsert:
      return HMM_MIRROR_NOTIFIER_INSERT;
    case Request::kNotifierRemove:
      return HMM_MIRROR_NOTIFIER_REMOVE;
    case Request::kReadBegin:
      return HMM_MIRROR_READ_BEGIN;
    case Request::kReadRetry:
      return HMM_MIRROR_READ_RETRY;
    case Request::kRangeFault:
      return HMM_MIRROR_RANGE_FAULT;
    case Request::kPopulate:
      return HMM_MIRROR_POPULATE;
    case Request::kRead:
      return HMM_MIRROR_READ;
    case Request::kWrite:
      return HMM_MIRROR_WRITE;
    case Request::kQuery:
      return HMM_MIRROR_QUERY;
    case Request::kLock:
      return HMM_MIRROR_LOCK;
    case Request::kUnlock:
      return HMM_MIRROR_UNLOCK;
    case Request::kDeviceRead:
      return HMM_MIRROR_DEVICE_READ;
    case Request::kDeviceWrite:
      return HMM_MIRROR_DEVICE_WRITE;
    case Request::kAck:
      return HMM_MIRROR_ACK;
    case Request::kMigrateToDevice:
      return HMM_MIRROR_MIGRATE_TO_DEVICE;
    case Request::kMigrateToSystem:
      return HMM_MIRROR_MIGRATE_TO_SYSTEM;
    case Request::kMakeExclusive:
      return HMM_MIRROR_MAKE_EXCLUSIVE;
    case Request::kAtomicAdd:
      return HMM_MIRROR_ATOMIC_ADD;
    case Request::kEvict:
      return HMM_MIRROR_EVICT;
  }
  return 0;
}

// A signal may arrive on any thread of Node, and mmu_interval_notifier_insert answers EINTR to one. Every ioctl here
// has done nothing when it says EINTR, so it is simply issued again.
int IssueIoctl(int fd, unsigned long command, void* argument) {
  int result;
  do {
    result = ioctl(fd, command, argument);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? errno : 0;
}

}  // namespace

int Device::Open(const char* path, Device* device) {
  const int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno;
  *device = Device(std::make_shared<const FileDescriptor>(fd));
  return 0;
}

int Device::Info(hmm_mirror_info* info) const {
  if (!is_open()) return EBADF;
  return IssueIoctl(descriptor_->number(), HMM_MIRROR_INFO, info);
}

int Device::Perform(Request request, RequestBlock* block) const {
  if (!is_open()) return EBADF;
  return IssueIoctl(descriptor_->number(), CommandOf(request), block);
}

void Device::Unlock(uint32_t notifier) const {
  RequestBlock block = {};
  block.notifier.id = notifier;
  Perform(Request::kUnlock, &block);
}

bool Device::MakeNonblocking(Request request, RequestBlock* block) {
  switch (request) {
    // In all of these `flags` is the second word.
    case Request::kReadBegin:
    case Request::kRangeFault:
    case Request::kPopulate:
    case Request::kRead:
    case Request::kWrite:
    case Request::kQuery:
    case Request::kLock:
    case Request::kAtomicAdd:
      block->words[1] |= HMM_MIRROR_NONBLOCK;
      return true;
    default:
      return false;
  }
}

bool Device::NeverSleeps(Request request) {
  return request == Request::kReadRetry || request == Request::kUnlock || request == Request::kAck;
}

ssize_t Device::ReadEvents(void* buffer, size_t size) const {
  if (!is_open()) return -EBADF;
  ssize_t count;
  do {
    count = read(descriptor_->number(), buffer, size);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

}  // namespace hmm
