#include "access.h"

#include <setjmp.h>
#include <signal.h>

#include <cstring>

namespace {

// What this thread is accessing just now; read by the signal handler on the same thread.
struct Guard {
  volatile sig_atomic_t armed;
  volatile uint64_t begin;
  volatile uint64_t end;
  volatile uint64_t fault_address;
  volatile int fault_signal;
  sigjmp_buf resume;
};

thread_local Guard guard;

void OnFault(int signal_number, siginfo_t* info, void*) {
  const uint64_t address = reinterpret_cast<uint64_t>(info->si_addr);
  // si_code <= 0: somebody's kill(), not a fault. SI_KERNEL: a non-canonical address, for which the CPU reports none;
  // canonical or not is the same for a whole page, so it was the first byte.
  const bool unlocated = info->si_code == SI_KERNEL;
  const bool ours = guard.armed && info->si_code > 0 && (unlocated || (address >= guard.begin && address < guard.end));
  if (!ours) {
    // Returning repeats a faulting instruction, which then kills; a sent signal has to be sent again.
    signal(signal_number, SIG_DFL);
    if (info->si_code <= 0) raise(signal_number);
    return;
  }
  guard.fault_address = unlocated ? guard.begin : address;
  guard.fault_signal = signal_number;
  siglongjmp(guard.resume, 1);
}

// Eight bytes at a time where the tested address allows it: such an access cannot straddle a page.
__attribute__((noinline)) void Load(uint64_t from, char* to, size_t length) {
  while (length > 0 && from % 8 != 0) {
    *to++ = *reinterpret_cast<const volatile char*>(from++);
    length--;
  }
  for (; length >= 8; length -= 8, from += 8, to += 8) {
    const uint64_t word = *reinterpret_cast<const volatile uint64_t*>(from);
    memcpy(to, &word, sizeof(word));
  }
  for (; length > 0; length--) *to++ = *reinterpret_cast<const volatile char*>(from++);
}

__attribute__((noinline)) void Store(uint64_t to, const char* from, size_t length) {
  while (length > 0 && to % 8 != 0) {
    *reinterpret_cast<volatile char*>(to++) = *from++;
    length--;
  }
  for (; length >= 8; length -= 8, from += 8, to += 8) {
    uint64_t word;
    memcpy(&word, from, sizeof(word));
    *reinterpret_cast<volatile uint64_t*>(to) = word;
  }
  for (; length > 0; length--) *reinterpret_cast<volatile char*>(to++) = *from++;
}

AccessResult FaultResult() {
  guard.armed = 0;
  return {static_cast<size_t>(guard.fault_address - guard.begin), guard.fault_signal, guard.fault_address};
}

// The compiler must not move what arms the guard across the accesses; the signal handler is all that looks at it.
void Arm(uint64_t address, size_t length) {
  guard.begin = address;
  guard.end = address + length;
  guard.armed = 1;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void Disarm() {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  guard.armed = 0;
}

}  // namespace

void InstallAccessHandler() {
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  // SA_NODEFER: siglongjmp leaves the handler without restoring a mask, which is thereby never changed.
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

AccessResult LoadFrom(uint64_t address, void* buffer, size_t length) {
  if (sigsetjmp(guard.resume, 0) != 0) return FaultResult();
  Arm(address, length);
  Load(address, static_cast<char*>(buffer), length);
  Disarm();
  return {length, 0, 0};
}

AccessResult StoreTo(uint64_t address, const void* buffer, size_t length) {
  if (sigsetjmp(guard.resume, 0) != 0) return FaultResult();
  Arm(address, length);
  Store(address, static_cast<const char*>(buffer), length);
  Disarm();
  return {length, 0, 0};
}
