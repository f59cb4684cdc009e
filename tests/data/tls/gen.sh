#!/bin/sh
# Makes the certificates of the TLS tests, good for a hundred years. Run in this folder; needs OpenSSL 3.
#
#   ca          the authority                            server, client   version 3, signed by it
#   generic     version 1, signed by it (no extensions)  ec               the same as server with a P-256 key
#   locked.key  server.key behind the password "1234"    stranger         signed by an authority of its own
set -e
days=36500
authority() {
    openssl req -x509 -new -nodes -sha256 -newkey rsa:2048 -keyout "$1.key" -out "$1.crt" -days $days -subj "/O=Redstart Test/CN=$1"
}
signed() { # name, authority, how to make the key, options
    name=$1 by=$2
    openssl req -new -nodes -sha256 -newkey $3 -keyout "$name.key" -out "$name.csr" -subj "/O=Redstart Test/CN=$name"
    shift 3
    openssl x509 -req -sha256 -in "$name.csr" -CA "$by.crt" -CAkey "$by.key" -CAcreateserial -days $days "$@" -out "$name.crt"
    rm "$name.csr"
}
printf '[v3]\nkeyUsage = digitalSignature, keyEncipherment\n' > v3.cnf
authority ca
authority other
signed server ca rsa:2048 -extfile v3.cnf -extensions v3
signed client ca rsa:2048 -extfile v3.cnf -extensions v3
signed ec ca "ec -pkeyopt ec_paramgen_curve:P-256" -extfile v3.cnf -extensions v3
signed generic ca rsa:2048
signed stranger other rsa:2048 -extfile v3.cnf -extensions v3
openssl pkcs8 -topk8 -in server.key -out locked.key -v2 aes-256-cbc -passout pass:1234
rm -f v3.cnf ./*.srl ca.key other.key other.crt
