// The commands on relays.
#include <limits>

#include "face/calls.h"
#include "net/relay.h"

namespace em {

namespace {

// startRelay(loop, from, to, most bytes waiting, length; 0: without end): whether there is one now
napi_value start_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target from(args);
  const int32_t handle = args.int32(2);
  const uint32_t most = args.uint32(3);
  const auto length = static_cast<double>(args.size(4));
  if (!args.ok() || from.stream() == nullptr) return boolean(env, false);
  Slot* to = from.core->slots.find(handle);
  if (to == nullptr || to->kind != Kind::stream) return boolean(env, false);
  from.core->absorb();
  const double left = length == 0 ? std::numeric_limits<double>::infinity() : length;
  return boolean(env, start_relay(*from.core, *from.slot, *to, most, left));
}

napi_value stop_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target from(args);
  if (args.ok() && from.stream() != nullptr) stop_relay(*from.core, *from.slot);
  return nothing();
}

// relayedBytes(loop, from): of the relay it is the source of, or was last
napi_value bytes_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target from(args);
  if (!args.ok() || from.stream() == nullptr) return integer(env, 0);
  return integer(env, static_cast<int64_t>(relayed_bytes(*from.core, *from.slot)));
}

}  // namespace

void define_relay_calls(Object& exports, Addon* addon) {
  static constexpr Call kCalls[] = {
      {"startRelay", start_call},
      {"stopRelay", stop_call},
      {"relayedBytes", bytes_call},
  };
  for (const Call& call : kCalls) define(exports, call, addon);
}

}  // namespace em
