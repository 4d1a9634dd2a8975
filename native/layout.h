// The layout of hmm_mirror.h as the compiler sees it.
#pragma once

#include <node_api.h>

namespace hmm {

// { 'hmm_mirror_event.ticket': 0, 'hmm_mirror_event': 64, … }: the byte offset of each field, the size of each struct,
// and the constants. lib/kernel/abi.ts holds the same numbers as literals; a test compares the two. Null: exception.
napi_value LayoutValue(napi_env env);

}  // namespace hmm
