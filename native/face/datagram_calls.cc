// The commands on datagram sockets.
#include <errno.h>

#include "face/calls.h"
#include "net/datagram.h"
#include "net/datagram_options.h"

namespace em {

namespace {

// openDatagrams(loop, family, host, port, numbers, remote family (0: none), remote host, remote port, file): the
// handle, -1 where there is none. The numbers: flags, size of the receive buffer, size of the send buffer, MTU
// discovery, limit of what may wait, mode of the file.
napi_value open_datagrams_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  Address address = read_address(args, 1);
  char name[kMostText + 1] = {};
  if (args.int32(1) == kUnix && args.name(2, name, kMostText) == 0) address.clear(AF_UNIX);
  const int32_t* numbers = nullptr;
  if (args.int32_list(4, &numbers) != 6) args.refuse(4, "six numbers");
  DatagramSettings settings;
  settings.has_remote = args.int32(5) != kNoFamily;
  if (settings.has_remote) settings.remote = read_address(args, 5);
  char file[kMostText + 1] = {};
  args.name(8, file, kMostText);
  if (!args.ok() || loop == nullptr) return nothing();
  settings.flags = static_cast<uint32_t>(numbers[0]);
  settings.receive_buffer = numbers[1];
  settings.send_buffer = numbers[2];
  settings.mtu_discovery = numbers[3];
  settings.send_limit = static_cast<uint32_t>(numbers[4]);
  settings.mode = numbers[5] < 0 ? -1 : numbers[5] & 0777;
  settings.file = file;
  return integer(env, open_datagrams(loop->core, address, settings));
}

// sendDatagram(loop, handle, data, name): what is too long for the ring; the name is a sockaddr, empty for none
napi_value send_datagram_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  const Bytes data = args.bytes(2);
  const Bytes name = args.bytes(3);
  if (!args.ok() || target.datagrams() == nullptr || name.length > kNameRoom || data.length > INT32_MAX)
    return nothing();
  target.core->absorb();
  send_datagram(*target.core, *target.slot,
                {data.data, static_cast<uint32_t>(data.length), name.data, static_cast<uint32_t>(name.length)});
  return nothing();
}

napi_value finish_datagrams_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  if (!args.ok() || target.datagrams() == nullptr) return nothing();
  target.core->absorb();
  finish_datagrams(*target.core, *target.slot);
  return nothing();
}

// holdDatagrams(loop, handle, place, count, skip)
napi_value hold_datagrams_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  const uint32_t place = args.uint32(2);
  const uint32_t count = args.uint32(3);
  const uint32_t skip = args.uint32(4);
  if (!args.ok() || target.datagrams() == nullptr) return nothing();
  hold_datagrams(*target.core, *target.slot, place, count, skip);
  return nothing();
}

// datagramCounters(loop, handle): [received, sent, bytes sent, dropped, dropped on arrival]
napi_value datagram_counters(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  if (!args.ok() || target.datagrams() == nullptr) return nothing();
  count_drops(*target.core, *target.slot);
  const DatagramSocket& socket = *target.slot->datagram;
  return list(env, {real(env, socket.received), real(env, socket.sent), real(env, socket.bytes_sent),
                    real(env, socket.dropped), real(env, socket.receive_drops)});
}

// countDrops(loop): of all its sockets
napi_value count_drops_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Loop* loop = args_loop(args);
  if (!args.ok() || loop == nullptr) return nothing();
  loop->core.slots.each([loop](Slot& slot) {
    if (slot.kind == Kind::datagram) count_drops(loop->core, slot);
  });
  return nothing();
}

// packAddress(loop, handle, family, host, port): the sockaddr that this socket sends to; undefined where there is none
napi_value pack_address(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  Address address = read_address(args, 2);
  if (!args.ok() || address.length == 0) return nothing();
  if (target.datagrams() != nullptr && target.slot->datagram->family == AF_INET6) address.map_to_ipv6();
  return buffer(env, &address.any, address.length);
}

// showAddress(sockaddr): [family, host or bytes of a Unix name, port]; undefined where it is no address
napi_value show_address(napi_env env, napi_callback_info info) {
  Args args(env, info);
  const Bytes name = args.bytes(0);
  if (!args.ok()) return nothing();
  Address address;
  ShownAddress shown;
  address.length = static_cast<socklen_t>(name.length < Address::kRoom ? name.length : Address::kRoom);
  if (address.length > 0) memcpy(&address.any, name.data, address.length);
  if (!shown.show(address)) return nothing();
  napi_value host = shown.family == kUnix ? buffer(env, shown.text, shown.size) : text(env, {shown.text, shown.size});
  return list(env, {integer(env, shown.family), host, integer(env, shown.port)});
}

// Options are refused by a negative errno; a stale handle has none.
int descriptor(const Target& target) {
  return target.datagrams() == nullptr || target.slot->state != State::open ? -1 : target.slot->fd;
}

// datagramOptions(loop, handle, [broadcast, TTL, multicast TTL, multicast loop], multicast interface)
napi_value datagram_options(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  const int32_t* numbers = nullptr;
  if (args.int32_list(2, &numbers) != 4) args.refuse(2, "four numbers");
  char interface[kMostText + 1] = {};
  args.string(3, interface, kMostText);
  if (!args.ok()) return nothing();
  const int fd = descriptor(target);
  if (fd < 0) return integer(env, -EBADF);
  const DatagramChanges changes = {numbers[0], numbers[1], numbers[2], numbers[3], interface};
  return integer(env, change_datagrams(fd, target.slot->datagram->family, changes));
}

// setMembership(loop, handle, joins, group's family, group, interface, source's family (0: none), source)
napi_value set_membership_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  const bool joins = args.boolean(2);
  const int32_t group_family = args.int32(3);
  char text[kMostText + 1] = {}, interface[kMostText + 1] = {}, from[kMostText + 1] = {};
  const size_t group_size = args.string(4, text, kMostText);
  args.string(5, interface, kMostText);
  const int32_t source_family = args.int32(6);
  const size_t source_size = args.string(7, from, kMostText);
  if (!args.ok()) return nothing();
  const int fd = descriptor(target);
  if (fd < 0) return integer(env, -EBADF);
  const auto is_internet = [](int32_t family) { return family == kIpv4 || family == kIpv6; };
  Address group, source;
  if (!is_internet(group_family) || group.parse(group_family, text, group_size, 0) != 0) return integer(env, -EINVAL);
  const bool has_source = source_family != kNoFamily;
  if (has_source && (!is_internet(source_family) || source.parse(source_family, from, source_size, 0) != 0)) {
    return integer(env, -EINVAL);
  }
  return integer(env, set_membership(fd, group, interface, has_source ? &source : nullptr, joins));
}

}  // namespace

void define_datagram_calls(Object& exports, Addon* addon) {
  static constexpr Call kCalls[] = {
      {"openDatagrams", open_datagrams_call},
      {"sendDatagram", send_datagram_call},
      {"finishDatagrams", finish_datagrams_call},
      {"holdDatagrams", hold_datagrams_call},
      {"datagramCounters", datagram_counters},
      {"countDrops", count_drops_call},
      {"packAddress", pack_address},
      {"showAddress", show_address},
      {"datagramOptions", datagram_options},
      {"setMembership", set_membership_call},
  };
  for (const Call& call : kCalls) define(exports, call, addon);
}

}  // namespace em
