// How long a client's hello is, found out before OpenSSL is given its length: OpenSSL sets aside whatever is declared.
//
// A server watches the bytes of its client while they are in clear and can be a hello: the first one, and after a
// HelloRetryRequest the second.
#pragma once

#include <cstddef>
#include <cstdint>

namespace em {

class HelloWatch {
 public:
  void start(uint32_t most) {
    most_ = most;
    active_ = true;
  }
  bool active() const { return active_; }
  bool too_long() const { return too_long_; }

  // The next bytes, whatever records they come in; `version` is what OpenSSL has settled so far. Returns false where a
  // hello is longer than allowed.
  bool take(const uint8_t* data, size_t length, int version);

 private:
  // Each takes what it can and returns how much.
  size_t take_record_header(const uint8_t* data, size_t length, int version);
  size_t take_payload(const uint8_t* data, size_t length);

  uint32_t most_ = 0;
  uint32_t message_left_ = 0;
  uint16_t record_left_ = 0;
  uint8_t record_[5] = {}, message_[4] = {};
  uint8_t record_have_ = 0, message_have_ = 0;
  bool active_ = false, skips_ = false, too_long_ = false;
};

}  // namespace em
