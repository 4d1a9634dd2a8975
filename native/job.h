// Work on a thread of its own with a promise for its result.
#pragma once

#include <node_api.h>

#include <memory>

namespace hmm {

class Completions;

// A job touches no memory of JavaScript off the JavaScript thread: buffers can be detached, and freed, at any time. One
// that ends when its environment has gone is destroyed on its own thread, without a call of Result().
class Job {
 public:
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Starts the job and returns the promise, or null with an exception pending.
  static napi_value Submit(napi_env env, std::unique_ptr<Job> job);

  // To be called once for each environment, before Submit. False: an exception is pending.
  static bool Prepare(napi_env env);

 protected:
  Job() = default;
  // On a thread of its own.
  virtual void Execute() = 0;
  // Back on the JavaScript thread: what the promise resolves to. Null if the environment refuses to make values, which
  // it does only while it goes away.
  virtual napi_value Result(napi_env env) = 0;
  // On the JavaScript thread, of a job that was never started: lets go of what belongs to JavaScript.
  virtual void Discard(napi_env) {}

 private:
  friend class Completions;

  napi_deferred deferred_ = nullptr;
};

}  // namespace hmm
