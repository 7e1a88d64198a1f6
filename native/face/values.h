// Values for JavaScript. What could not be made is null, and so is everything that was to hold it: Node takes a null
// that a call returns for `undefined`, and shows the exception that is pending, if there is one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "loop/napi.h"

namespace em {

// `undefined`.
inline napi_value nothing() { return nullptr; }

[[nodiscard]] inline napi_value integer(napi_env env, int64_t number) {
  napi_value value = nullptr;
  return napi_create_int64(env, number, &value) == napi_ok ? value : nullptr;
}

[[nodiscard]] inline napi_value real(napi_env env, double number) {
  napi_value value = nullptr;
  return napi_create_double(env, number, &value) == napi_ok ? value : nullptr;
}

[[nodiscard]] inline napi_value boolean(napi_env env, bool is) {
  napi_value value = nullptr;
  return napi_get_boolean(env, is, &value) == napi_ok ? value : nullptr;
}

[[nodiscard]] inline napi_value text(napi_env env, std::string_view words) {
  napi_value value = nullptr;
  return napi_create_string_utf8(env, words.data(), words.size(), &value) == napi_ok ? value : nullptr;
}

// A copy of the bytes.
[[nodiscard]] inline napi_value buffer(napi_env env, const void* data, size_t size) {
  napi_value value = nullptr;
  return napi_create_buffer_copy(env, size, data, nullptr, &value) == napi_ok ? value : nullptr;
}

// `undefined` as a member of a list.
[[nodiscard]] inline napi_value undefined(napi_env env) {
  napi_value value = nullptr;
  return napi_get_undefined(env, &value) == napi_ok ? value : nullptr;
}

// An array that grows.
class List {
 public:
  explicit List(napi_env env) : env_(env) {
    if (napi_create_array(env, &value_) != napi_ok) value_ = nullptr;
  }
  void add(napi_value member) {
    if (value_ == nullptr) return;
    if (member == nullptr || napi_set_element(env_, value_, count_++, member) != napi_ok) value_ = nullptr;
  }
  [[nodiscard]] napi_value value() const { return value_; }

 private:
  napi_env env_;
  napi_value value_ = nullptr;
  uint32_t count_ = 0;
};

template <size_t N>
[[nodiscard]] napi_value list(napi_env env, const napi_value (&members)[N]) {
  List list(env);
  for (napi_value member : members) list.add(member);
  return list.value();
}

class Object {
 public:
  explicit Object(napi_env env) : env_(env) {
    if (napi_create_object(env, &value_) != napi_ok) value_ = nullptr;
  }
  Object(napi_env env, napi_value value) : env_(env), value_(value) {}
  void set(const char* name, napi_value member) {
    if (value_ == nullptr) return;
    if (member == nullptr || napi_set_named_property(env_, value_, name, member) != napi_ok) value_ = nullptr;
  }
  [[nodiscard]] napi_env env() const { return env_; }
  [[nodiscard]] napi_value value() const { return value_; }

 private:
  napi_env env_;
  napi_value value_ = nullptr;
};

// An object that owns `owned` until it is collected, under a tag of its own: Args::wrapped takes it out again.
template <typename T>
[[nodiscard]] napi_value wrap(napi_env env, std::unique_ptr<T> owned, const napi_type_tag& tag) {
  napi_value value = nullptr;
  if (napi_create_object(env, &value) != napi_ok || napi_type_tag_object(env, value, &tag) != napi_ok) return nullptr;
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<T*>(data); };
  // From here on the object owns it; where this fails it does not, and the finalizer is never called.
  if (napi_wrap(env, value, owned.get(), finalize, nullptr, nullptr) != napi_ok) return nullptr;
  static_cast<void>(owned.release());
  return value;
}

}  // namespace em
