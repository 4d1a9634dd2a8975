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

// lock() and unlock(): the context knows what it holds, for its end.
template <Request kRequest>
napi_value Locking(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data) != napi_ok) return nullptr;
  ContextState& context = OwnerOf<ContextState>(data);
  const uint32_t id = context.request->notifier.id;
  Device::MakeNonblocking(kRequest, context.request);
  const int error = context.device.Perform(kRequest, context.request);
  if (kRequest == Request::kUnlock) context.held.erase(id);
  if (kRequest == Request::kLock && error == 0) context.held.insert(id);
  return ErrnoValue(env, error);
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

bool IsSize(double number) { return number >= 0 && number <= 9007199254740992.0; }

// readBound(): the argument stands in `access`.
napi_value ReadBound(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data) != napi_ok) return nullptr;
  ContextState& context = OwnerOf<ContextState>(data);
  BoundAccess& bound = *context.access;
  // The conversions below are undefined for anything else, NaN included.
  if (!IsSize(bound.address) || !IsSize(bound.length) || !IsSize(bound.offset) ||
      !(bound.id >= 0 && bound.id <= UINT32_MAX)) {
    ThrowRangeError(env, "access must hold numbers from 0 to 2^53");
    return nullptr;
  }
  const uint64_t length = static_cast<uint64_t>(bound.length);
  const uint64_t offset = static_cast<uint64_t>(bound.offset);
  if (offset > context.piece.size || length > context.piece.size - offset) {
    ThrowRangeError(env, "the piece is too short");
    return nullptr;
  }
  RequestBlock block = {};
  block.access.id = static_cast<uint32_t>(bound.id);
  block.access.address = static_cast<uint64_t>(bound.address);
  block.access.length = length;
  block.access.buffer = Pointer(context.piece.data) + offset;
  const napi_value result = Issue<Request::kRead>(env, &context, &block);
  bound.done = static_cast<double>(block.access.done);
  return result;
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

// query(pfns, entries, locations), or query(null, entries): locations are what the walk that finds the pfns sees.
napi_value Query(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 3> arguments;
  ByteSpan pfns, entries, locations;
  if (!arguments.Get(env, info)) return nullptr;
  const bool walk = !IsNull(env, arguments[0]);
  if (walk && !GetTypedArray(env, arguments[0], napi_biguint64_array, "pfns", &pfns)) return nullptr;
  if (!GetTypedArray(env, arguments[1], napi_biguint64_array, "entries", &entries)) return nullptr;
  if (walk && !GetTypedArray(env, arguments[2], napi_uint8_array, "locations", &locations)) return nullptr;
  auto& query = arguments.owner->request->query;
  const uint64_t needed = EntryBytes(query.start, query.end);
  if (needed > entries.size ||
      (walk && (needed > pfns.size || LocationBytes(query.start, query.end) > locations.size))) {
    ThrowRangeError(env, "an array is shorter than the range");
    return nullptr;
  }
  query.pfns = walk ? Pointer(pfns.data) : 0;
  query.entries = Pointer(entries.data);
  query.locations = walk ? Pointer(locations.data) : 0;
  return Issue<Request::kQuery>(env, arguments.owner);
}

}  // namespace

bool AddInlineRequests(napi_env env, napi_value object, const std::shared_ptr<ContextState>& context) {
  static_assert(sizeof(hmm_mirror_range_fault) <= sizeof(RequestBlock), "the block holds every argument");
  return SetMethod(env, object, "readBegin", Plain<Request::kReadBegin>, context) &&
         SetMethod(env, object, "readRetry", Plain<Request::kReadRetry>, context) &&
         SetMethod(env, object, "populate", Plain<Request::kPopulate>, context) &&
         SetMethod(env, object, "lock", Locking<Request::kLock>, context) &&
         SetMethod(env, object, "unlock", Locking<Request::kUnlock>, context) &&
         SetMethod(env, object, "ack", Plain<Request::kAck>, context) &&
         SetMethod(env, object, "atomicAdd", Plain<Request::kAtomicAdd>, context) &&
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
