// Watches a file in the event loop of the environment that made it, and calls one JavaScript function when it is ready.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <memory>

#include "file_descriptor.h"

namespace hmm {

// The libuv handle outlives every owner until the loop has let go of it, so it holds itself (self_) from Start to the
// close callback. Closed by its owner, or by the environment's teardown, whichever comes first. JavaScript thread only.
class Poller : public std::enable_shared_from_this<Poller> {
 public:
  // Starts to watch for readability. The handle does not keep the loop alive until Ref(). Returns null with an
  // exception pending.
  static std::shared_ptr<Poller> Start(napi_env env, const SharedDescriptor& descriptor, napi_value callback);

  // The callback gets UV_READABLE | UV_WRITABLE bits, or a negative errno where polling itself failed.
  // Watches for writability, too, or no longer. Returns 0 or an errno.
  int WatchWritable(bool enabled);
  void Ref();
  void Unref();
  // Stops, before the file may be closed. Idempotent.
  void Close();

  Poller(napi_env env, SharedDescriptor descriptor) : env_(env), descriptor_(std::move(descriptor)) {}

 private:
  static void OnPoll(uv_poll_t* handle, int status, int events);
  static void OnTeardown(napi_async_cleanup_hook_handle hook, void* data);
  static void OnClosed(uv_handle_t* handle);

  const napi_env env_;
  SharedDescriptor descriptor_;
  uv_poll_t handle_;
  napi_ref callback_ = nullptr;
  napi_async_context async_context_ = nullptr;
  napi_async_cleanup_hook_handle teardown_ = nullptr;
  bool closing_ = false;
  std::shared_ptr<Poller> self_;
};

}  // namespace hmm
