#include "thread_pool.h"

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

namespace hmm {

namespace {

// An ioctl needs little.
constexpr size_t kStackSize = 256 * 1024;
constexpr auto kIdleTime = std::chrono::seconds(5);

class ThreadPool {
 public:
  // Never destroyed: threads may use it until the process has gone.
  static ThreadPool& Instance() {
    static auto* pool = new ThreadPool;
    return *pool;
  }

  int Run(std::function<void()> task) {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
    if (idle_ >= tasks_.size()) {
      available_.notify_one();
      return 0;
    }
    const int error = Start();
    if (error != 0) tasks_.pop_back();
    return error;
  }

 private:
  int Start() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStackSize);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    // Signals of the process are for Node's own threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const int error = pthread_create(&thread, &attributes, Main, this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return error;
  }

  static void* Main(void* pool) {
    static_cast<ThreadPool*>(pool)->Loop();
    return nullptr;
  }

  void Loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      if (tasks_.empty()) {
        idle_++;
        const bool found = available_.wait_for(lock, kIdleTime, [this] { return !tasks_.empty(); });
        idle_--;
        if (!found) return;
      }
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      // What the task holds may sleep when it is let go.
      task = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable available_;
  std::deque<std::function<void()>> tasks_;
  // Threads that wait for a task.
  size_t idle_ = 0;
};

}  // namespace

int RunOnThread(std::function<void()> task) { return ThreadPool::Instance().Run(std::move(task)); }

}  // namespace hmm
