#include "stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "protocol.h"

void Stream::Open(int socket) {
  socket_ = socket;
  read_start_ = read_end_ = write_end_ = 0;
  file_count_ = 0;
}

void Stream::Fill() {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFiles)];
  iovec vector = {read_buffer_, kBufferSize};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t received;
  do {
    received = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received == 0 || (received < 0 && errno == ECONNRESET)) _exit(0);
  if (received < 0) _exit(kExitSystem);
  ReceiveFiles(&message);
  read_start_ = 0;
  read_end_ = static_cast<size_t>(received);
}

// recvmsg never goes on past a message that carried files, and this is called only when all bytes before have been
// used: so the files belong to the frame whose header is read next, and no second set can be waiting.
void Stream::ReceiveFiles(void* pointer) {
  auto* message = static_cast<msghdr*>(pointer);
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (file_count_ != 0 || count > kMaxFiles) _exit(kExitProtocol);
    memcpy(files_, CMSG_DATA(header), count * sizeof(int));
    file_count_ = static_cast<uint32_t>(count);
  }
}

const char* Stream::ReadSome(size_t limit, size_t* length) {
  if (read_start_ == read_end_) Fill();
  const char* data = read_buffer_ + read_start_;
  *length = limit < read_end_ - read_start_ ? limit : read_end_ - read_start_;
  read_start_ += *length;
  return data;
}

void Stream::Read(void* data, size_t length) {
  auto* to = static_cast<char*>(data);
  while (length > 0) {
    size_t part;
    const char* from = ReadSome(length, &part);
    memcpy(to, from, part);
    to += part;
    length -= part;
  }
}

void Stream::TakeFiles(uint32_t count, int* files) {
  if (count > kMaxFiles || file_count_ > count) _exit(kExitProtocol);
  for (uint32_t i = 0; i < count; i++) files[i] = i < file_count_ ? files_[i] : -1;
  file_count_ = 0;
}

void Stream::Write(const void* data, size_t length) {
  auto* from = static_cast<const char*>(data);
  while (length > 0) {
    if (write_end_ == kBufferSize) Flush();
    const size_t part = length < kBufferSize - write_end_ ? length : kBufferSize - write_end_;
    memcpy(write_buffer_ + write_end_, from, part);
    write_end_ += part;
    from += part;
    length -= part;
  }
}

void Stream::Flush() {
  size_t start = 0;
  while (start < write_end_) {
    const ssize_t sent = send(socket_, write_buffer_ + start, write_end_ - start, MSG_NOSIGNAL);
    if (sent >= 0) {
      start += static_cast<size_t>(sent);
    } else if (errno == EPIPE || errno == ECONNRESET) {
      _exit(0);
    } else if (errno != EINTR) {
      _exit(kExitSystem);
    }
  }
  write_end_ = 0;
}
