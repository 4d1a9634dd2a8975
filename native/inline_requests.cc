// Requests that are issued on the JavaScript thread. What could sleep is asked not to, and answers EAGAIN instead.
//
// These are the fast path: no allocation, no conversion, one Node-API call for the arguments and one for the memory.
#include "context_state.h"
#include "request_memory.h"
#include "values.h"

namespace hmm {

namespace {

template <Request kRequest>
napi_value Issue(napi_env env, ContextState* context, RequestBlock* block) {
  Device::MakeNonblocking(kRequest, block);
  return ErrnoValue(env, context->device.Perform(kRequest, block));
}

template <Request kRequest>
napi_value Issue(napi_env env, ContextState* context) {
  return Issue<kRequest>(env, context, context->request);
}

// A request whose argument is all in the block.
template <Request kRequest>
napi_value Plain(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data) != napi_ok) return nullptr;
  return Issue<kRequest>(env, &OwnerOf<ContextState>(data));
}

// rangeFault(pfns): pfns is read and written.
napi_value RangeFault(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  ByteSpan pfns;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_biguint64_array, "pfns", &pfns)) return nullptr;
  auto& range = arguments.owner->request->range_fault;
  if (EntryBytes(range.start, range.end) > pfns.size) {
    ThrowRangeError(env, "pfns is shorter than the range");
    return nullptr;
  }
  range.pfns = Pointer(pfns.data);
  return Issue<Request::kRangeFault>(env, arguments.owner);
}

bool Bind(napi_env env, napi_value array, const ByteSpan& span, BoundMemory* bound) {
  napi_ref reference;
  if (napi_create_reference(env, array, 1, &reference) != napi_ok) return false;
  if (bound->reference != nullptr) napi_delete_reference(env, bound->reference);
  *bound = {span.data, span.size, reference};
  return true;
}

// bindPfns(pfns): what rangeFaultBound() reads and writes from now on.
napi_value BindPfns(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  ByteSpan pfns;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_biguint64_array, "pfns", &pfns)) return nullptr;
  Bind(env, arguments[0], pfns, &arguments.owner->pfns);
  return nullptr;
}

// bindPiece(piece): what readBound() reads into from now on.
napi_value BindPiece(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  ByteSpan piece;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_uint8_array, "piece", &piece)) return nullptr;
  Bind(env, arguments[0], piece, &arguments.owner->piece);
  return nullptr;
}

// rangeFaultBound(): the argument stands in `range`.
napi_value RangeFaultBound(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data) != napi_ok) return nullptr;
  ContextState& context = OwnerOf<ContextState>(data);
  auto& range = context.range->range_fault;
  if (EntryBytes(range.start, range.end) > context.pfns.size) {
    ThrowRangeError(env, "pfns is shorter than the range");
    return nullptr;
  }
  range.pfns = Pointer(context.pfns.data);
  return Issue<Request::kRangeFault>(env, &context, context.range);
}

// readBound(): the field `buffer` is an offset into the piece.
napi_value ReadBound(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data) != napi_ok) return nullptr;
  ContextState& context = OwnerOf<ContextState>(data);
  auto& access = context.request->access;
  if (access.buffer > context.piece.size || access.length > context.piece.size - access.buffer) {
    ThrowRangeError(env, "the piece is too short");
    return nullptr;
  }
  access.buffer += Pointer(context.piece.data);
  return Issue<Request::kRead>(env, &context);
}

// read(bytes), write(bytes): as many as the array has.
template <Request kRequest>
napi_value Access(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  ByteSpan bytes;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_uint8_array, "bytes", &bytes)) return nullptr;
  auto& access = arguments.owner->request->access;
  access.length = bytes.size;
  access.buffer = Pointer(bytes.data);
  return Issue<kRequest>(env, arguments.owner);
}

// query(pfns | null, entries)
napi_value Query(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 2> arguments;
  ByteSpan pfns, entries;
  if (!arguments.Get(env, info)) return nullptr;
  const bool walk = !IsNull(env, arguments[0]);
  if (walk && !GetTypedArray(env, arguments[0], napi_biguint64_array, "pfns", &pfns)) return nullptr;
  if (!GetTypedArray(env, arguments[1], napi_biguint64_array, "entries", &entries)) return nullptr;
  auto& query = arguments.owner->request->query;
  const uint64_t needed = EntryBytes(query.start, query.end);
  if ((walk && needed > pfns.size) || needed > entries.size) {
    ThrowRangeError(env, "an array is shorter than the range");
    return nullptr;
  }
  query.pfns = walk ? Pointer(pfns.data) : 0;
  query.entries = Pointer(entries.data);
  return Issue<Request::kQuery>(env, arguments.owner);
}

}  // namespace

bool AddInlineRequests(napi_env env, napi_value object, const std::shared_ptr<ContextState>& context) {
  static_assert(sizeof(hmm_mirror_range_fault) <= sizeof(RequestBlock), "the block holds every argument");
  return SetMethod(env, object, "readBegin", Plain<Request::kReadBegin>, context) &&
         SetMethod(env, object, "readRetry", Plain<Request::kReadRetry>, context) &&
         SetMethod(env, object, "populate", Plain<Request::kPopulate>, context) &&
         SetMethod(env, object, "lock", Plain<Request::kLock>, context) &&
         SetMethod(env, object, "unlock", Plain<Request::kUnlock>, context) &&
         SetMethod(env, object, "ack", Plain<Request::kAck>, context) &&
         SetMethod(env, object, "rangeFault", RangeFault, context) &&
         SetMethod(env, object, "bindPfns", BindPfns, context) &&
         SetMethod(env, object, "rangeFaultBound", RangeFaultBound, context) &&
         SetMethod(env, object, "bindPiece", BindPiece, context) &&
         SetMethod(env, object, "readBound", ReadBound, context) &&
         SetMethod(env, object, "read", Access<Request::kRead>, context) &&
         SetMethod(env, object, "write", Access<Request::kWrite>, context) &&
         SetMethod(env, object, "query", Query, context);
}

}  // namespace hmm
