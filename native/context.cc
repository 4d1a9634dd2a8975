#include "context.h"

#include <string>

#include "context_state.h"
#include "descriptor.h"
#include "job.h"
#include "thread_pool.h"
#include "values.h"

namespace hmm {

namespace {

// Closing a device file removes its notifiers, which can wait for a running invalidation: not on the JavaScript thread.
class ReleaseJob : public Job {
 public:
  explicit ReleaseJob(Device device) : device_(std::move(device)) {}

 protected:
  void Execute() override { device_.Release(); }
  napi_value Result(napi_env env) override {
    napi_value undefined = nullptr;
    napi_get_undefined(env, &undefined);
    return undefined;
  }

 private:
  Device device_;
};

}  // namespace

void ReleaseOnThread(Device device) {
  if (!device.is_open()) return;
  // Without a thread it is closed here, when the argument goes.
  RunOnThread([device]() mutable { device.Release(); });
}

namespace {

// info(words): HMM_MIRROR_INFO into the array.
napi_value Info(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  ByteSpan words;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_uint32_array, "info", &words)) return nullptr;
  if (words.size < sizeof(hmm_mirror_info)) {
    ThrowRangeError(env, "info is too short");
    return nullptr;
  }
  return ErrnoValue(env, arguments.owner->device.Info(reinterpret_cast<hmm_mirror_info*>(words.data)));
}

// readEvents(bytes): whole records; returns their bytes, or -errno.
napi_value ReadEvents(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  ByteSpan bytes;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_uint8_array, "bytes", &bytes)) return nullptr;
  return IntegerValue(env, arguments.owner->device.ReadEvents(bytes.data, bytes.size));
}

// descriptor(): the device file, for the process that binds itself to it.
napi_value DescriptorOf(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  if (!arguments.Get(env, info)) return nullptr;
  if (!arguments.owner->device.is_open()) {
    ThrowTypeError(env, "the context is closed");
    return nullptr;
  }
  return CreateDescriptor(env, arguments.owner->device.descriptor());
}

// watch(callback): calls it when there are events to read.
napi_value Watch(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  if (!arguments.Get(env, info) || !RequireFunction(env, arguments[0], "callback")) return nullptr;
  ContextState& context = *arguments.owner;
  if (!context.device.is_open() || context.poller) {
    ThrowTypeError(env, "the context is closed, or watched already");
    return nullptr;
  }
  context.poller = Poller::Start(env, context.device.descriptor(), arguments[0]);
  return nullptr;
}

napi_value Ref(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  if (arguments.Get(env, info) && arguments.owner->poller) arguments.owner->poller->Ref();
  return nullptr;
}

napi_value Unref(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  if (arguments.Get(env, info) && arguments.owner->poller) arguments.owner->poller->Unref();
  return nullptr;
}

// close(): a promise. Requests in flight keep the file open until they have ended.
napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  if (!arguments.Get(env, info)) return nullptr;
  ContextState& context = *arguments.owner;
  if (context.poller) context.poller->Close();
  auto job = std::make_unique<ReleaseJob>(context.device);
  context.device.Release();
  return Job::Submit(env, std::move(job));
}

// A property that is an array over a new block.
template <typename Block, typename Element, napi_typedarray_type kType>
bool AddBlock(napi_env env, napi_value object, const char* name, Block** block, napi_ref* reference) {
  napi_value buffer, array;
  void* data = nullptr;
  if (napi_create_arraybuffer(env, sizeof(Block), &data, &buffer) != napi_ok ||
      napi_create_typedarray(env, kType, sizeof(Block) / sizeof(Element), buffer, 0, &array) != napi_ok ||
      napi_create_reference(env, buffer, 1, reference) != napi_ok) {
    return false;
  }
  *block = static_cast<Block*>(data);
  return napi_set_named_property(env, object, name, array) == napi_ok;
}

bool AddRequest(napi_env env, napi_value object, const char* name, RequestBlock** block, napi_ref* reference) {
  return AddBlock<RequestBlock, uint32_t, napi_uint32_array>(env, object, name, block, reference);
}

}  // namespace

napi_value OpenContext(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
  size_t length = 0;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok) return nullptr;
  if (napi_get_value_string_utf8(env, argument, nullptr, 0, &length) != napi_ok) {
    ThrowTypeError(env, "path must be a string");
    return nullptr;
  }
  std::string path(length, '\0');
  if (napi_get_value_string_utf8(env, argument, path.data(), length + 1, &length) != napi_ok) return nullptr;
  if (path.find('\0') != std::string::npos) {
    ThrowTypeError(env, "path must not contain a null byte");
    return nullptr;
  }

  auto context = std::make_shared<ContextState>();
  context->env = env;
  const int error = Device::Open(path.c_str(), &context->device);
  if (error != 0) return IntegerValue(env, error);

  napi_value object;
  if (napi_create_object(env, &object) != napi_ok ||
      !AddRequest(env, object, "request", &context->request, &context->request_reference) ||
      !AddRequest(env, object, "range", &context->range, &context->range_reference) ||
      !AddBlock<BoundAccess, double, napi_float64_array>(env, object, "access", &context->access,
                                                         &context->access_reference) ||
      !SetMethod(env, object, "info", Info, context) || !SetMethod(env, object, "readEvents", ReadEvents, context) ||
      !SetMethod(env, object, "descriptor", DescriptorOf, context) ||
      !SetMethod(env, object, "watch", Watch, context) || !SetMethod(env, object, "ref", Ref, context) ||
      !SetMethod(env, object, "unref", Unref, context) || !SetMethod(env, object, "close", Close, context) ||
      !AddInlineRequests(env, object, context) || !AddPooledRequests(env, object, context)) {
    return nullptr;
  }
  return object;
}

}  // namespace hmm
