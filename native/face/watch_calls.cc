// The commands on watches.
#include "face/calls.h"
#include "net/watch.h"

namespace em {

namespace {

constexpr uint32_t kAllFlags = kWatchReadable | kWatchWritable;

// watch(loop, fd, flags): the handle, or a negative errno
napi_value watch_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  int32_t fd = args.int32(1, 0);
  uint32_t flags = args.uint32(2, kAllFlags);
  if (!args.ok() || loop == nullptr) return nothing();
  return integer(env, open_watch(loop->core, fd, flags));
}

// watchFlags(loop, handle, flags)
napi_value watch_flags_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  uint32_t flags = args.uint32(2, kAllFlags);
  if (args.ok() && target.watch() != nullptr) set_watch_flags(*target.core, *target.slot, flags);
  return nothing();
}

}  // namespace

void define_watch_calls(Object& exports, Addon* addon) {
  static constexpr Call kCalls[] = {
      {"watch", watch_call},
      {"watchFlags", watch_flags_call},
  };
  for (const Call& call : kCalls) define(exports, call, addon);
}

}  // namespace em
