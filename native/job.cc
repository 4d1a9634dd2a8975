#include "job.h"

#include <string.h>
#include <uv.h>

#include <mutex>
#include <string>
#include <vector>

#include "thread_pool.h"

namespace hmm {

// The jobs of one environment that have ended, on their way back to its thread. It outlives the environment as long as
// a job is under way: a thread that ends later finds it closed. The libuv handle holds it until the loop has let go.
class Completions : public std::enable_shared_from_this<Completions> {
 public:
  explicit Completions(napi_env env) : env_(env) {}

  bool Open() {
    uv_loop_t* loop = nullptr;
    napi_value name, object;
    if (napi_get_uv_event_loop(env_, &loop) != napi_ok || uv_async_init(loop, &async_, OnWake) != 0) return false;
    // From here on the handle belongs to the loop and has to go through Close().
    async_.data = this;
    self_ = shared_from_this();
    uv_unref(reinterpret_cast<uv_handle_t*>(&async_));
    if (napi_add_async_cleanup_hook(env_, OnTeardown, this, &teardown_) == napi_ok &&
        napi_create_string_utf8(env_, "hmm_mirror", NAPI_AUTO_LENGTH, &name) == napi_ok &&
        napi_create_object(env_, &object) == napi_ok && napi_create_reference(env_, object, 1, &resource_) == napi_ok &&
        napi_async_init(env_, object, name, &context_) == napi_ok) {
      return true;
    }
    Close();
    return false;
  }

  // JavaScript thread. A job under way keeps the event loop alive.
  void Began() {
    if (under_way_++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&async_));
  }

  // JavaScript thread.
  void Ended() {
    if (--under_way_ == 0 && !closed_) uv_unref(reinterpret_cast<uv_handle_t*>(&async_));
  }

  // The job's thread.
  void Deliver(std::unique_ptr<Job> job) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!closed_) {
        done_.push_back(std::move(job));
        // Under the lock: the handle is closed only after closed_ has been set under it.
        uv_async_send(&async_);
        return;
      }
    }
    // Nobody is left to see the result. Outside the lock: what the job lets go of may sleep.
    job.reset();
  }

 private:
  void Close() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (closed_) return;
      closed_ = true;
    }
    if (context_ != nullptr) napi_async_destroy(env_, context_);
    if (resource_ != nullptr) napi_delete_reference(env_, resource_);
    uv_close(reinterpret_cast<uv_handle_t*>(&async_), OnClosed);
  }

  void Settle(std::unique_ptr<Job> job) {
    napi_handle_scope handles;
    napi_callback_scope scope;
    napi_value resource;
    Ended();
    if (napi_open_handle_scope(env_, &handles) != napi_ok) return;
    // Leaving the scope runs what the program does in answer to the promise.
    if (napi_get_reference_value(env_, resource_, &resource) == napi_ok &&
        napi_open_callback_scope(env_, resource, context_, &scope) == napi_ok) {
      napi_value result = job->Result(env_);
      // Where the environment is going away no promise can be settled, and nobody is left to see it.
      if (result != nullptr) napi_resolve_deferred(env_, job->deferred_, result);
      napi_close_callback_scope(env_, scope);
    }
    napi_close_handle_scope(env_, handles);
  }

  static void OnWake(uv_async_t* handle) {
    const std::shared_ptr<Completions> self = static_cast<Completions*>(handle->data)->self_;
    std::vector<std::unique_ptr<Job>> done;
    {
      const std::lock_guard<std::mutex> lock(self->mutex_);
      done.swap(self->done_);
    }
    // What a program does in answer may end the environment.
    for (auto& job : done)
      if (!self->closed_) self->Settle(std::move(job));
  }

  static void OnTeardown(napi_async_cleanup_hook_handle, void* data) { static_cast<Completions*>(data)->Close(); }

  static void OnClosed(uv_handle_t* handle) {
    auto* completions = static_cast<Completions*>(handle->data);
    // This tells the environment that it may go on.
    if (completions->teardown_ != nullptr) napi_remove_async_cleanup_hook(completions->teardown_);
    completions->self_.reset();
  }

  const napi_env env_;
  uv_async_t async_;
  napi_async_context context_ = nullptr;
  napi_ref resource_ = nullptr;
  napi_async_cleanup_hook_handle teardown_ = nullptr;
  size_t under_way_ = 0;
  std::shared_ptr<Completions> self_;
  std::mutex mutex_;
  // Written by the JavaScript thread under the lock.
  bool closed_ = false;
  // Guarded by the lock.
  std::vector<std::unique_ptr<Job>> done_;
};

bool Job::Prepare(napi_env env) {
  auto* completions = new std::shared_ptr<Completions>(std::make_shared<Completions>(env));
  if ((*completions)->Open() &&
      napi_set_instance_data(
          env, completions,
          [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Completions>*>(data); },
          nullptr) == napi_ok) {
    return true;
  }
  delete completions;
  napi_throw_error(env, nullptr, "the environment has no event loop");
  return false;
}

napi_value Job::Submit(napi_env env, std::unique_ptr<Job> job) {
  void* data = nullptr;
  napi_value promise = nullptr;
  if (napi_get_instance_data(env, &data) != napi_ok || data == nullptr ||
      napi_create_promise(env, &job->deferred_, &promise) != napi_ok) {
    napi_throw_error(env, nullptr, "cannot create asynchronous work");
    return nullptr;
  }
  const std::shared_ptr<Completions> completions = *static_cast<std::shared_ptr<Completions>*>(data);
  // std::function copies what it holds; the job has one owner.
  auto shared = std::make_shared<std::unique_ptr<Job>>(std::move(job));
  const int error = RunOnThread([shared, completions] {
    (*shared)->Execute();
    completions->Deliver(std::move(*shared));
  });
  if (error != 0) {
    (*shared)->Discard(env);
    napi_throw_error(env, nullptr, (std::string("cannot start a thread: ") + strerror(error)).c_str());
    return nullptr;
  }
  completions->Began();
  return promise;
}

}  // namespace hmm
