{
  "targets": [
    {
      "target_name": "eventmachine",
      "include_dirs": ["native"],
      "sources": [
        "native/face/addon.cc",
        "native/core/address.cc",
        "native/core/core.cc",
        "native/net/datagram.cc",
        "native/net/datagram_batch.cc",
        "native/face/datagram_calls.cc",
        "native/net/datagram_core.cc",
        "native/net/datagram_options.cc",
        "native/net/datagram_queue.cc",
        "native/net/datagram_receive.cc",
        "native/net/datagram_send.cc",
        "native/core/descriptors.cc",
        "native/poll/epoll.cc",
        "native/loop/file_reads.cc",
        "native/net/listener.cc",
        "native/loop/loop.cc",
        "native/loop/rounds.cc",
        "native/tls/openssl.cc",
        "native/face/option_calls.cc",
        "native/core/out_queue.cc",
        "native/core/shared.cc",
        "native/core/slots.cc",
        "native/net/plain.cc",
        "native/net/socket.cc",
        "native/net/socket_file.cc",
        "native/net/stream.cc",
        "native/net/stream_ends.cc",
        "native/face/stream_calls.cc",
        "native/net/stream_io.cc",
        "native/face/tls_calls.cc",
        "native/tls/tls_context.cc",
        "native/tls/tls_ends.cc",
        "native/tls/tls_handshake.cc",
        "native/tls/tls_flight.cc",
        "native/tls/tls_output.cc",
        "native/tls/tls_connection.cc",
        "native/tls/tls_stream.cc",
        "native/tls/tls_wire.cc",
        "native/net/watch.cc",
        "native/face/watch_calls.cc"
      ],
      "cflags_cc": ["-std=c++20", "-O2", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror",
                    "-fstack-protector-strong", "-fstack-clash-protection", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-O3", "-fexceptions", "-frtti"],
      "ldflags": ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"],
      "conditions": [
        ["target_arch in 'x64 ia32'", {"cflags_cc": ["-fcf-protection=full"], "ldflags": ["-Wl,-z,shstk"]}],
        ["target_arch=='arm64'", {"cflags_cc": ["-mbranch-protection=standard"]}]
      ],
      "defines": ["NAPI_VERSION=8"]
    }
  ]
}
