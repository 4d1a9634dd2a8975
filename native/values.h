// Checks of what JavaScript passed in. Each throws and answers false, so that a caller returns at once; nothing has
// been touched by then. TypeScript has checked the same for its users: these keep a mistake in it from becoming a wild
// pointer.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace hmm {

struct ByteSpan {
  uint8_t* data = nullptr;
  size_t size = 0;  // bytes
};

void ThrowTypeError(napi_env env, const char* message);
void ThrowRangeError(napi_env env, const char* message);

// The memory of a typed array. Valid until JavaScript runs again: a buffer can be detached by anyone who holds it, so
// nothing may keep this pointer. A detached array has size 0. TypeError: not an array of that type.
bool GetTypedArray(napi_env env, napi_value value, napi_typedarray_type type, const char* name, ByteSpan* span);

// An integer in [minimum, maximum], both below 2^53. TypeError: not a number. RangeError: anything else.
bool GetInteger(napi_env env, napi_value value, const char* name, double minimum, double maximum, int64_t* result);

bool GetBoolean(napi_env env, napi_value value, const char* name, bool* result);

bool IsNull(napi_env env, napi_value value);

bool RequireFunction(napi_env env, napi_value value, const char* name);

// 0 becomes undefined: that costs nothing, and success is the case that has to be fast.
napi_value ErrnoValue(napi_env env, int error);

napi_value IntegerValue(napi_env env, int64_t value);

// A function whose owner stands in the function itself rather than in `this`, so that it cannot be borrowed onto
// another object. It keeps the owner alive as long as the function is reachable. False: an exception is pending.
bool SetMethodData(napi_env env, napi_value object, const char* name, napi_callback callback, void* data,
                   napi_finalize finalize);

template <typename Owner>
bool SetMethod(napi_env env, napi_value object, const char* name, napi_callback callback,
               const std::shared_ptr<Owner>& owner) {
  return SetMethodData(env, object, name, callback, new std::shared_ptr<Owner>(owner),
                       [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Owner>*>(data); });
}

template <typename Owner>
Owner& OwnerOf(void* data) {
  return **static_cast<std::shared_ptr<Owner>*>(data);
}

// The arguments of a call that SetMethod made; missing ones are undefined.
template <typename Owner, size_t kCount>
struct Arguments {
  napi_value values[kCount] = {};
  Owner* owner = nullptr;
  napi_value operator[](size_t index) const { return values[index]; }

  bool Get(napi_env env, napi_callback_info info) {
    size_t count = kCount;
    void* data = nullptr;
    if (napi_get_cb_info(env, info, &count, values, nullptr, &data) != napi_ok) return false;
    owner = &OwnerOf<Owner>(data);
    data_ = data;
    return true;
  }

  const std::shared_ptr<Owner>& shared() const { return *static_cast<std::shared_ptr<Owner>*>(data_); }

 private:
  void* data_ = nullptr;
};

}  // namespace hmm
