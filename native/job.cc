#include "job.h"

namespace hmm {

napi_value Job::Submit(napi_env env, std::unique_ptr<Job> job) {
  napi_value promise = nullptr;
  napi_value name = nullptr;
  Job* raw = job.get();
  if (napi_create_promise(env, &raw->deferred_, &promise) != napi_ok ||
      napi_create_string_utf8(env, "hmm_mirror", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env, nullptr, name, OnExecute, OnComplete, raw, &raw->work_) != napi_ok) {
    napi_throw_error(env, nullptr, "cannot create asynchronous work");
    return nullptr;
  }
  if (napi_queue_async_work(env, raw->work_) != napi_ok) {
    napi_delete_async_work(env, raw->work_);
    napi_throw_error(env, nullptr, "cannot queue asynchronous work");
    return nullptr;
  }
  // OnComplete owns it now; Node waits for it even where the environment goes away.
  job.release();
  return promise;
}

void Job::OnExecute(napi_env, void* data) { static_cast<Job*>(data)->Execute(); }

void Job::OnComplete(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  napi_delete_async_work(env, job->work_);
  napi_value result = job->Result(env);
  // Where the environment is going away no promise can be settled, and nobody is left to see it.
  if (result != nullptr) napi_resolve_deferred(env, job->deferred_, result);
}

}  // namespace hmm
