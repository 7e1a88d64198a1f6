// The addon as JavaScript sees it: one flat list of functions, the first argument of which is the loop's number. Each
// checks its arguments and hands them down; a stale handle makes a command do nothing.
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "face/args.h"
#include "face/calls.h"
#include "loop/loop.h"
#include "tls/openssl.h"

namespace em {

namespace {

napi_value throw_error(napi_env env, const char* message) {
  best_effort(napi_throw_error(env, "ERR_EM_ENGINE_UNAVAILABLE", message));
  return nullptr;
}

// One hold on the shared memory, for one ArrayBuffer over it. Where Node does not make the buffer, it does not say
// whether the finalizer will be called: the hold is given up once, by whichever of the two comes first.
struct Window {
  Region* region;
  int users = 2;  // `share`, and the finalizer

  void give_up() {
    if (region != nullptr) region->release();
    region = nullptr;
  }
  void leave() {
    if (--users == 0) delete this;
  }
};

// A window over the shared memory. The region lives until the last of them is collected.
napi_value share(napi_env env, Region& region, uint8_t* memory, size_t size) {
  napi_value buffer = nullptr;
  region.retain();
  auto* window = new Window{&region};
  const auto finalize = [](napi_env, void*, void* hint) {
    auto* window = static_cast<Window*>(hint);
    window->give_up();
    window->leave();
  };
  if (napi_create_external_arraybuffer(env, memory, size, finalize, window, &buffer) != napi_ok) {
    buffer = nullptr;
    window->give_up();
  }
  window->leave();
  return buffer;
}

// create(dispatch, ticks, seed): [number, control, event slab, out slab]
napi_value create(napi_env env, napi_callback_info info) {
  Args args(env, info);
  uint32_t seed = args.uint32(2);
  napi_ref dispatch = args.function(0);
  napi_ref ticks = args.function(1);
  auto& addon = *static_cast<Addon*>(args.data);
  if (!args.ok()) {
    if (dispatch != nullptr) best_effort(napi_delete_reference(env, dispatch));
    return nothing();
  }
  if (addon.stopping) return throw_error(env, "the environment is stopping");
  Region* region = Region::create(*addon.live);
  int error = -ENOMEM;
  Loop* loop = region == nullptr ? nullptr : Loop::create(addon, *region, dispatch, ticks, seed, &error);
  napi_value result = nullptr;
  if (loop == nullptr) {
    best_effort(napi_delete_reference(env, dispatch));
    best_effort(napi_delete_reference(env, ticks));
    throw_error(env, strerror(-error));
  } else {
    result = list(env, {integer(env, loop->id), share(env, *region, region->control, kControlSize),
                        share(env, *region, region->event_slab, kEventSlabSize),
                        share(env, *region, region->out_slab, kOutSlabSize)});
    if (result == nullptr) {
      loop->close();
      throw_error(env, "this runtime does not let memory be shared with an addon");
    }
  }
  if (region != nullptr) region->release();
  return result;
}

// slab(loop): a fresh window over the event slab, where a program has detached the old one.
napi_value slab(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  if (!args.ok() || loop == nullptr) return nothing();
  return share(env, loop->core.shared, loop->core.shared.event_slab, kEventSlabSize);
}

// arena(loop): a window over the memory that datagrams are received into.
napi_value arena(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  if (!args.ok() || loop == nullptr) return nothing();
  return share(env, loop->core.shared, loop->core.shared.arena, kArenaSize);
}

napi_value close(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  if (args.ok() && loop != nullptr) loop->close();
  return nothing();
}

napi_value hold_process(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  bool hold = args.boolean(1);
  if (args.ok() && loop != nullptr) loop->hold_process(hold);
  return nothing();
}

napi_value flush(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  if (args.ok() && loop != nullptr) loop->rounds.flush();
  return nothing();
}

napi_value monotonic(napi_env env, napi_callback_info) { return real(env, monotonic_now()); }

// liveCounts(): what this environment's loops hold, for tests.
napi_value live_counts(napi_env env, napi_callback_info info) {
  Args args(env, info);
  if (!args.ok()) return nothing();
  const Live& live = *static_cast<Addon*>(args.data)->live;
  Object result(env);
  const auto add = [&](const char* name, int64_t count) { result.set(name, integer(env, count)); };
  add("loops", live.loops);
  add("handles", live.handles);
  add("descriptors", live.descriptors);
  add("chunks", live.chunks);
  add("unread", live.unread);
  add("regions", live.regions);
  add("tls", live.tls);
  add("tlsContexts", live.tls_contexts);
  add("fileReads", live.file_reads);
  return result.value();
}

void stop_environment(napi_async_cleanup_hook_handle hook, void* data) {
  auto& addon = *static_cast<Addon*>(data);
  addon.stopping = true;
  for (size_t i = 0; i < addon.loops.size(); i++) {
    if (addon.loops[i] != nullptr) addon.loops[i]->close();
  }
  if (addon.open_loops == 0) best_effort(napi_remove_async_cleanup_hook(hook));
}

// glibc gives the top of its heap back to the kernel as soon as 128 KiB of it are free, and takes it anew page by page:
// a program that is given copies of what comes in would pay for that at every garbage collection, which frees some 32
// MiB of them at a time. So it keeps up to four times that. The block that is freed first is how glibc learns what a
// large allocation is (mallopt(3), M_MMAP_THRESHOLD), which it stops learning by itself once it is told anything; it is
// never touched. EVENTMACHINE_KEEP_HEAP=0 leaves the process's allocator as it is.
void keep_heap() {
#ifdef M_TRIM_THRESHOLD
  const char* wish = getenv("EVENTMACHINE_KEEP_HEAP");
  if (wish != nullptr && strcmp(wish, "0") == 0) return;
  void* volatile block = malloc(32 * 1024 * 1024 - 4096);
  free(block);
  mallopt(M_TRIM_THRESHOLD, 128 * 1024 * 1024);
#endif
}

// Null where the environment does not take it.
Addon* make_addon(napi_env env) {
  const auto discard = [](napi_env, void* data, void*) {
    auto* gone = static_cast<Addon*>(data);
    gone->live->release();
    delete gone;
  };
  auto* addon = new Addon();
  addon->env = env;
  addon->live = new Live();
  if (napi_get_uv_event_loop(env, &addon->uv) == napi_ok &&
      napi_add_async_cleanup_hook(env, stop_environment, addon, &addon->hook) == napi_ok) {
    if (napi_set_instance_data(env, addon, discard, nullptr) == napi_ok) return addon;
    best_effort(napi_remove_async_cleanup_hook(addon->hook));
  }
  discard(env, addon, nullptr);
  return nullptr;
}

napi_value init(napi_env env, napi_value initial) {
  keep_heap();
  if (const char* missing = load_openssl(); missing != nullptr) {
    char message[120];
    snprintf(message, sizeof message, "this runtime has no %s for addons", missing);
    return throw_error(env, message);
  }
  Addon* addon = make_addon(env);
  if (addon == nullptr) return throw_error(env, "this runtime has no libuv loop");
  static constexpr Call kCalls[] = {
      {"create", create},
      {"slab", slab},
      {"arena", arena},
      {"close", close},
      {"holdProcess", hold_process},
      {"flush", flush},
      {"monotonic", monotonic},
      {"liveCounts", live_counts},
  };
  Object exports(env, initial);
  for (const Call& call : kCalls) define(exports, call, addon);
  define_stream_calls(exports, addon);
  define_datagram_calls(exports, addon);
  define_option_calls(exports, addon);
  define_relay_calls(exports, addon);
  define_tls_calls(exports, addon);
  define_process_calls(exports, addon);
  define_watch_calls(exports, addon);
  exports.set("layout", integer(env, kLayoutHash));
  exports.set("torture", boolean(env, kTorture));
  return exports.value();
}

}  // namespace

void define(Object& exports, const Call& call, Addon* addon) {
  napi_value function = nullptr;
  if (napi_create_function(exports.env(), call.name, NAPI_AUTO_LENGTH, call.function, addon, &function) != napi_ok) {
    function = nullptr;
  }
  exports.set(call.name, function);
}

}  // namespace em

NAPI_MODULE_INIT() { return em::init(env, exports); }
