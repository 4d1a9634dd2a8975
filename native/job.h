// Work on libuv's thread pool with a promise for its result.
#pragma once

#include <node_api.h>

#include <memory>

namespace hmm {

// A job touches no memory of JavaScript off the JavaScript thread: buffers can be detached, and freed, at any time.
class Job {
 public:
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Queues the job and returns the promise, or null with an exception pending.
  static napi_value Submit(napi_env env, std::unique_ptr<Job> job);

 protected:
  Job() = default;
  // On the thread pool.
  virtual void Execute() = 0;
  // Back on the JavaScript thread: what the promise resolves to. Null if the environment refuses to make values, which
  // it does only while it goes away.
  virtual napi_value Result(napi_env env) = 0;

 private:
  static void OnExecute(napi_env env, void* data);
  static void OnComplete(napi_env env, napi_status status, void* data);

  napi_async_work work_ = nullptr;
  napi_deferred deferred_ = nullptr;
};

}  // namespace hmm
