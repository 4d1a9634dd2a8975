// A local socket to the workload program: bytes both ways, open files one way.
#pragma once

#include <node_api.h>

namespace hmm {

// createChannel(): { channel, peer } (lib/kernel/addon.ts), or a positive errno.
napi_value CreateChannel(napi_env env, napi_callback_info info);

}  // namespace hmm
