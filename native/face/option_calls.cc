// Questions about a handle, and the kernel's options of its socket.
#include <errno.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "face/calls.h"
#include "net/listener.h"
#include "net/stream.h"

namespace em {

namespace {

constexpr size_t kMostOption = 64 * 1024;

// The address as it is now, or as it was when the descriptor was closed.
bool find_address(const Slot& slot, bool peer, Address* address) {
  if (!slot.has(kAddressed) || (peer && slot.kind == Kind::listener)) return false;
  if (slot.saved != nullptr) {
    *address = peer ? slot.saved->peer : slot.saved->own;
    if (address->length > 0) return true;
  } else if (slot.fd >= 0 && (peer ? address->of_peer(slot.fd) : address->of_socket(slot.fd)) == 0) {
    return true;
  }
  if (!peer || !slot.has(kPeerKnown)) return false;
  slot.peer.restore(address);
  return true;
}

// address(loop, handle, peer): the host, or the bytes of a Unix name, with the family and the port in the header;
// undefined where there is none
napi_value address_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  bool peer = args.boolean(2);
  Address address;
  ShownAddress shown;
  if (!args.ok() || target.slot == nullptr) return nothing();
  if (!find_address(*target.slot, peer, &address) || !shown.show(address)) return nothing();
  target.core->shared.words[kAddressFamily] = shown.family;
  target.core->shared.words[kAddressPort] = shown.port;
  if (shown.family == kUnix) return buffer(env, shown.text, shown.size);
  return text(env, {shown.text, shown.size});
}

// stamps(loop, handle, write): milliseconds of CLOCK_MONOTONIC; 0 for a stale handle
napi_value stamp_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  bool write = args.boolean(2);
  return real(env, target.slot == nullptr ? 0 : write ? target.slot->last_write : target.slot->last_read);
}

int descriptor(const Target& target) {
  return target.slot == nullptr || target.slot->state == State::closed ? -1 : target.slot->fd;
}

napi_value error_option(napi_env env, const Target& target, Bytes bytes) {
  const int fd = descriptor(target);
  int error = 0;
  socklen_t size = sizeof error;
  if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return integer(env, -errno);
  error = -take_error(*target.core, *target.slot, -error);
  const size_t length = std::min(bytes.length, sizeof error);
  memcpy(bytes.data, &error, length);
  return integer(env, static_cast<int32_t>(length));
}

// The kernel takes and gives the length in units of the option's own: a socket's filter has instructions of 8 bytes. So
// it writes into memory that has room for as many of the largest unit as bytes were asked for, and what it says it has
// written is believed up to what was asked for.
int32_t read_option(int fd, int level, int name, Bytes to) {
  constexpr size_t kLargestUnit = sizeof(sock_filter);
  const size_t unit = level == SOL_SOCKET && name == SO_GET_FILTER ? sizeof(sock_filter) : 1;
  const size_t asked = std::min(to.length, kMostOption);
  std::vector<uint8_t> room(asked * kLargestUnit);
  auto told = static_cast<socklen_t>(asked);
  if (getsockopt(fd, level, name, room.data(), &told) < 0) return -errno;
  const size_t length = std::min(told * unit, asked);
  if (length > 0) memcpy(to.data, room.data(), length);
  return static_cast<int32_t>(length);
}

// getOption(loop, handle, level, name, into): the length, or a negative errno
napi_value get_option(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  int32_t level = args.int32(2);
  int32_t name = args.int32(3);
  Bytes bytes = args.bytes(4);
  if (!args.ok()) return nothing();
  int fd = descriptor(target);
  if (level == SOL_SOCKET && name == SO_ERROR && target.stream() != nullptr) return error_option(env, target, bytes);
  if (fd < 0) return integer(env, -EBADF);
  return integer(env, read_option(fd, level, name, bytes));
}

// setOption(loop, handle, level, name, value): 0 or a negative errno
napi_value set_option(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  int32_t level = args.int32(2);
  int32_t name = args.int32(3);
  Bytes bytes = args.bytes(4);
  if (!args.ok()) return nothing();
  int fd = descriptor(target);
  if (fd < 0) return integer(env, -EBADF);
  auto size = static_cast<socklen_t>(bytes.length < kMostOption ? bytes.length : kMostOption);
  return integer(env, setsockopt(fd, level, name, bytes.data, size) < 0 ? -errno : 0);
}

// setOptions(loop, handle, triples): 0 or a negative errno
napi_value set_options(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  const int32_t* numbers = nullptr;
  size_t count = args.int32_list(2, &numbers) / 3;
  if (!args.ok()) return nothing();
  int fd = descriptor(target);
  if (fd < 0) return integer(env, -EBADF);
  const bool internet = target.slot->has(kInternet);
  return integer(env, apply_options(fd, internet, {reinterpret_cast<const SocketOption*>(numbers), count}));
}

// unacknowledged(loop, handle): what the kernel has for the peer still; 0 where there is no such thing
napi_value unacknowledged_call(napi_env env, napi_callback_info info) {
  Args args(env, info);
  Target target(args);
  int waiting = 0;
  const int fd = descriptor(target);
  if (!args.ok() || fd < 0 || ioctl(fd, SIOCOUTQ, &waiting) < 0) waiting = 0;
  return integer(env, waiting);
}

}  // namespace

void define_option_calls(Object& exports, Addon* addon) {
  static constexpr Call kCalls[] = {
      {"address", address_call}, {"stamp", stamp_call},       {"getOption", get_option},
      {"setOption", set_option}, {"setOptions", set_options}, {"unacknowledged", unacknowledged_call},
  };
  for (const Call& call : kCalls) define(exports, call, addon);
  struct Constant {
    const char* name;
    int32_t value;
  };
  static constexpr Constant kConstants[] = {
      {"SOL_SOCKET", SOL_SOCKET},       {"SO_KEEPALIVE", SO_KEEPALIVE}, {"SO_RCVBUF", SO_RCVBUF},
      {"SO_SNDBUF", SO_SNDBUF},         {"SO_ERROR", SO_ERROR},         {"SO_PEERCRED", SO_PEERCRED},
      {"IPPROTO_TCP", IPPROTO_TCP},     {"TCP_NODELAY", TCP_NODELAY},   {"TCP_KEEPIDLE", TCP_KEEPIDLE},
      {"TCP_KEEPINTVL", TCP_KEEPINTVL}, {"TCP_KEEPCNT", TCP_KEEPCNT},   {"TCP_USER_TIMEOUT", TCP_USER_TIMEOUT},
  };
  Object constants(exports.env());
  for (const Constant& constant : kConstants) constants.set(constant.name, integer(exports.env(), constant.value));
  exports.set("constants", constants.value());
}

}  // namespace em
