// An open file, closed when the last user lets go of it. Shared, not copied: a request that runs on the thread pool
// holds one of these, so that a close() meanwhile can neither pull the file from under it nor let it hit another file
// that got the same number.
#pragma once

#include <unistd.h>

#include <memory>

namespace hmm {

class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  // Linux releases the number whatever close() answers, so there is nothing to repeat or to report.
  ~FileDescriptor() { close(number_); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int number() const { return number_; }

 private:
  const int number_;
};

using SharedDescriptor = std::shared_ptr<const FileDescriptor>;

}  // namespace hmm
