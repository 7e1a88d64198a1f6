{
  "targets": [
    {
      "target_name": "eventmachine",
      "sources": [
        "native/addon.cc",
        "native/address.cc",
        "native/core.cc",
        "native/descriptors.cc",
        "native/epoll.cc",
        "native/file_reads.cc",
        "native/listener.cc",
        "native/loop.cc",
        "native/openssl.cc",
        "native/option_calls.cc",
        "native/out_queue.cc",
        "native/shared.cc",
        "native/slots.cc",
        "native/socket_file.cc",
        "native/stream.cc",
        "native/stream_calls.cc",
        "native/stream_io.cc",
        "native/tls_calls.cc",
        "native/tls_context.cc",
        "native/tls_ends.cc",
        "native/tls_handshake.cc",
        "native/tls_hello.cc",
        "native/tls_output.cc",
        "native/tls_session.cc",
        "native/tls_stream.cc",
        "native/tls_wire.cc"
      ],
      "cflags_cc": ["-std=c++20", "-O2", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror",
                    "-fstack-protector-strong", "-fstack-clash-protection", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-O3", "-fexceptions", "-frtti"],
      "ldflags": ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"],
      "conditions": [
        ["target_arch in 'x64 ia32'", {"cflags_cc": ["-fcf-protection=full"]}],
        ["target_arch=='arm64'", {"cflags_cc": ["-mbranch-protection=standard"]}]
      ],
      "defines": ["NAPI_VERSION=8"]
    }
  ]
}
