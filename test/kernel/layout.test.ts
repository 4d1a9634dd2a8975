/** lib/kernel/abi.ts against kernel-module/uapi/hmm_mirror.h, as the C++ compiler sees that. */
import { expect, it } from 'vitest';
import { ENTRY_EXCLUSIVE, LOCATION_DEVICE, LOCATION_NONE, LOCATION_SYSTEM, LOCATION_ZERO } from '../../lib/backend.js';
import { MAX_RANGE_PAGES } from '../../lib/constants.js';
import * as abi from '../../lib/kernel/abi.js';
import { PAGE, addon } from './support.js';

it('the layout is the header’s', () => {
  const offsets = {
    'hmm_mirror_info.abi_version': abi.INFO.abiVersion,
    'hmm_mirror_info.features': abi.INFO.features,
    'hmm_mirror_info.page_shift': abi.INFO.pageShift,
    'hmm_mirror_info.device_count': abi.INFO.deviceCount,
    'hmm_mirror_info.devices': abi.INFO.devices,
    hmm_mirror_info: abi.INFO.words,
    hmm_mirror_device_info: abi.DEVICE_INFO.words,
    'hmm_mirror_device_info.kind': abi.DEVICE_INFO.kind,
    'hmm_mirror_device_info.capacity': abi.DEVICE_INFO.capacity,
    'hmm_mirror_device_info.used': abi.DEVICE_INFO.used,
    'hmm_mirror_notifier_insert.start': abi.INSERT.start,
    'hmm_mirror_notifier_insert.length': abi.INSERT.length,
    'hmm_mirror_notifier_insert.flags': abi.INSERT.flags,
    'hmm_mirror_notifier_insert.device': abi.INSERT.device,
    'hmm_mirror_notifier_insert.timeout_ms': abi.INSERT.timeout,
    'hmm_mirror_notifier_insert.id': abi.INSERT.id,
    'hmm_mirror_notifier_id.id': abi.HEAD.id,
    'hmm_mirror_sequence.id': abi.HEAD.id,
    'hmm_mirror_sequence.sequence': abi.SEQUENCE.sequence,
    'hmm_mirror_sequence.retry': abi.SEQUENCE.retry,
    'hmm_mirror_range_fault.id': abi.HEAD.id,
    'hmm_mirror_range_fault.start': abi.RANGE.start,
    'hmm_mirror_range_fault.end': abi.RANGE.end,
    'hmm_mirror_range_fault.sequence': abi.RANGE.sequence,
    'hmm_mirror_range_fault.default_flags': abi.RANGE.defaultFlags,
    'hmm_mirror_range_fault.pfn_flags_mask': abi.RANGE.pfnFlagsMask,
    'hmm_mirror_range_fault.owner_device': abi.RANGE.owner,
    'hmm_mirror_populate.id': abi.HEAD.id,
    'hmm_mirror_populate.start': abi.POPULATE.start,
    'hmm_mirror_populate.end': abi.POPULATE.end,
    'hmm_mirror_populate.pages': abi.POPULATE.pages,
    'hmm_mirror_populate.retries': abi.POPULATE.retries,
    'hmm_mirror_access.id': abi.HEAD.id,
    'hmm_mirror_access.address': abi.ACCESS.address,
    'hmm_mirror_access.length': abi.ACCESS.length,
    'hmm_mirror_access.buffer': abi.ACCESS.buffer,
    'hmm_mirror_access.done': abi.ACCESS.done,
    'hmm_mirror_query.id': abi.HEAD.id,
    'hmm_mirror_query.start': abi.QUERY.start,
    'hmm_mirror_query.end': abi.QUERY.end,
    'hmm_mirror_pages.id': abi.HEAD.id,
    'hmm_mirror_pages.start': abi.PAGES.start,
    'hmm_mirror_pages.end': abi.PAGES.end,
    'hmm_mirror_pages.pages': abi.PAGES.pages,
    'hmm_mirror_pages.address': abi.PAGES.address,
    'hmm_mirror_pages.retries': abi.PAGES.retries,
    'hmm_mirror_atomic.id': abi.HEAD.id,
    'hmm_mirror_atomic.address': abi.ATOMIC.address,
    'hmm_mirror_atomic.value': abi.ATOMIC.value,
    'hmm_mirror_atomic.old': abi.ATOMIC.old,
    'hmm_mirror_atomic.retries': abi.ATOMIC.retries,
    'hmm_mirror_evict.device': abi.HEAD.id,
    'hmm_mirror_evict.pages': abi.EVICT.pages,
    'hmm_mirror_device_access.device': abi.HEAD.id,
    'hmm_mirror_device_access.address': abi.DEVICE_ACCESS.address,
    'hmm_mirror_device_access.length': abi.DEVICE_ACCESS.length,
    'hmm_mirror_device_access.done': abi.DEVICE_ACCESS.done,
    'hmm_mirror_device_access.stale_address': abi.DEVICE_ACCESS.staleAddress,
    'hmm_mirror_ack.ticket': abi.ACK.ticket,
    'hmm_mirror_ack.result': abi.ACK.result,
    hmm_mirror_event: abi.EVENT.words,
    'hmm_mirror_event.ticket': abi.EVENT.ticket,
    'hmm_mirror_event.start': abi.EVENT.start,
    'hmm_mirror_event.end': abi.EVENT.end,
    'hmm_mirror_event.sequence': abi.EVENT.sequence,
    'hmm_mirror_event.timestamp': abi.EVENT.timestamp,
    'hmm_mirror_event.notifier': abi.EVENT.notifier,
    'hmm_mirror_event.event': abi.EVENT.event,
    'hmm_mirror_event.flags': abi.EVENT.flags,
    'hmm_mirror_event.owner': abi.EVENT.owner,
    'hmm_mirror_event.lost': abi.EVENT.lost,
  };
  const constants = {
    HMM_MIRROR_ABI_VERSION: abi.ABI_VERSION,
    HMM_MIRROR_MAX_DEVICES: abi.MAX_DEVICES,
    HMM_MIRROR_MAX_PAGES: MAX_RANGE_PAGES,
    HMM_MIRROR_NO_DEVICE: abi.NO_DEVICE,
    HMM_MIRROR_DEVICE_NONE: abi.DEVICE_KINDS.indexOf('none'),
    HMM_MIRROR_DEVICE_PRIVATE: abi.DEVICE_KINDS.indexOf('private'),
    HMM_MIRROR_DEVICE_COHERENT: abi.DEVICE_KINDS.indexOf('coherent'),
    HMM_MIRROR_FEATURE_DEVICE_PRIVATE: abi.FEATURE_DEVICE_PRIVATE,
    HMM_MIRROR_FEATURE_DEVICE_COHERENT: abi.FEATURE_DEVICE_COHERENT,
    HMM_MIRROR_FEATURE_EXCLUSIVE: abi.FEATURE_EXCLUSIVE,
    HMM_MIRROR_FEATURE_TRANSPARENT_HUGE_PAGES: abi.FEATURE_TRANSPARENT_HUGE_PAGES,
    HMM_MIRROR_FEATURE_HUGETLB: abi.FEATURE_HUGETLB,
    HMM_MIRROR_ENTRY_EXCLUSIVE: Number(ENTRY_EXCLUSIVE),
    HMM_MIRROR_LOCATION_NONE: LOCATION_NONE,
    HMM_MIRROR_LOCATION_SYSTEM: LOCATION_SYSTEM,
    HMM_MIRROR_LOCATION_ZERO: LOCATION_ZERO,
    HMM_MIRROR_LOCATION_DEVICE: LOCATION_DEVICE,
    HMM_MIRROR_WRITABLE: abi.WRITABLE,
    HMM_MIRROR_SNAPSHOT: abi.SNAPSHOT,
    HMM_MIRROR_NOTIFIER_SYNC: abi.NOTIFIER_SYNC,
    HMM_MIRROR_NOTIFIER_EVENTS: abi.NOTIFIER_EVENTS,
    HMM_MIRROR_NOTIFIER_PAGE_TABLE: abi.NOTIFIER_PAGE_TABLE,
    HMM_MIRROR_EVENT_UNMAP: abi.EVENT_NAMES.indexOf('unmap'),
    HMM_MIRROR_EVENT_CLEAR: abi.EVENT_NAMES.indexOf('clear'),
    HMM_MIRROR_EVENT_PROTECTION_VMA: abi.EVENT_NAMES.indexOf('protection-vma'),
    HMM_MIRROR_EVENT_PROTECTION_PAGE: abi.EVENT_NAMES.indexOf('protection-page'),
    HMM_MIRROR_EVENT_SOFT_DIRTY: abi.EVENT_NAMES.indexOf('soft-dirty'),
    HMM_MIRROR_EVENT_RELEASE: abi.EVENT_NAMES.indexOf('release'),
    HMM_MIRROR_EVENT_MIGRATE: abi.EVENT_NAMES.indexOf('migrate'),
    HMM_MIRROR_EVENT_EXCLUSIVE: abi.EVENT_NAMES.indexOf('exclusive'),
    HMM_MIRROR_EVENT_BLOCKABLE: abi.EVENT_BLOCKABLE,
    HMM_MIRROR_EVENT_TIMED_OUT: abi.EVENT_TIMED_OUT,
    HMM_MIRROR_EVENT_NOT_AWAITED: abi.EVENT_NOT_AWAITED,
  };
  const bytes = Object.fromEntries(Object.entries(offsets).map(([name, at]) => [name, 4 * at]));
  expect(addon.layout).toEqual({ ...bytes, ...constants });
});

it('numbers are cut in two words and put together again', () => {
  const words = new Uint32Array(2);
  for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 47 - PAGE, Number.MAX_SAFE_INTEGER]) {
    abi.putNumber(words, 0, value);
    expect(abi.getNumber(words, 0)).toBe(value);
  }
  words.fill(0xffff_ffff);
  expect(abi.getNumber(words, 0)).toBe(2 ** 64);
  for (const value of [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n, 0x0123_4567_89ab_cdefn]) {
    abi.putBigint(words, 0, value);
    expect(abi.getBigint(words, 0)).toBe(value);
    expect(new BigUint64Array(words.buffer)[0]).toBe(value);
  }
});
