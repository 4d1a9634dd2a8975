// Threads for requests that may sleep.
//
// Not libuv's pool: its four threads serve all of Node, and a request may sleep until JavaScript answers a callback or
// releases a lock, for which it may need that pool itself. Node also waits for that pool's threads when it exits.
#pragma once

#include <functional>

namespace hmm {

// Runs the task on a thread of its own, an idle one if there is one. Any number of tasks sleep at the same time. The
// threads are detached: the process does not wait for them when it exits. Returns 0 or an errno (EAGAIN: no thread can
// be made); then the task is not run.
int RunOnThread(std::function<void()> task);

}  // namespace hmm
