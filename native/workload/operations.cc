#include "operations.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "access.h"

namespace {

constexpr uint64_t kPage = 4096;

Record ResultOf(long result) {
  Record record = {RecordKind::kResult, 0, 0, 0, 0, 0};
  if (result == -1) {
    record.error = static_cast<uint32_t>(errno);
  } else {
    record.value = static_cast<uint64_t>(result);
  }
  return record;
}

Record ErrorOf(int error) { return {RecordKind::kResult, static_cast<uint32_t>(error), 0, 0, 0, 0}; }

// How much of [address, address + length) lies in the page of address; addresses wrap around as the CPU's do.
size_t WithinPage(uint64_t address, uint64_t length) {
  const uint64_t rest = kPage - address % kPage;
  return static_cast<size_t>(length < rest ? length : rest);
}

void AddFault(Record* record, const AccessResult& access) {
  record->error = EFAULT;
  record->signal = static_cast<uint32_t>(access.signal);
  record->address = access.address;
}

// Page by page through a buffer of this program's own: the send() must never be what touches tested memory, and what
// was loaded before a fault is delivered.
Record ReadMemory(Stream* stream, const Operation& operation) {
  char page[kPage];
  Record result = {RecordKind::kResult, 0, 0, 0, 0, 0};
  while (result.value < operation.length && result.signal == 0) {
    const uint64_t address = operation.address + result.value;
    const AccessResult access = LoadFrom(address, page, WithinPage(address, operation.length - result.value));
    if (access.done > 0) {
      const Record data = {RecordKind::kData, 0, 0, 0, 0, static_cast<uint32_t>(access.done)};
      stream->Write(&data, sizeof(data));
      stream->Write(page, access.done);
    }
    result.value += access.done;
    if (access.signal != 0) AddFault(&result, access);
  }
  return result;
}

Record WriteMemory(Stream* stream, const Operation& operation, uint64_t* body) {
  Record result = {RecordKind::kResult, 0, 0, 0, 0, 0};
  if (operation.length > *body) _exit(kExitProtocol);
  *body -= operation.length;
  for (uint64_t taken = 0; taken < operation.length;) {
    size_t length;
    const uint64_t address = operation.address + taken;
    const char* bytes = stream->ReadSome(WithinPage(address, operation.length - taken), &length);
    taken += length;
    // After a fault the rest of the bytes is still in the stream, and is dropped.
    if (result.signal != 0) continue;
    const AccessResult access = StoreTo(address, bytes, length);
    result.value += access.done;
    if (access.signal != 0) AddFault(&result, access);
  }
  return result;
}

// The raw system calls: libc's wrappers refuse some calls by themselves, and it is the kernel that is to answer.
Record Execute(Stream* stream, const Operation& op, int file, uint64_t* body) {
  switch (op.kind) {
    case OperationKind::kMmap:
      return ResultOf(syscall(SYS_mmap, op.address, op.length, op.argument, op.flags, file, op.offset));
    case OperationKind::kMunmap:
      return ResultOf(syscall(SYS_munmap, op.address, op.length));
    case OperationKind::kMprotect:
      return ResultOf(syscall(SYS_mprotect, op.address, op.length, op.argument));
    case OperationKind::kMadvise:
      return ResultOf(syscall(SYS_madvise, op.address, op.length, op.argument));
    case OperationKind::kMremap:
      return ResultOf(syscall(SYS_mremap, op.address, op.length, op.offset, op.flags, op.target));
    case OperationKind::kRead:
      return ReadMemory(stream, op);
    case OperationKind::kWrite:
      return WriteMemory(stream, op, body);
    case OperationKind::kTruncate:
      return ResultOf(syscall(SYS_ftruncate, file, op.length));
    case OperationKind::kPunchHole:
      return ResultOf(syscall(SYS_fallocate, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op.address, op.length));
  }
  _exit(kExitProtocol);
}

}  // namespace

void RunOperation(Stream* stream, const Operation& operation, const int* files, uint32_t file_count, uint64_t* body) {
  int file = -1;
  if (operation.file > file_count) _exit(kExitProtocol);
  if (operation.file > 0) file = files[operation.file - 1];
  // A file that was sent and did not arrive: the kernel drops it where the receiver has too many open.
  const Record result = operation.file > 0 && file < 0 ? ErrorOf(EMFILE) : Execute(stream, operation, file, body);
  stream->Write(&result, sizeof(result));
}
