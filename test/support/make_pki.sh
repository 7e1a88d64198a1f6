#!/usr/bin/env bash
# Makes the certificates of the tests anew, into test/support/pki: valid for a hundred years, but for one that has expired.
# The keys are in the repository for all to see, and good for nothing else.
set -euo pipefail
cd "$(dirname "$0")/pki"
rm -f ./*
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DAYS=36500
HOME_NAMES="DNS:localhost,DNS:server.test,IP:127.0.0.1,IP:::1"

ec_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1-key.pem" 2> /dev/null; }
rsa_key() { openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1-key.pem" 2> /dev/null; }

# authority NAME SUBJECT [ISSUER]
authority() {
  ec_key "$1"
  printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\nsubjectKeyIdentifier=hash\n' > "$work/ext"
  openssl req -new -key "$1-key.pem" -subj "/CN=$2" -out "$work/req"
  if [ $# -eq 2 ]; then
    openssl x509 -req -in "$work/req" -key "$1-key.pem" -days $DAYS -extfile "$work/ext" -out "$1.pem" 2> /dev/null
  else
    openssl x509 -req -in "$work/req" -CA "$3.pem" -CAkey "$3-key.pem" -CAcreateserial -CAserial "$work/serial" \
      -days $DAYS -extfile "$work/ext" -out "$1.pem" 2> /dev/null
  fi
}

# leaf NAME SUBJECT ISSUER USAGE NAMES: the key is there already
leaf() {
  printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n' "$4" > "$work/ext"
  if [ -n "$5" ]; then printf 'subjectAltName=%s\n' "$5" >> "$work/ext"; fi
  openssl req -new -key "$1-key.pem" -subj "/CN=$2" -out "$work/req"
  openssl x509 -req -in "$work/req" -CA "$3.pem" -CAkey "$3-key.pem" -CAcreateserial -CAserial "$work/serial" \
    -days $DAYS -extfile "$work/ext" -out "$1.pem" 2> /dev/null
}

authority ca "Test Authority"
authority intermediate "Test Intermediate" ca
authority stranger-ca "Strange Authority"

ec_key server && leaf server server.test ca serverAuth "$HOME_NAMES"
rsa_key server-rsa && leaf server-rsa server.test ca serverAuth "$HOME_NAMES"
ec_key chained && leaf chained server.test intermediate serverAuth "$HOME_NAMES"
cat intermediate.pem >> chained.pem
ec_key next && leaf next next.test ca serverAuth "$HOME_NAMES"
ec_key other && leaf other other.test ca serverAuth "DNS:other.test"
ec_key wild && leaf wild "*.wild.test" ca serverAuth "DNS:*.wild.test"
ec_key elsewhere && leaf elsewhere elsewhere.test ca serverAuth "DNS:elsewhere.test,IP:192.0.2.1"
ec_key stranger && leaf stranger server.test stranger-ca serverAuth "$HOME_NAMES"
ec_key client && leaf client alice ca clientAuth ""
ec_key stranger-client && leaf stranger-client mallory stranger-ca clientAuth ""

ec_key self
openssl req -x509 -key self-key.pem -subj /CN=server.test -addext "subjectAltName=$HOME_NAMES" -days $DAYS -out self.pem

# Valid for one day of the year 2020.
ec_key expired
openssl req -new -key expired-key.pem -subj /CN=server.test -out "$work/req"
: > "$work/index"
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\nnew_certs_dir=%s\nserial=%s/expired-serial\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n[e]\nextendedKeyUsage=serverAuth\nsubjectAltName=%s\n' \
  "$work" "$work" "$work" "$HOME_NAMES" > "$work/ca.conf"
openssl ca -batch -config "$work/ca.conf" -rand_serial -startdate 20200101000000Z -enddate 20200102000000Z -extensions e \
  -cert ca.pem -keyfile ca-key.pem -in "$work/req" -notext -out expired.pem 2> /dev/null

# The same key under a passphrase, everything in one file, and parameters for DHE.
openssl pkcs8 -topk8 -in server-key.pem -v2 aes-256-cbc -passout pass:"open sesame" -out server-encrypted-key.pem
cat server.pem server-key.pem > server-with-key.pem
openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out dh.pem 2> /dev/null

# What the authority says of server.pem, for stapling.
openssl ocsp -issuer ca.pem -cert server.pem -no_nonce -reqout "$work/ocsp-request" 2> /dev/null
serial=$(openssl x509 -in server.pem -noout -serial | cut -d= -f2)
printf 'V\t21250101000000Z\t\t%s\tunknown\t/CN=server.test\n' "$serial" > "$work/ocsp-index"
openssl ocsp -index "$work/ocsp-index" -CA ca.pem -rsigner ca.pem -rkey ca-key.pem -reqin "$work/ocsp-request" \
  -ndays $DAYS -respout ocsp.der 2> /dev/null
