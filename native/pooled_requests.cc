// Requests that are issued on threads of their own, because they may sleep. Each works on copies of its own: the block,
// the arrays that it reads, and buffers for what it writes, which become ArrayBuffers without another copy.
#include <errno.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "context_state.h"
#include "job.h"
#include "request_memory.h"
#include "values.h"

namespace hmm {

namespace {

struct FreeMemory {
  void operator()(void* memory) const { free(memory); }
};
using Memory = std::unique_ptr<void, FreeMemory>;

class RequestJob : public Job {
 public:
  RequestJob(Request request, const std::shared_ptr<ContextState>& context)
      : context_(context), device_(context->device), request_(request), block_(*context->request) {
    // The block may have been used for an attempt on the JavaScript thread.
    RequestBlock probe = {};
    if (Device::MakeNonblocking(request, &probe)) block_.words[1] &= ~HMM_MIRROR_NONBLOCK;
  }

  ~RequestJob() override {
    // The environment has gone, and with it the program that would have unlocked.
    if (taken_) device_.Unlock(block_.notifier.id);
  }

  RequestBlock& block() { return block_; }

  // A copy of an array that the request reads. False, and the job will answer ENOMEM, if there is no memory for it.
  bool CopyIn(const ByteSpan& span, __u64* pointer) {
    Memory memory = Allocate(span.size);
    if (!memory) return false;
    if (span.size > 0) memcpy(memory.get(), span.data, span.size);
    *pointer = Pointer(memory.get());
    inputs_.push_back(std::move(memory));
    return true;
  }

  // A buffer that the request writes, and the promise's `memory` holds, in the order of these calls.
  bool MakeOutput(uint64_t size, __u64* pointer) {
    Memory memory = Allocate(size);
    if (!memory) return false;
    *pointer = Pointer(memory.get());
    outputs_.push_back({std::move(memory), size});
    return true;
  }

  // The array that the first input came from also gets its final content.
  bool CopyBackTo(napi_env env, napi_value array, size_t size) {
    copy_back_size_ = size;
    return napi_create_reference(env, array, 1, &copy_back_) == napi_ok;
  }

 protected:
  void Execute() override {
    if (!out_of_memory_) error_ = device_.Perform(request_, &block_);
    // Here and not with the job: if the context was closed meanwhile this is the last user, and closing a device file
    // can sleep.
    taken_ = request_ == Request::kLock && !out_of_memory_ && error_ == 0;
    if (!taken_) device_.Release();
  }

  napi_value Result(napi_env env) override {
    NoteLock();
    CopyBack(env);
    napi_value result, error, block, memory;
    if (napi_create_object(env, &result) != napi_ok || napi_create_int32(env, error_, &error) != napi_ok ||
        napi_set_named_property(env, result, "errno", error) != napi_ok || !BlockValue(env, &block) ||
        napi_set_named_property(env, result, "request", block) != napi_ok ||
        napi_create_array_with_length(env, outputs_.size(), &memory) != napi_ok ||
        napi_set_named_property(env, result, "memory", memory) != napi_ok) {
      return nullptr;
    }
    for (size_t i = 0; i < outputs_.size(); i++) {
      napi_value buffer;
      if (!BufferValue(env, &outputs_[i], &buffer)) return nullptr;
      if (napi_set_element(env, memory, static_cast<uint32_t>(i), buffer) != napi_ok) return nullptr;
    }
    return result;
  }

 private:
  struct Output {
    Memory memory;
    uint64_t size;
  };

  // The lock is the context's now.
  void NoteLock() {
    if (!taken_) return;
    taken_ = false;
    if (const auto context = context_.lock()) context->held.insert(block_.notifier.id);
    ReleaseOnThread(std::move(device_));
  }

  Memory Allocate(uint64_t size) {
    // Zeroed, so that nothing of this process's heap comes out where a request ends early.
    Memory memory(calloc(1, size == 0 ? 1 : size));
    if (!memory) {
      out_of_memory_ = true;
      error_ = ENOMEM;
    }
    return memory;
  }

  void CopyBack(napi_env env) {
    if (copy_back_ == nullptr) return;
    napi_value array;
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    // An array whose buffer was given away meanwhile has length 0: there is nowhere left to write to.
    if (!out_of_memory_ && napi_get_reference_value(env, copy_back_, &array) == napi_ok && array != nullptr &&
        napi_get_typedarray_info(env, array, &type, &length, &data, nullptr, nullptr) == napi_ok &&
        length * sizeof(uint64_t) >= copy_back_size_) {
      memcpy(data, inputs_[0].get(), copy_back_size_);
    }
    Discard(env);
  }

  void Discard(napi_env env) override {
    if (copy_back_ != nullptr) napi_delete_reference(env, copy_back_);
    copy_back_ = nullptr;
  }

  bool BlockValue(napi_env env, napi_value* array) {
    napi_value buffer;
    void* data = nullptr;
    if (napi_create_arraybuffer(env, sizeof(block_), &data, &buffer) != napi_ok) return false;
    memcpy(data, &block_, sizeof(block_));
    return napi_create_typedarray(env, napi_uint32_array, sizeof(block_) / sizeof(uint32_t), buffer, 0, array) ==
           napi_ok;
  }

  static bool BufferValue(napi_env env, Output* output, napi_value* buffer) {
    void* memory = output->memory.get();
    if (output->size == 0) return napi_create_arraybuffer(env, 0, nullptr, buffer) == napi_ok;
    const napi_status status = napi_create_external_arraybuffer(
        env, memory, output->size, [](napi_env, void* data, void*) { free(data); }, nullptr, buffer);
    if (status == napi_ok) {
      output->memory.release();
      return true;
    }
    if (status != napi_no_external_buffers_allowed) return false;
    void* copy = nullptr;
    if (napi_create_arraybuffer(env, output->size, &copy, buffer) != napi_ok) return false;
    memcpy(copy, memory, output->size);
    return true;
  }

  const std::weak_ptr<ContextState> context_;
  Device device_;
  const Request request_;
  RequestBlock block_;
  std::vector<Memory> inputs_;
  std::vector<Output> outputs_;
  napi_ref copy_back_ = nullptr;
  size_t copy_back_size_ = 0;
  bool out_of_memory_ = false;
  int error_ = 0;
  // The job has the update lock, and nobody knows yet.
  bool taken_ = false;
};

template <Request kRequest>
napi_value Plain(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  if (!arguments.Get(env, info)) return nullptr;
  return Job::Submit(env, std::make_unique<RequestJob>(kRequest, arguments.shared()));
}

// rangeFaultAsync(pfns)
napi_value RangeFault(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  ByteSpan pfns;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_biguint64_array, "pfns", &pfns)) return nullptr;
  auto job = std::make_unique<RequestJob>(Request::kRangeFault, arguments.shared());
  auto& range = job->block().range_fault;
  const uint64_t needed = EntryBytes(range.start, range.end);
  if (needed > pfns.size) {
    ThrowRangeError(env, "pfns is shorter than the range");
    return nullptr;
  }
  pfns.size = needed;
  if (job->CopyIn(pfns, &range.pfns) && !job->CopyBackTo(env, arguments[0], needed)) return nullptr;
  return Job::Submit(env, std::move(job));
}

bool CheckLength(napi_env env, uint64_t length, uint64_t maximum = MaxBytes()) {
  if (length <= maximum) return true;
  ThrowRangeError(env, "length is out of range");
  return false;
}

// readAsync(): length stands in the block; memory[0] has the bytes.
napi_value Read(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  if (!arguments.Get(env, info)) return nullptr;
  auto job = std::make_unique<RequestJob>(Request::kRead, arguments.shared());
  auto& access = job->block().access;
  if (!CheckLength(env, access.length)) return nullptr;
  job->MakeOutput(access.length, &access.buffer);
  return Job::Submit(env, std::move(job));
}

// writeAsync(bytes)
napi_value Write(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  ByteSpan bytes;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[0], napi_uint8_array, "bytes", &bytes)) return nullptr;
  if (!CheckLength(env, bytes.size)) return nullptr;
  auto job = std::make_unique<RequestJob>(Request::kWrite, arguments.shared());
  auto& access = job->block().access;
  access.length = bytes.size;
  job->CopyIn(bytes, &access.buffer);
  return Job::Submit(env, std::move(job));
}

// queryAsync(walk): memory has the pfns, the entries and the locations, or without a walk the entries alone.
napi_value Query(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  bool walk = false;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetBoolean(env, arguments[0], "walk", &walk)) return nullptr;
  auto job = std::make_unique<RequestJob>(Request::kQuery, arguments.shared());
  auto& query = job->block().query;
  const uint64_t size = EntryBytes(query.start, query.end);
  if (!CheckLength(env, size, HMM_MIRROR_MAX_PAGES * sizeof(uint64_t))) return nullptr;
  query.pfns = query.entries = query.locations = 0;
  // After a failure the job answers ENOMEM, and asks the module for nothing.
  if (walk) job->MakeOutput(size, &query.pfns);
  job->MakeOutput(size, &query.entries);
  if (walk) job->MakeOutput(LocationBytes(query.start, query.end), &query.locations);
  return Job::Submit(env, std::move(job));
}

bool CopyEntries(napi_env env, napi_value value, RequestJob* job) {
  ByteSpan entries;
  if (!GetTypedArray(env, value, napi_biguint64_array, "entries", &entries)) return false;
  auto& access = job->block().device_access;
  const uint64_t needed = TouchedEntryBytes(access.address, access.length);
  if (needed > entries.size) {
    ThrowRangeError(env, "entries is shorter than the pages touched");
    return false;
  }
  entries.size = needed;
  job->CopyIn(entries, &access.entries);
  return true;
}

// deviceReadAsync(entries): length stands in the block; memory[0] has the bytes.
napi_value DeviceRead(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 1> arguments;
  if (!arguments.Get(env, info)) return nullptr;
  auto job = std::make_unique<RequestJob>(Request::kDeviceRead, arguments.shared());
  auto& access = job->block().device_access;
  if (!CheckLength(env, access.length) || !CopyEntries(env, arguments[0], job.get())) return nullptr;
  job->MakeOutput(access.length, &access.buffer);
  return Job::Submit(env, std::move(job));
}

// deviceWriteAsync(entries, bytes)
napi_value DeviceWrite(napi_env env, napi_callback_info info) {
  Arguments<ContextState, 2> arguments;
  ByteSpan bytes;
  if (!arguments.Get(env, info)) return nullptr;
  if (!GetTypedArray(env, arguments[1], napi_uint8_array, "bytes", &bytes)) return nullptr;
  if (!CheckLength(env, bytes.size)) return nullptr;
  auto job = std::make_unique<RequestJob>(Request::kDeviceWrite, arguments.shared());
  auto& access = job->block().device_access;
  access.length = bytes.size;
  if (!CopyEntries(env, arguments[0], job.get())) return nullptr;
  job->CopyIn(bytes, &access.buffer);
  return Job::Submit(env, std::move(job));
}

}  // namespace

bool AddPooledRequests(napi_env env, napi_value object, const std::shared_ptr<ContextState>& context) {
  return SetMethod(env, object, "insertAsync", Plain<Request::kNotifierInsert>, context) &&
         SetMethod(env, object, "removeAsync", Plain<Request::kNotifierRemove>, context) &&
         SetMethod(env, object, "readBeginAsync", Plain<Request::kReadBegin>, context) &&
         SetMethod(env, object, "populateAsync", Plain<Request::kPopulate>, context) &&
         SetMethod(env, object, "lockAsync", Plain<Request::kLock>, context) &&
         SetMethod(env, object, "migrateToDeviceAsync", Plain<Request::kMigrateToDevice>, context) &&
         SetMethod(env, object, "migrateToSystemAsync", Plain<Request::kMigrateToSystem>, context) &&
         SetMethod(env, object, "makeExclusiveAsync", Plain<Request::kMakeExclusive>, context) &&
         SetMethod(env, object, "atomicAddAsync", Plain<Request::kAtomicAdd>, context) &&
         SetMethod(env, object, "evictAsync", Plain<Request::kEvict>, context) &&
         SetMethod(env, object, "rangeFaultAsync", RangeFault, context) &&
         SetMethod(env, object, "readAsync", Read, context) && SetMethod(env, object, "writeAsync", Write, context) &&
         SetMethod(env, object, "queryAsync", Query, context) &&
         SetMethod(env, object, "deviceReadAsync", DeviceRead, context) &&
         SetMethod(env, object, "deviceWriteAsync", DeviceWrite, context);
}

}  // namespace hmm
