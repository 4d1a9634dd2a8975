#include "values.h"

#include <cmath>
#include <string>

namespace hmm {

void ThrowTypeError(napi_env env, const char* message) { napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message); }

void ThrowRangeError(napi_env env, const char* message) { napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message); }

bool GetTypedArray(napi_env env, napi_value value, napi_typedarray_type type, const char* name, ByteSpan* span) {
  napi_typedarray_type actual;
  size_t length = 0;
  void* data = nullptr;
  // One call both asks what it is and finds its memory: this is on the path of every request.
  if (napi_get_typedarray_info(env, value, &actual, &length, &data, nullptr, nullptr) != napi_ok || actual != type) {
    const char* wanted = type == napi_uint8_array    ? "a Uint8Array"
                         : type == napi_uint32_array ? "a Uint32Array"
                                                     : "a BigUint64Array";
    ThrowTypeError(env, (std::string(name) + " must be " + wanted).c_str());
    return false;
  }
  const size_t element = type == napi_uint8_array ? 1 : type == napi_uint32_array ? 4 : 8;
  span->data = static_cast<uint8_t*>(data);
  span->size = length * element;
  return true;
}

bool GetInteger(napi_env env, napi_value value, const char* name, double minimum, double maximum, int64_t* result) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) {
    ThrowTypeError(env, (std::string(name) + " must be a number").c_str());
    return false;
  }
  // Written so that NaN fails.
  if (!(number >= minimum && number <= maximum) || number != std::floor(number)) {
    ThrowRangeError(env, (std::string(name) + " is out of range").c_str());
    return false;
  }
  *result = static_cast<int64_t>(number);
  return true;
}

bool GetBoolean(napi_env env, napi_value value, const char* name, bool* result) {
  if (napi_get_value_bool(env, value, result) == napi_ok) return true;
  ThrowTypeError(env, (std::string(name) + " must be a boolean").c_str());
  return false;
}

bool IsNull(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_null;
}

bool RequireFunction(napi_env env, napi_value value, const char* name) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_function) return true;
  ThrowTypeError(env, (std::string(name) + " must be a function").c_str());
  return false;
}

napi_value ErrnoValue(napi_env env, int error) { return error == 0 ? nullptr : IntegerValue(env, error); }

napi_value IntegerValue(napi_env env, int64_t value) {
  napi_value result = nullptr;
  // Fails only where the environment is going away, and then nobody looks at the result.
  napi_create_int64(env, value, &result);
  return result;
}

bool SetMethodData(napi_env env, napi_value object, const char* name, napi_callback callback, void* data,
                   napi_finalize finalize) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function) != napi_ok ||
      napi_add_finalizer(env, function, data, finalize, nullptr, nullptr) != napi_ok) {
    // The function, if there is one, is unreachable and never called.
    finalize(env, data, nullptr);
    return false;
  }
  return napi_set_named_property(env, object, name, function) == napi_ok;
}

}  // namespace hmm
