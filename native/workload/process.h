// The process as a whole: how it binds to the device, forks, and makes threads.
#pragma once

#include "stream.h"

// One thread's place: slot 0 is the main thread, slot 1 the service thread, the rest are made on demand.
enum class Role { kMain, kService, kWorker };

struct Slot {
  Role role;
  Stream stream;
};

// The sockets and the device of a process that begins, by fork or by exec. device: -1 for none.
struct ProcessFiles {
  int control;
  int service;
  int device;
};

// Binds this process to the device and closes it, starts the service thread, says hello, and serves the control socket.
// Closes every other file. Never returns.
[[noreturn]] void RunProcess(const ProcessFiles& files);

// In the child: RunProcess. In the parent: closes the files; returns the pid, or -errno.
long ForkProcess(const ProcessFiles& files);

// Returns 0, or an errno; the socket is then closed. Called by the service thread only.
int StartWorker(int socket);
