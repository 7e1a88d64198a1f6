// The arguments of a call from JavaScript, each checked for type and range. The first bad one throws a TypeError that
// names it; the readers answer zeros from then on, and the call is to return when `ok` says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "loop/napi.h"

namespace em {

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

class Args {
 public:
  static constexpr size_t kMost = 12;

  Args(napi_env env, napi_callback_info info) : env_(env) {
    ok_ = napi_get_cb_info(env, info, &count_, values_, nullptr, &data) == napi_ok && data != nullptr;
  }

  void* data = nullptr;  // of the function; not null where `ok`

  bool ok() const { return ok_; }

  // Throws, unless an argument before was bad too.
  void refuse(size_t at, const char* wanted) {
    if (!ok_) return;
    char message[80];
    snprintf(message, sizeof message, "argument %zu must be %s", at + 1, wanted);
    ok_ = false;
    best_effort(napi_throw_type_error(env_, "ERR_INVALID_ARG_TYPE", message));
  }

  // A whole number from `least` to `most`.
  double number(size_t at, double least, double most) {
    double value = 0;
    if (!ok_) return least;
    if (at >= count_ || napi_get_value_double(env_, values_[at], &value) != napi_ok || !(value >= least) ||
        !(value <= most) || value != static_cast<double>(static_cast<int64_t>(value))) {
      refuse(at, "a whole number in range");
      return least;
    }
    return value;
  }

  int32_t int32(size_t at, int32_t least = INT32_MIN, int32_t most = INT32_MAX) {
    return static_cast<int32_t>(number(at, least, most));
  }
  uint32_t uint32(size_t at, uint32_t most = UINT32_MAX) { return static_cast<uint32_t>(number(at, 0, most)); }
  int64_t size(size_t at) { return static_cast<int64_t>(number(at, 0, 9007199254740991.0)); }

  bool boolean(size_t at) {
    bool value = false;
    if (ok_ && (at >= count_ || napi_get_value_bool(env_, values_[at], &value) != napi_ok)) refuse(at, "a boolean");
    return value;
  }

  // The bytes stay JavaScript's: they are good until it is entered again.
  Bytes bytes(size_t at) {
    napi_typedarray_type type = napi_int8_array;
    Bytes result;
    void* memory = nullptr;
    if (!ok_) return {};
    if (at >= count_ ||
        napi_get_typedarray_info(env_, values_[at], &type, &result.length, &memory, nullptr, nullptr) != napi_ok ||
        type != napi_uint8_array) {
      refuse(at, "a Uint8Array");
      return {};
    }
    result.data = static_cast<uint8_t*>(memory);
    return result;
  }

  // Fills `to` with a list of int32; returns how many there are.
  size_t int32_list(size_t at, const int32_t** to) {
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    void* memory = nullptr;
    if (!ok_) return 0;
    if (at >= count_ ||
        napi_get_typedarray_info(env_, values_[at], &type, &length, &memory, nullptr, nullptr) != napi_ok ||
        type != napi_int32_array) {
      refuse(at, "an Int32Array");
      return 0;
    }
    *to = static_cast<const int32_t*>(memory);
    return length;
  }

  // Copies a string of at most `most` bytes of UTF-8 into `to`, which has room for one more.
  size_t string(size_t at, char* to, size_t most) {
    size_t length = 0;
    napi_valuetype type = napi_undefined;
    if (!ok_) return 0;
    if (at >= count_ || napi_typeof(env_, values_[at], &type) != napi_ok || type != napi_string) {
      refuse(at, "a string");
      return 0;
    }
    if (napi_get_value_string_utf8(env_, values_[at], nullptr, 0, &length) != napi_ok || length > most) {
      refuse(at, "a shorter string");
      return 0;
    }
    if (napi_get_value_string_utf8(env_, values_[at], to, most + 1, &length) != napi_ok) {
      refuse(at, "a string");
      return 0;
    }
    return length;
  }

  // The same, or bytes: a Unix socket's name need not be UTF-8.
  size_t name(size_t at, char* to, size_t most) {
    bool is_bytes = false;
    if (!ok_ || at >= count_ || napi_is_typedarray(env_, values_[at], &is_bytes) != napi_ok || !is_bytes)
      return string(at, to, most);
    Bytes given = bytes(at);
    if (given.length > most) {
      refuse(at, "shorter bytes");
      return 0;
    }
    if (given.length > 0) memcpy(to, given.data, given.length);
    to[given.length] = '\0';
    return given.length;
  }

  // What `wrap` made under this tag; null where it is anything else.
  void* wrapped(size_t at, const napi_type_tag& tag) {
    bool is_ours = false;
    napi_valuetype type = napi_undefined;
    void* result = nullptr;
    if (!ok_) return nullptr;
    if (at >= count_ || napi_typeof(env_, values_[at], &type) != napi_ok || type != napi_object ||
        napi_check_object_type_tag(env_, values_[at], &tag, &is_ours) != napi_ok || !is_ours ||
        napi_unwrap(env_, values_[at], &result) != napi_ok || result == nullptr) {
      refuse(at, "what the addon has made for this");
      return nullptr;
    }
    return result;
  }

  // A reference to a function; null where it is none.
  napi_ref function(size_t at) {
    napi_valuetype type = napi_undefined;
    napi_ref reference = nullptr;
    if (!ok_) return nullptr;
    if (at >= count_ || napi_typeof(env_, values_[at], &type) != napi_ok || type != napi_function) {
      refuse(at, "a function");
      return nullptr;
    }
    if (napi_create_reference(env_, values_[at], 1, &reference) != napi_ok) {
      refuse(at, "a function that can be kept");
      return nullptr;
    }
    return reference;
  }

 private:
  napi_env env_;
  size_t count_ = kMost;
  napi_value values_[kMost] = {};
  bool ok_ = true;
};

}  // namespace em
