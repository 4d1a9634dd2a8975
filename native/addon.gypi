# What binding.gyp builds. Paths are relative to this folder: it is in the npm package, which has no binding.gyp of its
# own, since package managers would take that for something to be built at installation.
{
  'targets': [
    {
      'target_name': 'hmm_mirror',
      'conditions': [
        ['OS=="linux"', {
          'sources': [
            'addon.cc',
            'channel.cc',
            'context.cc',
            'descriptor.cc',
            'device.cc',
            'inline_requests.cc',
            'job.cc',
            'layout.cc',
            'poller.cc',
            'pooled_requests.cc',
            'socket.cc',
            'thread_pool.cc',
            'values.cc',
          ],
          'include_dirs': [
            '.',
            '../kernel-module/uapi',
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
            'workload/access.cc',
            'workload/main.cc',
            'workload/operations.cc',
            'workload/process.cc',
            'workload/serve.cc',
            'workload/stream.cc',
          ],
          'include_dirs': ['workload', '../kernel-module/uapi'],
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
