// One socket, buffered both ways, with the open files that arrive over it.
#pragma once

#include <cstddef>
#include <cstdint>

// The kernel's SCM_MAX_FD.
constexpr uint32_t kMaxFiles = 253;

// Lives in static memory, never on a heap: nothing of this program may be mapped near what is tested. All functions
// end the process where the socket has ended: without Node there is nothing left to do.
class Stream {
 public:
  // Begins anew on a socket; what was buffered is forgotten.
  void Open(int socket);
  int socket() const { return socket_; }

  void Read(void* data, size_t length);
  // What is buffered, at most `limit` bytes and at least one; valid until the next call.
  const char* ReadSome(size_t limit, size_t* length);
  // The files that arrived with the current frame, -1 for one that did not (this process may have had too many open).
  void TakeFiles(uint32_t count, int* files);

  void Write(const void* data, size_t length);
  void Flush();

 private:
  static constexpr size_t kBufferSize = 64 * 1024;

  void Fill();
  void ReceiveFiles(void* message);

  int socket_;
  size_t read_start_;
  size_t read_end_;
  size_t write_end_;
  uint32_t file_count_;
  int files_[kMaxFiles];
  char read_buffer_[kBufferSize];
  char write_buffer_[kBufferSize];
};
