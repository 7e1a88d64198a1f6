#include "core/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

namespace em {

namespace {

uint32_t parse_zone(const char* zone) {
  char* end;
  unsigned long number = strtoul(zone, &end, 10);
  if (*zone != '\0' && *end == '\0') return static_cast<uint32_t>(number);
  return if_nametoindex(zone);
}

int parse_ipv6(sockaddr_in6* to, char* text) {
  char* zone = strchr(text, '%');
  if (zone != nullptr) {
    *zone++ = '\0';
    to->sin6_scope_id = parse_zone(zone);  // an unknown one is 0, which the kernel refuses where it matters
  }
  return inet_pton(AF_INET6, text, &to->sin6_addr) == 1 ? 0 : -EINVAL;
}

}  // namespace

int Address::parse(int32_t family, const char* text, size_t size, uint16_t port) {
  local = {};
  if (family == kUnix) {
    if (size == 0 || size > sizeof local.sun_path - (text[0] == '\0' ? 0 : 1)) return -EINVAL;
    if (text[0] != '\0' && memchr(text, '\0', size) != nullptr) return -EINVAL;
    local.sun_family = AF_UNIX;
    memcpy(local.sun_path, text, size);
    // An abstract name is all bytes of the given length; a path carries its closing NUL.
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size + (text[0] == '\0' ? 0 : 1));
    return 0;
  }
  char copy[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
  if (size >= sizeof copy || memchr(text, '\0', size) != nullptr) return -EINVAL;
  memcpy(copy, text, size);
  copy[size] = '\0';
  if (family == kIpv4) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    length = sizeof v4;
    return inet_pton(AF_INET, copy, &v4.sin_addr) == 1 ? 0 : -EINVAL;
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  length = sizeof v6;
  return parse_ipv6(&v6, copy);
}

bool Address::as_ipv4(uint32_t* ip, uint16_t* port) const {
  if (length == 0) return false;
  if (any.sa_family == AF_INET) {
    *ip = ntohl(v4.sin_addr.s_addr);
    *port = ntohs(v4.sin_port);
    return true;
  }
  if (any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return false;
  uint32_t mapped;
  memcpy(&mapped, v6.sin6_addr.s6_addr + 12, sizeof mapped);
  *ip = ntohl(mapped);
  *port = ntohs(v6.sin6_port);
  return true;
}

void Address::map_to_ipv6() {
  InternetPeer peer;
  if (any.sa_family == AF_INET && peer.keep(*this)) peer.restore(this);
}

int Address::of_socket(int fd) {
  length = kRoom;
  const int result = getsockname(fd, &any, &length) == 0 ? 0 : -errno;
  clamp();
  return result;
}

int Address::of_peer(int fd) {
  length = kRoom;
  const int result = getpeername(fd, &any, &length) == 0 ? 0 : -errno;
  clamp();
  return result;
}

bool InternetPeer::keep(const Address& address) {
  if (address.length == 0) return false;
  if (address.any.sa_family == AF_INET6) {
    ip = address.v6.sin6_addr;
    scope = address.v6.sin6_scope_id;
    port = ntohs(address.v6.sin6_port);
    return true;
  }
  if (address.any.sa_family != AF_INET) return false;
  ip = {};
  ip.s6_addr[10] = ip.s6_addr[11] = 0xff;
  memcpy(ip.s6_addr + 12, &address.v4.sin_addr, sizeof address.v4.sin_addr);
  scope = 0;
  port = ntohs(address.v4.sin_port);
  return true;
}

void InternetPeer::restore(Address* address) const {
  address->v6 = {};
  address->v6.sin6_family = AF_INET6;
  address->v6.sin6_addr = ip;
  address->v6.sin6_scope_id = scope;
  address->v6.sin6_port = htons(port);
  address->length = sizeof address->v6;
}

bool ShownAddress::show(const Address& address) {
  if (address.length == 0) return false;
  uint32_t ip;
  uint16_t v4_port;
  if (address.as_ipv4(&ip, &v4_port)) {
    in_addr raw = {htonl(ip)};
    inet_ntop(AF_INET, &raw, text, sizeof text);
    family = kIpv4;
    port = v4_port;
    size = strlen(text);
    return true;
  }
  if (address.any.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof text);
    size = strlen(text);
    if (address.v6.sin6_scope_id != 0) {
      text[size++] = '%';
      if (if_indextoname(address.v6.sin6_scope_id, text + size) == nullptr) text[--size] = '\0';
      size = strlen(text);
    }
    family = kIpv6;
    port = ntohs(address.v6.sin6_port);
    return true;
  }
  if (address.any.sa_family != AF_UNIX) return false;
  const size_t head = offsetof(sockaddr_un, sun_path);
  size = address.length > head ? address.length - head : 0;
  if (size > sizeof address.local.sun_path) size = sizeof address.local.sun_path;
  // A path's length may or may not count its closing NUL; an abstract name has none.
  if (size > 0 && address.local.sun_path[0] != '\0') size = strnlen(address.local.sun_path, size);
  memcpy(text, address.local.sun_path, size);
  family = kUnix;
  port = 0;
  return true;
}

}  // namespace em
