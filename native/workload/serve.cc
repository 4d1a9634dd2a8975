#include "serve.h"

#include <errno.h>
#include <unistd.h>

#include "operations.h"
#include "protocol.h"

namespace {

void RunFrame(Stream* stream, const FrameHeader& header) {
  int files[kMaxFiles];
  stream->TakeFiles(header.files, files);
  uint64_t body = header.length;
  for (uint32_t i = 0; i < header.count; i++) {
    Operation operation;
    if (body < sizeof(operation)) _exit(kExitProtocol);
    body -= sizeof(operation);
    stream->Read(&operation, sizeof(operation));
    RunOperation(stream, operation, files, header.files, &body);
  }
  if (body != 0) _exit(kExitProtocol);
  // A mapping holds its file by itself.
  for (uint32_t i = 0; i < header.files; i++) {
    if (files[i] >= 0) close(files[i]);
  }
}

void WriteResult(Stream* stream, int error, long value) {
  const Record result = {RecordKind::kResult, static_cast<uint32_t>(error), static_cast<uint64_t>(value), 0, 0, 0};
  stream->Write(&result, sizeof(result));
}

void ForkFrame(Stream* stream, const FrameHeader& header) {
  int files[3] = {-1, -1, -1};
  if (header.files < 2 || header.files > 3) _exit(kExitProtocol);
  stream->TakeFiles(header.files, files);
  for (uint32_t i = 0; i < header.files; i++) {
    if (files[i] >= 0) continue;
    for (const int file : files) {
      if (file >= 0) close(file);
    }
    WriteResult(stream, EMFILE, 0);
    return;
  }
  const long pid = ForkProcess({files[0], files[1], files[2]});
  WriteResult(stream, pid < 0 ? static_cast<int>(-pid) : 0, pid < 0 ? 0 : pid);
}

void ThreadFrame(Stream* stream, const FrameHeader& header) {
  int socket = -1;
  if (header.files != 1) _exit(kExitProtocol);
  stream->TakeFiles(1, &socket);
  WriteResult(stream, socket < 0 ? EMFILE : StartWorker(socket), 0);
}

}  // namespace

void Serve(Slot* slot) {
  Stream* stream = &slot->stream;
  for (;;) {
    FrameHeader header;
    stream->Read(&header, sizeof(header));
    if (header.kind == FrameKind::kRun && slot->role != Role::kService) {
      RunFrame(stream, header);
    } else if (header.kind == FrameKind::kFork && slot->role == Role::kMain) {
      ForkFrame(stream, header);
    } else if (header.kind == FrameKind::kThread && slot->role == Role::kService) {
      ThreadFrame(stream, header);
    } else if (header.kind == FrameKind::kExit && slot->role == Role::kMain) {
      _exit(0);
    } else {
      _exit(kExitProtocol);
    }
    stream->Flush();
  }
}
