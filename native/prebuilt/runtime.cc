// What the prebuilt addon takes from the C++ library, so that it needs none of the machine's: which one there is, and
// of what version, differs from machine to machine, and distributions with musl often have none. The addon is compiled
// without exceptions and type information; what would throw ends the process.
//
// A build from source (binding.gyp) uses the machine's own C++ library, and does not contain this file.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <new>
#include <string>

namespace {

[[noreturn]] void Die(const char* what) {
  fprintf(stderr, "node-hmm: %s\n", what);
  abort();
}

}  // namespace

// The declarations are the C++ library's.
#pragma GCC diagnostic ignored "-Wmissing-declarations"

void* operator new(std::size_t size) {
  void* memory = malloc(size == 0 ? 1 : size);
  if (memory == nullptr) Die("out of memory");
  return memory;
}

void operator delete(void* memory) noexcept { free(memory); }
void operator delete(void* memory, std::size_t) noexcept { free(memory); }

namespace std {

void __throw_bad_alloc() { Die("out of memory"); }
void __throw_bad_array_new_length() { Die("out of memory"); }
void __throw_bad_function_call() { Die("an empty function was called"); }
void __throw_logic_error(const char* what) { Die(what); }
void __throw_length_error(const char* what) { Die(what); }
void __throw_out_of_range(const char* what) { Die(what); }
void __throw_out_of_range_fmt(const char* what, ...) { Die(what); }
void __throw_system_error(int) { Die("a lock failed"); }

// Compared only with type information.
bool _Sp_make_shared_tag::_S_eq(const type_info&) noexcept { return false; }

template class basic_string<char>;

condition_variable::condition_variable() noexcept = default;
condition_variable::~condition_variable() noexcept = default;
void condition_variable::notify_one() noexcept { pthread_cond_signal(native_handle()); }
void condition_variable::notify_all() noexcept { pthread_cond_broadcast(native_handle()); }
void condition_variable::wait(unique_lock<mutex>& lock) noexcept {
  pthread_cond_wait(native_handle(), lock.mutex()->native_handle());
}

chrono::steady_clock::time_point chrono::steady_clock::now() noexcept {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return time_point(duration(chrono::seconds(now.tv_sec) + chrono::nanoseconds(now.tv_nsec)));
}

chrono::system_clock::time_point chrono::system_clock::now() noexcept {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return time_point(duration(chrono::seconds(now.tv_sec) + chrono::nanoseconds(now.tv_nsec)));
}

void terminate() noexcept { Die("terminated"); }

}  // namespace std

extern "C" {

// Read by shared_ptr to leave out atomic operations; glibc has it from 2.32 on. Node always has threads.
char __libc_single_threaded = 0;

// Named by the archive's tree.o, which has tables for exceptions. Nothing is ever thrown.
void __gxx_personality_v0() { Die("an exception was thrown"); }

[[noreturn]] void __cxa_pure_virtual() { Die("a pure virtual function was called"); }

// The first byte of a guard says that the variable has been initialized: compiled code reads it. One lock for all of
// them: they are few, and none is initialized by another's initializer.
static pthread_mutex_t guards = PTHREAD_MUTEX_INITIALIZER;

int __cxa_guard_acquire(char* guard) {
  pthread_mutex_lock(&guards);
  if (__atomic_load_n(guard, __ATOMIC_ACQUIRE) == 0) return 1;
  pthread_mutex_unlock(&guards);
  return 0;
}

void __cxa_guard_release(char* guard) {
  __atomic_store_n(guard, 1, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&guards);
}

#ifdef __GLIBC__
// A function of the library from 2.33 on, and before a macro over another one. The system call fills the same struct.
int fstat(int fd, struct stat* result) noexcept { return static_cast<int>(syscall(SYS_fstat, fd, result)); }
#endif
}
