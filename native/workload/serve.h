// The loop of a thread: frames in, results out.
#pragma once

#include "process.h"

// Never returns: the end of the socket ends the process.
[[noreturn]] void Serve(Slot* slot);
