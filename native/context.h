// One open device file as JavaScript sees it.
#pragma once

#include <node_api.h>

namespace hmm {

// openContext(path): an object of functions (lib/kernel/addon.ts, Context), or a positive errno.
napi_value OpenContext(napi_env env, napi_callback_info info);

}  // namespace hmm
