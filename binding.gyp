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
      "cflags_cc": ["-std=c++20", "-O2", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-O3", "-fexceptions", "-frtti"],
      "defines": ["NAPI_VERSION=8"]
    }
  ]
}
