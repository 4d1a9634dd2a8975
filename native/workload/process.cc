#include "process.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "hmm_mirror.h"
#include "protocol.h"
#include "serve.h"

namespace {

// The main thread, the service thread, and more workers than the public layer gives out (MAX_THREADS).
constexpr int kThreads = 32;
constexpr size_t kStackSize = 64 * 1024;
constexpr size_t kPage = 4096;

// Everything that this program needs is in its image: thread stacks and buffers as well. Then the part of the address
// space where the kernel chooses addresses holds nothing but what was asked for, and nothing of this program's can
// merge with a tested mapping or stand in its way.
struct Memory {
  Slot slots[kThreads];
  alignas(kPage) char stacks[kThreads][kStackSize];
};
alignas(kPage) Memory memory;

// The next slot that was never used. Service thread only; before there is one, main thread.
int next_slot;

// The linker's: first byte of the image, first of the writable data, first behind it.
extern "C" char __executable_start, __data_start, edata;

void Populate(const void* from, const void* to, int advice) {
  const uintptr_t start = reinterpret_cast<uintptr_t>(from) & ~(kPage - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(to) + kPage - 1) & ~(kPage - 1);
  // It fails where the kernel has no such advice (before 5.14), and then what follows is only less exact.
  madvise(reinterpret_cast<void*>(start), end - start, advice);
}

// Makes present, and writable, what a thread needs: a page fault of this program's own would wait for the mmap_lock
// that an operation of another thread may be holding, for as long as the invalidate callback takes that it waits for.
void PopulateSlot(int index) {
  Populate(&memory.slots[index], &memory.slots[index] + 1, MADV_POPULATE_WRITE);
  if (index > 0) Populate(memory.stacks[index], memory.stacks[index] + kStackSize, MADV_POPULATE_WRITE);
}

// The same for the program and for all threads that there are. After a fork, too: that shares every page again.
void PopulateAll() {
  Populate(&__executable_start, &edata, MADV_POPULATE_READ);
  Populate(&__data_start, &edata, MADV_POPULATE_WRITE);
  const auto* stack = static_cast<const char*>(__builtin_frame_address(0));
  Populate(stack - kStackSize, stack, MADV_POPULATE_WRITE);
  for (int i = 0; i < next_slot; i++) PopulateSlot(i);
}

void* ThreadMain(void* argument) {
  Serve(static_cast<Slot*>(argument));
  return nullptr;
}

int StartThread(Role role, int socket) {
  if (next_slot >= kThreads) return EAGAIN;
  PopulateSlot(next_slot);
  Slot* slot = &memory.slots[next_slot];
  slot->role = role;
  slot->stream.Open(socket);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  int error = pthread_attr_setstack(&attributes, memory.stacks[next_slot], kStackSize);
  pthread_t thread;
  if (error == 0) error = pthread_create(&thread, &attributes, ThreadMain, slot);
  pthread_attr_destroy(&attributes);
  if (error == 0) next_slot++;
  return error;
}

void CloseRange(unsigned first, unsigned last) {
  if (first <= last) syscall(SYS_close_range, first, last, 0);
}

// A forked child has its parent's sockets and whatever files another thread just received: kept open they would hide
// the parent's end from Node.
void CloseAllBut(const ProcessFiles& files) {
  int keep[] = {files.control, files.service, files.device};
  // Three elements: an exchange sort.
  for (int i = 0; i < 3; i++) {
    for (int j = i + 1; j < 3; j++) {
      if (keep[j] < keep[i]) {
        const int other = keep[i];
        keep[i] = keep[j];
        keep[j] = other;
      }
    }
  }
  int first = 3;
  for (const int number : keep) {
    if (number < first) continue;
    CloseRange(static_cast<unsigned>(first), static_cast<unsigned>(number - 1));
    first = number + 1;
  }
  CloseRange(static_cast<unsigned>(first), UINT_MAX);
}

// The kernel takes the caller's address space, so nobody can bind another's.
int BindDevice(int device) {
  if (device < 0) return 0;
  hmm_mirror_bind bind = {};
  const int error = ioctl(device, HMM_MIRROR_BIND, &bind) < 0 ? errno : 0;
  // Kept open it would keep the context alive after Node has closed it.
  close(device);
  return error;
}

}  // namespace

void RunProcess(const ProcessFiles& files) {
  CloseAllBut(files);
  // Huge pages in this program's own memory would only make its forks slow; that they are not there is no event.
  // It fails where the kernel has none.
  madvise(&memory, sizeof(memory), MADV_NOHUGEPAGE);
  Slot* main_slot = &memory.slots[0];
  main_slot->role = Role::kMain;
  main_slot->stream.Open(files.control);
  next_slot = 1;
  PopulateAll();
  int error = BindDevice(files.device);
  if (error == 0) error = StartThread(Role::kService, files.service);
  const Record hello = {RecordKind::kHello, static_cast<uint32_t>(error), static_cast<uint64_t>(getpid()), 0, 0, 0};
  main_slot->stream.Write(&hello, sizeof(hello));
  main_slot->stream.Flush();
  Serve(main_slot);
}

long ForkProcess(const ProcessFiles& files) {
  const pid_t pid = fork();
  // The child goes on on this very stack; of the threads there is only this one.
  if (pid == 0) RunProcess(files);
  const int error = errno;
  PopulateAll();
  close(files.control);
  close(files.service);
  if (files.device >= 0) close(files.device);
  return pid < 0 ? -error : pid;
}

int StartWorker(int socket) {
  const int error = StartThread(Role::kWorker, socket);
  if (error != 0) close(socket);
  return error;
}
