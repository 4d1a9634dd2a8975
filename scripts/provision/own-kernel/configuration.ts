/**
 * What the own kernels are configured with: data only. Everything that is not asked for here is off (allnoconfig with
 * EXPERT), so that a kernel is built in minutes and boots in seconds under a translator.
 */

/** Option names without CONFIG_, each with its value; 'n' asks for it to be off in the end, too. */
export type Configuration = Readonly<Record<string, string>>;

function on(names: string): Record<string, string> {
  return Object.fromEntries(
    names
      .split(/\s+/)
      .filter((name) => name !== '')
      .map((name) => [name, 'y']),
  );
}

/** The machine: QEMU's PC, under KVM or translated, started through the PVH entry of an uncompressed kernel. */
const MACHINE: Configuration = {
  ...on(`64BIT SMP HYPERVISOR_GUEST PARAVIRT KVM_GUEST PVH PCI PCI_MSI ACPI HPET_TIMER MTRR X86_PAT
    X86_INTEL_MEMORY_PROTECTION_KEYS HIGH_RES_TIMERS NO_HZ_IDLE HZ_250`),
  // Processors are found through the MP table where ACPI is off.
  ...on('X86_MPPARSE'),
  ...on('PRINTK PRINTK_TIME TTY UNIX98_PTYS SERIAL_8250 SERIAL_8250_CONSOLE'),
  ...on('VIRTIO_MENU VIRTIO_PCI VIRTIO_CONSOLE NETWORK_FILESYSTEMS NET_9P NET_9P_VIRTIO 9P_FS BLK_DEV_INITRD'),
  // No code is patched while processors run: translators before QEMU 8.1 may run what was there before.
  JUMP_LABEL: 'n',
  CC_OPTIMIZE_FOR_PERFORMANCE: 'y',
  // The command line turns them off anyway, and without them there is less to build.
  CPU_MITIGATIONS: 'n',
};

/** What a distribution's programs expect of a kernel: Node.js, the C library, a shell. */
const USERLAND: Configuration = on(`
  BINFMT_ELF BINFMT_SCRIPT ELF_CORE COREDUMP MULTIUSER POSIX_TIMERS FUTEX FUTEX_PI RSEQ MEMBARRIER EPOLL EVENTFD
  SIGNALFD TIMERFD AIO IO_URING ADVISE_SYSCALLS FILE_LOCKING FHANDLE INOTIFY_USER CROSS_MEMORY_ATTACH KCMP SYSVIPC
  PROC_FS PROC_SYSCTL PROC_PAGE_MONITOR PROC_CHILDREN SYSFS DEVTMPFS TMPFS SHMEM OVERLAY_FS NET INET UNIX`);

/** As Debian's kernels have it, so that one expectation holds for all, plus what those leave out: device-private memory. */
const MEMORY: Configuration = {
  ...on(`SPARSEMEM_VMEMMAP MEMORY_HOTPLUG MEMORY_HOTREMOVE ZONE_DEVICE DEVICE_PRIVATE
    TRANSPARENT_HUGEPAGE TRANSPARENT_HUGEPAGE_MADVISE HUGETLBFS MIGRATION COMPACTION KSM USERFAULTFD
    PTE_MARKER_UFFD_WP LRU_GEN LRU_GEN_ENABLED X86_MCE MEMORY_FAILURE VMAP_STACK VM_EVENT_COUNTERS CHECKPOINT_RESTORE MEM_SOFT_DIRTY`),
};

/** So that a fault of the module is seen, named and placed. */
const DIAGNOSIS: Configuration = on(`
  BUG DEBUG_BUGVERBOSE KALLSYMS UNWINDER_FRAME_POINTER DEBUG_KERNEL DEBUG_FS SLUB_DEBUG MAGIC_SYSRQ DETECT_HUNG_TASK
  SOFTLOCKUP_DETECTOR`);

/** What the kernel's own hmm-tests want: their module, and what two of them look into. */
const SELFTESTS: Configuration = { ...on('RUNTIME_TESTING_MENU HMM_MIRROR GUP_TEST'), TEST_HMM: 'm' };

export const OWN: Configuration = {
  // Tells the own kernels apart from others of that version, and from each other: modules are kept by release.
  LOCALVERSION: '"-own"',
  ...on('EXPERT MODULES MODULE_UNLOAD PREEMPT_VOLUNTARY DEBUG_INFO_NONE INIT_STACK_NONE'),
  ...MACHINE,
  ...USERLAND,
  ...MEMORY,
  ...DIAGNOSIS,
  ...SELFTESTS,
};

/** Everything that finds a fault which would else stay unseen; each costs speed. */
export const OWN_DEBUG: Configuration = {
  ...OWN,
  LOCALVERSION: '"-own-debug"',
  // Full preemption: a task can be interrupted wherever that is allowed at all.
  PREEMPT_VOLUNTARY: 'n',
  ...on('PREEMPT'),
  // Inline checks: a larger kernel, but a call less for every access, which a translator would have to follow.
  ...on('KASAN KASAN_GENERIC KASAN_INLINE KASAN_VMALLOC'),
  ...on('PROVE_LOCKING DEBUG_ATOMIC_SLEEP SCHED_STACK_END_CHECK'),
  // More than the default: a table that runs over ends the checking, with a line that counts as a splat.
  LOCKDEP_CHAINS_BITS: '18',
  ...on(`DEBUG_LIST DEBUG_NOTIFIERS BUG_ON_DATA_CORRUPTION
    DEBUG_OBJECTS DEBUG_OBJECTS_FREE DEBUG_OBJECTS_TIMERS DEBUG_OBJECTS_WORK DEBUG_OBJECTS_RCU_HEAD`),
  ...on('DEBUG_VM DEBUG_VM_PGFLAGS DEBUG_VM_PGTABLE PAGE_TABLE_CHECK PAGE_TABLE_CHECK_ENFORCED PAGE_OWNER STACKTRACE'),
  ...on('UBSAN UBSAN_BOUNDS UBSAN_SHIFT UBSAN_BOOL UBSAN_ENUM'),
  ...on('FAULT_INJECTION FAULT_INJECTION_DEBUG_FS FAULT_INJECTION_STACKTRACE_FILTER FAULT_INJECTION_USERCOPY'),
  ...on('FAILSLAB FAIL_PAGE_ALLOC'),
  ...on('DEBUG_KMEMLEAK'),
  // Scans are asked for by the guest's first program, when the command has ended: not in the middle of a test.
  DEBUG_KMEMLEAK_AUTO_SCAN: 'n',
  // Objects of the early boot, before it can allocate its own: when they do not fit, it turns itself off.
  DEBUG_KMEMLEAK_MEM_POOL_SIZE: '40000',
};

/** As Kconfig reads it (KCONFIG_ALLCONFIG). */
export function renderConfiguration(configuration: Configuration): string {
  const lines = Object.entries(configuration).map(([name, value]) =>
    value === 'n' ? `# CONFIG_${name} is not set` : `CONFIG_${name}=${value}`,
  );
  return `${lines.join('\n')}\n`;
}

/** The options that a .config does not have as asked, as "NAME=value"; a dependency that is not met turns one off silently. */
export function unmetOptions(configuration: Configuration, config: string): string[] {
  const actual = new Map([...config.matchAll(/^CONFIG_(\w+)=(.*)$/gm)].map((match) => [match[1], match[2]]));
  return Object.entries(configuration)
    .filter(([name, value]) => (actual.get(name) ?? 'n') !== value)
    .map(([name, value]) => `${name}=${value}`);
}

export const CONFIGURATIONS = { own: OWN, 'own-debug': OWN_DEBUG } as const;
