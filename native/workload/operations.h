// The memory operations, one by one.
#pragma once

#include "protocol.h"
#include "stream.h"

// Runs one operation and writes its records. `files` are the files of the frame; `body` is how many bytes of the frame
// are left, and is lowered by what a write takes.
void RunOperation(Stream* stream, const Operation& operation, const int* files, uint32_t file_count, uint64_t* body);
