#include "net/datagram_options.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

namespace em {

namespace {

// One option, under its name for IPv4 and for IPv6. A socket for IPv6 may carry IPv4 as well: it is given both.
struct Pair {
  int v4, v6;
};
constexpr Pair kErrors = {IP_RECVERR, IPV6_RECVERR};
constexpr Pair kHops = {IP_RECVTTL, IPV6_RECVHOPLIMIT};
constexpr Pair kTraffic = {IP_RECVTOS, IPV6_RECVTCLASS};
constexpr Pair kMtuDiscovery = {IP_MTU_DISCOVER, IPV6_MTU_DISCOVER};
constexpr Pair kTtl = {IP_TTL, IPV6_UNICAST_HOPS};
constexpr Pair kMulticastTtl = {IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS};
constexpr Pair kMulticastLoop = {IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP};

int set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

int set(int fd, int family, Pair name, int value) {
  if (family == AF_INET6) {
    if (int error = set(fd, IPPROTO_IPV6, name.v6, value); error != 0) return error;
  }
  return set(fd, IPPROTO_IP, name.v4, value);
}

int prepare_internet(int fd, int family, const DatagramSettings& settings) {
  int error = 0;
  if (family == AF_INET6) {
    error = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, (settings.flags & kDatagramIpv6Only) != 0);
    if (error != 0) return error;
  }
  if (error = set(fd, family, kErrors, 1); error != 0) return error;
  if (settings.flags & kDatagramPacketInfo) {
    // Of what comes over IPv4 to a socket for IPv6, the one option tells it mapped.
    error = family == AF_INET6 ? set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) : set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    if (error != 0) return error;
  }
  if (settings.flags & kDatagramTrafficInfo) {
    if (error = set(fd, family, kHops, 1); error != 0) return error;
    if (error = set(fd, family, kTraffic, 1); error != 0) return error;
  }
  if (settings.mtu_discovery >= 0) {
    if (error = set(fd, family, kMtuDiscovery, settings.mtu_discovery); error != 0) return error;
  }
  // A kernel that lacks it hands over one datagram at a time.
  set(fd, IPPROTO_UDP, UDP_GRO, 1);
  return 0;
}

const void* ip_of(const sockaddr* address) {
  if (address->sa_family == AF_INET) return &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
  return &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
}

// The interface that has this address; 0 where there is none.
uint32_t interface_with(const Address& wanted) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) < 0) return 0;
  uint32_t index = 0;
  const size_t size = wanted.any.sa_family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
  for (const ifaddrs* each = all; each != nullptr && index == 0; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != wanted.any.sa_family) continue;
    if (memcmp(ip_of(each->ifa_addr), ip_of(&wanted.any), size) == 0) index = if_nametoindex(each->ifa_name);
  }
  freeifaddrs(all);
  return index;
}

int find_interface(const char* named, uint32_t* index) {
  *index = 0;
  if (*named == '\0') return 0;
  Address address;
  if (address.parse(kIpv4, named, strlen(named), 0) == 0 || address.parse(kIpv6, named, strlen(named), 0) == 0) {
    *index = interface_with(address);
    return *index == 0 ? -ENODEV : 0;
  }
  char* end;
  const unsigned long number = strtoul(named, &end, 10);
  *index = *end == '\0' && number <= INT32_MAX ? static_cast<uint32_t>(number) : if_nametoindex(named);
  return *index == 0 ? -ENODEV : 0;
}

int set_multicast_interface(int fd, int family, const char* named) {
  uint32_t index;
  if (int error = find_interface(named, &index); error != 0) return error;
  if (family == AF_INET6) {
    if (int error = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(index)); error != 0) return error;
  }
  ip_mreqn request = {};
  request.imr_ifindex = static_cast<int>(index);
  return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request) == 0 ? 0 : -errno;
}

}  // namespace

int prepare_datagrams(int fd, int family, const DatagramSettings& settings) {
  struct {
    int name, value;
    bool wanted;
  } const options[] = {
      {SO_REUSEPORT, 1, (settings.flags & kDatagramReusePort) != 0},
      {SO_REUSEADDR, 1, (settings.flags & kDatagramReuseAddress) != 0},
      {SO_BROADCAST, 1, (settings.flags & kDatagramBroadcast) != 0},
      {SO_RCVBUF, settings.receive_buffer, settings.receive_buffer > 0},
      {SO_SNDBUF, settings.send_buffer, settings.send_buffer > 0},
  };
  for (const auto& option : options) {
    if (!option.wanted) continue;
    if (int error = set(fd, SOL_SOCKET, option.name, option.value); error != 0) return error;
  }
  return family == AF_UNIX ? 0 : prepare_internet(fd, family, settings);
}

int change_datagrams(int fd, int family, const DatagramChanges& changes) {
  if (changes.broadcast >= 0) {
    if (int error = set(fd, SOL_SOCKET, SO_BROADCAST, changes.broadcast); error != 0) return error;
  }
  const struct {
    Pair name;
    int32_t value;
  } options[] = {{kTtl, changes.ttl}, {kMulticastTtl, changes.multicast_ttl}, {kMulticastLoop, changes.multicast_loop}};
  for (const auto& option : options) {
    if (option.value < 0) continue;
    if (int error = set(fd, family, option.name, option.value); error != 0) return error;
  }
  return *changes.multicast_interface == '\0' ? 0 : set_multicast_interface(fd, family, changes.multicast_interface);
}

int set_membership(int fd, const Address& group, const char* interface, const Address* source, bool joins) {
  const int level = group.any.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  uint32_t index;
  if (int error = find_interface(interface, &index); error != 0) return error;
  int result;
  if (source == nullptr) {
    group_req request = {};
    request.gr_interface = index;
    memcpy(&request.gr_group, &group.any, group.length);
    result = setsockopt(fd, level, joins ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &request, sizeof request);
  } else {
    group_source_req request = {};
    request.gsr_interface = index;
    memcpy(&request.gsr_group, &group.any, group.length);
    memcpy(&request.gsr_source, &source->any, source->length);
    const int name = joins ? MCAST_JOIN_SOURCE_GROUP : MCAST_LEAVE_SOURCE_GROUP;
    result = setsockopt(fd, level, name, &request, sizeof request);
  }
  return result == 0 ? 0 : -errno;
}

}  // namespace em
