#include "tls/openssl.h"

#include <dlfcn.h>

#include <mutex>

namespace em {

#define EM_OPENSSL_DEFINE(name) Found<decltype(&::name)> name = {nullptr};
EM_OPENSSL(EM_OPENSSL_DEFINE)
#undef EM_OPENSSL_DEFINE

namespace {

// The pointer is filled in through memory of its own type's size, for C++ has no cast from an object to a function.
template <typename Function>
bool find(Function& function, const char* name) {
  void* symbol = dlsym(RTLD_DEFAULT, name);
  static_assert(sizeof function == sizeof symbol);
  __builtin_memcpy(&function, &symbol, sizeof symbol);
  return symbol != nullptr;
}

const char* look_up() {
#define EM_OPENSSL_FIND(name) \
  if (!find(name.function, #name)) return #name;
  EM_OPENSSL(EM_OPENSSL_FIND)
#undef EM_OPENSSL_FIND
  return OPENSSL_version_major() == 3 ? nullptr : "OpenSSL 3";
}

}  // namespace

const char* load_openssl() {
  static std::once_flag once;
  static const char* missing = nullptr;
  std::call_once(once, [] { missing = look_up(); });
  return missing;
}

}  // namespace em
