#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <cstring>

namespace hmm {

int CreateSocketPair(SharedDescriptor* own, SharedDescriptor* peer) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return errno;
  *own = std::make_shared<const FileDescriptor>(pair[0]);
  *peer = std::make_shared<const FileDescriptor>(pair[1]);
  // O_NONBLOCK belongs to the open file, and each end is one of its own: the peer goes on blocking.
  if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) return errno;
  return 0;
}

ssize_t SendWithDescriptors(int socket, const void* bytes, size_t length, const int* descriptors, size_t count) {
  if (count > kMaxDescriptorsPerMessage) return -EINVAL;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptorsPerMessage)];
  iovec vector = {const_cast<void*>(bytes), length};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

ssize_t Receive(int socket, void* bytes, size_t length) {
  ssize_t received;
  do {
    received = recv(socket, bytes, length, MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  return received < 0 ? -errno : received;
}

}  // namespace hmm
