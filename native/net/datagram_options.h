// The kernel's options of a datagram socket. Each function returns 0 or a negative errno.
#pragma once

#include "core/address.h"
#include "net/datagram.h"

namespace em {

// Before it is bound.
int prepare_datagrams(int fd, int family, const DatagramSettings& settings);

// -1 leaves an option as it is.
struct DatagramChanges {
  int32_t broadcast = -1, ttl = -1, multicast_ttl = -1, multicast_loop = -1;
  const char* multicast_interface = "";  // an address of ours, or an interface's index or name; empty leaves it
};
int change_datagrams(int fd, int family, const DatagramChanges& changes);

// `interface` as above, empty for the one that the system chooses; the source is null for all of them.
int set_membership(int fd, const Address& group, const char* interface, const Address* source, bool joins);

}  // namespace em
