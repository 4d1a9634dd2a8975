// Listeners that never answer: how long others wait for them. Prints one JSON object.
//
//   silent kill CONTEXTS NOTIFIERS MS   SIGKILL of the mirrored process, until it has gone
//   silent unmap CONTEXTS NOTIFIERS MS  its munmap of a page
//   silent pageout FILE MS              reclaim of its pages, made by the thread that would answer
//   silent close PAGES MS               the close of another context that has migrated so many pages to a device
//   silent remove MS                    SIGKILL of a process whose NOTIFIER_REMOVE waits for another context's listener
//   silent cap MS                       the bound that the module grants to who asks for MS
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hmm_mirror.h"

#define PAGE 4096UL
#define MAX_CONTEXTS 64

// Of the child, shared with the parent.
struct shared {
  char* memory;
  volatile int ready, go;
  volatile double seconds;
};

static struct shared* shared;
static int contexts[MAX_CONTEXTS];

static void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static long must(long result, const char* what) {
  if (result < 0) die(what);
  return result;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void open_contexts(int count, const char* device) {
  for (int i = 0; i < count; i++) contexts[i] = must(open(device, O_RDWR | O_CLOEXEC), device);
}

static void bind_contexts(int count) {
  for (int i = 0; i < count; i++) {
    struct hmm_mirror_bind bind = {0};
    must(ioctl(contexts[i], HMM_MIRROR_BIND, &bind), "BIND");
  }
}

static struct hmm_mirror_notifier_insert insert(int context, unsigned long start, unsigned long length, __u32 ms) {
  struct hmm_mirror_notifier_insert insert = {
      .start = start,
      .length = length,
      .flags = HMM_MIRROR_NOTIFIER_SYNC,
      .device = HMM_MIRROR_NO_DEVICE,
      .timeout_ms = ms,
  };
  must(ioctl(context, HMM_MIRROR_NOTIFIER_INSERT, &insert), "NOTIFIER_INSERT");
  return insert;
}

// A child whose memory the contexts mirror, and which runs `body` when it is told to.
static pid_t start(int count, unsigned long length, int file, void (*body)(void)) {
  const pid_t child = must(fork(), "fork");
  if (child == 0) {
    bind_contexts(count);
    for (int i = 0; i < count; i++) close(contexts[i]);
    const int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    char* memory = mmap(NULL, length, file < 0 ? PROT_READ | PROT_WRITE : PROT_READ, flags, file, 0);
    if (memory == MAP_FAILED) die("mmap");
    for (unsigned long at = 0; at < length; at += PAGE) {
      if (file < 0) memory[at] = 1;
      else *(volatile char*)&memory[at];
    }
    shared->memory = memory;
    shared->ready = 1;
    while (!shared->go) usleep(1000);
    if (body != NULL) body();
    for (;;) pause();
  }
  while (!shared->ready) usleep(1000);
  return child;
}

static void unmap_page(void) {
  const double began = now();
  must(munmap(shared->memory, PAGE), "munmap");
  shared->seconds = now() - began;
  shared->ready = 2;
}

static void finish(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

static void listeners(int count, int notifiers, int ms) {
  for (int i = 0; i < notifiers; i++) insert(contexts[i % count], (unsigned long)shared->memory, PAGE, ms);
}

static void run_kill(int count, int notifiers, int ms) {
  const pid_t child = start(count, PAGE, -1, NULL);
  listeners(count, notifiers, ms);
  const double began = now();
  finish(child);
  printf("{\"seconds\":%.3f}\n", now() - began);
}

static void run_unmap(int count, int notifiers, int ms) {
  const pid_t child = start(count, PAGE, -1, unmap_page);
  listeners(count, notifiers, ms);
  shared->go = 1;
  while (shared->ready != 2) usleep(1000);
  printf("{\"seconds\":%.3f}\n", shared->seconds);
  finish(child);
}

static void run_pageout(const char* path, int ms) {
  const unsigned long length = 32 * PAGE;
  const int file = must(open(path, O_RDONLY), path);
  const pid_t child = start(1, length, file, NULL);
  insert(contexts[0], (unsigned long)shared->memory, length, ms);
  const int process = must(syscall(SYS_pidfd_open, child, 0), "pidfd_open");
  struct iovec vector = {shared->memory, length};
  const double began = now();
  must(syscall(SYS_process_madvise, process, &vector, 1UL, 21 /* MADV_PAGEOUT */, 0U), "process_madvise");
  printf("{\"seconds\":%.3f}\n", now() - began);
  finish(child);
}

// Context 0 migrates pages to its device; context 1 listens to each of them and never answers.
static void run_close(int pages, int ms) {
  const unsigned long length = pages * PAGE;
  const pid_t child = start(2, length, -1, NULL);
  struct hmm_mirror_info info;
  must(ioctl(contexts[0], HMM_MIRROR_INFO, &info), "INFO");
  struct hmm_mirror_notifier_insert mirror = {
      .start = (unsigned long)shared->memory,
      .length = length,
      .flags = HMM_MIRROR_NOTIFIER_PAGE_TABLE,
      .device = info.default_device,
  };
  must(ioctl(contexts[0], HMM_MIRROR_NOTIFIER_INSERT, &mirror), "NOTIFIER_INSERT");
  struct hmm_mirror_pages move = {.id = mirror.id, .start = mirror.start, .end = mirror.start + length};
  must(ioctl(contexts[0], HMM_MIRROR_MIGRATE_TO_DEVICE, &move), "MIGRATE_TO_DEVICE");
  for (int i = 0; i < pages; i++) insert(contexts[1], mirror.start + i * PAGE, PAGE, ms);
  const double began = now();
  close(contexts[0]);
  printf("{\"migrated\":%llu,\"seconds\":%.3f}\n", (unsigned long long)move.pages, now() - began);
  finish(child);
}

// A bystander removes its own notifier while an munmap waits for the other context's listener.
static void run_remove(int ms) {
  const pid_t child = start(2, PAGE, -1, unmap_page);
  insert(contexts[0], (unsigned long)shared->memory, PAGE, ms);
  const struct hmm_mirror_notifier_insert own = insert(contexts[1], (unsigned long)shared->memory + PAGE, PAGE, ms);
  shared->go = 1;
  // The invalidation is under way when its event can be read; reading it would be a sign of life, so poll alone.
  usleep(200 * 1000);
  const pid_t bystander = must(fork(), "fork");
  if (bystander == 0) {
    struct hmm_mirror_notifier_id id = {.id = own.id};
    ioctl(contexts[1], HMM_MIRROR_NOTIFIER_REMOVE, &id);
    for (;;) pause();
  }
  usleep(100 * 1000);
  const double began = now();
  finish(bystander);
  printf("{\"seconds\":%.3f,\"munmap\":%d}\n", now() - began, shared->ready);
  finish(child);
}

static void run_cap(int ms) {
  const pid_t child = start(1, PAGE, -1, NULL);
  printf("{\"granted\":%u}\n", insert(contexts[0], (unsigned long)shared->memory, PAGE, ms).timeout_ms);
  finish(child);
}

int main(int count, char** words) {
  const char* device = getenv("DEVICE") != NULL ? getenv("DEVICE") : "/dev/hmm_mirror0";
  if (count < 3) return 64;
  shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) die("mmap");
  const int first = atoi(words[2]), second = count > 3 ? atoi(words[3]) : 0, third = count > 4 ? atoi(words[4]) : 0;
  const int several = strcmp(words[1], "kill") == 0 || strcmp(words[1], "unmap") == 0;
  open_contexts(several ? first : 2, device);
  if (strcmp(words[1], "kill") == 0) run_kill(first, second, third);
  else if (strcmp(words[1], "unmap") == 0) run_unmap(first, second, third);
  else if (strcmp(words[1], "pageout") == 0) run_pageout(words[2], second);
  else if (strcmp(words[1], "close") == 0) run_close(first, second);
  else if (strcmp(words[1], "remove") == 0) run_remove(first);
  else if (strcmp(words[1], "cap") == 0) run_cap(first);
  else return 64;
  return 0;
}
