// An open file as a JavaScript object: what can be handed to a child process or sent over a channel.
#pragma once

#include <node_api.h>

#include "file_descriptor.h"

namespace hmm {

// An object with number(), length() and close() (lib/kernel/addon.ts, Descriptor). Null with an exception pending.
napi_value CreateDescriptor(napi_env env, const SharedDescriptor& descriptor);

// The file in such an object. TypeError: another kind of object, or closed.
bool GetDescriptor(napi_env env, napi_value value, SharedDescriptor* descriptor);

// createMemoryFile(length): a Descriptor of a new memfd of that length, or a positive errno.
napi_value CreateMemoryFile(napi_env env, napi_callback_info info);

}  // namespace hmm
