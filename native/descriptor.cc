#include "descriptor.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "values.h"

namespace hmm {

namespace {

constexpr napi_type_tag kDescriptorTag = {0x9d1f6c3a52b84e07, 0xa6407be1c95d2f83};
constexpr double kMaxSafeInteger = 9007199254740991.0;

struct DescriptorState {
  SharedDescriptor file;
};

using SharedState = std::shared_ptr<DescriptorState>;

// number(): the file's number, or -EBADF. Of use only at once: nothing holds it.
napi_value Number(napi_env env, napi_callback_info info) {
  Arguments<DescriptorState, 1> arguments;
  if (!arguments.Get(env, info)) return nullptr;
  const SharedDescriptor& file = arguments.owner->file;
  return IntegerValue(env, file ? file->number() : -EBADF);
}

// length(): the file's size in bytes now, or -errno.
napi_value Length(napi_env env, napi_callback_info info) {
  Arguments<DescriptorState, 1> arguments;
  if (!arguments.Get(env, info)) return nullptr;
  const SharedDescriptor& file = arguments.owner->file;
  struct stat status;
  if (!file) return IntegerValue(env, -EBADF);
  if (fstat(file->number(), &status) < 0) return IntegerValue(env, -errno);
  return IntegerValue(env, status.st_size);
}

napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<DescriptorState, 1> arguments;
  if (arguments.Get(env, info)) arguments.owner->file.reset();
  return nullptr;
}

}  // namespace

napi_value CreateDescriptor(napi_env env, const SharedDescriptor& descriptor) {
  auto state = std::make_shared<DescriptorState>();
  state->file = descriptor;
  napi_value object;
  if (napi_create_object(env, &object) != napi_ok || !SetMethod(env, object, "number", Number, state) ||
      !SetMethod(env, object, "length", Length, state) || !SetMethod(env, object, "close", Close, state) ||
      napi_type_tag_object(env, object, &kDescriptorTag) != napi_ok) {
    return nullptr;
  }
  auto* wrapped = new SharedState(state);
  const auto release = [](napi_env, void* data, void*) { delete static_cast<SharedState*>(data); };
  if (napi_wrap(env, object, wrapped, release, nullptr, nullptr) != napi_ok) {
    delete wrapped;
    return nullptr;
  }
  return object;
}

bool GetDescriptor(napi_env env, napi_value value, SharedDescriptor* descriptor) {
  // The tag, and not the wrap alone, says whose pointer this is: an object of another addon can be wrapped as well.
  bool tagged = false;
  void* wrapped = nullptr;
  if (napi_check_object_type_tag(env, value, &kDescriptorTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, value, &wrapped) != napi_ok) {
    ThrowTypeError(env, "descriptor must be a Descriptor");
    return false;
  }
  *descriptor = (*static_cast<SharedState*>(wrapped))->file;
  if (*descriptor) return true;
  ThrowTypeError(env, "the descriptor is closed");
  return false;
}

napi_value CreateMemoryFile(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
  int64_t length = 0;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok) return nullptr;
  if (!GetInteger(env, argument, "length", 0, kMaxSafeInteger, &length)) return nullptr;
  const int fd = memfd_create("node-hmm", MFD_CLOEXEC);
  if (fd < 0) return IntegerValue(env, errno);
  const auto file = std::make_shared<const FileDescriptor>(fd);
  if (ftruncate(fd, length) < 0) return IntegerValue(env, errno);
  return CreateDescriptor(env, file);
}

}  // namespace hmm
