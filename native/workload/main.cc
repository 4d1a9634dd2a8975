// The mirrored process: a program that does with its memory what Node tells it, and nothing else.
//
//   hmm_workload PARENT CONTROL SERVICE DEVICE CPU
//
// PARENT is the pid of the process that started it; CONTROL and SERVICE are numbers of sockets, DEVICE of a device file
// or -1; CPU is the one to stay on, or -1. Not meant to be started by hand.
//
// There is no heap, no locale, no stdio: see process.cc for why all memory is static.
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>

#include "access.h"
#include "process.h"
#include "protocol.h"

namespace {

int Number(const char* text, int minimum) {
  char* end = nullptr;
  errno = 0;
  const long number = strtol(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || number < minimum || number > 1 << 22) _exit(kExitUsage);
  return static_cast<int>(number);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) return kExitUsage;
  const int parent = Number(arguments[1], 1);
  const ProcessFiles files = {Number(arguments[2], 3), Number(arguments[3], 3), Number(arguments[4], -1)};
  const int cpu = Number(arguments[5], -1);

  // The end of the sockets ends this process, but not while it is inside a long system call: this does.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) return 0;

  // Forked children report through their own sockets; nobody here waits for them.
  signal(SIGCHLD, SIG_IGN);
  InstallAccessHandler();
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= CPU_SETSIZE) return kExitUsage;
    CPU_SET(cpu, &set);
    // A machine without that CPU: the numbers that a caller wants to be exact would not be.
    if (sched_setaffinity(0, sizeof(set), &set) < 0) return kExitSystem;
  }
  RunProcess(files);
}
