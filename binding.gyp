{
  "targets": [
    {
      "target_name": "eventmachine",
      "sources": [],
      "cflags_cc": ["-std=c++20", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"],
      "cflags_cc!": ["-std=gnu++17", "-O3", "-fno-rtti"],
      "defines": ["NAPI_VERSION=8"]
    }
  ]
}
