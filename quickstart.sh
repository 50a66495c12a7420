#!/bin/sh
# Builds muster, starts it on a fresh database in ./quickstart-data, and walks a
# user through his life over SCIM: created, found, changed, disabled. The server
# then keeps running; Ctrl-C stops it.
set -eu
cd "$(dirname "$0")"

# A C compiler builds the bundled SQLite, curl plays the provisioning client.
missing=
command -v cc >/dev/null || missing="$missing build-essential"
command -v curl >/dev/null || missing="$missing curl"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq $missing
    else
        echo "Please install:$missing" >&2
        exit 1
    fi
fi
command -v cargo >/dev/null || { echo "Please install Rust 1.95 or newer (cargo)." >&2; exit 1; }

data=$(pwd)/quickstart-data
http=${HTTP_LISTEN:-127.0.0.1:8080}
grpc=${GRPC_LISTEN:-127.0.0.1:50051}

# The data of a server that still runs must stay. curl says 7 where nobody listens.
answers() {
    code=0
    curl -s -o /dev/null --noproxy '*' --max-time 2 "http://$1/" || code=$?
    [ "$code" != 7 ]
}
for address in $(sed -n 's|^[A-Za-z]* listening on \(http://\)*||p' "$data/out" 2>/dev/null); do
    if answers "$address"; then
        echo "The former quickstart seems to run: $address answers. Stop it, or remove quickstart-data." >&2
        exit 1
    fi
done
for address in "$http" "$grpc"; do
    if answers "$address"; then
        echo "$address is in use. HTTP_LISTEN and GRPC_LISTEN move the ports." >&2
        exit 1
    fi
done

cargo build --release --locked

# Data, token and log are for nobody else.
umask 077
rm -rf "$data" && mkdir -p "$data"
"${CARGO_TARGET_DIR:-target}/release/muster" serve --bootstrap --database-url "sqlite://$data/muster.db" \
    --http-listen "$http" --grpc-listen "$grpc" \
    >"$data/out" 2>"$data/log" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM

tries=0
until grep -qs '^HTTP listening' "$data/out"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$data/log" >&2
        exit 1
    fi
    sleep 0.1
done
cat "$data/out"
url=$(sed -n 's/^Tenant URL: *//p' "$data/out")
token=$(sed -n 's/^Secret Token: *//p' "$data/out")

scim() {
    printf '\n== %s\n' "$1"
    shift
    curl -sS --fail-with-body -H "Authorization: Bearer $token" \
        -H 'Content-Type: application/scim+json' "$@"
    echo
}
patch='"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'
scim 'Create a user' "$url/Users" -d '{
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "ada@example.test", "externalId": "ada-1", "displayName": "Ada",
    "emails": [{"type": "work", "value": "ada@example.test", "primary": true}]}'
scim 'Find her, whatever the case' -G "$url/Users" --data-urlencode 'filter=userName eq "ADA@example.test"' \
    | tee "$data/found"
id=$(sed -n 's/.*"id" *: *"\([^"]*\)".*/\1/p' "$data/found")
scim 'Change her e-mail address' -X PATCH "$url/Users/$id" -d "{$patch, \"Operations\": [
    {\"op\": \"replace\", \"path\": \"emails[type eq \\\"work\\\"].value\", \"value\": \"ada.l@example.test\"}]}"
scim 'Disable her, as Entra does' -X PATCH "$url/Users/$id" -d "{$patch, \"Operations\": [
    {\"op\": \"Replace\", \"path\": \"active\", \"value\": \"False\"}]}"

printf '\nThe server is running. Ctrl-C stops it; its log is in %s.\n' "quickstart-data/log"
[ "${QUICKSTART_EXIT:-}" = 1 ] || wait "$server"
