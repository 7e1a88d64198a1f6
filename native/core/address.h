// Socket addresses: from the text JavaScript passes, and to the text it is shown.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>

#include "core/layout.h"

namespace em {

struct Address {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
  };
  socklen_t length = 0;

  Address() : local() {}

  // Reads an IP literal (an IPv6 one may carry a zone: `fe80::1%eth0`) or the bytes of a Unix path (a leading NUL: the
  // abstract name space). Returns 0 or a negative errno.
  int parse(int32_t family, const char* text, size_t size, uint16_t port);

  // Whether this is IPv4, also where it comes mapped into IPv6; `ip` and `port` in host order.
  bool as_ipv4(uint32_t* ip, uint16_t* port) const;

  // The kernel says how long an address is, not how much of it found room: a path of 108 bytes has one more, its NUL.
  static constexpr socklen_t kRoom = sizeof(sockaddr_un);
  void clamp() {
    if (length > kRoom) length = kRoom;
  }

  // The family alone: a Unix socket that is bound to nothing.
  void clear(sa_family_t family) {
    local = {};
    any.sa_family = family;
    length = sizeof family;
  }

  // Makes an IPv4 address one that a socket for IPv6 takes.
  void map_to_ipv6();

  int of_socket(int fd);
  int of_peer(int fd);
};

// The peer of a TCP connection, which the kernel forgets before we do; IPv4 is kept mapped into IPv6.
struct InternetPeer {
  in6_addr ip;
  uint32_t scope;
  uint16_t port;

  InternetPeer() : ip(), scope(0), port(0) {}
  // False where the address is none of the internet's.
  bool keep(const Address& address);
  void restore(Address* address) const;
};

struct ShownAddress {
  int32_t family = kNoFamily;
  int32_t port = 0;
  char text[128];
  size_t size = 0;

  // False where there is no such address.
  bool show(const Address& address);
};

}  // namespace em
