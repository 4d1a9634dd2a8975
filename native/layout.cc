#include "layout.h"

#include <cstddef>

#include "hmm_mirror.h"

namespace hmm {

namespace {

struct Entry {
  const char* name;
  double value;
};

#define SIZE(type) \
  { #type, sizeof(struct type) }
#define FIELD(type, field) \
  { #type "." #field, offsetof(struct type, field) }
#define CONSTANT(name) \
  { #name, static_cast < double>(name) }

constexpr Entry kEntries[] = {
    CONSTANT(HMM_MIRROR_ABI_VERSION),
    CONSTANT(HMM_MIRROR_MAX_DEVICES),
    CONSTANT(HMM_MIRROR_MAX_PAGES),
    CONSTANT(HMM_MIRROR_NO_DEVICE),
    CONSTANT(HMM_MIRROR_DEVICE_NONE),
    CONSTANT(HMM_MIRROR_DEVICE_PRIVATE),
    CONSTANT(HMM_MIRROR_DEVICE_COHERENT),
    CONSTANT(HMM_MIRROR_FEATURE_DEVICE_PRIVATE),
    CONSTANT(HMM_MIRROR_FEATURE_DEVICE_COHERENT),
    CONSTANT(HMM_MIRROR_FEATURE_EXCLUSIVE),
    CONSTANT(HMM_MIRROR_FEATURE_TRANSPARENT_HUGE_PAGES),
    CONSTANT(HMM_MIRROR_FEATURE_HUGETLB),
    CONSTANT(HMM_MIRROR_ENTRY_EXCLUSIVE),
    CONSTANT(HMM_MIRROR_LOCATION_NONE),
    CONSTANT(HMM_MIRROR_LOCATION_SYSTEM),
    CONSTANT(HMM_MIRROR_LOCATION_ZERO),
    CONSTANT(HMM_MIRROR_LOCATION_DEVICE),
    CONSTANT(HMM_MIRROR_WRITABLE),
    CONSTANT(HMM_MIRROR_SNAPSHOT),
    CONSTANT(HMM_MIRROR_NOTIFIER_SYNC),
    CONSTANT(HMM_MIRROR_NOTIFIER_EVENTS),
    CONSTANT(HMM_MIRROR_NOTIFIER_PAGE_TABLE),
    CONSTANT(HMM_MIRROR_EVENT_UNMAP),
    CONSTANT(HMM_MIRROR_EVENT_CLEAR),
    CONSTANT(HMM_MIRROR_EVENT_PROTECTION_VMA),
    CONSTANT(HMM_MIRROR_EVENT_PROTECTION_PAGE),
    CONSTANT(HMM_MIRROR_EVENT_SOFT_DIRTY),
    CONSTANT(HMM_MIRROR_EVENT_RELEASE),
    CONSTANT(HMM_MIRROR_EVENT_MIGRATE),
    CONSTANT(HMM_MIRROR_EVENT_EXCLUSIVE),
    CONSTANT(HMM_MIRROR_EVENT_BLOCKABLE),
    CONSTANT(HMM_MIRROR_EVENT_TIMED_OUT),
    CONSTANT(HMM_MIRROR_EVENT_NOT_AWAITED),
    SIZE(hmm_mirror_info),
    FIELD(hmm_mirror_info, abi_version),
    FIELD(hmm_mirror_info, features),
    FIELD(hmm_mirror_info, page_shift),
    FIELD(hmm_mirror_info, device_count),
    FIELD(hmm_mirror_info, devices),
    SIZE(hmm_mirror_device_info),
    FIELD(hmm_mirror_device_info, kind),
    FIELD(hmm_mirror_device_info, capacity),
    FIELD(hmm_mirror_device_info, used),
    FIELD(hmm_mirror_notifier_insert, start),
    FIELD(hmm_mirror_notifier_insert, length),
    FIELD(hmm_mirror_notifier_insert, flags),
    FIELD(hmm_mirror_notifier_insert, device),
    FIELD(hmm_mirror_notifier_insert, timeout_ms),
    FIELD(hmm_mirror_notifier_insert, id),
    FIELD(hmm_mirror_notifier_id, id),
    FIELD(hmm_mirror_sequence, id),
    FIELD(hmm_mirror_sequence, sequence),
    FIELD(hmm_mirror_sequence, retry),
    FIELD(hmm_mirror_range_fault, id),
    FIELD(hmm_mirror_range_fault, start),
    FIELD(hmm_mirror_range_fault, end),
    FIELD(hmm_mirror_range_fault, sequence),
    FIELD(hmm_mirror_range_fault, default_flags),
    FIELD(hmm_mirror_range_fault, pfn_flags_mask),
    FIELD(hmm_mirror_range_fault, owner_device),
    FIELD(hmm_mirror_populate, id),
    FIELD(hmm_mirror_populate, start),
    FIELD(hmm_mirror_populate, end),
    FIELD(hmm_mirror_populate, pages),
    FIELD(hmm_mirror_populate, retries),
    FIELD(hmm_mirror_access, id),
    FIELD(hmm_mirror_access, address),
    FIELD(hmm_mirror_access, length),
    FIELD(hmm_mirror_access, buffer),
    FIELD(hmm_mirror_access, done),
    FIELD(hmm_mirror_query, id),
    FIELD(hmm_mirror_query, start),
    FIELD(hmm_mirror_query, end),
    FIELD(hmm_mirror_pages, id),
    FIELD(hmm_mirror_pages, start),
    FIELD(hmm_mirror_pages, end),
    FIELD(hmm_mirror_pages, pages),
    FIELD(hmm_mirror_pages, address),
    FIELD(hmm_mirror_pages, retries),
    FIELD(hmm_mirror_atomic, id),
    FIELD(hmm_mirror_atomic, address),
    FIELD(hmm_mirror_atomic, value),
    FIELD(hmm_mirror_atomic, old),
    FIELD(hmm_mirror_atomic, retries),
    FIELD(hmm_mirror_evict, device),
    FIELD(hmm_mirror_evict, pages),
    FIELD(hmm_mirror_device_access, device),
    FIELD(hmm_mirror_device_access, address),
    FIELD(hmm_mirror_device_access, length),
    FIELD(hmm_mirror_device_access, done),
    FIELD(hmm_mirror_device_access, stale_address),
    FIELD(hmm_mirror_ack, ticket),
    FIELD(hmm_mirror_ack, result),
    SIZE(hmm_mirror_event),
    FIELD(hmm_mirror_event, ticket),
    FIELD(hmm_mirror_event, start),
    FIELD(hmm_mirror_event, end),
    FIELD(hmm_mirror_event, sequence),
    FIELD(hmm_mirror_event, timestamp),
    FIELD(hmm_mirror_event, notifier),
    FIELD(hmm_mirror_event, event),
    FIELD(hmm_mirror_event, flags),
    FIELD(hmm_mirror_event, owner),
    FIELD(hmm_mirror_event, lost),
};

#undef SIZE
#undef FIELD
#undef CONSTANT

}  // namespace

napi_value LayoutValue(napi_env env) {
  napi_value object;
  if (napi_create_object(env, &object) != napi_ok) return nullptr;
  for (const Entry& entry : kEntries) {
    napi_value number;
    if (napi_create_double(env, entry.value, &number) != napi_ok ||
        napi_set_named_property(env, object, entry.name, number) != napi_ok) {
      return nullptr;
    }
  }
  return object;
}

}  // namespace hmm
