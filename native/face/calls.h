// What the files of the JavaScript face share.
#pragma once

#include <string.h>

#include "face/args.h"
#include "face/values.h"
#include "loop/loop.h"

namespace em {

struct Call {
  const char* name;
  napi_callback function;
};

void define(Object& exports, const Call& call, Addon* addon);
void define_datagram_calls(Object& exports, Addon* addon);
void define_process_calls(Object& exports, Addon* addon);
void define_stream_calls(Object& exports, Addon* addon);
void define_option_calls(Object& exports, Addon* addon);
void define_relay_calls(Object& exports, Addon* addon);
void define_tls_calls(Object& exports, Addon* addon);
void define_watch_calls(Object& exports, Addon* addon);

constexpr size_t kMostText = 4096;  // longer than any address

// Reads the family, the text and the port of an address, three arguments from `at`. What is no address has the length
// 0.
Address read_address(Args& args, size_t at);

// The loop named by the first argument; null once it is closed.
inline Loop* args_loop(Args& args) {
  int32_t id = args.int32(0);
  return args.ok() ? static_cast<Addon*>(args.data)->find(id) : nullptr;
}

// The loop and the handle the first two arguments name; no slot where either is stale.
struct Target {
  Core* core = nullptr;
  Slot* slot = nullptr;

  explicit Target(Args& args) {
    Loop* loop = args_loop(args);
    int32_t handle = args.int32(1);
    if (!args.ok() || loop == nullptr) return;
    core = &loop->core;
    slot = core->slots.find(handle);
  }

  Slot* stream() const { return slot != nullptr && slot->kind == Kind::stream ? slot : nullptr; }
  Slot* datagrams() const { return slot != nullptr && slot->kind == Kind::datagram ? slot : nullptr; }
  Slot* watch() const { return slot != nullptr && slot->kind == Kind::watch ? slot : nullptr; }
};

}  // namespace em
