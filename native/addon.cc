// The addon as JavaScript sees it: one flat list of functions, the first argument of which is the loop's number. Each
// checks its arguments and hands them down; a stale handle makes a command do nothing.
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "args.h"
#include "calls.h"
#include "loop.h"
#include "openssl.h"

namespace em {

namespace {

napi_value undefined(napi_env env) {
  napi_value value;
  napi_get_undefined(env, &value);
  return value;
}

napi_value throw_error(napi_env env, const char* message) {
  napi_throw_error(env, "ERR_EM_ENGINE_UNAVAILABLE", message);
  return nullptr;
}

// A window over the shared memory. The region lives until the last of them is collected.
napi_value share(napi_env env, Region& region, uint8_t* memory, size_t size) {
  napi_value buffer;
  region.retain();
  napi_status status = napi_create_external_arraybuffer(
      env, memory, size, [](napi_env, void*, void* hint) { static_cast<Region*>(hint)->release(); }, &region, &buffer);
  if (status == napi_ok) return buffer;
  region.release();
  return nullptr;
}

// create(dispatch, ticks, seed): [number, control, event slab, out slab, milliseconds of CLOCK_MONOTONIC]
napi_value create(napi_env env, napi_callback_info info) {
  Args args(env, info);
  uint32_t seed = args.uint32(2);
  napi_ref dispatch = args.function(0);
  napi_ref ticks = args.function(1);
  auto& addon = *static_cast<Addon*>(args.data);
  if (!args.ok()) {
    if (dispatch != nullptr) napi_delete_reference(env, dispatch);
    return nullptr;
  }
  if (addon.stopping) return throw_error(env, "the environment is stopping");
  Region* region = Region::create(*addon.live);
  int error = -ENOMEM;
  Loop* loop = region == nullptr ? nullptr : Loop::create(addon, *region, dispatch, ticks, seed, &error);
  napi_value result = nullptr;
  if (loop == nullptr) {
    napi_delete_reference(env, dispatch);
    napi_delete_reference(env, ticks);
    throw_error(env, strerror(-error));
  } else {
    napi_value parts[4] = {nullptr, share(env, *region, region->control, Region::kControlSize),
                           share(env, *region, region->event_slab, kEventSlabSize),
                           share(env, *region, region->out_slab, kOutSlabSize)};
    napi_create_int32(env, loop->id, &parts[0]);
    if (parts[1] == nullptr || parts[2] == nullptr || parts[3] == nullptr) {
      loop->close();
      throw_error(env, "this runtime does not let memory be shared with an addon");
    } else {
      napi_create_array_with_length(env, 4, &result);
      for (uint32_t i = 0; i < 4; i++) napi_set_element(env, result, i, parts[i]);
    }
  }
  if (region != nullptr) region->release();
  return result;
}

// slab(loop): a fresh window over the event slab, where a program has detached the old one.
napi_value slab(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  if (!args.ok() || loop == nullptr) return undefined(env);
  return share(env, loop->core.shared, loop->core.shared.event_slab, kEventSlabSize);
}

napi_value close(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  if (args.ok() && loop != nullptr) loop->close();
  return undefined(env);
}

napi_value hold_process(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  bool hold = args.boolean(1);
  if (args.ok() && loop != nullptr) loop->hold_process(hold);
  return undefined(env);
}

napi_value flush(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  if (args.ok() && loop != nullptr) loop->core.flush();
  return undefined(env);
}

napi_value monotonic(napi_env env, napi_callback_info) {
  napi_value value;
  napi_create_double(env, monotonic_now(), &value);
  return value;
}

// liveCounts(): what this environment's loops hold, for tests.
napi_value live_counts(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Live& live = *static_cast<Addon*>(args.data)->live;
  napi_value result;
  napi_create_object(env, &result);
  auto add = [&](const char* name, int64_t count) {
    napi_value value;
    napi_create_int64(env, count, &value);
    napi_set_named_property(env, result, name, value);
  };
  add("loops", live.loops);
  add("handles", live.handles);
  add("descriptors", live.descriptors);
  add("chunks", live.chunks);
  add("unread", live.unread);
  add("regions", live.regions);
  add("tls", live.tls);
  add("tlsContexts", live.tls_contexts);
  add("fileReads", live.file_reads);
  return result;
}

void stop_environment(napi_async_cleanup_hook_handle hook, void* data) {
  auto& addon = *static_cast<Addon*>(data);
  addon.stopping = true;
  for (size_t i = 0; i < addon.loops.size(); i++) {
    if (addon.loops[i] != nullptr) addon.loops[i]->close();
  }
  if (addon.open_loops == 0) napi_remove_async_cleanup_hook(hook);
}

// glibc gives the top of its heap back to the kernel as soon as 128 KiB of it are free, and takes it anew page by page:
// a program that is given copies of what comes in would pay for that at every garbage collection, which frees some 32
// MiB of them at a time. So it keeps up to four times that. The block that is freed first is how glibc learns what a
// large allocation is (mallopt(3), M_MMAP_THRESHOLD), which it stops learning by itself once it is told anything; it is
// never touched.
void keep_heap() {
#ifdef M_TRIM_THRESHOLD
  void* volatile block = malloc(32 * 1024 * 1024 - 4096);
  free(block);
  mallopt(M_TRIM_THRESHOLD, 128 * 1024 * 1024);
#endif
}

napi_value init(napi_env env, napi_value exports) {
  keep_heap();
  if (const char* missing = load_openssl(); missing != nullptr) {
    char message[120];
    snprintf(message, sizeof message, "this runtime has no %s for addons", missing);
    return throw_error(env, message);
  }
  auto* addon = new Addon();
  addon->env = env;
  addon->live = new Live();
  if (napi_get_uv_event_loop(env, &addon->uv) != napi_ok ||
      napi_add_async_cleanup_hook(env, stop_environment, addon, &addon->hook) != napi_ok) {
    return throw_error(env, "this runtime has no libuv loop");
  }
  napi_set_instance_data(
      env, addon,
      [](napi_env, void* data, void*) {
        auto* gone = static_cast<Addon*>(data);
        gone->live->release();
        delete gone;
      },
      nullptr);
  static constexpr Call kCalls[] = {
      {"create", create},
      {"slab", slab},
      {"close", close},
      {"holdProcess", hold_process},
      {"flush", flush},
      {"monotonic", monotonic},
      {"liveCounts", live_counts},
  };
  for (const Call& call : kCalls) define(env, exports, call, addon);
  define_stream_calls(env, exports, addon);
  define_option_calls(env, exports, addon);
  define_tls_calls(env, exports, addon);
  napi_value torture;
  napi_get_boolean(env, kTorture, &torture);
  napi_set_named_property(env, exports, "torture", torture);
  return exports;
}

}  // namespace

void define(napi_env env, napi_value exports, const Call& call, Addon* addon) {
  napi_value function;
  napi_create_function(env, call.name, NAPI_AUTO_LENGTH, call.function, addon, &function);
  napi_set_named_property(env, exports, call.name, function);
}

}  // namespace em

NAPI_MODULE_INIT() { return em::init(env, exports); }
