#include "poller.h"

#include <errno.h>

#include <string>

namespace hmm {

std::shared_ptr<Poller> Poller::Start(napi_env env, const SharedDescriptor& descriptor, napi_value callback) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    napi_throw_error(env, nullptr, "the environment has no event loop");
    return nullptr;
  }
  auto poller = std::make_shared<Poller>(env, descriptor);
  const int error = uv_poll_init(loop, &poller->handle_, descriptor->number());
  if (error != 0) {
    napi_throw_error(env, nullptr, (std::string("uv_poll_init: ") + uv_strerror(error)).c_str());
    return nullptr;
  }
  // From here on the handle belongs to the loop and has to go through Close().
  poller->handle_.data = poller.get();
  poller->self_ = poller;
  uv_unref(reinterpret_cast<uv_handle_t*>(&poller->handle_));
  napi_value name;
  if (napi_add_async_cleanup_hook(env, OnTeardown, poller.get(), &poller->teardown_) != napi_ok ||
      napi_create_string_utf8(env, "hmm_mirror", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, nullptr, name, &poller->async_context_) != napi_ok ||
      napi_create_reference(env, callback, 1, &poller->callback_) != napi_ok ||
      uv_poll_start(&poller->handle_, UV_READABLE, OnPoll) != 0) {
    poller->Close();
    napi_throw_error(env, nullptr, "cannot watch the file");
    return nullptr;
  }
  return poller;
}

int Poller::WatchWritable(bool enabled) {
  if (closing_) return EBADF;
  return -uv_poll_start(&handle_, enabled ? UV_READABLE | UV_WRITABLE : UV_READABLE, OnPoll);
}

void Poller::Ref() {
  if (!closing_) uv_ref(reinterpret_cast<uv_handle_t*>(&handle_));
}

void Poller::Unref() {
  if (!closing_) uv_unref(reinterpret_cast<uv_handle_t*>(&handle_));
}

void Poller::Close() {
  if (closing_) return;
  closing_ = true;
  if (callback_ != nullptr) napi_delete_reference(env_, callback_);
  if (async_context_ != nullptr) napi_async_destroy(env_, async_context_);
  // Takes the file out of the loop's epoll set at once, so it may be closed right after; only the memory has to wait.
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), OnClosed);
  descriptor_.reset();
}

void Poller::OnPoll(uv_poll_t* handle, int status, int events) {
  auto* poller = static_cast<Poller*>(handle->data);
  // The callback may close the poller; this keeps it whole until it has returned.
  const std::shared_ptr<Poller> self = poller->self_;
  napi_env env = poller->env_;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value global, callback, argument, result;
  napi_status made = napi_generic_failure;
  if (napi_get_global(env, &global) == napi_ok &&
      napi_get_reference_value(env, poller->callback_, &callback) == napi_ok &&
      napi_create_int32(env, status < 0 ? status : events, &argument) == napi_ok) {
    made = napi_make_callback(env, poller->async_context_, global, callback, 1, &argument, &result);
  }
  if (made == napi_pending_exception) {
    // As an exception in any other callback of the loop: it is the process's 'uncaughtException'.
    napi_value error;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

void Poller::OnTeardown(napi_async_cleanup_hook_handle, void* data) { static_cast<Poller*>(data)->Close(); }

void Poller::OnClosed(uv_handle_t* handle) {
  auto* poller = static_cast<Poller*>(handle->data);
  // At teardown this is what tells the environment that it may go on.
  if (poller->teardown_ != nullptr) napi_remove_async_cleanup_hook(poller->teardown_);
  poller->self_.reset();
}

}  // namespace hmm
