// The addon's export table; lib/kernel/addon.ts declares the same for TypeScript. Each environment
// (worker thread) has its own state: its jobs under way, and what hangs on the objects that these functions make.
#include <napi.h>

#include "channel.h"
#include "context.h"
#include "descriptor.h"
#include "job.h"
#include "layout.h"

static Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  if (!hmm::Job::Prepare(env)) return exports;
  const napi_property_descriptor functions[] = {
      {"openContext", nullptr, hmm::OpenContext, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"createChannel", nullptr, hmm::CreateChannel, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"createMemoryFile", nullptr, hmm::CreateMemoryFile, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions);
  napi_value layout = hmm::LayoutValue(env);
  if (layout != nullptr) exports.Set("layout", layout);
  return exports;
}

NODE_API_MODULE(hmm_mirror, Initialize)
