// The commands on listeners and connections.
#include <errno.h>

#include "face/calls.h"
#include "net/datagram.h"
#include "net/listener.h"
#include "net/stream.h"
#include "net/watch.h"

namespace em {

namespace {

// Triples of level, name and value.
OptionList read_options(Args& args, size_t at) {
  const int32_t* numbers = nullptr;
  size_t count = args.int32_list(at, &numbers) / 3;
  static_assert(sizeof(SocketOption) == 3 * sizeof(int32_t));
  return {reinterpret_cast<const SocketOption*>(numbers), count};
}

}  // namespace

Address read_address(Args& args, size_t at) {
  Address address;
  char text[kMostText + 1] = {};
  int32_t family = args.int32(at);
  size_t size = args.name(at + 1, text, kMostText);
  uint32_t port = args.uint32(at + 2, 65535);
  if (args.ok() && family != kUnix && family != kIpv4 && family != kIpv6) args.refuse(at, "a family");
  if (!args.ok() || address.parse(family, text, size, static_cast<uint16_t>(port)) != 0) address.length = 0;
  return address;
}

namespace {

// flags, backlog, accept quota, most connections, low-water mark: five arguments from `at`.
ListenSettings read_listen_settings(Args& args, size_t at) {
  ListenSettings settings;
  uint32_t flags = args.uint32(at);
  settings.reuse_port = flags & kListenReusePort;
  settings.ipv6_only = flags & kListenIpv6Only;
  settings.half_open = flags & kListenHalfOpen;
  settings.close_when_full = flags & kListenCloseWhenFull;
  settings.backlog = args.int32(at + 1, 0);
  settings.accept_quota = static_cast<uint32_t>(args.number(at + 2, 1, UINT32_MAX));
  settings.max_connections = args.uint32(at + 3);
  settings.low_water = args.uint32(at + 4);
  return settings;
}

// listen(loop, family, host, port, options, flags, backlog, quota, most, low, file, mode): the handle, -1 where there
// is none
napi_value listen_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  Address address = read_address(args, 1);
  OptionList options = read_options(args, 4);
  ListenSettings settings = read_listen_settings(args, 5);
  char file[kMostText + 1] = {};
  args.name(10, file, kMostText);
  settings.file = file;
  settings.mode = args.int32(11, -1, 0777);
  if (!args.ok() || loop == nullptr) return nothing();
  settings.options = options;
  return integer(env, open_listener(loop->core, address, settings));
}

// adoptListener(loop, fd, options, flags, backlog, quota, most, low)
napi_value adopt_listener_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  int32_t fd = args.int32(1, 0);
  OptionList options = read_options(args, 2);
  ListenSettings settings = read_listen_settings(args, 3);
  if (!args.ok() || loop == nullptr) return nothing();
  settings.options = options;
  return integer(env, adopt_listener(loop->core, fd, settings));
}

// connect(loop, family, host, port, options, half open, low, local family (0: none), local host, local port)
napi_value connect_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  Address address = read_address(args, 1);
  ConnectSettings settings;
  settings.options = read_options(args, 4);
  settings.half_open = args.boolean(5);
  settings.low_water = args.uint32(6);
  settings.has_local = args.int32(7) != kNoFamily;
  if (settings.has_local) settings.local = read_address(args, 7);
  if (!args.ok() || loop == nullptr) return nothing();
  return integer(env, open_stream(loop->core, address, settings));
}

// adoptStream(loop, fd, options, half open, low)
napi_value adopt_stream_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  int32_t fd = args.int32(1, 0);
  ConnectSettings settings;
  settings.options = read_options(args, 2);
  settings.half_open = args.boolean(3);
  settings.low_water = args.uint32(4);
  if (!args.ok() || loop == nullptr) return nothing();
  return integer(env, adopt_stream(loop->core, fd, settings));
}

// oneWay(loop, handle): a number of OneWay
napi_value one_way_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  Slot* slot = target.stream();
  if (!args.ok() || slot == nullptr) return nothing();
  const OneWay way = slot->has(kReadOnly) ? OneWay::reads : slot->has(kWriteOnly) ? OneWay::writes : OneWay::none;
  return integer(env, static_cast<int32_t>(way));
}

napi_value write_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  Bytes bytes = args.bytes(2);
  if (!args.ok() || target.stream() == nullptr || bytes.length == 0) return nothing();
  target.core->absorb();
  write_stream(*target.core, *target.slot, bytes.data, bytes.length);
  return nothing();
}

// writeLent(loop, handle, offset, length): writes bytes of the event slab, from where they were read to
napi_value write_lent(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  int32_t offset = args.int32(2);
  int32_t length = args.int32(3);
  if (!args.ok() || target.stream() == nullptr || length <= 0 || !target.core->in_slab(offset, length))
    return nothing();
  target.core->absorb();
  write_stream(*target.core, *target.slot, target.core->shared.event_slab + offset, static_cast<size_t>(length));
  return nothing();
}

// sendFile(loop, handle, fd, offset, length)
napi_value send_file_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  int32_t fd = args.int32(2, 0);
  int64_t offset = args.size(3);
  int64_t length = args.size(4);
  if (!args.ok() || target.stream() == nullptr) return nothing();
  target.core->absorb();
  send_file(*target.core, *target.slot, fd, offset, length);
  return nothing();
}

// A command with no argument but the handle. It comes behind whatever was written before it.
template <void (*command)(Core&, Slot&)>
napi_value stream_command(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  if (!args.ok() || target.stream() == nullptr) return nothing();
  target.core->absorb();
  command(*target.core, *target.slot);
  return nothing();
}

// The same, which streams and datagram sockets have in common.
template <void (*stream)(Core&, Slot&), void (*datagrams)(Core&, Slot&)>
napi_value common_command(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  if (!args.ok() || target.slot == nullptr) return nothing();
  target.core->absorb();
  if (target.stream() != nullptr) {
    stream(*target.core, *target.slot);
  } else if (target.datagrams() != nullptr) {
    datagrams(*target.core, *target.slot);
  }
  return nothing();
}

template <void (*command)(Core&, Slot&)>
napi_value closing_command(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  if (!args.ok() || target.slot == nullptr) return nothing();
  target.core->absorb();
  switch (target.slot->kind) {
    case Kind::listener:
      close_listener(*target.core, *target.slot, Ended::local, 0, Syscall::none);
      break;
    case Kind::datagram:
      close_datagrams_by_command(*target.core, *target.slot);
      break;
    case Kind::watch:
      close_watch(*target.core, *target.slot, Ended::local, 0, Syscall::none);
      break;
    default:
      command(*target.core, *target.slot);
  }
  return nothing();
}

napi_value set_low_water(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  uint32_t bytes = args.uint32(2);
  if (!args.ok() || target.stream() == nullptr) return nothing();
  set_low_water_mark(*target.core, *target.slot, bytes);
  return nothing();
}

// hold(loop, handle, offset, length): takes back the bytes of an event that must not be delivered now
napi_value hold_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  int32_t offset = args.int32(2);
  int32_t length = args.int32(3);
  if (!args.ok() || target.stream() == nullptr) return nothing();
  if (target.core->in_slab(offset, length)) hold(*target.core, *target.slot, offset, length);
  return nothing();
}

// settle(loop, handle): what the peer's FIN means now, a number of Settled
napi_value settle_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  if (!args.ok() || target.stream() == nullptr) return integer(env, static_cast<int32_t>(Settled::nothing));
  return integer(env, static_cast<int32_t>(settle(*target.core, *target.slot)));
}

// takeDetached(loop, handle): [fd, unread bytes], undefined where there is nothing to take
napi_value take_detached(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  Slot* slot = target.stream();
  if (!args.ok() || slot == nullptr) return nothing();
  if (slot->state != State::closed || slot->ended != Ended::detached || slot->fd < 0) return nothing();
  const size_t size = slot->unread == nullptr ? 0 : slot->unread->size;
  napi_value result =
      list(env, {integer(env, slot->fd), buffer(env, size == 0 ? nullptr : slot->unread->bytes(), size)});
  if (result == nullptr) return nothing();
  give_up_descriptor(*target.core, *slot);
  return result;
}

}  // namespace

void define_stream_calls(Object& exports, Addon* addon) {
  static constexpr Call kCalls[] = {
      {"listen", listen_call},
      {"adoptListener", adopt_listener_call},
      {"connect", connect_call},
      {"adoptStream", adopt_stream_call},
      {"oneWay", one_way_call},
      {"write", write_call},
      {"writeLent", write_lent},
      {"sendFile", send_file_call},
      {"awaitWritable", common_command<await_writable, await_datagrams_sent>},
      {"setLowWaterMark", set_low_water},
      {"resume", common_command<resume_stream, resume_datagrams>},
      {"holdOpen", stream_command<hold_open>},
      {"shutdown", stream_command<shutdown_stream>},
      {"finish", stream_command<finish_stream>},
      {"closeHandle", closing_command<close_by_command>},
      {"abort", closing_command<abort_stream>},
      {"detach", stream_command<detach_stream>},
      {"hold", hold_call},
      {"settle", settle_call},
      {"takeDetached", take_detached},
  };
  for (const Call& call : kCalls) define(exports, call, addon);
}

}  // namespace em
