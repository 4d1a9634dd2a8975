#include "channel.h"

#include <errno.h>

#include "descriptor.h"
#include "poller.h"
#include "socket.h"
#include "values.h"

namespace hmm {

namespace {

// JavaScript thread only.
struct ChannelState {
  ~ChannelState() {
    if (poller) poller->Close();
  }
  SharedDescriptor socket;
  std::shared_ptr<Poller> poller;
};

bool GetDescriptors(napi_env env, napi_value array, SharedDescriptor* files, int* numbers, size_t* count) {
  *count = 0;
  napi_valuetype type;
  if (napi_typeof(env, array, &type) != napi_ok) return false;
  if (type == napi_undefined) return true;
  uint32_t length = 0;
  if (napi_get_array_length(env, array, &length) != napi_ok) {
    ThrowTypeError(env, "descriptors must be an array");
    return false;
  }
  if (length > kMaxDescriptorsPerMessage) {
    ThrowRangeError(env, "too many descriptors for one message");
    return false;
  }
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    if (napi_get_element(env, array, i, &element) != napi_ok || !GetDescriptor(env, element, &files[i])) return false;
    numbers[i] = files[i]->number();
  }
  *count = length;
  return true;
}

// send(bytes, start, descriptors?): sends bytes from start on; the files go with the first. Returns the number of
// bytes taken, or -errno (-EAGAIN: wait until writable).
napi_value Send(napi_env env, napi_callback_info info) {
  Arguments<ChannelState, 3> arguments;
  ByteSpan bytes;
  int64_t start = 0;
  SharedDescriptor files[kMaxDescriptorsPerMessage];
  int numbers[kMaxDescriptorsPerMessage];
  size_t count = 0;
  if (!arguments.Get(env, info)) return nullptr;
  // The files first: looking into an array can run a getter of JavaScript's, and that could detach the bytes.
  if (!GetDescriptors(env, arguments[2], files, numbers, &count)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_uint8_array, "bytes", &bytes)) return nullptr;
  // There is something to send: the files could not travel alone.
  if (bytes.size == 0) {
    ThrowRangeError(env, "bytes is empty");
    return nullptr;
  }
  if (!GetInteger(env, arguments[1], "start", 0, static_cast<double>(bytes.size - 1), &start)) return nullptr;
  const SharedDescriptor& socket = arguments.owner->socket;
  if (!socket) return IntegerValue(env, -EBADF);
  return IntegerValue(env,
                      SendWithDescriptors(socket->number(), bytes.data + start, bytes.size - start, numbers, count));
}

// receive(bytes): returns the number of bytes, 0 at the end of the stream, or -errno (-EAGAIN: nothing there).
napi_value ReceiveInto(napi_env env, napi_callback_info info) {
  Arguments<ChannelState, 1> arguments;
  ByteSpan bytes;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_uint8_array, "bytes", &bytes)) return nullptr;
  if (bytes.size == 0) {
    ThrowRangeError(env, "bytes is empty");
    return nullptr;
  }
  const SharedDescriptor& socket = arguments.owner->socket;
  if (!socket) return IntegerValue(env, -EBADF);
  return IntegerValue(env, Receive(socket->number(), bytes.data, bytes.size));
}

// watch(callback): calls it with UV_READABLE | UV_WRITABLE bits, or a negative errno.
napi_value Watch(napi_env env, napi_callback_info info) {
  Arguments<ChannelState, 1> arguments;
  if (!arguments.Get(env, info) || !RequireFunction(env, arguments[0], "callback")) return nullptr;
  ChannelState& channel = *arguments.owner;
  if (!channel.socket || channel.poller) {
    ThrowTypeError(env, "the channel is closed, or watched already");
    return nullptr;
  }
  channel.poller = Poller::Start(env, channel.socket, arguments[0]);
  return nullptr;
}

// watchWritable(enabled): returns undefined or a positive errno.
napi_value WatchWritable(napi_env env, napi_callback_info info) {
  Arguments<ChannelState, 1> arguments;
  bool enabled = false;
  if (!arguments.Get(env, info) || !GetBoolean(env, arguments[0], "enabled", &enabled)) return nullptr;
  const auto& poller = arguments.owner->poller;
  return ErrnoValue(env, poller ? poller->WatchWritable(enabled) : EBADF);
}

napi_value Ref(napi_env env, napi_callback_info info) {
  Arguments<ChannelState, 1> arguments;
  if (arguments.Get(env, info) && arguments.owner->poller) arguments.owner->poller->Ref();
  return nullptr;
}

napi_value Unref(napi_env env, napi_callback_info info) {
  Arguments<ChannelState, 1> arguments;
  if (arguments.Get(env, info) && arguments.owner->poller) arguments.owner->poller->Unref();
  return nullptr;
}

napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<ChannelState, 1> arguments;
  if (!arguments.Get(env, info)) return nullptr;
  ChannelState& channel = *arguments.owner;
  if (channel.poller) channel.poller->Close();
  channel.socket.reset();
  return nullptr;
}

}  // namespace

napi_value CreateChannel(napi_env env, napi_callback_info) {
  auto state = std::make_shared<ChannelState>();
  SharedDescriptor peer;
  const int error = CreateSocketPair(&state->socket, &peer);
  if (error != 0) return IntegerValue(env, error);
  napi_value result, channel;
  if (napi_create_object(env, &result) != napi_ok || napi_create_object(env, &channel) != napi_ok ||
      !SetMethod(env, channel, "send", Send, state) || !SetMethod(env, channel, "receive", ReceiveInto, state) ||
      !SetMethod(env, channel, "watch", Watch, state) ||
      !SetMethod(env, channel, "watchWritable", WatchWritable, state) || !SetMethod(env, channel, "ref", Ref, state) ||
      !SetMethod(env, channel, "unref", Unref, state) || !SetMethod(env, channel, "close", Close, state) ||
      napi_set_named_property(env, result, "channel", channel) != napi_ok) {
    return nullptr;
  }
  napi_value descriptor = CreateDescriptor(env, peer);
  if (descriptor == nullptr || napi_set_named_property(env, result, "peer", descriptor) != napi_ok) return nullptr;
  return result;
}

}  // namespace hmm
