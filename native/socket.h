// Local stream sockets that carry bytes and open files. Nothing of JavaScript here.
#pragma once

#include <sys/types.h>

#include <cstddef>

#include "file_descriptor.h"

namespace hmm {

// The kernel's SCM_MAX_FD: more files in one message are EINVAL.
constexpr size_t kMaxDescriptorsPerMessage = 253;

// A connected pair: `own` is non-blocking, `peer` blocks. Both are close-on-exec. Returns 0 or an errno.
int CreateSocketPair(SharedDescriptor* own, SharedDescriptor* peer);

// Sends without waiting; the files travel with the first byte, so they are sent whenever anything is. Returns the
// number of bytes taken, or -errno.
ssize_t SendWithDescriptors(int socket, const void* bytes, size_t length, const int* descriptors, size_t count);

// Receives without waiting. Returns the number of bytes, 0 at the end of the stream, or -errno.
ssize_t Receive(int socket, void* bytes, size_t length);

}  // namespace hmm
