// What the functions of one context share.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <set>

#include "device.h"
#include "poller.h"

namespace hmm {

// Memory of a typed array that many requests use, so that each need not ask for it anew: that takes longer than a small
// request. Only sound because lib/kernel looks, in the same turn and before every such request, whether the array still
// has its length: one whose buffer was detached has none.
struct BoundMemory {
  uint8_t* data = nullptr;
  size_t size = 0;
  napi_ref reference = nullptr;
};

// The argument of readBound(), whole numbers from 0 to 2^53.
struct BoundAccess {
  double id;
  double address;
  double length;
  double offset;  // into the piece
  double done;    // out
};

// Closing a device file removes its notifiers, which can wait for an invalidation that is under way: on a thread.
void ReleaseOnThread(Device device);

// JavaScript thread only. Freed when the last of the functions has been collected.
struct ContextState {
  ~ContextState() {
    if (poller) poller->Close();
    // Requests of threads may wait for them, and nobody is left to release them.
    for (const uint32_t id : held) device.Unlock(id);
    ReleaseOnThread(std::move(device));
    const napi_ref references[] = {request_reference, range_reference, access_reference, pfns.reference,
                                   piece.reference};
    for (napi_ref reference : references) {
      if (reference != nullptr) napi_delete_reference(env, reference);
    }
  }

  napi_env env = nullptr;
  Device device;
  // Mirrors whose update lock this context holds.
  std::set<uint32_t> held;
  // The argument of the next request, in the memory of an array that JavaScript fills in: a request then costs no
  // conversion. The array never leaves lib/kernel, which detaches nothing, and is kept alive by the reference.
  RequestBlock* request = nullptr;
  napi_ref request_reference = nullptr;
  // The same for rangeFaultBound() alone: what the last call left need not be written again.
  RequestBlock* range = nullptr;
  napi_ref range_reference = nullptr;
  BoundMemory pfns;
  // What readBound() is to read, as JavaScript has its numbers: converting them there takes longer.
  BoundAccess* access = nullptr;
  napi_ref access_reference = nullptr;
  // What readBound() reads into.
  BoundMemory piece;
  std::shared_ptr<Poller> poller;
};

// Adds the functions that issue a request on the JavaScript thread, and must not sleep.
bool AddInlineRequests(napi_env env, napi_value object, const std::shared_ptr<ContextState>& context);

// Adds the functions that issue a request on a thread of its own.
bool AddPooledRequests(napi_env env, napi_value object, const std::shared_ptr<ContextState>& context);

}  // namespace hmm
