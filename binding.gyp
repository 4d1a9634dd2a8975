{
  'targets': [
    {
      'target_name': 'hmm_mirror',
      'conditions': [
        ['OS=="linux"', {
          'sources': [
            'native/addon.cc',
            'native/channel.cc',
            'native/context.cc',
            'native/descriptor.cc',
            'native/device.cc',
            'native/inline_requests.cc',
            'native/job.cc',
            'native/layout.cc',
            'native/poller.cc',
            'native/pooled_requests.cc',
            'native/socket.cc',
            'native/thread_pool.cc',
            'native/values.cc',
          ],
          'include_dirs': [
            'native',
            'kernel-module/uapi',
            '<!(node -p "require(\'node-addon-api\').include_dir")',
          ],
          'defines': ['NAPI_VERSION=8', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS'],
          'cflags': ['-Wall', '-Wextra'],
          'cflags_cc!': ['-std=gnu++20', '-std=gnu++2a'],
          'cflags_cc': ['-std=gnu++17', '-fvisibility=hidden'],
          # Node unloads an addon with the last thread that has loaded it; its own threads may still sleep in a request.
          'ldflags': ['-Wl,-z,nodelete'],
        }, {
          'type': 'none',
        }],
      ],
    },
    {
      'target_name': 'hmm_workload',
      'conditions': [
        ['OS=="linux"', {
          'type': 'executable',
          'sources': [
            'native/workload/access.cc',
            'native/workload/main.cc',
            'native/workload/operations.cc',
            'native/workload/process.cc',
            'native/workload/serve.cc',
            'native/workload/stream.cc',
          ],
          'include_dirs': ['native/workload', 'kernel-module/uapi'],
          'cflags!': ['-fPIC', '-O3'],
          'cflags_cc!': ['-std=gnu++20', '-std=gnu++2a'],
          'cflags': ['-O2', '-Wall', '-Wextra', '-fno-pie', '-pthread'],
          'cflags_cc': ['-std=gnu++17', '-fno-exceptions', '-fno-rtti', '-fno-threadsafe-statics'],
          # Static where the machine has a static libc: then nothing but what is asked of the program is ever mapped where
          # the kernel puts mappings of its own choice.
          'ldflags': [
            '-no-pie',
            '-pthread',
            '<!(printf "int main(){return 0;}" | ${CXX:-c++} -static -x c++ - -o /dev/null 2>/dev/null && echo -static || echo -no-pie)',
          ],
          'ldflags!': ['-rdynamic'],
        }, {
          'type': 'none',
        }],
      ],
    },
  ],
}
